"""Outcomes: each event_id counts once, whoever sends it how often."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from ledger.outcomes import Receipt
from ledger.store import Ledger
from tests.ledger.conftest import DAY, NOW, outcome

ACCEPTED, DUPLICATE = Receipt("accepted", late=False), Receipt("duplicate", late=False)


def test_an_outcome_comes_back_as_it_was_written(ledger: Ledger) -> None:
    sale = outcome("e-1", outcome="loan_taken", value=640.0, occurred_at=NOW - DAY, late=True)
    assert ledger.record_outcomes([sale]) == [Receipt("accepted", late=True)]
    assert ledger.outcomes_of("c-1", 5) == [sale]
    assert ledger.outcomes_for("d-1") == [sale]


def test_an_event_that_arrives_again_is_a_duplicate_and_the_first_holds(ledger: Ledger) -> None:
    first = outcome("e-1", value=1.0)
    assert ledger.record_outcomes([first]) == [ACCEPTED]
    assert ledger.record_outcomes([first, outcome("e-1", value=2.0, contact_id="c-2")]) == [DUPLICATE, DUPLICATE]
    assert ledger.outcomes_of("c-1", 5) == [first]
    assert ledger.outcomes_of("c-2", 5) == []


def test_an_event_twice_in_one_batch_counts_once(ledger: Ledger) -> None:
    batch = [outcome("e-1", value=1.0), outcome("e-2"), outcome("e-1", value=2.0)]
    assert ledger.record_outcomes(batch) == [ACCEPTED, ACCEPTED, DUPLICATE]
    assert {kept.event_id: kept.value for kept in ledger.outcomes_for("d-1")} == {"e-1": 1.0, "e-2": None}


def test_a_thousand_outcomes_half_of_them_known_are_told_apart(ledger: Ledger) -> None:
    ledger.record_outcomes([outcome(f"e-{n}") for n in range(0, 3000, 2)])
    receipts = ledger.record_outcomes([outcome(f"e-{n}") for n in range(3000)])
    assert [receipt.status for receipt in receipts] == ["duplicate", "accepted"] * 1500


def test_an_event_sent_by_many_at_once_is_accepted_once(url: str, ledger: Ledger) -> None:
    with Ledger.open(url) as another, ThreadPoolExecutor(8) as pool:
        receipts = list(pool.map(lambda each: each.record_outcomes([outcome("e-1")])[0], [ledger, another] * 16))
    assert receipts.count(ACCEPTED) == 1


def test_an_outcome_without_a_decision_belongs_to_its_contact(ledger: Ledger) -> None:
    ledger.record_outcomes([outcome("e-1", decision_id=None, treatment_id=None, action_id=None)])
    assert [kept.decision_id for kept in ledger.outcomes_of("c-1", 5)] == [None]


def test_a_contacts_outcomes_come_newest_first_and_a_decisions_oldest_first(ledger: Ledger) -> None:
    ledger.record_outcomes([outcome(f"e-{n}", occurred_at=NOW + timedelta(hours=n)) for n in (1, 3, 2)])
    assert [kept.event_id for kept in ledger.outcomes_of("c-1", 2)] == ["e-3", "e-2"]
    assert [kept.event_id for kept in ledger.outcomes_for("d-1")] == ["e-1", "e-2", "e-3"]


def test_a_value_that_is_not_a_number_is_kept_as_missing(ledger: Ledger) -> None:
    ledger.record_outcomes([outcome("e-1", value=float("nan"))])
    assert ledger.outcomes_of("c-1", 1)[0].value is None


def test_no_outcomes_need_no_transaction(ledger: Ledger) -> None:
    assert ledger.record_outcomes([]) == []
