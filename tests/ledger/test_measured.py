"""Whole tables as texts: every value comes back as it was written, whatever it holds."""

from __future__ import annotations

import pytest

import ledger.measured as measured
from ledger.measured import TABLES, LedgerReader
from ledger.store import Ledger
from tests.ledger.conftest import NOW, decision, email, outcome


def rows(url: str, table: str) -> list[dict[str, str]]:
    """The rows as texts."""
    found = []
    with LedgerReader(url) as reader, reader.reading() as conn:
        for stretch in reader.stretches(conn, table):
            columns = [text.split(stretch.separator) for text in stretch.texts]
            assert {len(one) for one in columns} == {stretch.rows}
            found += [dict(zip(TABLES[table], row, strict=True)) for row in zip(*columns, strict=True)]
    return found


@pytest.mark.parametrize("stretch", [1, 2, 50_000])
def test_what_is_read_is_what_was_written(url: str, stretch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured, "STRETCH", stretch)
    ids = ["c-1", "a\x1eb", "x,\"y\"'z'\n", "Łódź"]
    costs = [0.1, 1 / 3, 123456789.123456789, 1e-300]
    with Ledger.open(url) as ledger:
        ledger.record_decisions(
            [decision(f"d-{k}", email(cost=cost), contact_id=one) for k, (one, cost) in enumerate(zip(ids, costs, strict=True))]
        )
        ledger.record_outcomes([outcome("e-1", decision_id=None, treatment_id=None, value=None), outcome("e-2", value=0.1 + 0.2)])
    found = {one["decision_id"]: one for one in rows(url, "selections")}
    assert [(found[f"d-{k}"]["contact_id"], float(found[f"d-{k}"]["cost"])) for k in range(4)] == list(zip(ids, costs, strict=True))
    assert {int(one["occurred_at"]) for one in found.values()} == {int(NOW.timestamp() * 1_000_000)}
    outcomes = {one["event_id"]: one for one in rows(url, "outcomes")}
    assert (outcomes["e-1"]["decision_id"], outcomes["e-1"]["value"]) == ("", "")
    assert float(outcomes["e-2"]["value"]) == 0.1 + 0.2


def test_of_nothing_there_is_no_stretch(url: str) -> None:
    Ledger.open(url).close()
    assert {table: rows(url, table) for table in TABLES} == {table: [] for table in TABLES}


def test_a_condition_leaves_stretches_out(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured, "STRETCH", 1)
    with Ledger.open(sqlite_url) as ledger:
        ledger.record_decisions([decision("d-1", email()), decision("d-2", email(redeems="d-1"))])
    assert rows(sqlite_url, "redeemed") == [{"redeems": "d-1", "treatment_id": "loan_email"}]
