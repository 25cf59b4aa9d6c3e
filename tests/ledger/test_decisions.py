"""Decisions: what was written comes back, once, and a request_id has one answer a day."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import codec
from ledger.store import Ledger
from tests.ledger.conftest import DAY, NOW, banner, decision, email


def test_a_decision_comes_back_as_it_was_written(ledger: Ledger) -> None:
    written = decision("d-1", banner(), email(rank=2), request_id="r-1", channel="web", plan_id="p-1", degraded="cached features")
    assert ledger.record_decisions([written]) == [written]
    assert ledger.decision("d-1") == written
    assert ledger.decision("d-2") is None


def test_a_decision_survives_closing_and_opening(url: str) -> None:
    with Ledger.open(url) as first:
        first.record_decisions([decision("d-1", email())])
    with Ledger.open(url) as second:
        assert second.decision("d-1") == decision("d-1", email())


def test_a_decision_id_that_is_already_there_stays_as_it_was(ledger: Ledger) -> None:
    first = decision("d-1", email())
    ledger.record_decisions([first])
    ledger.record_decisions([decision("d-1", banner(), email(rank=2)), decision("d-2"), decision("d-2", email())])
    assert ledger.decision("d-1") == first
    assert ledger.decision("d-2") == decision("d-2")


def test_a_contacts_decisions_come_newest_first(ledger: Ledger) -> None:
    ledger.record_decisions([decision(f"d-{day}", decided_at=NOW + day * DAY) for day in (2, 0, 1)])
    ledger.record_decisions([decision("d-9", contact_id="c-2")])
    assert [found.decision_id for found in ledger.decisions_of("c-1", 2)] == ["d-2", "d-1"]
    assert ledger.decisions_of("nobody", 2) == []


def test_the_same_request_within_a_day_gets_the_earlier_decision(ledger: Ledger) -> None:
    first = decision("d-1", email(), request_id="r-1")
    ledger.record_decisions([first])
    again = decision("d-2", banner(), request_id="r-1", decided_at=NOW + DAY - timedelta(microseconds=1))
    assert ledger.record_decisions([again]) == [first]
    assert ledger.decision("d-2") is None


def test_the_same_request_a_day_later_is_decided_anew(ledger: Ledger) -> None:
    ledger.record_decisions([decision("d-1", request_id="r-1")])
    later = decision("d-2", request_id="r-1", decided_at=NOW + DAY)
    assert ledger.record_decisions([later]) == [later]
    assert ledger.decision_by_request("r-1", since=NOW) == later


def test_the_same_request_twice_in_one_call_is_one_decision(ledger: Ledger) -> None:
    first, second, other = decision("d-1", request_id="r-1"), decision("d-2", request_id="r-1"), decision("d-3")
    assert ledger.record_decisions([first, second, other]) == [first, first, other]
    assert [found.decision_id for found in ledger.decisions_of("c-1", 9)] == ["d-3", "d-1"]


def test_a_request_is_found_only_since_the_time_asked_for(ledger: Ledger) -> None:
    ledger.record_decisions([decision("d-1", email(), request_id="r-1")])
    assert ledger.decision_by_request("r-1", since=NOW) == decision("d-1", email(), request_id="r-1")
    assert ledger.decision_by_request("r-1", since=NOW + timedelta(seconds=1)) is None
    assert ledger.decision_by_request("r-2", since=NOW) is None


def test_simultaneous_calls_with_one_request_id_agree_on_one_decision(url: str, ledger: Ledger) -> None:
    with Ledger.open(url) as another, ThreadPoolExecutor(8) as pool:
        calls = [(each, decision(f"d-{n}", email(), request_id=f"r-{n % 5}")) for n, each in enumerate([ledger, another] * 20)]
        answers = list(pool.map(lambda call: call[0].record_decisions([call[1]])[0], calls))
    winners = {answer.request_id: answer.decision_id for answer in answers}
    assert {answer.decision_id for answer in answers} == set(winners.values())
    assert {found.decision_id for found in ledger.decisions_of("c-1", 99)} == set(winners.values())


def test_what_is_not_a_number_is_kept_as_missing(ledger: Ledger) -> None:
    trace = {"uplift": math.nan, "scores": np.array([1.0, np.inf]), "nested": [{"clv": np.float64("nan")}], "n": np.int64(3), "at": NOW}
    ledger.record_decisions([decision("d-1", email(expected_profit=math.nan), trace=trace)])
    kept = ledger.decision("d-1")
    assert kept is not None
    assert kept.trace == {"uplift": None, "scores": [1.0, None], "nested": [{"clv": None}], "n": 3, "at": "2026-11-22T10:00:00Z"}
    assert math.isnan(kept.selections[0].expected_profit)


def test_a_trace_that_is_no_json_is_refused_and_leaves_nothing(ledger: Ledger) -> None:
    with pytest.raises(TypeError, match="cannot be kept as JSON"):
        ledger.record_decisions([decision("d-1"), decision("d-2", trace={"what": object()})])
    assert ledger.decision("d-1") is None


def test_a_naive_time_is_refused(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="aware times"):
        ledger.record_decisions([decision("d-1", decided_at=datetime(2026, 1, 1))])  # noqa: DTZ001


def test_a_whole_plan_is_one_call(ledger: Ledger) -> None:
    planned = [decision(f"d-{n}", email(), contact_id=f"c-{n}", plan_id="p-1", trace={"uplift": 0.1}) for n in range(10_000)]
    ledger.record_decisions(planned)
    assert ledger.decision("d-9999") == planned[-1]


def test_no_decisions_need_no_transaction(ledger: Ledger) -> None:
    assert ledger.record_decisions([]) == []


@given(st.integers(-(2**51), 2**51), st.integers(-14, 14))
def test_a_time_keeps_its_microsecond_and_becomes_utc(count: int, hours: int) -> None:
    local = codec.moment(count).astimezone(timezone(timedelta(hours=hours)))
    assert codec.micros(local) == count
    assert codec.time_column([count])[0] == np.datetime64(codec.moment(count).replace(tzinfo=None), "us")


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=8,
    )
)
def test_any_tree_of_plain_values_becomes_strict_json(tree: object) -> None:
    json.loads(codec.to_json({"tree": tree}), parse_constant=_refuse)
