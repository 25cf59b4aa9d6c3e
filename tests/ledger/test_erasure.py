"""A contact is erased, or was a visitor before: what goes, what stays, and that the chain still holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import create_engine, text

from decisioning.errors import Conflict, RequestError
from ledger.consents import ConsentChange
from ledger.history import Whose
from ledger.leads import LeadStep, NewLead
from ledger.store import Ledger
from ledger.suppressions import SuppressionRecord
from tests.ledger.conftest import DAY, NOW, banner, decision, email, outcome
from tests.ledger.test_chain import behind_its_back

PERSON = "person-4711@example.org"


def past(contact_id: str) -> dict[str, dict[str, np.ndarray]]:
    ids, at = np.array([contact_id], dtype=object), np.array([(NOW - DAY).replace(tzinfo=None)], dtype="datetime64[us]")
    word = np.array(["loan"], dtype=object)
    return {
        "touches": {"contact_id": ids, "action_id": word, "at": at},
        "outcomes": {"contact_id": ids, "outcome": word, "at": at},
        "consents": {"contact_id": ids, "purpose": word, "granted": np.array([1.0]), "changed_at": at},
        "members": {"contact_id": ids, "account_id": np.array(["firm-4711"], dtype=object)},
    }


def live(ledger: Ledger, contact_id: str, name: str) -> None:
    """Whatever a contact may leave in a ledger."""
    ledger.replace_history(**past(contact_id))
    chosen = [email(account_id="firm-4711"), banner(rank=2)]
    trace = {"request": {"contact_id": contact_id}, "features": {"iban": "PL61109010140000071219812874"}}
    for n in (1, 2):
        made = decision(f"d-{name}-{n}", *chosen, trace=trace, contact_id=contact_id, request_id=f"r {contact_id} {n}")
        ledger.record_decisions([made])
    ledger.record_outcomes([outcome(f"of {contact_id} {n}", contact_id=contact_id, decision_id=f"d-{name}-1", value=2.5) for n in (1, 2)])
    ledger.suppress(SuppressionRecord(contact_id, NOW + DAY, NOW, reason=f"{contact_id} asked"))
    ledger.put_consent(ConsentChange(contact_id, "email", "granted", NOW, f"form of {contact_id}"), NOW)
    [lead] = ledger.hand_over([NewLead(contact_id, "A", 50.0, 40.0, details={"reasons": [contact_id]})], NOW)
    ledger.lead_steps([LeadStep(lead["lead_id"], "won", NOW, 900.0, f"{contact_id} said yes")], NOW)


def sums(url: str) -> list[tuple[object, ...]]:
    """What reports add up: by action, channel and group, and by outcome; and how many contacts."""
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    asked = (
        "SELECT action_id, channel, count(*), sum(cost), sum(selection_prob), min(decided_at) FROM selections GROUP BY 1, 2",
        "SELECT control_group, count(*), count(DISTINCT contact_id) FROM decisions GROUP BY 1",
        "SELECT outcome, action_id, count(*), sum(value), count(DISTINCT contact_id), max(occurred_at) FROM outcomes GROUP BY 1, 2",
        "SELECT status, grade, count(*), sum(revenue), count(DISTINCT contact_id) FROM leads GROUP BY 1, 2",
        "SELECT count(*) FROM decisions d JOIN outcomes o ON o.decision_id = d.decision_id AND o.contact_id = d.contact_id",
    )
    with engine.connect() as conn:
        found = [tuple(row) for each in asked for row in conn.execute(text(f"{each}"))]
    engine.dispose()
    return sorted(found, key=str)


def everything(url: str) -> str:
    """Every value of every table."""
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    from ledger.schema import TABLES

    with engine.connect() as conn:
        rows = [str(tuple(row)) for table in TABLES for row in conn.execute(table.select())]
    engine.dispose()
    return "\n".join(rows)


def test_an_erased_contact_is_nowhere_and_every_sum_and_the_chain_stand(url: str, ledger: Ledger) -> None:
    live(ledger, "c-2", "other")
    live(ledger, PERSON, "mine")
    before, marks = sums(url), (PERSON, "PL6110901014")
    assert all(mark in everything(url) for mark in marks)
    done = ledger.erase(PERSON, NOW)
    after = everything(url)
    assert not any(mark in after.replace("c-2", "") for mark in (PERSON,)), "the contact is still named"
    assert after.count("PL6110901014") == 2, "only the other contact's features are left"
    assert (done.counts["decisions"], done.counts["outcomes"]) == (2, 2)
    assert sums(url) == before
    assert ledger.verify().intact
    assert ledger.held(PERSON) == {}
    assert set(ledger.held("c-2")) >= {"decisions", "selections", "outcomes", "suppressions", "deeds"}


def test_an_erased_contact_is_not_even_left_in_the_files(tmp_path: Path, sqlite_url: str) -> None:
    with Ledger.open(sqlite_url) as ledger:
        live(ledger, PERSON, "mine")
        for n in range(200):
            ledger.record_decisions([decision(f"d-{n}", email(), contact_id=PERSON, trace={"who": PERSON, "long": "x" * 9000})])
        ledger.erase(PERSON, NOW)
        files = list(tmp_path.glob("ledger.db*"))
        assert files
        assert not [file.name for file in files if PERSON.encode() in file.read_bytes()]


def test_erasing_is_no_way_to_hide_an_edit(sqlite_url: str) -> None:
    with Ledger.open(sqlite_url) as ledger:
        live(ledger, "c-2", "other")
        live(ledger, PERSON, "mine")
        tombstone = ledger.erase(PERSON, NOW).tombstone
        assert ledger.verify().intact
        behind_its_back(
            sqlite_url,
            f"UPDATE outcomes SET contact_id = '{tombstone}' WHERE event_id = 'of c-2 1'",
            "UPDATE chain_entries SET salt = NULL WHERE key = 'of c-2 1'",
        )
        assert not ledger.verify().intact


def test_an_edit_of_an_erased_contacts_row_shows(sqlite_url: str) -> None:
    with Ledger.open(sqlite_url) as ledger:
        live(ledger, PERSON, "mine")
        tombstone = ledger.erase(PERSON, NOW).tombstone
        behind_its_back(sqlite_url, f"UPDATE outcomes SET value = 9 WHERE contact_id = '{tombstone}'")
        assert not ledger.verify().intact


def test_a_contact_who_comes_back_can_be_erased_again(ledger: Ledger) -> None:
    live(ledger, PERSON, "mine")
    first = ledger.erase(PERSON, NOW)
    live(ledger, PERSON, "again")
    second = ledger.erase(PERSON, NOW + DAY)
    assert (second.tombstone, second.counts["decisions"]) == (first.tombstone, 2)
    assert ledger.verify().intact
    assert ledger.erase(PERSON, NOW + DAY).counts["decisions"] == 0
    assert ledger.verify().intact


def test_an_erased_contact_does_not_come_back_with_the_next_ingest(ledger: Ledger) -> None:
    live(ledger, PERSON, "mine")
    ledger.erase(PERSON, NOW)
    ledger.replace_history(**past(PERSON))
    assert ledger.held(PERSON) == {}
    assert ledger.erased_among([PERSON, "c-2"]) == {PERSON: ledger.erase(PERSON, NOW).tombstone}


def test_what_is_exported_is_everything_that_was_written(ledger: Ledger) -> None:
    live(ledger, PERSON, "mine")
    held = ledger.held(PERSON)
    assert {name: len(rows) for name, rows in held.items()} == {
        "decisions": 2,
        "selections": 4,
        "outcomes": 2,
        "suppressions": 1,
        "deeds": 3,
        "leads": 1,
        "ingested_touches": 1,
        "ingested_outcomes": 1,
        "consents": 2,
        "accounts": 1,
    }
    assert held["decisions"][0]["trace"]["features"] == {"iban": "PL61109010140000071219812874"}
    assert held["outcomes"][0]["occurred_at"] == "2026-11-22T10:00:00Z"


def test_what_a_contact_said_holds_beside_what_is_ingested_and_the_newest_counts(ledger: Ledger) -> None:
    ledger.replace_history(**past("c-1"))
    assert ledger.consents(["c-1"])["granted"].tolist() == [1.0]
    ledger.put_consent(ConsentChange("c-1", "loan", "revoked", NOW), NOW)
    assert ledger.consents(["c-1"])["granted"].tolist() == [0.0]
    ledger.replace_history(**past("c-1"))
    assert ledger.consents(["c-1"])["granted"].tolist() == [0.0]
    assert ledger.consents(None)["granted"].tolist() == [0.0]
    assert ledger.verify().intact


def test_a_visitor_who_becomes_a_contact_brings_touches_caps_outcomes_and_suppressions(ledger: Ledger) -> None:
    live(ledger, "visitor-1", "before")
    ledger.record_decisions([decision("d-after", email(), contact_id="c-1")])
    joined = ledger.join_identity("visitor-1", "c-1", NOW)
    assert (joined.decisions, joined.outcomes, joined.again) == (2, 2, False)
    history = ledger.policy_history(Whose(["c-1"]), since=NOW - 30 * DAY, now=NOW)
    assert sorted(one or "ingested" for one in history.touches["decision_id"].tolist()) == sorted(
        ["d-after", "d-before-1", "d-before-1", "d-before-2", "ingested"]
    )
    assert history.seen_contacts == {"c-1": 3}
    assert len(history.outcomes["at"]) == 3
    assert len(history.suppressions["until"]) == 1
    assert ledger.policy_history(Whose(["visitor-1"]), since=NOW - 30 * DAY, now=NOW).seen_contacts == {}
    assert ledger.verify().intact


def test_a_visitor_is_joined_once(ledger: Ledger) -> None:
    live(ledger, "visitor-1", "before")
    ledger.join_identity("visitor-1", "c-1", NOW)
    assert ledger.join_identity("visitor-1", "c-1", NOW).again
    with pytest.raises(Conflict, match="joined to another contact"):
        ledger.join_identity("visitor-1", "c-2", NOW)
    with pytest.raises(Conflict, match="is a visitor who was joined"):
        ledger.join_identity("visitor-2", "visitor-1", NOW)
    with pytest.raises(Conflict, match="it is a contact"):
        ledger.join_identity("c-1", "c-2", NOW)
    with pytest.raises(RequestError, match="joined to itself"):
        ledger.join_identity("c-1", "c-1", NOW)
    assert ledger.identities() == {"visitor-1": "c-1"}
    assert ledger.identities(["visitor-9"]) == {}
    assert ledger.identities({f"visitor-{k}" for k in range(2_000)}) == {"visitor-1": "c-1"}  # more than one question's worth


@pytest.mark.parametrize("named", ["c-4711", "visitor-1"])
def test_two_visitors_of_one_contact_are_both_erased_with_it_whoever_is_named(url: str, ledger: Ledger, named: str) -> None:
    for name in ("visitor-1", "visitor-2"):
        live(ledger, name, name)
        ledger.join_identity(name, "c-4711", NOW)
    assert ledger.verify().intact
    before = sums(url)
    assert ledger.held(named) == ledger.held("c-4711")
    assert ledger.erase(named, NOW).ids == ("c-4711", "visitor-1", "visitor-2")
    assert not any(name in everything(url).replace("d-visitor", "") for name in ("c-4711", "visitor-1", "visitor-2"))
    assert sums(url) == before
    assert ledger.verify().intact


def test_rows_moved_to_another_contact_behind_its_back_show(sqlite_url: str, new_postgres_database: Callable[[], str]) -> None:
    for url in (sqlite_url, new_postgres_database()):
        with Ledger.open(url) as ledger:
            live(ledger, "visitor-1", "before")
            ledger.join_identity("visitor-1", "c-1", NOW)
            behind_its_back(url, "UPDATE outcomes SET contact_id = 'c-2'")
            assert not ledger.verify().intact
