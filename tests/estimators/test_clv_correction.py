"""Corrections and intervals: learned where BTYD is wrong, refused where they are noise, served exactly as trained."""

from __future__ import annotations

from pathlib import Path

import lightgbm
import numpy as np
import pytest

from estimators.arrays import Columns, FloatArray
from estimators.bundle import ClvBundle, load_bundle
from estimators.clv_bg_nbd import BetaGeoParams
from estimators.clv_blend import BlendedClvHead, ColumnsRead, blended
from estimators.clv_correction import (
    POISSON,
    TWEEDIE,
    Moment,
    choose_weights,
    correction_columns,
    deviances,
    fit_corrections,
    level_factors,
    needed,
)
from estimators.clv_gamma_gamma import GammaGammaParams
from estimators.clv_heads import BtydClvHead, BuyingHistory, Outlook
from estimators.clv_intervals import COVERAGES, RatioIntervals
from estimators.encoding import Encoded, FeatureEncoder
from estimators.scores import TreeScore
from tests.estimators.worlds import NOW


def moment(n: int, seed: int, effect: float) -> Moment:
    """Buyers of whom BTYD expects the right number, but for a factor exp(+-effect) that the first feature tells."""
    rng = np.random.default_rng(seed)
    traits = rng.normal(size=(n, 3))
    expected = rng.gamma(2.0, 0.5, n)
    price = rng.gamma(5.0, 4.0, n)
    truth = expected * np.exp(effect * np.sign(traits[:, 0]))
    count = rng.poisson(truth).astype(float)
    money = np.where(count > 0, rng.gamma(3.0 * np.maximum(count, 1), price / 3.0), 0.0)
    return Moment(Encoded(traits, traits), Outlook(np.full(n, 0.8), expected, price, np.ones(n)), count, money)


def members(seen: Moment, learned_from: Moment) -> tuple[FloatArray, FloatArray]:
    corrections = fit_corrections([learned_from], [])
    counts, moneys = corrections.counts(seen.rows, seen.outlook), corrections.moneys(seen.rows, seen.outlook)
    return counts * level_factors(counts), moneys * level_factors(moneys)


def test_corrections_that_share_their_bins_are_those_that_are_learned_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    binned: list[int] = []
    construct = lightgbm.Dataset.construct
    monkeypatch.setattr(lightgbm.Dataset, "construct", lambda data: binned.append(id(data)) or construct(data))
    past = moment(4_000, 0, effect=0.6)
    together = fit_corrections([past], []).scores
    assert len(set(binned)) == 1  # so few rows ask for leaves of one size
    for name, score in together.items():
        alone = fit_corrections([past], [], names=[name]).scores[name]
        assert isinstance(score, TreeScore) and isinstance(alone, TreeScore)
        assert score.text == alone.text


def test_what_btyd_gets_wrong_is_corrected_and_the_later_window_confirms_it() -> None:
    later = moment(4_000, 1, effect=0.6)
    counts, moneys = members(later, moment(4_000, 0, effect=0.6))
    for came, found, power in ((later.count, counts, POISSON), (later.money, moneys, TWEEDIE)):
        verdict = choose_weights(found, came, power)
        assert verdict.weights[0] < 0.5
        assert verdict.gain > 3 * verdict.standard_error
    up = later.columns.trees[:, 0] > 0
    corrected = counts[:, 1] / counts[:, 0]
    # The truth is exp(1.2) = 3.3; few regularised trees go most of the way.
    assert 2.0 < corrected[up].mean() / corrected[~up].mean() < 3.4


def test_corrections_of_nothing_get_no_weight() -> None:
    alone = 0
    for seed in range(4):
        later = moment(1_500, 10 + seed, effect=0.0)
        counts, _ = members(later, moment(1_500, 20 + seed, effect=0.0))
        alone += choose_weights(counts, later.count, POISSON).weights.tolist() == [1.0, 0.0, 0.0]
    assert alone >= 3


def test_corrections_that_point_the_wrong_way_get_no_weight() -> None:
    later = moment(2_000, 1, effect=-0.6)
    counts, moneys = members(later, moment(2_000, 0, effect=0.6))
    assert choose_weights(counts, later.count, POISSON).weights.tolist() == [1.0, 0.0, 0.0]
    assert choose_weights(moneys, later.money, TWEEDIE).weights.tolist() == [1.0, 0.0, 0.0, 0.0]


def test_the_blend_keeps_the_total_of_btyd() -> None:
    found = np.random.default_rng(0).gamma(1.0, 1.0, (500, 3)) * [1.0, 2.0, 0.2]
    weights = np.array([0.2, 0.5, 0.3]) * level_factors(found)
    assert blended(found, weights).sum() == pytest.approx(found[:, 0].sum())


def test_the_deviance_is_least_at_the_mean() -> None:
    y = np.random.default_rng(0).gamma(0.5, 4.0, 20_000)
    for power in (POISSON, TWEEDIE):
        at = [deviances(y, np.full(len(y), y.mean() * factor), power).mean() for factor in (0.8, 1.0, 1.25)]
        assert at[1] < min(at[0], at[2])


def test_too_few_buyers_are_refused_in_words() -> None:
    with pytest.raises(ValueError, match="too few buyers; got 50, .* allowed: 200 or more"):
        fit_corrections([moment(50, 0, 0.5)], [])


def test_columns_that_only_grow_with_the_calendar_are_not_read() -> None:
    names = ["age", "tenure_days", "joined_on", "days_since_last_purchase", "last_gap_days"]
    assert correction_columns(names, ["int", "float", "date", "float", "float"]) == (0, 3)


def columns(n: int) -> Columns:
    rng = np.random.default_rng(5)
    bought = rng.random(n) < 0.8
    first = np.floor(rng.uniform(30, 300, n))
    repeat = np.where(bought, rng.poisson(2.0, n), 0).astype(float)
    return {
        "purchase_count": np.where(bought, repeat + 1, 0.0),
        "days_since_first_purchase": np.where(bought, first, np.nan),
        "repeat_purchase_days": repeat,
        "last_gap_days": np.where(repeat > 0, np.floor(first * rng.random(n)), np.nan),
        "repeat_purchase_value_mean": np.where(repeat > 0, rng.gamma(5.0, 5.0, n), np.nan),
        "visits": rng.poisson(3.0, n).astype(float),
    }


def blended_bundle() -> ClvBundle:
    rows = columns(900)
    dtypes = dict.fromkeys(rows, "float")
    encoder = FeatureEncoder.fit(rows, dtypes, NOW)
    used = correction_columns(encoder.feature_names, list(dtypes.values()))
    btyd = BtydClvHead(BetaGeoParams(0.8, 40.0, 0.9, 3.0), GammaGammaParams(5.0, 4.0, 30.0), 0.5, 0.1, 7.0)
    history = BuyingHistory.of(rows, NOW)
    buyers = history.is_buyer
    rng = np.random.default_rng(1)
    outlook = btyd.outlook(history, 90.0, 90.0).take(buyers)
    count = rng.poisson(outlook.count * np.exp(0.3 * (rows["visits"][buyers] - 3))).astype(float)
    read = ColumnsRead(used)
    corrections = fit_corrections([Moment(read.of(encoder.encode(rows, NOW).take(buyers)), outlook, count, count * 25.0)], [])
    counts, moneys = np.array([0.4, 0.3, 0.3]), np.array([0.4, 0.0, 0.2, 0.4])
    head = BlendedClvHead(btyd, 90.0, read, corrections.only(needed(counts, moneys)), counts, moneys)
    intervals = RatioIntervals.fit(outlook.count, outlook.money, count * 25.0)
    return ClvBundle("abc", encoder, head, 365.0, 900, intervals)


def test_a_blend_is_served_exactly_as_trained_and_a_contact_gets_the_same_alone(tmp_path: Path) -> None:
    bundle, rows = blended_bundle(), columns(900)
    bundle.save(tmp_path / "clv")
    again = load_bundle(tmp_path / "clv")
    assert isinstance(again, ClvBundle)
    assert again.method == "bg_nbd x gamma_gamma, corrected by lightgbm"
    clv = bundle.clv(rows, NOW)
    np.testing.assert_array_equal(again.clv(rows, NOW), clv)
    np.testing.assert_array_equal(again.interval(rows, NOW), bundle.interval(rows, NOW))
    np.testing.assert_array_equal(again.clv(rows, NOW, encoded=again.encode(rows, NOW)), clv)
    for i in range(8):
        one = {name: column[i : i + 1] for name, column in rows.items()}
        assert again.clv(one, NOW)[0] == clv[i]
        assert again.expected_transactions(one, NOW)[0] == pytest.approx(bundle.expected_transactions(rows, NOW)[i], nan_ok=True)
    assert (clv[rows["purchase_count"] == 0] == 7.0).all()
    assert np.isnan(bundle.probability_alive(rows, NOW)[rows["purchase_count"] == 0]).all()


def test_whatever_the_columns_hold_clv_is_finite() -> None:
    bundle = blended_bundle()
    broken: Columns = {
        "purchase_count": np.array([np.inf, -3.0, np.nan, 100_000.0]),
        "days_since_first_purchase": np.array([1e9, 10.0, -5.0, 300.0]),
        "repeat_purchase_days": np.array([np.nan, -1.0, 3.0, 99_999.0]),
        "last_gap_days": np.array([np.nan, 99.0, np.inf, 300.0]),
        "repeat_purchase_value_mean": np.array([-50.0, 0.0, np.nan, 1e12]),
    }
    assert np.isfinite(bundle.clv(broken, NOW)).all()
    assert np.isfinite(bundle.clv({}, NOW)).all()


def test_intervals_cover_what_they_say_of_contacts_like_those_they_learned_from() -> None:
    seen, fresh = moment(6_000, 0, effect=0.5), moment(6_000, 1, effect=0.5)
    intervals = RatioIntervals.fit(seen.outlook.count, seen.outlook.money, seen.money)
    again = RatioIntervals.from_dict(intervals.to_dict())
    for coverage in COVERAGES[1:]:
        low, high = again.of(fresh.outlook.count, fresh.outlook.money, coverage)
        inside = ((fresh.money >= low) & (fresh.money <= high)).mean()
        # Where many buy nothing, [0, 0] may hold more of them than was asked for.
        assert coverage - 0.02 < inside < coverage + 0.04


def test_those_who_bought_nothing_have_bounds_of_their_own() -> None:
    rng = np.random.default_rng(2)
    count = np.where(np.arange(2_000) < 1_000, np.nan, 3.0)
    expected = np.full(2_000, 30.0)
    came = np.where(np.isnan(count), 0.0, rng.gamma(4.0, 7.5, 2_000))
    intervals = RatioIntervals.fit(count, expected, came)
    low, high = intervals.of(np.array([np.nan, 3.0]), np.array([30.0, 30.0]), 0.9)
    assert high[0] == 0.0
    assert 5.0 < low[1] < 15.0
    assert 50.0 < high[1] < 80.0


def test_a_coverage_that_was_not_learned_is_refused() -> None:
    seen = moment(500, 0, 0.0)
    intervals = RatioIntervals.fit(seen.outlook.count, seen.outlook.money, seen.money)
    with pytest.raises(ValueError, match=r"got 0.77; allowed: 0.5, 0.8, 0.9, 0.95"):
        intervals.of(seen.outlook.count, seen.outlook.money, 0.77)
    with pytest.raises(ValueError, match="too few contacts in the back-test; got 10"):
        RatioIntervals.fit(np.ones(10), np.ones(10), np.ones(10))
