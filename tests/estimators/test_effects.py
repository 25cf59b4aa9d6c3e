"""The model of all effects against known truth: it shares what actions share, and finds nothing where there is nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from estimators.action_uplifts import MEMBERS, ActionUplifts, UpliftSettings, fit_action_uplifts
from estimators.arrays import FloatArray
from estimators.effect_levels import ALL, EffectLevels, Place
from estimators.effect_rows import NOTHING, LoggedActions
from estimators.effects import EffectModel, fit_effects
from estimators.encoding import Encoded

CALL, MAIL = 0, 1
STRENGTHS = np.array([2.0, 0.5])


class Bank:
    """Actions on two channels; the effect of each is its own level plus a slope that all share, times the channel's strength."""

    def __init__(self, rows: int, *, actions: int, seed: int, spread: float = 0.4, own: float = 0.1) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(rows, 5))
        self.level = 0.3 + own * rng.standard_normal(actions)
        self.spread = spread
        action = rng.integers(-1, actions, rows)
        channel = np.where(action == NOTHING, NOTHING, rng.integers(0, 2, rows))
        self.base = -1.5 + self.x @ np.array([0.5, -0.4, 0.0, 0.2, 0.0])
        log_odds = self.base + np.where(action == NOTHING, 0.0, STRENGTHS[channel] * self.effect(np.maximum(action, 0)))
        y = (rng.random(rows) < expit(log_odds)).astype(float)
        places = tuple(Place(f"a{k}", f"g{k // 4}", "sales") for k in range(actions))
        everybody = np.ones((rows, actions), dtype=bool)
        goal = np.zeros(actions, dtype=np.int64)
        self.logged = LoggedActions(places, ("call", "mail"), goal, action, channel, y[:, None], everybody, np.ones(rows))
        self.folds = np.arange(rows) % 3

    def effect(self, action: np.ndarray) -> FloatArray:
        """In log odds on a channel of strength 1."""
        return np.asarray(self.level[action] + self.spread * self.x[:, 2])

    def uplift(self, action: int, channel: int) -> FloatArray:
        """The truth, shape (rows,)."""
        moved = self.base + STRENGTHS[channel] * self.effect(np.full(len(self.x), action))
        return np.asarray(expit(moved) - expit(self.base))

    def fitted(self) -> ActionUplifts:
        return fit_action_uplifts(Encoded(self.x, self.x), self.logged, np.ones(len(self.x)), self.folds, UpliftSettings())


def uplift(model: EffectModel, x: FloatArray, action: int, channel: int) -> FloatArray:
    design = model.curves.design(x)
    goal = int(model.goal_of[action])
    return np.asarray(expit(design @ model.exposed(action, channel)) - expit(design @ model.unexposed(goal)))


def test_a_channel_that_is_four_times_as_strong_is_found_to_be() -> None:
    bank = Bank(20_000, actions=4, seed=1)
    model = fit_effects(bank.x, bank.logged)
    assert model.at.strength[CALL] / model.at.strength[MAIL] == pytest.approx(4.0, rel=0.35)
    for channel in (CALL, MAIL):
        truth = bank.uplift(0, channel)
        found = uplift(model, bank.x, 0, channel)
        assert np.sqrt(np.mean((found - truth) ** 2)) < 0.35 * truth.std() + 0.01


def test_twelve_thin_actions_know_together_what_none_knows_alone() -> None:
    bank = Bank(3_900, actions=12, seed=2)
    together = fit_effects(bank.x, bank.logged)
    errors, alone_errors = [], []
    for k in range(12):
        truth = bank.uplift(k, MAIL)
        errors.append(np.mean((uplift(together, bank.x, k, MAIL) - truth) ** 2))
        logged = bank.logged
        rows = (logged.action == k) | (logged.action == NOTHING)
        action = np.where(logged.action[rows] == k, 0, NOTHING)
        one = LoggedActions(
            (logged.places[k],),
            logged.channels,
            np.zeros(1, dtype=np.int64),
            action,
            logged.channel[rows],
            logged.labels[rows],
            logged.open[rows][:, :1],
            logged.weight[rows],
        )
        alone_errors.append(np.mean((uplift(fit_effects(bank.x[rows], one), bank.x, 0, MAIL) - truth) ** 2))
    assert np.mean(errors) < 0.6 * np.mean(alone_errors)


def test_where_contacts_do_not_differ_the_data_say_so() -> None:
    bank = Bank(8_000, actions=3, seed=3, spread=0.0, own=0.0)
    model = fit_effects(bank.x, bank.logged)
    assert np.sqrt(model.priors.variances["all", 1]) < 0.12
    assert np.sqrt(np.mean((uplift(model, bank.x, 1, MAIL) - bank.uplift(1, MAIL)) ** 2)) < 0.02


def test_coefficients_without_a_fold_are_those_of_a_model_that_never_saw_it() -> None:
    bank = Bank(6_000, actions=2, seed=4)
    model = fit_effects(bank.x, bank.logged, bank.folds)
    rest = bank.folds != 1
    logged = bank.logged
    without = LoggedActions(
        logged.places,
        logged.channels,
        logged.goal_of,
        logged.action[rest],
        logged.channel[rest],
        logged.labels[rest],
        logged.open[rest],
        logged.weight[rest],
    )
    fitted = fit_effects(bank.x[rest], without)
    moved = np.abs(model.without_fold[1].theta - fitted.at.theta).max()
    assert moved < 0.35 * np.abs(model.at.theta - fitted.at.theta).max() + 0.03


def test_a_row_that_stands_for_two_counts_twice() -> None:
    bank = Bank(3_000, actions=2, seed=5)
    logged = bank.logged
    twice = np.concatenate([np.arange(3_000), np.arange(1_000)])
    doubled = LoggedActions(
        logged.places,
        logged.channels,
        logged.goal_of,
        logged.action[twice],
        logged.channel[twice],
        logged.labels[twice],
        logged.open[twice],
        np.ones(4_000),
    )
    weight = np.where(np.arange(3_000) < 1_000, 2.0, 1.0)
    weighted = replace(logged, weight=weight)
    np.testing.assert_allclose(
        uplift(fit_effects(bank.x, weighted), bank.x, 0, CALL), uplift(fit_effects(bank.x[twice], doubled), bank.x, 0, CALL), atol=4e-3
    )


def test_an_action_without_any_response_has_a_finite_small_uplift() -> None:
    bank = Bank(2_000, actions=2, seed=6)
    logged = bank.logged
    labels = np.where(logged.action[:, None] == 1, 0.0, logged.labels)
    silent = replace(logged, labels=labels)
    found = fit_action_uplifts(Encoded(bank.x, bank.x), silent, np.ones(2_000), bank.folds, UpliftSettings())
    tau = found.by_action[1].head.effect(Encoded(bank.x, bank.x))
    assert np.isfinite(tau).all()
    assert tau.mean() < 0


def test_goals_of_their_own_have_baselines_of_their_own() -> None:
    bank = Bank(8_000, actions=2, seed=7)
    logged = bank.logged
    rare = (np.random.default_rng(0).random(8_000) < 0.02).astype(float)
    two = LoggedActions(
        logged.places,
        logged.channels,
        np.array([0, 1]),
        logged.action,
        logged.channel,
        np.column_stack([logged.labels[:, 0], rare]),
        logged.open,
        logged.weight,
    )
    found = fit_action_uplifts(Encoded(bank.x, bank.x), two, np.ones(8_000), bank.folds, UpliftSettings())
    assert found.unexposed_mean[:, 1].mean() == pytest.approx(0.02, abs=0.01)
    assert abs(found.by_action[1].stack.average) < 3 * found.by_action[1].stack.standard_error
    assert np.mean([bank.uplift(0, c).mean() for c in (0, 1)]) == pytest.approx(found.by_action[0].stack.average, abs=0.05)


def test_an_action_is_compared_with_those_whom_it_is_for() -> None:
    bank = Bank(6_000, actions=1, seed=8)
    logged = bank.logged
    young = bank.x[:, :1] > 0
    narrow = replace(logged, open=young)
    found = fit_action_uplifts(Encoded(bank.x, bank.x), narrow, np.ones(6_000), bank.folds, UpliftSettings()).by_action[0]
    assert young[found.pair, 0].all()
    assert found.head.evidence == int(((logged.action == 0) & young[:, 0]).sum())


def test_heads_answer_for_each_channel_and_for_one_that_nobody_used() -> None:
    bank = Bank(8_000, actions=2, seed=9)
    head = bank.fitted().by_action[0].head
    rows = Encoded(bank.x, bank.x)
    call, mail, pigeon = head.effects_on(rows, ["call", "mail", "pigeon"]).T
    assert call.mean() > mail.mean()
    np.testing.assert_array_equal(pigeon, head.effect(rows))
    again = type(head).from_dict(head.to_dict())
    np.testing.assert_array_equal(again.effects_on(rows, ["call"])[:, 0], call)
    np.testing.assert_array_equal(again.standard_errors(rows), head.standard_errors(rows))


def test_differences_that_are_not_believed_become_error() -> None:
    bank = Bank(8_000, actions=1, seed=10)
    head, rows = bank.fitted().by_action[0].head, Encoded(bank.x, bank.x)
    flat = head.trusted(0.0)
    assert np.ptp(flat.effect(rows)) == 0.0
    assert (flat.standard_errors(rows) >= head.standard_errors(rows)).all()
    np.testing.assert_allclose(head.trusted(0.5).effect(rows) - head.average_effect, 0.5 * (head.effect(rows) - head.average_effect))


@pytest.mark.parametrize("fold", [0, 2])
def test_rows_of_a_single_contact_leave_folds_empty_and_are_answered(fold: int) -> None:
    bank = Bank(2_000, actions=1, seed=12)
    folds = np.full(2_000, fold)
    found = fit_action_uplifts(Encoded(bank.x, bank.x), bank.logged, np.ones(2_000), folds, UpliftSettings())
    assert np.isfinite(found.by_action[0].head.effect(Encoded(bank.x, bank.x))).all()


@pytest.mark.parametrize("most_rows", [200_000, 1_500])
def test_fitting_side_by_side_changes_nothing(most_rows: int) -> None:
    bank = Bank(4_000, actions=3, seed=11)
    rows = Encoded(bank.x, bank.x)
    one, two = (
        fit_action_uplifts(rows, bank.logged, np.ones(4_000), bank.folds, UpliftSettings(workers=workers, most_rows=most_rows)).by_action
        for workers in (1, 2)
    )
    for k in one:
        np.testing.assert_array_equal(one[k].head.effect(rows), two[k].head.effect(rows))
        assert one[k].stack.weights.tolist() == two[k].stack.weights.tolist()
    assert len(MEMBERS) == len(one[0].stack.weights)


def test_levels_that_say_the_same_are_one_level() -> None:
    one_each = [Place("a", "g1", "sales"), Place("b", "g2", "sales")]
    assert EffectLevels.of(one_each, [(0, "mail"), (1, "mail")]).kinds == (ALL, "action", "action")
    assert EffectLevels.of(one_each, [(0, "mail"), (1, "call")]).kinds == (ALL, "action", "action")
    assert EffectLevels.of(one_each[:1], [(0, "mail")]).kinds == (ALL,)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1)), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 7), st.sampled_from(["mail", "call", None])), min_size=1, max_size=12),
)
def test_every_action_carries_one_block_of_each_level_it_is_told_apart_by(
    places: list[tuple[int, int]], cells: list[tuple[int, str]]
) -> None:
    actions = [Place(f"a{k}", f"g{group}", f"i{issue}") for k, (group, issue) in enumerate(places)]
    known = [(action % len(actions), channel) for action, channel in cells]
    levels = EffectLevels.of(actions, known)
    for action, channel in known:
        blocks = levels.blocks(action, channel, 2.0)
        kinds = [levels.kinds[block] for block in blocks]
        assert len(set(kinds)) == len(kinds)
        assert kinds[0] == ALL
        assert all(scale == (1.0 if levels.kinds[block] == "channel" else 2.0) for block, scale in blocks.items())
