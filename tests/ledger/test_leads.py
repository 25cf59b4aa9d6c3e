"""Leads in the ledger: handed over once, told what became of them in an order that can be, all of a call or none."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from decisioning.errors import Conflict, NotFound, RequestError
from ledger.leads import LeadStep, NewLead
from ledger.store import Ledger
from tests.ledger.conftest import DAY, NOW


def lead(contact_id: str = "c-1", **changes: object) -> NewLead:
    return NewLead(contact_id, "A", 40.0, 30.0, **changes)  # type: ignore[arg-type]


def handed_over(ledger: Ledger, contact_id: str = "c-1", **changes: object) -> str:
    [made] = ledger.hand_over([lead(contact_id, **changes)], NOW)
    return str(made["lead_id"])


def test_a_contact_is_handed_over_once(ledger: Ledger) -> None:
    first = ledger.hand_over([lead("c-1"), lead("c-2"), lead("c-1")], NOW)
    assert sorted(one["contact_id"] for one in first) == ["c-1", "c-2"]
    assert ledger.hand_over([lead("c-1"), lead("c-3")], NOW)[0]["contact_id"] == "c-3"
    assert len(ledger.leads(NOW)) == 3


def test_two_who_hand_over_at_once_hand_over_nobody_twice(url: str) -> None:
    def one(_: int) -> int:
        with Ledger.open(url) as own:
            return len(own.hand_over([lead(f"c-{k}") for k in range(20)], NOW))

    Ledger.open(url).close()
    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(one, range(4))) == [0, 0, 0, 20]


def test_who_was_rejected_may_come_again_when_the_time_is_over(ledger: Ledger) -> None:
    ledger.lead_steps([LeadStep(handed_over(ledger), "rejected", NOW)], NOW)
    assert ledger.hand_over([lead()], NOW + 10 * DAY) == []
    assert ledger.hand_over([lead()], NOW + 10 * DAY, again_before=NOW) == []
    assert len(ledger.hand_over([lead()], NOW + 10 * DAY, again_before=NOW + DAY)) == 1
    assert ledger.hand_over([lead()], NOW + 99 * DAY, again_before=NOW + 98 * DAY) == []  # the new lead is open


def test_a_visitor_who_became_a_contact_is_handed_over_as_the_contact(ledger: Ledger) -> None:
    ledger.join_identity("v-1", "c-1", NOW)
    assert [one["contact_id"] for one in ledger.hand_over([lead("v-1"), lead("c-1")], NOW)] == ["c-1"]


def test_a_won_lead_is_accepted_and_brings_its_revenue(ledger: Ledger) -> None:
    name = handed_over(ledger)
    [won] = ledger.lead_steps([LeadStep(name, "won", NOW + DAY, 500.0)], NOW + DAY)
    assert (won["status"], won["revenue"], won["again"]) == ("won", 500.0, False)
    assert won["accepted_at"] == won["won_at"] == "2026-11-23T10:00:00Z"


def test_the_same_status_again_changes_nothing(ledger: Ledger) -> None:
    step = LeadStep(handed_over(ledger), "won", NOW, 500.0)
    ledger.lead_steps([step], NOW)
    assert ledger.lead_steps([step], NOW + DAY)[0]["again"]
    with pytest.raises(Conflict, match="the lead is won"):
        ledger.lead_steps([LeadStep(step.lead_id, "won", NOW, 700.0)], NOW)
    assert ledger.verify().rows == 2


def test_a_call_is_kept_whole_or_not_at_all(ledger: Ledger) -> None:
    name = handed_over(ledger)
    with pytest.raises(NotFound, match=r"row 2.lead_id: no such lead; got lead-x"):
        ledger.lead_steps([LeadStep(name, "accepted", NOW, where="row 1"), LeadStep("lead-x", "won", NOW, where="row 2")], NOW)
    assert ledger.leads(NOW)[0]["status"] == "handed_over"


def test_several_steps_of_a_lead_in_one_call_follow_each_other(ledger: Ledger) -> None:
    name = handed_over(ledger)
    steps = [LeadStep(name, status, NOW) for status in ("accepted", "contacted", "lost")]
    assert [one["status"] for one in ledger.lead_steps(steps, NOW)] == ["accepted", "contacted", "lost"]
    with pytest.raises(Conflict, match="the lead is lost"):
        ledger.lead_steps([LeadStep(name, "won", NOW)], NOW)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"status": "sold"}, "no such status"),
        ({"status": "won", "revenue": float("nan")}, "revenue"),
        ({"status": "won", "revenue": -1.0}, "revenue"),
        ({"status": "lost", "revenue": 3.0}, "revenue"),
        ({"status": "won", "at": NOW - DAY}, "handed over"),
        ({"status": "won", "at": NOW + 2 * DAY}, "and now"),
    ],
)
def test_a_step_that_cannot_be_is_refused(sqlite_ledger: Ledger, step: dict[str, object], words: str) -> None:
    name = handed_over(sqlite_ledger)
    with pytest.raises(RequestError, match=words):
        sqlite_ledger.lead_steps([LeadStep(name, **{"at": NOW, **step})], NOW + DAY)  # type: ignore[arg-type]


def test_what_should_have_happened_by_now_is_named(ledger: Ledger) -> None:
    hour = timedelta(hours=1)
    name = handed_over(ledger, accept_by=NOW + hour, contact_by=NOW + 5 * hour)

    def overdue(now: object) -> object:
        return ledger.leads(now)[0]["overdue"]  # type: ignore[arg-type]

    assert [overdue(NOW + k * hour) for k in (0, 2)] == [None, "accept"]
    ledger.lead_steps([LeadStep(name, "accepted", NOW + hour)], NOW + hour)
    assert [overdue(NOW + k * hour) for k in (2, 6)] == [None, "first_contact"]
    ledger.lead_steps([LeadStep(name, "lost", NOW + hour)], NOW + hour)
    assert overdue(NOW + 6 * hour) is None


def test_every_step_is_in_the_chain_and_old_leads_that_ended_go(ledger: Ledger) -> None:
    ended, still_open = handed_over(ledger), handed_over(ledger, "c-2")
    ledger.lead_steps([LeadStep(ended, "lost", NOW)], NOW)
    assert ledger.verify().rows == 3
    assert ledger.remove_before(NOW + DAY, NOW + DAY)["leads"] == 1
    assert [one["lead_id"] for one in ledger.leads(NOW)] == [still_open]
    assert ledger.verify().intact


def test_an_erased_contact_leaves_a_lead_of_nobody(ledger: Ledger) -> None:
    name = handed_over(ledger, details={"reasons": ["c-1 lives at 4711"]})
    ledger.lead_steps([LeadStep(name, "won", NOW, 10.0, "c-1 said yes")], NOW)
    erased = ledger.erase("c-1", NOW)
    [left] = ledger.leads(NOW)
    assert (left["contact_id"], left["revenue"], left["reason"], left["reasons"]) == (erased.tombstone, 10.0, None, [])
    assert ledger.verify().intact
