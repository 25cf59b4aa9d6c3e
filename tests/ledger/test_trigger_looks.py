"""Who is inside a trigger that is looked at by time: entries are open once, and survive whoever looked."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from ledger.outbox import Message
from ledger.store import Ledger
from ledger.trigger_looks import LEASE, Look
from tests.ledger.conftest import DAY, NOW

HOUR = timedelta(hours=1)


def _looked(ledger: Ledger, inside: dict[str, Any], hours: float, *, asks: str = "x > 1") -> tuple[int, int]:
    """A whole look at a population of five, after so many hours; who entered and who left."""
    look = ledger.looks.begin("t", asks, NOW + hours * HOUR)
    assert look is not None
    changed = ledger.looks.seen(look, [f"c-{n}" for n in range(5)], inside, look.began, opens=look.before is not None)
    ledger.looks.end(look)
    assert changed is not None
    return changed


def _open(ledger: Ledger) -> list[str]:
    return [one.contact_id for one in ledger.looks.open(["t", "u"], 9)]


def test_who_enters_is_open_once_with_what_was_read_until_it_is_settled_with_its_message(ledger: Ledger) -> None:
    assert _looked(ledger, {"c-1": {}}, 0) == (1, 0)
    assert _open(ledger) == []  # a first look opens nothing
    assert _looked(ledger, {"c-1": {}, "c-2": {"x": 2.5}}, 1) == (1, 0)
    assert _looked(ledger, {"c-1": {}, "c-2": {"x": 9.0}}, 2) == (0, 0)
    (entry,) = ledger.looks.open(["t"], 9)
    assert (entry.contact_id, entry.entered_at, entry.features) == ("c-2", NOW + HOUR, {"x": 2.5})
    ledger.looks.settle([entry], [Message("m-1", "c-2", "{}", NOW)])
    assert (_open(ledger), [one.message.message_id for one in ledger.outbox.listed()]) == ([], ["m-1"])
    assert _looked(ledger, {}, 3) == (0, 2)
    assert _looked(ledger, {"c-2": {}}, 4) == (1, 0)
    assert _open(ledger) == ["c-2"]
    stands = ledger.looks.standing()["t"]
    assert (stands.looked_at, stands.inside, stands.waiting) == (NOW + 4 * HOUR, 1, 1)


def test_an_entry_that_was_left_and_entered_anew_is_not_settled_with_the_earlier_one(ledger: Ledger) -> None:
    for hours, inside in enumerate(({}, {"c-1": {}}, {})):
        _looked(ledger, inside, hours)
        if inside:
            (first,) = ledger.looks.open(["t"], 9)
    _looked(ledger, {"c-1": {}}, 3)
    ledger.looks.settle([first])
    assert _open(ledger) == ["c-1"]


def test_another_question_is_a_first_look_and_forgets_who_was_inside(ledger: Ledger) -> None:
    _looked(ledger, {}, 0)
    _looked(ledger, {"c-1": {}}, 1)
    assert _looked(ledger, {"c-1": {}, "c-2": {}}, 2, asks="x > 2") == (2, 0)
    assert _open(ledger) == []


def test_one_looker_at_a_time_until_its_lease_is_over(ledger: Ledger) -> None:
    look = ledger.looks.begin("t", "x", NOW)
    assert look is not None
    assert ledger.looks.begin("t", "x", NOW + LEASE / 2) is None
    assert ledger.looks.begin("u", "x", NOW) is not None
    assert ledger.looks.seen(look, ["c-1"], {}, NOW + LEASE / 2, opens=True) == (0, 0)  # a sign of life
    assert ledger.looks.begin("t", "x", NOW + LEASE) is None
    other = ledger.looks.begin("t", "x", NOW + 2 * LEASE)
    assert other is not None
    assert ledger.looks.seen(look, ["c-1"], {"c-1": {}}, NOW + 2 * LEASE, opens=True) is None
    ledger.looks.end(look)  # nobody's any more
    assert ledger.looks.begin("t", "x", NOW + 2 * LEASE) is None


def test_a_page_of_which_nobody_entered_or_left_keeps_no_writer_waiting(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    _looked(ledger, {"c-1": {}}, 0)
    look = ledger.looks.begin("t", "x > 1", NOW + HOUR)
    assert look is not None
    with monkeypatch.context() as patched:
        patched.setattr(ledger.looks._database, "writing", lambda: pytest.fail("it writes"))
        assert ledger.looks.seen(look, ["c-1", "c-2"], {"c-1": {}}, look.began, opens=True) == (0, 0)
    assert ledger.looks.seen(look, ["c-1", "c-2"], {"c-2": {}}, look.began, opens=True) == (1, 1)


def test_a_look_that_was_not_ended_counts_as_not_made_and_what_it_opened_stays_open(ledger: Ledger) -> None:
    _looked(ledger, {}, 0)
    look = ledger.looks.begin("t", "x > 1", NOW + HOUR)
    assert look is not None
    ledger.looks.seen(look, ["c-1"], {"c-1": {}}, look.began, opens=True)
    ledger.looks.end(look, whole=False)
    again = ledger.looks.begin("t", "x > 1", NOW + 2 * HOUR)
    assert again is not None
    assert again.before == NOW
    assert ledger.looks.seen(again, ["c-1"], {"c-1": {}}, again.began, opens=True) == (0, 0)
    assert _open(ledger) == ["c-1"]


def test_what_is_due_is_what_was_not_looked_at_for_so_long(ledger: Ledger) -> None:
    every = {"t": HOUR, "u": DAY}
    assert ledger.looks.due(every, NOW) == ["t", "u"]
    _looked(ledger, {}, 0)
    assert ledger.looks.due(every, NOW + HOUR / 2) == ["u"]
    assert ledger.looks.due(every, NOW + HOUR) == ["t", "u"]


def test_many_lookers_at_once_are_one(url: str, ledger: Ledger) -> None:
    def look(_: int) -> Look | None:
        with Ledger.open(url) as own:
            return own.looks.begin("t", "x", NOW)

    with ThreadPoolExecutor(4) as pool:
        assert sum(one is not None for one in pool.map(look, range(8))) == 1


def test_open_entries_come_page_by_page(ledger: Ledger) -> None:
    _looked(ledger, {}, 0)
    _looked(ledger, {f"c-{n}": {} for n in range(5)}, 1)
    first = ledger.looks.open(["t"], 3)
    rest = ledger.looks.open(["t"], 3, after=first[-1])
    assert [one.contact_id for one in [*first, *rest]] == [f"c-{n}" for n in range(5)]


def test_an_erased_contact_is_inside_nothing_and_a_joined_visitor_neither(ledger: Ledger) -> None:
    _looked(ledger, {}, 0)
    _looked(ledger, {"c-1": {"x": 2.0}, "c-2": {}, "c-3": {}}, 1)
    assert ledger.held("c-1")["trigger_entries"][0]["features"] == {"x": 2.0}
    ledger.join_identity("c-2", "c-3", NOW)
    assert _open(ledger) == ["c-1", "c-3"]
    assert ledger.erase("c-1", NOW).counts["trigger_entries"] == 1
    assert _open(ledger) == ["c-3"]


def test_who_is_erased_while_everybody_is_looked_at_does_not_come_back(ledger: Ledger) -> None:
    _looked(ledger, {}, 0)
    look = ledger.looks.begin("t", "x > 1", NOW + HOUR)
    assert look is not None
    ledger.erase("c-1", NOW)  # the page was read already
    assert ledger.looks.seen(look, ["c-1", "c-2"], {"c-1": {"x": 2.0}, "c-2": {}}, look.began, opens=True) == (1, 0)
    assert (_open(ledger), ledger.held("c-1").get("trigger_entries", [])) == (["c-2"], [])
