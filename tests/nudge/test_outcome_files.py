"""What an orchestration tool reports by file: each row once, all of them or none, the bad ones named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ledger.store import Ledger
from tests.ledger.conftest import DAY, NOW, decision, email
from tests.nudge.shops import CATALOG, Shop

TOLD = {
    "delivered": {"kind": "delivery", "window_days": 3},
    "seen_it": {"kind": "impression", "window_days": 7},
}


@pytest.fixture
def told(shop: Shop) -> Shop:
    """A shop that has sent two e-mails."""
    shop.write(catalog={**CATALOG, "outcomes": {**CATALOG["outcomes"], **TOLD}})
    (shop.folder / "state").mkdir()
    with ledger_of(shop) as ledger:
        ledger.record_decisions([decision(f"d-{n}", email(), contact_id=f"c-{n}") for n in (1, 2)])
    return shop


def ledger_of(shop: Shop) -> Ledger:
    return Ledger.open(f"sqlite:///{shop.folder}/state/ledger.db")


def csv(shop: Shop, *lines: str, header: str = "decision_id,status,timestamp,amount,extra") -> str:
    path = shop.folder / "report.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return str(path)


def kept(shop: Shop) -> list[tuple[str, str, float | None]]:
    with ledger_of(shop) as ledger:
        assert ledger.verify().intact
        return sorted((one.contact_id, one.outcome, one.value) for n in (1, 2, 3) for one in ledger.outcomes_of(f"c-{n}", 99))


GOOD = (
    "d-1,delivered,2026-11-22T11:00:00Z,,x",
    "d-1,opened,2026-11-22T12:00:00,,",
    "d-1,sale,2026-11-23,640.5,",
    "d-2,bought,2026-11-23,1,",
)


def test_a_report_is_kept_once_however_often_it_is_sent(told: Shop) -> None:
    first = told.run("ingest-outcomes", csv(told, *GOOD, GOOD[0]), "--map", "bought=sale")
    assert (first.code, first.document) == (
        0, {"rows": 5, "accepted": 4, "duplicates": 1, "quarantined": 0, "ignored": 0, "orphans": 0},
    )  # fmt: skip
    assert kept(told) == [("c-1", "delivered", None), ("c-1", "sale", 640.5), ("c-1", "seen_it", None), ("c-2", "sale", 1.0)]
    again = told.run("ingest-outcomes", csv(told, *GOOD), "--map", "bought=sale")
    assert (again.document["accepted"], again.document["duplicates"]) == (0, 4)
    assert len(kept(told)) == 4


def test_one_bad_row_refuses_the_file_and_names_it(told: Shop) -> None:
    bad = ("d-1,bouncd,2026-11-22,,", "d-1,sale,yesterday,,", "d-1,sale,2026-11-22,-3,", "d-1,sale,2026-11-22,NaN,", ",sale,2026-11-22,,")
    refused = told.run("ingest-outcomes", csv(told, *GOOD[:3], *bad))
    assert (refused.code, refused.out) == (1, "")
    assert "report.csv: 5 rows cannot be kept, so nothing of the file is" in refused.err
    assert "row 4: unknown outcome 'bouncd'; allowed: delivered, " in refused.err
    assert "--quarantine" in refused.err
    assert kept(told) == []


def test_bad_rows_can_be_set_aside_with_their_reasons(told: Shop) -> None:
    lines = (*GOOD[:3], "d-1,sale,2026-11-22,-3,", "d-1,sale,2026-11-22,much,", "d-9,sale,2026-11-22,1,")
    done = told.run("ingest-outcomes", csv(told, *lines), "--quarantine")
    assert (done.document["accepted"], done.document["quarantined"]) == (3, 3)
    aside = pq.read_table(told.folder / "data" / "quarantine" / "outcomes_report.parquet").to_pylist()
    reasons = [row["_reason"] for row in aside]
    assert [row["amount"] for row in aside] == ["-3", "much", "1"]
    assert "value -3 of the positive outcome" in reasons[0]
    assert "is no number; got much" in reasons[1]
    assert reasons[2] == "unknown decision 'd-9', and no contact_id to keep the outcome for"


def test_an_outcome_of_an_unknown_decision_is_kept_for_its_contact_and_reported(told: Shop) -> None:
    path = csv(told, "d-9,c-3,sale,2026-11-22", header="decision_id,contact_id,outcome,occurred_at")
    done = told.run("ingest-outcomes", path)
    assert (done.document["accepted"], done.document["orphans"]) == (1, 1)
    assert kept(told) == [("c-3", "sale", None)]


def test_words_can_be_left_out_and_a_wrong_one_is_refused(told: Shop) -> None:
    path = csv(told, "d-1,queued,2026-11-22,,", "d-1,SENT,2026-11-22,,")
    assert told.run("ingest-outcomes", path, "--map", "queued=", "--map", "SENT=delivered").document["ignored"] == 1
    wrong = told.run("ingest-outcomes", path, "--map", "queued=sael")
    assert (wrong.code, "did you mean 'sale'" in wrong.err) == (2, True)


def test_what_was_done_is_the_catalogues_outcome_of_that_name_and_the_refusal_of_another_word_says_how_to_map_it(told: Shop) -> None:
    assert told.run("ingest-outcomes", csv(told, "d-1,Rejected,2026-11-22,,")).document["accepted"] == 1
    assert [outcome for _, outcome, _ in kept(told)] == ["reject"]
    refused = told.run("ingest-outcomes", csv(told, "d-1,bounced,2026-11-22,,"))
    assert (refused.code, "--map WORD=OUTCOME (WORD= leaves its rows out)" in refused.err) == (1, True)


def test_what_was_sent_is_never_a_bounce_though_the_catalogue_has_no_other_outcome_of_that_kind(told: Shop) -> None:
    bounce = {"kind": "delivery", "behaviour": "negative", "window_days": 3}
    told.write(catalog={**CATALOG, "outcomes": {**CATALOG["outcomes"], "bounce": bounce}})
    refused = told.run("ingest-outcomes", csv(told, "d-1,sent,2026-11-22,,"))
    assert (refused.code, kept(told)) == (1, [])
    told.write(catalog={**CATALOG, "outcomes": {**CATALOG["outcomes"], **TOLD, "bounce": bounce}})
    assert told.run("ingest-outcomes", csv(told, "d-1,sent,2026-11-22,,", "d-2,bounced,2026-11-22,,")).document["accepted"] == 2
    assert [outcome for _, outcome, _ in kept(told)] == ["delivered", "bounce"]


@pytest.mark.parametrize("suffix", ["parquet", "ndjson"])
def test_parquet_and_ndjson_say_the_same_as_csv(told: Shop, suffix: str) -> None:
    rows: list[dict[str, Any]] = [
        {"decision_id": "d-1", "outcome": "sale", "value": 5.0, "occurred_at": NOW, "event_id": "a"},
        {"decision_id": "d-2", "outcome": "reject", "value": None, "occurred_at": NOW + DAY, "event_id": "b"},
    ]
    path = told.folder / f"report.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row, default=lambda at: at.isoformat()) + "\n" for row in rows))
    assert told.run("ingest-outcomes", str(path)).document["accepted"] == 2
    assert kept(told) == [("c-1", "sale", 5.0), ("c-2", "reject", None)]
    with ledger_of(told) as ledger:
        assert [one.occurred_at for one in ledger.outcomes_of("c-2", 9)] == [NOW + DAY]


@pytest.mark.parametrize(
    ("name", "content", "code", "message"),
    [
        ("report.xlsx", "x", 2, "cannot be read in this format"),
        ("nothing.csv", None, 1, "is not there"),
        ("report.csv", "a,b\n1,2\n", 1, "lacks the columns of outcomes; got a, b"),
        ("report.parquet", "no parquet", 1, "cannot be read; got"),
    ],
)
def test_a_file_that_is_no_report_is_refused(told: Shop, name: str, content: str | None, code: int, message: str) -> None:
    path: Path = told.folder / name
    if content is not None:
        path.write_text(content)
    refused = told.run("ingest-outcomes", str(path))
    assert (refused.code, message in refused.err) == (code, True), refused.err


def test_what_became_of_it_is_reconciled(told: Shop) -> None:
    told.run("ingest-outcomes", csv(told, *GOOD[:3]))
    document = told.run("reconcile").document
    [email_day] = document["days"]
    assert (email_day["decided"], email_day["delivered"], email_day["seen"], email_day["responded"]) == (2, 1, 1, 1)
    assert told.run("reconcile", "--since", "2027-01-01").document["days"] == []


def test_what_is_old_is_removed_but_nothing_that_decisions_still_count_on(told: Shop) -> None:
    refused = told.run("retain", "--days", "29")
    assert (refused.code, "allowed: 30 or more" in refused.err) == (1, True)
    with ledger_of(told) as ledger:
        ledger.record_decisions([decision("d-old", email(), decided_at=NOW - 4000 * DAY)])
    assert told.run("retain", "--days", "3000").document == {"decisions": 1, "outcomes": 0, "events": 0, "leads": 0}
    assert told.run("verify-ledger").document["intact"]
