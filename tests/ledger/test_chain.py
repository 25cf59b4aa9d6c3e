"""The ledger as evidence: whatever was done to its rows behind its back shows, and what it does itself does not."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine

from ledger import chain
from ledger.store import Ledger
from ledger.verify import Bad, Verdict
from tests.ledger.conftest import DAY, NOW, banner, decision, email, made_earlier, outcome


def fill(ledger: Ledger, count: int = 9) -> None:
    """Decisions with one selection more each, and an outcome for each, in calls of three."""
    for start in range(0, count, 3):
        ledger.record_decisions(
            [
                decision(f"d-{n}", *(banner(rank=rank + 1) for rank in range(n % 3)), contact_id=f"c-{n % 4}", request_id=f"r-{n}")
                for n in range(start, start + 3)
            ]
        )
        ledger.record_outcomes(
            [outcome(f"e-{n}", decision_id=f"d-{n}", contact_id=f"c-{n % 4}", value=1.5 * n) for n in range(start, start + 3)]
        )


def behind_its_back(url: str, *statements: str) -> None:
    """Run SQL on the database, as somebody with its password could."""
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as conn:
        if engine.dialect.name == "postgresql":
            conn.exec_driver_sql("SET session_replication_role = replica")
        for statement in statements:
            conn.exec_driver_sql(statement)
    engine.dispose()


def first_bad(ledger: Ledger) -> Bad:
    found = ledger.verify().first_bad
    assert found is not None
    return found


def test_an_empty_ledger_is_intact(ledger: Ledger) -> None:
    assert ledger.verify() == Verdict(0, None, {})


def test_what_the_ledger_wrote_is_intact_however_it_was_written(ledger: Ledger) -> None:
    fill(ledger)
    again = [
        decision("d-1", email()),
        decision("d-90", email(), email(rank=1, cost=9.0), request_id="r-1"),
        decision("d-91"),
        decision("d-91"),
    ]
    ledger.record_decisions(again)
    ledger.record_outcomes([outcome("e-1", value=7.0), outcome("e-91", value=float("nan")), outcome("e-91")])
    verdict = ledger.verify()
    assert (verdict.intact, verdict.rows) == (True, 9 + 9 + 1 + 1)
    assert sum(head[0] for head in verdict.heads.values()) == verdict.rows


def test_writers_at_once_each_have_their_place(url: str, ledger: Ledger) -> None:
    with Ledger.open(url) as another, ThreadPoolExecutor(8) as pool:
        calls = [(each, n) for n, each in enumerate([ledger, another] * 20)]
        list(pool.map(lambda call: call[0].record_decisions([decision(f"d-{call[1]}-{m}", email()) for m in range(3)]), calls))
    verdict = ledger.verify()
    assert (verdict.intact, verdict.rows) == (True, 120)


EDITS = {
    "an outcome's money": [
        "UPDATE outcomes SET value = value + 0.01 WHERE event_id = 'e-4'",
    ],
    "an outcome's time": [
        "UPDATE outcomes SET occurred_at = occurred_at + 1 WHERE event_id = 'e-4'",
    ],
    "an outcome's decision": [
        "UPDATE outcomes SET decision_id = 'd-5' WHERE event_id = 'e-4'",
    ],
    "an outcome's contact": [
        "UPDATE outcomes SET contact_id = 'c-9' WHERE event_id = 'e-4'",
    ],
    "a decision's trace": [
        "UPDATE decisions SET trace = replace(trace, '41', '42') WHERE decision_id = 'd-4'",
    ],
    "a decision's group": [
        "UPDATE decisions SET control_group = 'holdout' WHERE decision_id = 'd-4'",
    ],
    "a selection's probability": [
        "UPDATE selections SET selection_prob = 0.5 WHERE decision_id = 'd-4'",
    ],
    "a selection's contact": [
        "UPDATE selections SET contact_id = 'c-9' WHERE decision_id = 'd-4'",
    ],
    "a salt": [
        "UPDATE chain_entries SET salt = hash WHERE key = 'd-4'",
    ],
    "a salt taken away, as of an erased contact": [
        "UPDATE chain_entries SET salt = NULL WHERE key = 'd-4'",
    ],
    "a digest": [
        "UPDATE chain_entries SET personal = hash WHERE key = 'd-4'",
    ],
    "a hash": [
        "UPDATE chain_entries SET hash = personal WHERE key = 'd-4'",
    ],
    "a removed selection": [
        "DELETE FROM selections WHERE decision_id = 'd-5' AND rank = 2",
    ],
    "a removed outcome": [
        "DELETE FROM outcomes WHERE event_id = 'e-4'",
    ],
    "a removed link": [
        "DELETE FROM chain_entries WHERE key = 'e-4'",
    ],
    "a removed row with its link": [
        "DELETE FROM outcomes WHERE event_id = 'e-4'",
        "DELETE FROM chain_entries WHERE key = 'e-4'",
    ],
    "an inserted outcome": [
        "INSERT INTO outcomes SELECT 'e-x', decision_id, contact_id, treatment_id, action_id, outcome, behaviour, "
        "value, occurred_at, received_at, late FROM outcomes WHERE event_id = 'e-4'",
    ],
    "an inserted selection": [
        "INSERT INTO selections (decision_id, rank, contact_id, decided_at, action_id, treatment_id, channel, "
        "direction) SELECT decision_id, 9, contact_id, decided_at, 'a', 't', 'web', 'inbound' FROM decisions WHERE "
        "decision_id = 'd-3'",
    ],
    "two links that changed places": [
        "UPDATE chain_entries SET seq = -1 WHERE key = 'e-4'",
        "UPDATE chain_entries SET seq = seq - 1 WHERE key = 'e-5'",
        "UPDATE chain_entries SET seq = (SELECT seq + 1 FROM chain_entries x WHERE x.key = 'e-5') WHERE key = 'e-4'",
    ],
    "an end that was cut off": [
        "DELETE FROM outcomes WHERE event_id = 'e-8'",
        "DELETE FROM chain_entries WHERE key = 'e-8'",
    ],
    "a head that was set back": [
        "UPDATE chain_heads SET seq = seq - 1 WHERE seq > 0 AND stream LIKE 'outcomes/%'",
    ],
    "a head that was removed": [
        "DELETE FROM chain_heads WHERE stream = 'outcomes/0'",
    ],
    "a row that is said to be removed by age": [
        "UPDATE chain_entries SET leaf = personal WHERE key = 'e-4'",
        "DELETE FROM outcomes WHERE event_id = 'e-4'",
    ],
}


@pytest.mark.parametrize("what", EDITS)
def test_what_was_done_behind_its_back_shows(what: str, sqlite_url: str) -> None:
    with Ledger.open(sqlite_url) as ledger:
        fill(ledger)
        assert ledger.verify().intact
        behind_its_back(sqlite_url, *EDITS[what])
        assert not ledger.verify().intact


@pytest.mark.parametrize("what", ["an outcome's money", "a removed outcome", "an inserted outcome", "an end that was cut off"])
def test_postgresql_shows_it_too(what: str, new_postgres_database: Callable[[], str]) -> None:
    url = new_postgres_database()
    with Ledger.open(url) as ledger:
        fill(ledger)
        assert ledger.verify().intact
        behind_its_back(url, *EDITS[what])
        assert not ledger.verify().intact


def test_the_first_bad_link_is_named(sqlite_url: str) -> None:
    with Ledger.open(sqlite_url) as ledger:
        fill(ledger)
        behind_its_back(sqlite_url, *EDITS["an outcome's money"])
        assert first_bad(ledger) == Bad("outcomes/0", 5, "e-4", "its row was changed, or it does not follow from the link before")
        behind_its_back(sqlite_url, *EDITS["a decision's trace"])
        assert first_bad(ledger) == Bad("decisions/0", 5, "d-4", "its contact, features or trace were changed")


def _another(column: str, value: object) -> object:
    """Another value that the column may hold."""
    if column in ("late", "answered"):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if value is None and column in ("value", "reserved_until"):
        return 5
    return f"{value or ''}x"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_single_changed_value_shows(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    url = f"sqlite:///{tmp_path_factory.mktemp('chain')}/ledger.db"
    with Ledger.open(url) as ledger:
        fill(ledger, 3)
        table = data.draw(st.sampled_from(["decisions", "selections", "outcomes"]))
        with sqlite3.connect(url.removeprefix("sqlite:///")) as raw:
            columns = [row[1] for row in raw.execute(f"PRAGMA table_info({table})") if row[1] != "rank"]
            rows = [row[0] for row in raw.execute(f"SELECT rowid FROM {table} ORDER BY rowid")]
            column, row = data.draw(st.sampled_from(columns)), data.draw(st.sampled_from(rows))
            [(before,)] = raw.execute(f"SELECT {column} FROM {table} WHERE rowid = ?", (row,)).fetchall()
            after = _another(column, before)
            raw.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (after, row))
        raw.close()
        assert not ledger.verify().intact, f"{table}.{column}: {before!r} became {after!r}"


def test_a_chain_that_was_written_anew_does_not_have_the_heads_of_before(sqlite_url: str, tmp_path: Path) -> None:
    with Ledger.open(sqlite_url) as ledger:
        fill(ledger)
        heads = ledger.verify().to_json()["heads"]
        assert ledger.verify(heads).intact
        ledger.record_decisions([decision("d-50")])
        assert ledger.verify(heads).intact, "later links change nothing about earlier ones"
    forged = f"sqlite:///{tmp_path}/forged.db"
    with Ledger.open(forged) as ledger:
        fill(ledger)
        assert ledger.verify().intact
        assert not ledger.verify(heads).intact
    cut = f"sqlite:///{tmp_path}/cut.db"
    with Ledger.open(cut) as ledger:
        fill(ledger, 6)
        assert not ledger.verify(heads).intact


def test_a_ledger_of_the_second_version_becomes_evidence_when_it_is_opened(sqlite_url: str, tmp_path: Path) -> None:
    with Ledger.open(sqlite_url) as ledger:
        fill(ledger)
    with sqlite3.connect(tmp_path / "ledger.db") as raw:
        for table in ("chain_entries", "chain_heads", "deeds", "identities", "erasures"):
            raw.execute(f"DROP TABLE {table}")
        made_earlier(raw, 2)
    raw.close()
    with Ledger.open(sqlite_url) as ledger:
        assert ledger.decision("d-5") is not None
        ledger.record_decisions([decision("d-50", email())])
        verdict = ledger.verify()
        assert (verdict.intact, verdict.rows) == (True, 19)
        behind_its_back(sqlite_url, *EDITS["an outcome's money"])
        assert not ledger.verify().intact


def test_a_links_hash_stays_what_it_is_from_version_to_version() -> None:
    chosen = {"rank": 1, "action_id": "loan", "treatment_id": "t", "channel": "email", "direction": "outbound", "placement": None}
    chosen |= {
        "selection_prob": 1e-7,
        "expected_profit": 1e16,
        "cost": 0.02,
        "reserved_until": 5,
        "redeems": None,
        "book": "p/0",
        "account_id": None,
    }
    row = {"decision_id": "d-ż", "decided_at": 2**50, "channel": None, "plan_id": None, "control_group": "nudge", "degraded": None}
    content = chain.decision_content(
        {**row, "contact_id": "c-1", "request_id": None, "trace": '{"age":41}'}, [{**chosen, "account_id": None}]
    )
    leaf = chain.leaf_of("decisions/0", 1, chain.personal_digest(bytes(16), content), content.public)
    assert chain.link(chain.BEGINNING, leaf).hex() == "08bfb13ac723ee14f252dd0c224a78930adcb7b8d7c92aaf39d0f841285c95b4"


def test_a_plan_of_many_contacts_is_one_piece_of_the_chain(sqlite_ledger: Ledger) -> None:
    sqlite_ledger.record_decisions([decision(f"d-{n}", email(), contact_id=f"c-{n}", decided_at=NOW + n * DAY) for n in range(2_500)])
    verdict = sqlite_ledger.verify()
    assert (verdict.intact, verdict.rows) == (True, 2_500)


def test_what_is_old_is_gone_and_the_chain_still_holds(ledger: Ledger) -> None:
    old = [decision(f"d-{n}", email(), banner(rank=2), decided_at=NOW - (30 - n) * DAY, request_id=f"r-{n}") for n in range(30)]
    ledger.record_decisions(old)
    ledger.record_outcomes([outcome(f"e-{n}", decision_id=f"d-{n}", occurred_at=NOW - DAY) for n in range(0, 30, 2)])
    ledger.record_outcomes([outcome(f"s-{n}", decision_id=None, occurred_at=NOW - n * DAY) for n in (1, 20)])
    ledger.erase("c-9", NOW)
    gone = ledger.remove_before(NOW - 20 * DAY, NOW)
    assert gone == {"decisions": 10, "outcomes": 5, "events": 0, "leads": 0}
    assert ledger.decision("d-9") is None
    assert ledger.decision("d-10") == old[10]
    assert {one.event_id for one in ledger.outcomes_of("c-1", 99)} == {"s-1", "s-20", *(f"e-{n}" for n in range(10, 30, 2))}
    assert ledger.verify().intact
    assert ledger.remove_before(NOW - 20 * DAY, NOW) == {"decisions": 0, "outcomes": 0, "events": 0, "leads": 0}
    ledger.erase("c-1", NOW)
    assert ledger.remove_before(NOW, NOW) == {"decisions": 20, "outcomes": 12, "events": 0, "leads": 0}
    assert ledger.verify().intact


def test_an_id_that_comes_again_after_its_row_went_by_age_is_another_row_which_goes_too(ledger: Ledger) -> None:
    for turn in range(3):  # a sender's retry, years late
        ledger.record_decisions([decision("d-1", email(), contact_id=f"c-{turn}", decided_at=NOW - 9 * DAY)])
        ledger.record_outcomes([outcome("e-1", decision_id="d-1", contact_id=f"c-{turn}", occurred_at=NOW - 9 * DAY)])
        assert ledger.verify().intact
        if turn < 2:
            assert ledger.remove_before(NOW - DAY, NOW) == {"decisions": 1, "outcomes": 1, "events": 0, "leads": 0}
            assert ledger.verify().intact
    found = ledger.decision("d-1")
    assert found is not None
    assert found.contact_id == "c-2"
    ledger.erase("c-2", NOW)
    assert ledger.verify().intact


def test_a_row_put_back_after_it_went_by_age_shows(sqlite_url: str) -> None:
    with Ledger.open(sqlite_url) as ledger:
        ledger.record_decisions([decision("d-old", decided_at=NOW - 90 * DAY), decision("d-new", contact_id="c-2")])
        behind_its_back(sqlite_url, "CREATE TABLE kept_aside AS SELECT * FROM decisions WHERE decision_id = 'd-old'")
        ledger.remove_before(NOW - DAY, NOW)
        behind_its_back(sqlite_url, "INSERT INTO decisions SELECT * FROM kept_aside")
        assert first_bad(ledger) == Bad("decisions", 0, "d-old", "a row was inserted that no link vouches for")


def test_an_edit_beside_what_is_gone_by_age_still_shows(sqlite_url: str) -> None:
    with Ledger.open(sqlite_url) as ledger:
        fill(ledger)
        ledger.record_decisions([decision("d-old", email(), decided_at=NOW - 90 * DAY)])
        ledger.remove_before(NOW - DAY, NOW)
        assert ledger.verify().intact
        behind_its_back(sqlite_url, "UPDATE chain_entries SET leaf = hash WHERE key = 'd-old'")
        assert not ledger.verify().intact


def test_many_old_rows_go_in_short_transactions(sqlite_ledger: Ledger) -> None:
    sqlite_ledger.record_decisions([decision(f"d-{n}", contact_id=f"c-{n}", decided_at=NOW - 9 * DAY) for n in range(1_300)])
    assert sqlite_ledger.remove_before(NOW, NOW)["decisions"] == 1_300
    assert sqlite_ledger.verify().intact
