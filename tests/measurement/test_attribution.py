"""Attribution: nothing is lost, nobody gets what is not theirs, and Markov and Shapley agree with what other ways of counting find."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurement.attribution import RULES, Credit, first_touch, last_touch, linear, position_based, shared, time_decay
from measurement.attribution_markov import markov, removal_effects
from measurement.attribution_shapley import Sampling, shapley
from measurement.touch_paths import Paths

MODELS: dict[str, Callable[[Paths], Credit]] = {
    **RULES,
    "markov_1": markov,
    "markov_2": lambda paths: markov(paths, order=2),
    "markov_3": lambda paths: markov(paths, order=3),
    "shapley": shapley,
    "shapley_rate": lambda paths: shapley(paths, game="rate"),
}
NAMES = ("a", "b", "c", "d")


@st.composite
def some_paths(draw: st.DrawFn) -> Paths:
    """Up to a dozen paths over three channels; a fourth channel is in none."""
    sequences = draw(st.lists(st.lists(st.sampled_from(NAMES[:3]), min_size=1, max_size=6), min_size=1, max_size=12))
    count = st.lists(st.integers(0, 9), min_size=len(sequences), max_size=len(sequences))
    sold, lost = np.array(draw(count), dtype=float), np.array(draw(count), dtype=float)
    made = Paths.of([*sequences, ["d"]], [*sold, 0], [*(sold * 2.5), 0], [*lost, 0])
    return Paths(NAMES, np.searchsorted(NAMES, np.array(made.channels)[made.touch]), made.start, made.conversions, made.value, made.nulls)


@pytest.mark.parametrize("name", MODELS)
@given(paths=some_paths())
def test_every_model_shares_out_all_that_was_sold_and_nothing_to_the_channel_that_led_to_none(name: str, paths: Paths) -> None:
    credit = MODELS[name](paths)
    assert credit.conversions.sum() == pytest.approx(paths.conversions.sum())
    assert credit.value.sum() == pytest.approx(paths.value.sum())
    assert credit.of("d") == pytest.approx((0.0, 0.0), abs=1e-9)
    if name != "shapley_rate":
        assert (credit.conversions >= -1e-9).all()


@pytest.mark.parametrize("name", ["shapley", "shapley_rate", "markov_1", "linear"])
@given(paths=some_paths())
def test_channels_that_play_the_same_part_get_the_same(name: str, paths: Paths) -> None:
    swapped = Paths(
        NAMES,
        np.concatenate([paths.touch, np.array([1, 0, 2, 3])[paths.touch]]),
        np.concatenate([paths.start, paths.touch.size + paths.start[1:]]),
        *(np.tile(one, 2) for one in (paths.conversions, paths.value, paths.nulls)),
    )
    credit = MODELS[name](swapped)
    assert credit.of("a") == pytest.approx(credit.of("b"), abs=1e-6)


@given(paths=some_paths())
def test_shapley_is_the_average_over_every_order_of_coming_in(paths: Paths) -> None:
    sets = [set(paths.touch[paths.start[p] : paths.start[p + 1]].tolist()) for p in range(len(paths.conversions))]

    def worth(group: set[int], game: str) -> float:
        inside = np.array([one <= group for one in sets])
        number = float((paths.conversions + paths.nulls)[inside].sum())
        sold = float(paths.conversions[inside].sum())
        return sold if game == "sales" else sold / number * float((paths.conversions + paths.nulls).sum()) if number else 0.0

    for game in ("sales", "rate"):
        expected = np.zeros(4)
        for order in itertools.permutations(range(4)):
            for place, one in enumerate(order):
                expected[one] += (worth(set(order[: place + 1]), game) - worth(set(order[:place]), game)) / math.factorial(4)
        assert shapley(paths, game=game).conversions == pytest.approx(expected, abs=1e-8)


def test_shapley_of_many_channels_is_sampled_near_the_exact_one() -> None:
    rng = np.random.default_rng(7)
    names = [f"c{k}" for k in range(8)]
    sequences = [rng.choice(names, rng.integers(1, 6)).tolist() for _ in range(400)]
    paths = Paths.of(sequences, rng.poisson(1.0, 400), nulls=rng.poisson(5.0, 400))
    exact = shapley(paths, game="rate")
    sampled = shapley(paths, game="rate", sampling=Sampling(rng, orders=1_500, exact_up_to=0))
    assert sampled.conversions == pytest.approx(exact.conversions, abs=0.03 * paths.conversions.sum())
    assert sampled.conversions.sum() == pytest.approx(paths.conversions.sum())


def test_more_channels_than_can_be_looked_at_need_a_generator() -> None:
    paths = Paths.of([[f"c{k:02}" for k in range(20)]], [1])
    assert shapley(paths).conversions == pytest.approx(np.full(20, 0.05))
    with pytest.raises(ValueError, match="20"):
        shapley(paths, game="rate")


def test_by_hand() -> None:
    paths = Paths.of([["a", "b", "c"], ["b", "a"], ["c"]], conversions=[10, 4, 1], value=[100.0, 80.0, 5.0])
    assert first_touch(paths).conversions.tolist() == [10, 4, 1]
    assert last_touch(paths).value.tolist() == [80.0, 0.0, 105.0]
    assert linear(paths).conversions == pytest.approx([10 / 3 + 2, 10 / 3 + 2, 10 / 3 + 1])
    assert position_based(paths).conversions == pytest.approx([4 + 2, 2 + 2, 4 + 1])
    halved = time_decay(paths, half_life=1.0).conversions
    assert halved == pytest.approx([10 / 7 + 8 / 3, 20 / 7 + 4 / 3, 40 / 7 + 1])


def test_time_decay_counts_days_where_they_are_known_however_long_ago() -> None:
    known = Paths(
        ("a", "b"),
        np.array([0, 1]),
        np.array([0, 2]),
        np.array([6.0]),
        np.array([6.0]),
        np.zeros(1),
        days_before=np.array([1e6 + 14.0, 1e6]),
    )
    assert time_decay(known, half_life=14.0).conversions == pytest.approx([2.0, 4.0])


def test_a_path_that_always_passes_through_a_channel_is_lost_without_it() -> None:
    paths = Paths.of([["a", "b"], ["b"]], conversions=[3, 2], nulls=[5, 10])
    assert removal_effects(paths)[1] == pytest.approx(1.0)


def test_a_longer_memory_tells_orders_apart() -> None:
    # After a b it always ends in a sale, after c b never: a chain that remembers one touch cannot tell.
    paths = Paths.of([["a", "b"], ["c", "b"]], conversions=[10, 0], nulls=[0, 10])
    one, two = markov(paths).conversions, markov(paths, order=2).conversions
    assert one[0] == pytest.approx(one[2])
    assert two[2] == pytest.approx(0.0, abs=1e-9)
    assert two[0] == pytest.approx(two[1])


@pytest.fixture(scope="module")
def real(data_dir: Path) -> Paths:
    table = pq.read_table(data_dir / "attribution_paths.parquet")
    sequences = [one.split(" > ") for one in table["path"].to_pylist()]
    columns = [table[name].to_numpy() for name in ("total_conversions", "total_conversion_value", "total_null")]
    return Paths.of(sequences, *columns)


@pytest.mark.parametrize("name", [one for one in MODELS if one != "shapley_rate"])
def test_on_real_paths_all_conversions_and_all_their_money_are_shared_out(real: Paths, name: str) -> None:
    credit = MODELS[name](real)
    assert credit.conversions.sum() == pytest.approx(19_785, abs=1e-6)
    assert credit.value.sum() == pytest.approx(74_802.97, abs=0.01)


def test_on_real_paths_the_rules_agree_with_a_plain_loop(real: Paths) -> None:
    first, last, even = (dict.fromkeys(real.channels, 0.0) for _ in range(3))
    for p, sold in enumerate(real.conversions.tolist()):
        path = [real.channels[k] for k in real.touch[real.start[p] : real.start[p + 1]].tolist()]
        first[path[0]] += sold
        last[path[-1]] += sold
        for one in path:
            even[one] += sold / len(path)
    assert first_touch(real).conversions.tolist() == list(first.values())
    assert last_touch(real).conversions.tolist() == list(last.values())
    assert linear(real).conversions == pytest.approx(list(even.values()))


def _absorbed(real: Paths, without: int | None) -> float:
    """The chance of a sale by walking the chain forward, step by step, from a dense matrix of counts: start, channels, sale, nothing."""
    n = len(real.channels)
    counts = np.zeros((n + 3, n + 3))
    number = real.conversions + real.nulls
    for p in range(len(number)):
        walk = [0, *(real.touch[real.start[p] : real.start[p + 1]] + 1).tolist()]
        for here, there in itertools.pairwise(walk):
            counts[here, there] += number[p]
        counts[walk[-1], n + 1] += real.conversions[p]
        counts[walk[-1], n + 2] += real.nulls[p]
    steps = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-300)
    steps[n + 1 :] = 0.0
    if without is not None:
        steps[:, n + 2] += steps[:, without + 1]
        steps[:, without + 1] = 0.0
    at, sold = np.zeros(n + 3), 0.0
    at[0] = 1.0
    for _ in range(5_000):
        at = at @ steps
        sold += at[n + 1]
    return float(sold)


def test_on_real_paths_markov_agrees_with_walking_the_chain_forward(real: Paths) -> None:
    whole = _absorbed(real, None)
    assert whole == pytest.approx(real.conversions.sum() / (real.conversions + real.nulls).sum())
    effects = np.array([1 - _absorbed(real, one) / whole for one in range(len(real.channels))])
    assert removal_effects(real) == pytest.approx(effects, abs=1e-9)
    assert markov(real).conversions == pytest.approx(effects / effects.sum() * 19_785)


def test_paths_that_are_none_are_refused() -> None:
    one = np.ones(1)
    with pytest.raises(ValueError, match="start"):
        Paths(("a",), np.array([0]), np.array([0, 0, 1]), np.ones(2), np.ones(2), np.ones(2))
    with pytest.raises(ValueError, match="touch"):
        Paths(("a",), np.array([1]), np.array([0, 1]), one, one, one)
    with pytest.raises(ValueError, match="conversions"):
        Paths(("a",), np.array([0]), np.array([0, 1]), -one, one, one)


def test_a_share_of_every_touch_is_what_all_rules_come_down_to() -> None:
    paths = Paths.of([["a", "b"]], [2])
    assert shared(paths, np.array([0.25, 0.75])).conversions.tolist() == [0.5, 1.5]
