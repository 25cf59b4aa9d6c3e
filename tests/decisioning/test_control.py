"""Control groups: uniform, exact in their shares, stable, growing without losing anybody, and drawn anew by another salt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare

from decisioning.arbitration import appraise
from decisioning.catalog import Controls
from decisioning.control import (
    GROUPS,
    HOLDOUT,
    NO_LEVERS,
    PROPENSITY_ONLY,
    RANDOM,
    TREATED,
    control_groups,
    hash_to_unit,
    members,
    preference,
    skips_arbitration,
)
from decisioning.decide import decide
from decisioning.vocabulary import FloatArray, IntArray
from tests.decisioning.strategies import compiled, history_of, house_of, make_action, make_catalog, scores_of, situation_of

IDS = [f"c-{number}" for number in range(20_000)]
NOT_BY_CHANCE = 1e-4
LAYERS = GROUPS[:-1]
SHARES = {"holdout": 0.1, "random": 0.2, "propensity_only": 0.15, "no_levers": 0.05, "eligible_only": 0.25}


@pytest.mark.parametrize("salt", ["2026q4", "2027q1", "", "ą"])
def test_contacts_are_spread_evenly(salt: str) -> None:
    counts = np.histogram(hash_to_unit(IDS, salt), bins=50, range=(0.0, 1.0))[0]
    assert chisquare(counts).pvalue > NOT_BY_CHANCE


def held_out(ids: Sequence[str], controls: Controls) -> np.ndarray:
    return members(control_groups(ids, controls), HOLDOUT)


def test_neighbouring_ids_are_spread_evenly_too() -> None:
    units = hash_to_unit([str(number) for number in range(20_000)], "s")
    pairs = np.histogram2d(units[:-1], units[1:], bins=8)[0]
    assert chi2_contingency(pairs).pvalue > NOT_BY_CHANCE


def test_two_salts_draw_independently() -> None:
    first, second = (held_out(IDS, Controls(holdout=0.3, salt=salt)) for salt in ("2026q4", "2027q1"))
    table = [[np.sum(first & second), np.sum(first & ~second)], [np.sum(~first & second), np.sum(~first & ~second)]]
    assert chi2_contingency(table).pvalue > NOT_BY_CHANCE
    assert abs(first.mean() - 0.3) < 0.02


@given(shares=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted), salt=st.text(max_size=5))
def test_growing_the_share_keeps_its_members(shares: list[float], salt: str) -> None:
    small, large = (held_out(IDS[:300], Controls(holdout=share, salt=salt or "s")) for share in shares)
    assert not (small & ~large).any()


@given(ids=st.lists(st.text(), max_size=20), salt=st.text(max_size=5))
def test_a_contacts_number_is_its_own_and_below_one(ids: list[str], salt: str) -> None:
    units = hash_to_unit(ids, salt)
    assert ((units >= 0) & (units < 1)).all()
    assert units.tolist() == [hash_to_unit([one], salt)[0] for one in ids]


def test_a_share_of_nothing_holds_nobody_and_a_share_of_one_everybody() -> None:
    assert not held_out(IDS, Controls(holdout=0.0)).any()
    assert held_out(IDS, Controls(holdout=1.0)).all()


def test_the_held_out_get_nothing_but_what_is_owed_to_them() -> None:
    actions = [make_action("loan"), make_action("notice", kind="mandatory"), make_action("receipt", kind="transactional")]
    catalog = compiled(make_catalog(actions, controls={"holdout": 1.0}))
    situation = situation_of()
    decision = decide(house_of(catalog, situation), situation, history_of(situation), limit=5)
    assert [catalog.treatments[column][0].id for column in decision.chosen] == ["notice", "receipt"]
    removal = decision.appraisal.candidates.removal(0, 0)
    assert removal is not None
    assert (removal.stage, removal.rule) == ("control", "holdout")


def group_names(ids: list[str], controls: Controls) -> list[str]:
    return [GROUPS[group] for group in control_groups(ids, controls)]


@st.composite
def shares(draw: st.DrawFn) -> dict[str, float]:
    """Shares of the layers that leave room for one of them to grow."""
    parts = draw(st.lists(st.floats(0, 1), min_size=len(LAYERS), max_size=len(LAYERS)))
    together = draw(st.floats(0, 0.9))
    return {name: together * part / max(sum(parts), 1.0) for name, part in zip(LAYERS, parts, strict=True)}


def test_each_group_holds_its_share_of_the_population() -> None:
    groups = control_groups(IDS, Controls(**SHARES))
    expected = np.array([*SHARES.values(), 1 - sum(SHARES.values())]) * len(IDS)
    assert chisquare(np.bincount(groups, minlength=len(GROUPS)), expected).pvalue > NOT_BY_CHANCE


def test_the_groups_of_two_salts_are_independent() -> None:
    first, second = (control_groups(IDS, Controls(**SHARES, salt=salt)) for salt in ("2026q4", "2027q1"))
    table = np.histogram2d(first, second, bins=np.arange(len(GROUPS) + 1))[0]
    assert chi2_contingency(table).pvalue > NOT_BY_CHANCE


@pytest.mark.parametrize("layer", range(1, len(LAYERS)))
def test_a_layer_draws_whatever_the_number_that_an_earlier_layer_gave(layer: int) -> None:
    groups = control_groups(IDS, Controls(**SHARES, salt="s"))
    left = groups >= layer
    for earlier in LAYERS[:layer]:
        number = hash_to_unit(IDS, f"s|{earlier}")[left]
        table = np.histogram2d(np.digitize(number, np.quantile(number, np.arange(0.1, 1.0, 0.1))), groups[left] == layer, bins=(10, 2))[0]
        assert chi2_contingency(table).pvalue > NOT_BY_CHANCE


def test_the_groups_do_not_follow_the_order_of_the_ids() -> None:
    table = np.histogram2d(np.arange(len(IDS)), control_groups(IDS, Controls(**SHARES)), bins=(20, np.arange(len(GROUPS) + 1)))[0]
    assert chi2_contingency(table).pvalue > NOT_BY_CHANCE


@given(given_shares=shares(), layer=st.sampled_from(range(len(LAYERS))), more=st.floats(0, 1), salt=st.text(min_size=1, max_size=5))
def test_when_a_share_grows_nobody_moves_to_a_later_group_and_no_earlier_or_growing_group_loses_anybody(
    given_shares: dict[str, float], layer: int, more: float, salt: str
) -> None:
    room = 1 - sum(given_shares.values())
    grown = given_shares | {LAYERS[layer]: given_shares[LAYERS[layer]] + more * room}
    before, after = (control_groups(IDS[:300], Controls(**one, salt=salt)) for one in (given_shares, grown))
    assert (after <= before).all()
    assert (after[before <= layer] == before[before <= layer]).all()
    assert (after[after != before] >= layer).all()


@given(given_shares=shares(), salt=st.text(min_size=1, max_size=5))
def test_the_layers_leave_the_holdout_as_it_is(given_shares: dict[str, float], salt: str) -> None:
    controls = Controls(**given_shares, salt=salt)
    pinned = hash_to_unit(IDS[:300], f"{controls.salt}|holdout") < controls.holdout  # who was held out before there were other groups
    assert held_out(IDS[:300], controls).tolist() == pinned.tolist()


@given(ids=st.lists(st.text(), max_size=20), given_shares=shares())
def test_a_contacts_group_does_not_depend_on_the_others(ids: list[str], given_shares: dict[str, float]) -> None:
    controls = Controls(**given_shares)
    assert group_names(ids, controls) == [group_names([one], controls)[0] for one in ids]


def test_contacts_stay_in_their_groups_from_one_version_to_the_next() -> None:
    expected = ["propensity_only", "random", "eligible_only", "nudge", "propensity_only", "eligible_only"]
    expected += ["eligible_only", "eligible_only", "nudge", "eligible_only", "random", "eligible_only"]
    assert group_names(IDS[:12], Controls(**SHARES, salt="2026q4")) == expected


def test_without_controls_everybody_is_treated_and_shares_of_one_leave_nobody() -> None:
    assert set(group_names(IDS, Controls())) == {TREATED}
    assert group_names([], Controls(**SHARES)) == []
    fifths = dict.fromkeys(LAYERS, 0.2)
    assert TREATED not in group_names(IDS, Controls(**fifths))
    assert set(group_names(IDS, Controls(holdout=0.3, eligible_only=0.7))) == {"holdout", "eligible_only"}


@pytest.mark.parametrize("together", [{"holdout": 1.0}, {"holdout": 0.3, "random": 0.3, "no_levers": 0.4}, dict.fromkeys(LAYERS, 0.2), {}])
def test_shares_of_everybody_together_are_accepted(together: dict[str, float]) -> None:
    assert sum(Controls(**together).shares.values()) == pytest.approx(sum(together.values()))


def test_shares_of_more_than_everybody_are_refused() -> None:
    with pytest.raises(ValueError, match=r"the shares of the control groups add up to more than everybody: 1\.1"):
        Controls(holdout=0.6, eligible_only=0.5)


WEIGHTED = [{"when": "age >= 18", "weight": 3.0}]
LEVERED = compiled(make_catalog([make_action("loan", lever=2.0, context_weights=WEIGHTED), make_action("card")]))


def preferences(groups: list[str], seeds: list[str]) -> tuple[FloatArray, FloatArray]:
    """What contacts of these groups prefer, and their priorities; the propensity of the first treatment is not known."""
    rows = situation_of(len(groups))
    propensity = np.linspace(0.1, 0.6, len(LEVERED.treatments)) * np.ones((len(groups), 1))
    propensity[:, 0] = np.nan
    scores = scores_of((len(groups), len(LEVERED.treatments)), propensity=propensity)
    economics = appraise(LEVERED, rows, scores, {})
    index: IntArray = np.array([GROUPS.index(group) for group in groups], dtype=np.int64)
    return preference(index, LEVERED, scores, economics, seeds), economics.priority


def test_the_treated_the_held_out_and_the_eligible_are_ranked_by_priority() -> None:
    preferred, priority = preferences(["nudge", "eligible_only", "holdout", "random"], ["a"] * 4)
    np.testing.assert_array_equal(preferred[:3], priority[:3])


def test_propensity_alone_ranks_by_it_and_knows_no_more_than_it() -> None:
    preferred, _ = preferences([PROPENSITY_ONLY], ["a"])
    np.testing.assert_allclose(preferred[0], [np.nan, 0.2, 0.3, 0.4, 0.5, 0.6])


def test_without_levers_the_lever_counts_nothing_and_the_context_still_does() -> None:
    preferred, priority = preferences([NO_LEVERS], ["a"])
    worth = 0.05 * 100
    np.testing.assert_allclose(preferred[0][:3], [3 * worth - 0.5, 3 * worth - 4, 3 * worth])
    np.testing.assert_allclose(priority[0][:3], [6 * worth - 0.5, 6 * worth - 4, 6 * worth])
    np.testing.assert_array_equal(preferred[0][3:], priority[0][3:])


def test_at_random_every_treatment_comes_first_equally_often_and_a_seed_always_gives_the_same() -> None:
    seeds = [f"decision-{number}" for number in range(3_000)]
    preferred, _ = preferences([RANDOM] * len(seeds), seeds)
    first = np.bincount(preferred.argmax(axis=1), minlength=len(LEVERED.treatments))
    assert chisquare(first).pvalue > NOT_BY_CHANCE
    assert ((preferred >= 0) & (preferred < 1)).all()
    alone, _ = preferences([RANDOM], seeds[7:8])
    np.testing.assert_array_equal(alone[0], preferred[7])


def test_where_nobody_is_ranked_otherwise_the_priority_itself_is_returned() -> None:
    rows = situation_of(2)
    scores = scores_of((2, len(LEVERED.treatments)))
    economics = appraise(LEVERED, rows, scores, {})
    treated: IntArray = np.full(2, GROUPS.index(TREATED), dtype=np.int64)
    assert preference(treated, LEVERED, scores, economics, ["a", "b"]) is economics.priority


def test_only_random_and_propensity_alone_do_without_arbitration() -> None:
    assert {GROUPS[group] for group in np.flatnonzero(skips_arbitration(np.arange(len(GROUPS))))} == {RANDOM, PROPENSITY_ONLY}
