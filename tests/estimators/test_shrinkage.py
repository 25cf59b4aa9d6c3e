"""Thin groups lean on the others; groups that know more keep what they know."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from estimators.shrinkage import estimate_pool, log_odds_offsets, shrink_offsets, shrink_to_pool

effect = st.floats(-1e3, 1e3)
error = st.floats(0.0, 1e3)


@given(groups=st.lists(st.tuples(effect, error), min_size=1, max_size=12))
def test_a_shrunk_effect_lies_between_the_raw_one_and_the_pool(groups: list[tuple[float, float]]) -> None:
    effects, errors = (np.array(column) for column in zip(*groups, strict=True))
    pool, shrunk = estimate_pool(effects, errors), shrink_to_pool(effects, errors)
    assert (shrunk >= np.minimum(effects, pool.mean)).all()
    assert (shrunk <= np.maximum(effects, pool.mean)).all()


@given(groups=st.lists(st.tuples(effect, st.floats(0.01, 1e3)), min_size=2, max_size=12))
def test_the_less_certain_group_keeps_the_smaller_share(groups: list[tuple[float, float]]) -> None:
    effects, errors = (np.array(column) for column in zip(*groups, strict=True))
    pool = estimate_pool(effects, errors)
    apart = np.abs(effects - pool.mean) > 1e-6
    kept = (shrink_to_pool(effects, errors) - pool.mean)[apart] / (effects - pool.mean)[apart]
    assert (np.diff(kept[np.argsort(errors[apart])]) <= 1e-6).all()


def test_shrinking_comes_closer_to_the_truth_than_not() -> None:
    rng = np.random.default_rng(0)
    raw_loss, shrunk_loss = 0.0, 0.0
    for _ in range(200):
        truth = rng.normal(0.02, 0.01, 12)
        errors = rng.uniform(0.002, 0.03, 12)
        seen = rng.normal(truth, errors)
        raw_loss += float(((seen - truth) ** 2).sum())
        shrunk_loss += float(((shrink_to_pool(seen, errors) - truth) ** 2).sum())
    assert shrunk_loss < 0.4 * raw_loss


def test_the_pool_finds_the_true_mean_and_spread() -> None:
    rng = np.random.default_rng(1)
    errors = rng.uniform(0.1, 0.5, 3_000)
    pool = estimate_pool(rng.normal(rng.normal(2.0, 0.7, 3_000), errors), errors)
    assert pool.mean == pytest.approx(2.0, abs=0.05)
    assert pool.spread == pytest.approx(0.7, abs=0.05)


def test_groups_that_differ_by_noise_alone_get_the_mean() -> None:
    shrunk = shrink_to_pool([0.01, 0.02, 0.015], [0.05, 0.05, 0.05])
    assert shrunk == pytest.approx([0.015] * 3)


def test_a_group_without_error_keeps_its_effect_and_one_group_is_its_own_pool() -> None:
    assert shrink_to_pool([0.3, 0.1], [0.0, 0.2])[0] == 0.3
    assert shrink_to_pool([0.3], [0.2]).tolist() == [0.3]
    assert shrink_to_pool([], []).tolist() == []


@pytest.mark.parametrize(
    ("effects", "errors", "message"),
    [
        ([1.0], [1.0, 2.0], "two lists of one length"),
        ([np.nan], [1.0], "must be finite"),
        ([1.0], [-1.0], "not negative"),
    ],
)
def test_numbers_that_cannot_be_pooled_are_refused(effects: list[float], errors: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        shrink_to_pool(effects, errors)


def test_the_offset_of_a_channel_is_found_on_the_log_odds() -> None:
    rng = np.random.default_rng(2)
    p = expit(rng.normal(-2.0, 0.5, 30_000))
    channel = rng.choice(["call", "email"], 30_000)
    y = (rng.random(30_000) < expit(logit(p) + np.where(channel == "call", 0.7, -0.4))).astype(float)
    offsets = log_odds_offsets(y, p, channel)
    assert offsets["call"][0] == pytest.approx(0.7, abs=3 * offsets["call"][1])
    assert offsets["email"][0] == pytest.approx(-0.4, abs=3 * offsets["email"][1])
    assert 0.01 < offsets["call"][1] < 0.05


def test_a_channel_without_a_response_has_a_finite_uncertain_offset() -> None:
    offset, error = log_odds_offsets(np.zeros(20), np.full(20, 0.1), ["sms"] * 20)["sms"]
    assert -6.0 < offset < 0.0
    assert error > 0.5
    assert abs(shrink_offsets({("loan", "sms"): (offset, error), ("loan", "web"): (0.05, 0.05)})["loan", "sms"]) < 0.5
