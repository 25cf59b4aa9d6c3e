"""What is computed jointly is what the bundles say, for every kind of part, on whatever columns hold, for one contact and for many."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimators.bundle import ClvBundle, PropensityBundle, UpliftBundle
from estimators.joint import CONTACTS_AT_ONCE, Answers, JointScores
from estimators.scores import TreeScore
from tests.estimators.joint_worlds import ARMS, CLV_KINDS, NOW, VALUED, N, clv, columns, propensity, uplift
from tests.estimators.worlds import DTYPES

COLUMNS, PROPENSITY, UPLIFT, CLV = columns(), propensity(), uplift(), clv("blend")
JOINT = JointScores.of(PROPENSITY, UPLIFT, CLV, ARMS, VALUED)


def by_the_bundles(
    given: dict[str, Any], n: int, p: PropensityBundle = PROPENSITY, u: UpliftBundle = UPLIFT, c: ClvBundle = CLV
) -> Answers:
    with np.errstate(all="ignore"):
        return _one_by_one(given, n, p, u, c)


def _one_by_one(given: dict[str, Any], n: int, p: PropensityBundle, u: UpliftBundle, c: ClvBundle) -> Answers:
    propensity = p.propensity(given, NOW, ARMS)
    risk = p.opt_out_risk(given, NOW, [channel for _, channel in ARMS])
    tau = u.uplift(given, NOW, ARMS)
    tau = np.where(np.isnan(propensity), tau, np.clip(tau, propensity - 1.0, propensity))
    return Answers(propensity, risk, tau, p.observed_value(given, NOW, VALUED), c.clv(given, NOW))


def assert_same(got: Answers, expected: Answers, rtol: float = 1e-12) -> None:
    for field in fields(Answers):
        np.testing.assert_allclose(getattr(got, field.name), getattr(expected, field.name), rtol=rtol, atol=rtol, err_msg=field.name)


def test_everything_at_once_is_what_the_bundles_say_one_by_one() -> None:
    assert JOINT.left_out == {}
    got = JOINT(COLUMNS, NOW, N)
    assert_same(got, by_the_bundles(COLUMNS, N))
    assert np.isfinite(got.propensity[:, :12]).all() and np.isnan(got.propensity[:, 12:]).all()
    assert got.uplift[:, 0].std() > 0.01 and not np.allclose(got.uplift[:, 0], got.uplift[:, 1])


def test_a_contact_alone_gets_to_the_last_bit_what_he_gets_among_many() -> None:
    whole = JOINT(COLUMNS, NOW, N)
    for i in range(0, N, 7):
        alone = JOINT({name: column[i : i + 1] for name, column in COLUMNS.items()}, NOW, 1)
        assert_same(alone, Answers(*(getattr(whole, field.name)[i : i + 1] for field in fields(Answers))), rtol=0.0)


def test_two_threads_and_chunks_change_nothing() -> None:
    times = CONTACTS_AT_ONCE // N + 2
    many = {name: np.tile(column, times) for name, column in COLUMNS.items()}
    got, once = JOINT(many, NOW, N * times, threads=2), JOINT(COLUMNS, NOW, N)
    for field in fields(Answers):
        part = getattr(once, field.name)
        np.testing.assert_array_equal(getattr(got, field.name), np.tile(part, (times, *[1] * (part.ndim - 1))))


@pytest.mark.parametrize("kind", CLV_KINDS)
def test_every_kind_of_clv_is_what_its_bundle_says(kind: str) -> None:
    bundle = clv(kind)
    joint = JointScores.of(None, None, bundle, ARMS)
    assert joint.left_out == {}
    np.testing.assert_allclose(joint(COLUMNS, NOW, N).clv, bundle.clv(COLUMNS, NOW), rtol=1e-12)


def test_bundles_whose_encoders_differ_are_read_together() -> None:
    other = uplift(min_count=100)
    assert other.encoder.to_dict() != PROPENSITY.encoder.to_dict()
    assert_same(JointScores.of(PROPENSITY, other, CLV, ARMS, VALUED)(COLUMNS, NOW, N), by_the_bundles(COLUMNS, N, u=other))


@pytest.mark.parametrize(
    "present", [(True, False, False), (False, True, False), (False, False, True), (False, False, False), (True, True, False)]
)
def test_absent_bundles_say_nothing_and_change_nothing_else(present: tuple[bool, bool, bool]) -> None:
    some = [bundle if here else None for bundle, here in zip((PROPENSITY, UPLIFT, CLV), present, strict=True)]
    got, whole = JointScores.of(some[0], some[1], some[2], ARMS, VALUED)(COLUMNS, NOW, N), by_the_bundles(COLUMNS, N)  # type: ignore[arg-type]
    for name, here in zip(("propensity", "opt_out_risk", "value", "clv"), (present[0], present[0], present[0], present[2]), strict=True):
        expected = getattr(whole, name) if here else np.full_like(getattr(whole, name), np.nan)
        np.testing.assert_allclose(getattr(got, name), expected, rtol=1e-12, atol=1e-12)
    tau = UPLIFT.uplift(COLUMNS, NOW, ARMS) if not present[0] else whole.uplift
    np.testing.assert_allclose(got.uplift, tau if present[1] else np.full_like(tau, np.nan), rtol=1e-12, atol=1e-12)


def test_a_bundle_with_a_part_that_is_not_understood_stays_out_and_the_reason_is_told() -> None:
    strange = TreeScore(PROPENSITY.heads["fund"].trees.text.replace("num_class=1", "num_class=7"))  # type: ignore[union-attr]
    heads = {**PROPENSITY.heads, "fund": replace(PROPENSITY.heads["fund"], trees=strange)}
    joint = JointScores.of(replace(PROPENSITY, heads=heads), UPLIFT, clv("bg_nbd"), ARMS, VALUED)
    assert joint.left_out["propensity"] == "LightGBM's text: num_class; got 7; allowed: 1"
    assert joint.left_out["clv"] == "a model of transactions; got bg_nbd; allowed: pareto_nbd"
    got = joint(COLUMNS, NOW, N)
    assert np.isnan(got.propensity).all() and np.isnan(got.value).all() and np.isnan(got.clv).all()
    np.testing.assert_allclose(got.uplift, UPLIFT.uplift(COLUMNS, NOW, ARMS), rtol=1e-12, atol=1e-12)


anything = st.one_of(
    st.none(),
    st.floats(),
    st.integers(-(2**70), 2**70),
    st.text(max_size=3),
    st.sampled_from(["PL", "DE", "2026-01-05", "x"]),
    st.booleans(),
    st.datetimes(),
    st.just(np.datetime64("NaT", "us")),
    st.just(np.datetime64("1300-01-01", "D")),
)


@given(st.dictionaries(st.sampled_from(sorted(COLUMNS)), anything))
@settings(max_examples=150, deadline=None)
def test_whatever_a_column_holds_one_contact_gets_what_the_bundles_say(values: dict[str, Any]) -> None:
    one: dict[str, Any] = {}
    for name, value in values.items():
        one[name] = np.empty(1, dtype=object)
        one[name][0] = value
    for known in (one, {name: column[:1] for name, column in COLUMNS.items()} | one):
        assert_same(JOINT(known, NOW, 1), by_the_bundles(known, 1), rtol=1e-9)


@given(
    st.dictionaries(
        st.sampled_from(sorted(set(COLUMNS) - {"market"})), st.one_of(st.floats(), st.sampled_from([np.inf, -np.inf, np.nan, 1e300]))
    )
)
@settings(max_examples=100, deadline=None)
def test_extreme_numbers_get_what_the_bundles_say(values: dict[str, float]) -> None:
    numbers = {name: np.array([value]) for name, value in values.items() if DTYPES.get(name) not in ("string", "date", "timestamp")}
    known = {name: column[:1] for name, column in COLUMNS.items()} | numbers
    assert_same(JOINT(known, NOW, 1), by_the_bundles(known, 1), rtol=1e-9)
