"""Rows as texts, by where they stand in the chain: every value comes back as it was written, whatever it holds."""

from __future__ import annotations

from datetime import timedelta

import pytest

import ledger.measured as measured
from ledger.measured import TABLES, Head, LedgerReader, Stretch
from ledger.store import Ledger
from tests.ledger.conftest import NOW, decision, email, outcome


def as_rows(table: str, stretches: list[Stretch]) -> list[dict[str, str]]:
    found = []
    for stretch in stretches:
        columns = [text.split(stretch.separator) for text in stretch.texts]
        assert {len(one) for one in columns} == {stretch.rows}
        found += [dict(zip(TABLES[table].columns, row, strict=True)) for row in zip(*columns, strict=True)]
    return found


def rows(url: str, table: str, since: dict[str, Head] | None = None) -> list[dict[str, str]]:
    """The rows as texts, of all streams, or what came after some heads."""
    stretches: list[Stretch] = []
    with LedgerReader(url) as reader, reader.reading() as found:
        if TABLES[table].kind is None:
            return as_rows(table, list(found.whole(table)))
        for stream, head in found.heads().items():
            if stream.startswith(f"{TABLES[table].kind}/"):
                stretches += found.rows(table, stream, since[stream].seq if since else 0, head.seq)
    return as_rows(table, stretches)


def heads(url: str) -> dict[str, Head]:
    with LedgerReader(url) as reader, reader.reading() as found:
        return found.heads()


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
    assert {int(one["decided_at"]) for one in found.values()} == {int(NOW.timestamp() * 1_000_000)}
    outcomes = {one["event_id"]: one for one in rows(url, "outcomes")}
    assert (outcomes["e-1"]["decision_id"], outcomes["e-1"]["value"]) == ("", "")
    assert float(outcomes["e-2"]["value"]) == 0.1 + 0.2


def test_of_nothing_there_is_no_stretch(url: str) -> None:
    Ledger.open(url).close()
    assert {table: rows(url, table) for table in TABLES} == {table: [] for table in TABLES}


def test_what_came_after_a_head_is_read_alone_and_each_row_once(url: str) -> None:
    with Ledger.open(url) as ledger:
        ledger.record_decisions([decision("d-1", email())])
        before = heads(url)
        ledger.record_decisions([decision("d-2", email()), decision("d-3", request_id="trigger:cart")])
    assert [(one["decision_id"], one["triggered"]) for one in rows(url, "decisions", before)] == [("d-2", "0"), ("d-3", "1")]
    assert sorted(one["decision_id"] for one in rows(url, "decisions")) == ["d-1", "d-2", "d-3"]


def test_a_head_of_another_ledger_is_not_taken_for_this_ones(url: str) -> None:
    with Ledger.open(url) as ledger:
        ledger.record_decisions([decision("d-1", email())])
    ((stream, head),) = ((name, one) for name, one in heads(url).items() if one.seq)
    with LedgerReader(url) as reader, reader.reading() as found:
        assert found.holds(stream, head)
        assert not found.holds(stream, Head(head.seq, "00" * 32))
        assert not found.holds(stream, Head(head.seq + 1, head.hash))


def test_deeds_that_change_rows_are_noticed_and_the_links_named(url: str) -> None:
    with Ledger.open(url) as ledger:
        ledger.record_decisions([decision("d-1", email()), decision("d-2", contact_id="c-2")])
        before = heads(url)
        ledger.record_decisions([decision("d-3", contact_id="c-3")])
        with LedgerReader(url) as reader, reader.reading() as found:
            assert not found.changed(before, found.heads())
        ledger.erase("c-1", NOW)
        ledger.remove_before(NOW + timedelta(seconds=1), NOW)
    with LedgerReader(url) as reader, reader.reading() as found:
        assert found.changed(before, found.heads())
        assert sorted(removed for stream, _, removed in found.emptied() if stream.startswith("decisions/")) == [True, True, True]


def test_a_row_whose_id_was_another_ones_before_is_read_once(url: str) -> None:
    with Ledger.open(url) as ledger:
        for contact in ("c-1", "c-2"):
            ledger.record_decisions([decision("d-1", email(), contact_id=contact, decided_at=NOW - timedelta(days=9))])
            if contact == "c-1":
                ledger.remove_before(NOW, NOW)
    assert [one["contact_id"] for one in rows(url, "decisions")] == ["c-2"]
