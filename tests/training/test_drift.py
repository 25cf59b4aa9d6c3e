"""What drifts is named, what misleads later is not served, and noise is neither."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from decisioning.catalog import Catalog, parse_catalog
from estimators.encoding import FeatureEncoder
from estimators.heads import ResponseHead
from tests.training.workspaces import CATALOG
from training.dataset import Dataset
from training.drift import DriftReport, drift_report, without
from training.feature_shift import stability_indices, two_sample_auc
from training.fit_propensity import HeadFit, learn_propensity
from training.labels import Labels, LoggedRows
from training.prepared import Prepared
from training.selection import Selection

START = np.datetime64("2026-01-01", "us")
DTYPES = {"steady": "float", "trend": "float", "season": "string", "trap": "float"}


def a_catalog() -> Catalog:
    actions = [{"id": "loan", "goal": "loan_taken", "value": 100, "treatments": [{"id": "l_e", "channel": "email"}]}]
    return parse_catalog({**CATALOG, "actions": actions})


def a_log(*, drifting: bool, n: int = 4_000, seed: int = 0) -> Prepared:
    """`steady` explains the response always. Where it drifts, `trend` and `season` follow the calendar, and `trap` turns round late:
    it says nothing true of the later rows, and is larger in them."""
    rng = np.random.default_rng(seed)
    days = np.sort(rng.uniform(0.0, 300.0, n))
    turned = np.where(days < 235.0, 1.0, -1.0) if drifting else np.zeros(n)
    features = {
        "steady": rng.normal(size=n),
        "trend": (days / 100.0 if drifting else 0.0) + rng.normal(0, 0.3, n),
        "season": (np.array(["spring", "summer", "autumn", "winter"], dtype=object))[
            (days // 75).astype(int) % 4 if drifting else rng.integers(0, 4, n)
        ],
        "trap": rng.normal(size=n) - 1.5 * (turned - 1.0) * drifting,
    }
    signal = features["trap"] - 3.0 * (turned < 0)
    y = (rng.random(n) < expit(-1.5 + 0.8 * features["steady"] + 1.5 * turned * signal)).astype(float)
    at = START + (days * 86_400_000_000).astype("timedelta64[us]")
    ids = np.array([f"i{i}" for i in range(n)], dtype=object)
    rows = LoggedRows(
        ids, ids, np.full(n, "loan", dtype=object), np.full(n, "email", dtype=object), at, at, np.ones(n), sample_weight=np.ones(n)
    )
    data = Dataset(rows, Labels({"loan_taken": y}, {"loan_taken": np.full(n, np.nan)}), np.full(n, np.nan), features)
    encoder = FeatureEncoder.fit(features, DTYPES, at)
    selection = Selection(np.ones(n), np.zeros(n, dtype=bool), np.zeros(n, dtype=bool))
    return Prepared(data, encoder, encoder.encode(features, at), selection, DTYPES, "hash")  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def drifted() -> Prepared:
    return a_log(drifting=True)


@pytest.fixture(scope="module")
def report(drifted: Prepared) -> DriftReport:
    found = drift_report(drifted, a_catalog(), seed=7)
    assert found is not None
    return found


def test_features_that_follow_the_calendar_are_named_and_steady_ones_are_not(report: DriftReport) -> None:
    assert set(report.drifting) == {"trend", "season", "trap"}
    assert report.indices["steady"] < 0.05
    assert report.area > 0.9
    assert report.warnings[0].startswith("features that drift in time (stability index above 0.25): ")
    assert all(name in report.warnings[0] for name in report.drifting)


def test_a_feature_that_misleads_on_later_rows_is_not_served_and_the_gain_is_said(report: DriftReport) -> None:
    assert "trap" in report.dropped
    assert report.alone["trap"].sure
    assert any("not served, because later rows are predicted better" in line and "trap" in line for line in report.warnings)
    assert report.metrics["drift.gain_without.trap"] > 0.01


def test_the_served_model_does_not_read_what_was_dropped(drifted: Prepared) -> None:
    learned = learn_propensity(drifted, a_catalog(), seed=7)
    head = learned.bundle.heads["loan"]
    assert isinstance(head, ResponseHead)
    other = dict(drifted.data.features) | {"trap": np.full(len(drifted), 50.0)}
    at = drifted.data.rows.features_at

    seen, changed = (head.probability(drifted.encoder.encode(columns, at)) for columns in (drifted.data.features, other))

    np.testing.assert_array_equal(seen, changed)
    assert seen.std() > 0.02


def test_what_was_judged_without_a_feature_is_served_without_it(drifted: Prepared) -> None:
    judged = drift_report(drifted, a_catalog(), seed=7)
    assert judged is not None

    served = drift_report(drifted, a_catalog(), seed=8, judged=replace(judged, dropped=("age",)))

    assert served is not None
    assert served.dropped == ("age",)
    assert served.drifting == judged.drifting
    assert served.alone == judged.alone


def test_where_nothing_drifts_nothing_is_said_and_nothing_dropped() -> None:
    found = drift_report(a_log(drifting=False, seed=3), a_catalog(), seed=7)

    assert found is not None
    assert (found.drifting, found.dropped, found.warnings) == ((), (), [])
    assert abs(found.area - 0.5) < 4 * found.area_error


def test_without_times_or_with_few_rows_there_is_no_report(drifted: Prepared) -> None:
    never = replace(drifted.data.rows, occurred_at=np.full(len(drifted), np.datetime64("NaT", "us")))

    assert drift_report(replace(drifted, data=replace(drifted.data, rows=never)), a_catalog(), seed=7) is None
    assert drift_report(drifted.take(np.arange(0, 4_000, 10)), a_catalog(), seed=7) is None


def test_dropping_a_feature_leaves_the_other_columns_alone(drifted: Prepared) -> None:
    every, before = np.arange(len(drifted)), drifted.encoded.linear.copy()
    left = without(drifted.encoder, drifted.encoded, every, ("season",))
    names = drifted.encoder.linear_features
    of_season = np.array([name == "season" for name in names])

    assert len(names) == drifted.encoded.linear.shape[1] == len(drifted.encoder.linear_names)
    assert (left.linear[:, of_season] == 0.0).all()
    np.testing.assert_array_equal(HeadFit(dropped=("season",)).seen(drifted, np.arange(5)).linear, left.linear[:5])
    np.testing.assert_array_equal(left.linear[:, ~of_season], drifted.encoded.linear[:, ~of_season])
    np.testing.assert_array_equal(without(drifted.encoder, drifted.encoded, every, ()).linear, before)
    np.testing.assert_array_equal(drifted.encoded.linear, before)


def test_the_stability_index_knows_categories_and_missing_values_and_forgives_chance() -> None:
    rng = np.random.default_rng(1)
    later = np.arange(2_000) >= 1_000
    levels = rng.integers(0, 200, 2_000).astype(float)
    missing = np.where(later & (rng.random(2_000) < 0.5), np.nan, rng.normal(size=2_000))
    moved = np.where(later & (rng.random(2_000) < 0.5), 3.0, levels)

    found = stability_indices(np.column_stack([levels, missing, moved]), (0, 2), later)

    assert found[0] < 0.25
    assert found[1] > 0.25
    assert found[2] > 0.25


def test_a_classifier_cannot_tell_apart_what_is_alike() -> None:
    rng = np.random.default_rng(2)
    x, later = rng.normal(size=(3_000, 4)), rng.random(3_000) < 0.3

    alike, error = two_sample_auc(x, (), later, seed=1)
    apart, _ = two_sample_auc(x + later[:, None], (), later, seed=1)

    assert abs(alike - 0.5) < 4 * error
    assert apart > 0.75
