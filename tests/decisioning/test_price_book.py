"""The price book: published prices hold while a limit is used as it is due, rise where it goes too fast, and fall where it is left over."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decisioning.catalog import parse_catalog
from decisioning.price_book import Line, PriceBook, current_prices, room_left
from tests.decisioning.strategies import make_catalog

BEGINS = np.datetime64("2026-11-01", "us")
PERIOD_DAYS = 30.0
elapsed_times = st.floats(0.0, 0.99)
lines = st.builds(Line, most=st.floats(1.0, 1e6), price=st.floats(0.0, 50.0), scale=st.floats(0.01, 100.0))
minimums = st.builds(Line, most=st.just(np.inf), least=st.floats(1.0, 1e6), price=st.floats(-50.0, 0.0), scale=st.floats(0.01, 100.0))


def moment(elapsed: float, period: int = 0) -> np.datetime64:
    return BEGINS + np.timedelta64(round((period + elapsed) * PERIOD_DAYS * 86_400_000_000), "us")


def price(line: Line, elapsed: float, used: float, period: int = 0) -> float:
    book = PriceBook("p-1", BEGINS, PERIOD_DAYS, {"one": line})
    return current_prices(book, moment(elapsed, period), {"one": used})["one"]


@given(line=st.one_of(lines, minimums), elapsed=elapsed_times)
def test_what_is_used_as_it_is_due_costs_what_was_published(line: Line, elapsed: float) -> None:
    due = elapsed * (line.least or line.most)
    assert price(line, elapsed, due) == pytest.approx(line.price, abs=1e-6 * (1 + line.scale))


@given(line=st.one_of(lines, minimums), elapsed=elapsed_times, shares=st.tuples(st.floats(0, 1.2), st.floats(0, 1.2)).map(sorted))
def test_the_more_is_used_the_dearer_is_the_next_unit(line: Line, elapsed: float, shares: list[float]) -> None:
    few, many = (price(line, elapsed, share * (line.least or line.most)) for share in shares)
    assert few <= many


@given(line=lines, used=st.floats(0, 1.2), times=st.tuples(elapsed_times, elapsed_times).map(sorted))
def test_as_time_passes_and_nothing_is_used_a_limit_becomes_cheaper_but_never_less_than_free(
    line: Line, used: float, times: list[float]
) -> None:
    early, late = (price(line, elapsed, used * line.most) for elapsed in times)
    assert early >= 0 and late >= 0
    if used <= times[0]:
        assert late <= early + 1e-9 * (1 + line.scale)


@given(line=lines, elapsed=st.floats(0.0, 0.9), over=st.floats(0.01, 1.0))
def test_the_same_haste_weighs_more_the_less_is_still_due(line: Line, elapsed: float, over: float) -> None:
    ahead = over * 0.1 * line.most
    assert price(line, elapsed + 0.05, (elapsed + 0.05) * line.most + ahead) > price(line, elapsed, elapsed * line.most + ahead)


@given(line=minimums, elapsed=elapsed_times)
def test_a_minimum_pays_a_bonus_until_it_is_reached(line: Line, elapsed: float) -> None:
    assert price(line, elapsed, 0.0) <= line.price
    assert price(line, elapsed, line.least) == 0.0


@given(line=lines, elapsed=elapsed_times, rate=st.sampled_from([1e-3, 4.3, 1e6]))
def test_the_currency_changes_nothing_but_the_unit_of_prices(line: Line, elapsed: float, rate: float) -> None:
    abroad = Line(line.most, price=line.price * rate, scale=line.scale * rate)
    assert price(abroad, elapsed, 0.7 * line.most) == pytest.approx(
        rate * price(line, elapsed, 0.7 * line.most), rel=1e-9, abs=1e-12 * rate
    )


def test_what_the_plan_reserved_counts_in_the_first_period_only() -> None:
    line = Line(most=100.0, price=5.0, scale=5.0, planned=40.0)
    assert price(line, 0.5, 70.0) == pytest.approx(5.0)
    assert price(line, 0.5, 50.0, period=1) == pytest.approx(5.0)
    book = PriceBook("p-1", BEGINS, PERIOD_DAYS, {"one": line})
    assert room_left(book, moment(0.5), {}) == {"one": 60.0}
    assert room_left(book, moment(0.5, 1), {"one": 130.0}) == {"one": 0.0}


def test_where_the_plan_reserved_everything_prices_are_still_numbers() -> None:
    line = Line(most=100.0, price=5.0, scale=5.0, planned=120.0)
    assert price(line, 0.5, 120.0) == 5.0
    assert 5.0 < price(line, 0.5, 130.0) < 100.0
    assert price(Line(most=0.0, price=5.0, scale=5.0), 0.5, 0.0) == 0.0


def test_a_limit_that_changes_in_the_catalogue_changes_in_the_book() -> None:
    catalog = parse_catalog(make_catalog(constraints=[{"id": "calls", "channel": "call", "measure": "contacts", "max": 50, "min": 5}]))
    book = PriceBook("p-1", BEGINS, 7.0, {"calls": Line(np.inf, 0.0, 2.0, 3.0, 10.0), "gone": Line(9.0)}).under(catalog)
    assert book.lines == {"calls": Line(50.0, 5.0, 2.0, 3.0, 10.0)}
    unpriced = PriceBook.without_plan(catalog)
    assert unpriced.lines == {"calls": Line(50.0, 5.0)}
    assert current_prices(unpriced, moment(0.3), {"calls": 50.0}) == {"calls": 0.0}
    assert room_left(unpriced, moment(0.3), {"calls": 48.0}) == {"calls": 2.0}
