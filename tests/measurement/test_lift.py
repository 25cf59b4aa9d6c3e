"""Lift against simulated truth: intervals hold it as often as they say, covariates only take noise away, unsound groups are told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from measurement.cuped import adjust
from measurement.lift import Known, Lift, Looking, Sums, difference, layers, lift

WORLDS = 500


@dataclass(frozen=True, eq=False)
class World:
    """One campaign on contacts who spend anyway: profit, who was treated, what they spent before, and the truth for the treated."""

    profit: np.ndarray
    exposed: np.ndarray
    before: np.ndarray
    attributed: np.ndarray
    true_total: float

    @classmethod
    def draw(cls, rng: np.random.Generator, contacts: int = 2_000, holdout: float = 0.1) -> World:
        level = rng.normal(size=contacts)
        before = np.column_stack([10 + 6 * level + rng.normal(0, 3, contacts), rng.normal(size=contacts)])
        baseline = 10 + 6 * level + rng.normal(0, 3, contacts)
        effect = 1.0 + 0.5 * level  # who spends more is moved more
        exposed = (rng.random(contacts) >= holdout).astype(float)
        return cls(baseline + effect * exposed, exposed, before, (baseline + effect) * exposed, float(effect[exposed == 1].sum()))


def _worlds(number: int = WORLDS, **options: float) -> Iterator[World]:
    rng = np.random.default_rng(7)
    for _ in range(number):
        yield World.draw(rng, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def measured() -> list[tuple[World, Lift, Lift]]:
    """Each world with its lift, without covariates and with."""
    return [(one, lift(one.profit, one.exposed), lift(one.profit, one.exposed, Known(one.before))) for one in _worlds()]


def test_the_programmes_total_holds_the_truth_as_often_as_it_says(measured: list[tuple[World, Lift, Lift]]) -> None:
    for place in (1, 2):
        held = np.mean([one[0].true_total in one[place].total for one in measured])  # type: ignore[union-attr]
        # The truth is that of the treated at hand; the control's noise is all that is left of the sampling.
        assert 0.93 <= held <= 0.985


def test_what_is_attributed_to_contacting_overstates_it_in_every_world(measured: list[tuple[World, Lift, Lift]]) -> None:
    errors = [one.attributed.sum() / one.true_total for one, _, _ in measured]
    assert min(errors) > 5
    assert not any(one.attributed.sum() in plain.total for one, plain, _ in measured)


def test_covariates_take_noise_away_and_move_nothing(measured: list[tuple[World, Lift, Lift]]) -> None:
    ratio = np.mean([adjusted.per_contact.standard_error / plain.per_contact.standard_error for _, plain, adjusted in measured])
    assert ratio < 0.65
    plain, adjusted = (np.mean([one[place].per_contact.value for one in measured]) for place in (1, 2))  # type: ignore[union-attr]
    assert plain == pytest.approx(1.0, abs=0.06)
    assert adjusted == pytest.approx(1.0, abs=0.04)
    # What is said to be taken away is what is taken away.
    said = np.mean([adjusted.variance_reduction for _, _, adjusted in measured])
    spread = [np.var([one[place].per_contact.value for one in measured]) for place in (1, 2)]  # type: ignore[union-attr]
    assert said == pytest.approx(1 - spread[1] / spread[0], abs=0.08)


def test_covariates_that_say_nothing_cost_a_small_holdout_no_coverage() -> None:
    rng, held = np.random.default_rng(3), []
    for _ in range(WORLDS):
        exposed = np.concatenate([np.zeros(60), np.ones(540)])
        found = lift(rng.normal(size=600) + 0.5 * exposed, exposed, Known(rng.normal(size=(600, 5))))
        assert found.covariates_used == 5
        held.append(0.5 in found.per_contact)
    assert 0.925 <= np.mean(held) <= 0.975


def test_a_holdout_too_small_for_its_covariates_goes_without_them() -> None:
    rng = np.random.default_rng(5)
    exposed = np.concatenate([np.zeros(29), np.ones(500)])
    found = lift(rng.normal(size=529), exposed, Known(rng.normal(size=(529, 3))))
    assert (found.covariates_used, found.variance_reduction) == (0, 0.0)


def test_a_covariate_that_repeats_another_or_is_constant_changes_nothing() -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(size=400)
    exposed = (rng.random(400) < 0.5).astype(float)
    y = x + rng.normal(size=400)
    alone = lift(y, exposed, Known(x))
    again = lift(y, exposed, Known(np.column_stack([x, 3 * x + 1, np.ones(400)])))
    assert again.covariates_used == 1
    assert again.per_contact.value == pytest.approx(alone.per_contact.value)
    assert again.per_contact.standard_error == pytest.approx(alone.per_contact.standard_error)


def test_a_missing_covariate_counts_as_the_average() -> None:
    rng = np.random.default_rng(8)
    x = rng.normal(size=400)
    x[::3] = np.nan
    assert np.isfinite(adjust(rng.normal(size=400), rng.random(400) < 0.5, x).outcome).all()


def test_the_always_valid_interval_holds_the_truth_at_every_look_and_the_plain_one_does_not() -> None:
    looks, always, plain = (100, 200, 400, 700, 1_000, 1_500, 2_000), 0, 0
    for rng in (np.random.default_rng(seed) for seed in range(300)):
        exposed = (rng.random(2_000) < 0.7).astype(float)
        y = rng.normal(2.0, 1.0, 2_000)
        found = [lift(y[:n], exposed[:n], looking=Looking(tightest_at=1_000)) for n in looks]
        always += all(0.0 in one.always_valid for one in found)
        plain += all(0.0 in one.per_contact for one in found)
    assert always / 300 >= 0.95
    assert plain / 300 < 0.9


def test_rows_of_one_contact_are_not_counted_as_independent() -> None:
    held, naive = [], []
    for rng in (np.random.default_rng(seed) for seed in range(300)):
        contact = np.repeat(np.arange(80), 5)
        exposed = np.repeat((np.arange(80) % 2).astype(float), 5)
        y = np.repeat(rng.normal(size=80), 5) + rng.normal(0, 0.3, 400)
        held.append(0.0 in lift(y, exposed, Known(cluster=contact)).per_contact)
        naive.append(0.0 in lift(y, exposed).per_contact)
    assert 0.92 <= np.mean(held) <= 0.98
    assert np.mean(naive) < 0.8


def test_a_contact_with_rows_in_both_arms_lends_them_its_noise() -> None:
    rng = np.random.default_rng(1)
    contact, exposed = np.repeat(np.arange(200), 2), np.tile([0.0, 1.0], 200)
    y = np.repeat(rng.normal(0, 10, 200), 2) + rng.normal(0, 0.1, 400) + exposed
    found = lift(y, exposed, Known(cluster=contact))
    assert 1.0 in found.per_contact
    assert found.per_contact.standard_error < 0.02  # as of pairs: the level of a contact cancels


def test_weights_undo_an_assignment_that_was_not_even() -> None:
    rng = np.random.default_rng(2)
    good = rng.random(20_000) < 0.5
    prob = np.where(good, 0.8, 0.2)
    exposed = (rng.random(20_000) < prob).astype(float)
    y = 5.0 * good + 1.0 * exposed + rng.normal(size=20_000)
    weight = 1.0 / np.where(exposed == 1, prob, 1 - prob)
    assert 1.0 not in lift(y, exposed).per_contact
    assert 1.0 in lift(y, exposed, Known(weight=weight)).per_contact


def test_the_relative_lift_holds_the_true_ratio() -> None:
    held = []
    for rng in (np.random.default_rng(seed) for seed in range(300)):
        exposed = (np.arange(600) % 3 > 0).astype(float)
        found = lift(rng.poisson(2.0 + 0.5 * exposed).astype(float), exposed)
        assert found.relative is not None
        held.append(0.25 in found.relative)
    assert 0.92 <= np.mean(held) <= 0.98


def test_no_relative_lift_on_a_base_that_may_be_nothing() -> None:
    assert lift([1.0, 2.0, 3.0, -1.0, 1.0, 0.0], [1, 1, 1, 0, 0, 0]).relative is None


def test_a_control_of_one_contact_has_an_interval_without_ends() -> None:
    found = lift([1.0, 2.0, 3.0], [1, 1, 0])
    assert (found.per_contact.low, found.per_contact.high) == (float("-inf"), float("inf"))


def test_an_outcome_that_does_not_vary_has_no_noise() -> None:
    found = lift([2.0, 2.0, 1.0, 1.0], [1, 1, 0, 0])
    assert (found.per_contact.low, found.per_contact.high) == (1.0, 1.0)


@pytest.mark.parametrize("exposed", [[1, 1, 1], [0, 0, 0], [0, 0.5, 1]])
def test_a_comparison_without_two_sides_is_refused(exposed: list[float]) -> None:
    with pytest.raises(ValueError, match="exposed"):
        lift([1.0, 2.0, 3.0], exposed)


def test_each_layer_is_compared_with_the_programme_on_its_own() -> None:
    rng = np.random.default_rng(4)
    worth = {"nudge": 5.0, "holdout": 2.0, "random": 3.0, "propensity_only": 4.0, "no_levers": 4.5}
    group = rng.choice([*worth], size=40_000, p=[0.6, 0.1, 0.1, 0.1, 0.1])
    level = rng.normal(0, 5, group.size)
    y = np.array([worth[one] for one in group.tolist()]) + level + rng.normal(size=group.size)
    found = layers(y, group, "nudge", Known(level))
    assert set(found.lifts) == set(worth) - {"nudge"}
    for name, one in found.lifts.items():
        assert worth["nudge"] - worth[name] in one.per_contact
        assert one.variance_reduction > 0.9
        assert one.treated.contacts == (group == "nudge").sum()


def test_sums_alone_give_the_interval_that_all_rows_give() -> None:
    world = World.draw(np.random.default_rng(5), contacts=300)
    arms = [world.profit[world.exposed == side] for side in (1, 0)]
    found = difference(*(Sums(one.size, float(one.sum()), float(one @ one)) for one in arms))
    assert np.allclose(list(vars(found).values()), list(vars(lift(world.profit, world.exposed).per_contact).values()), rtol=1e-9)
    with pytest.raises(ValueError, match="fewer than two contacts"):
        difference(Sums(1, 2.0, 4.0), Sums(5, 2.0, 4.0))
