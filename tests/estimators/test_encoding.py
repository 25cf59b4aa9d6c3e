"""What a column holds never stops a model; what it means is kept."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimators import encoding, encoding_numbers
from estimators.encoding import FeatureEncoder
from estimators.encoding_numbers import CLIP
from tests.estimators.worlds import DTYPES, NOW, mixed_columns

COLUMNS = mixed_columns(2000)
ENCODER = FeatureEncoder.fit(COLUMNS, DTYPES, NOW)


def one(name: str, value: Any, dtype: Any = object) -> dict[str, Any]:
    return {name: np.array([value], dtype=dtype)}


def linear_column(encoder: FeatureEncoder, name: str, columns: dict[str, Any]) -> float:
    return float(encoder.linear(columns, NOW)[0, encoder.linear_names.index(name)])


def test_a_row_alone_is_encoded_as_in_its_batch() -> None:
    whole = ENCODER.encode(COLUMNS, NOW)
    for i in (0, 17, 1999):
        alone = ENCODER.encode({name: column[i : i + 1] for name, column in COLUMNS.items()}, NOW)
        np.testing.assert_array_equal(alone.trees[0], whole.trees[i])
        np.testing.assert_array_equal(alone.linear[0], whole.linear[i])


def test_numbers_reach_the_trees_as_they_are_and_nulls_as_nan() -> None:
    trees = ENCODER.trees(COLUMNS, NOW)
    np.testing.assert_array_equal(trees[:, 0], COLUMNS["age"])
    assert np.isnan(trees[:, 0]).any()


def test_a_time_becomes_the_days_before_as_of() -> None:
    columns = one("opened_on", np.datetime64("2026-11-12", "us"), "datetime64[us]")
    assert ENCODER.trees(columns, NOW)[0, ENCODER.feature_names.index("opened_on")] == 10.0


def test_as_of_may_differ_by_row() -> None:
    column = {"opened_on": np.array(["2026-01-01", "2026-01-01"], dtype="datetime64[us]")}
    as_of = np.array(["2026-01-02", "2026-01-31"], dtype="datetime64[us]")
    assert ENCODER.trees(column, as_of)[:, 4].tolist() == [1.0, 30.0]


def test_a_null_in_a_category_goes_its_own_way() -> None:
    codes = [ENCODER.trees(one("market", value), NOW)[0, 3] for value in ("PL", "never seen", None)]
    assert len(set(codes)) == 3
    assert linear_column(ENCODER, "market is missing", one("market", None)) > 0
    assert linear_column(ENCODER, "market is missing", one("market", "PL")) < 0


def test_an_unseen_level_counts_as_a_rare_one() -> None:
    encoder = FeatureEncoder.fit(COLUMNS, DTYPES, NOW, min_count=50)
    rare, unseen = (encoder.trees(one("market", value), NOW)[0, 3] for value in ("rare", "never seen"))
    assert rare == unseen


def test_thousands_of_levels_are_cut_to_the_most_frequent() -> None:
    rng = np.random.default_rng(1)
    ids = np.array([f"level {i}" for i in rng.zipf(1.3, 20_000) % 5000], dtype=object)
    encoder = FeatureEncoder.fit({"id": ids}, {"id": "string"}, NOW, max_levels=50)
    codes = encoder.trees({"id": ids}, NOW)[:, 0]
    assert codes.max() == 50
    assert encoder.linear({"id": ids}, NOW).shape[1] == 20


def test_an_absent_column_counts_as_null() -> None:
    absent = ENCODER.encode({}, NOW)
    null = ENCODER.encode(dict.fromkeys(DTYPES, np.array([None], dtype=object)), NOW)
    np.testing.assert_array_equal(absent.trees, null.trees)
    np.testing.assert_array_equal(absent.linear, null.linear)


def test_columns_that_are_not_features_are_not_read() -> None:
    extra = {**{name: column[:1] for name, column in COLUMNS.items()}, "account_id": np.array([object()])}
    np.testing.assert_array_equal(ENCODER.linear(extra, NOW)[0], ENCODER.linear(COLUMNS, NOW)[0])


def test_a_linear_column_is_standardised_and_clipped() -> None:
    linear = ENCODER.linear(COLUMNS, NOW)
    assert np.abs(linear).max() <= CLIP
    assert np.abs(linear.mean(axis=0)).max() < 0.05
    age = linear[:, ENCODER.linear_names.index("age")]
    assert age.std() == pytest.approx(1.0, abs=0.05)
    assert linear_column(ENCODER, "income", one("income", 1e12)) == CLIP


def test_a_skewed_column_is_read_on_a_logarithmic_scale() -> None:
    steps = [linear_column(ENCODER, "income", one("income", value)) for value in (5e3, 2e4, 8e4)]
    assert steps[2] - steps[1] == pytest.approx(steps[1] - steps[0], rel=0.35)


def test_a_constant_or_empty_column_does_not_enter_the_linear_matrix() -> None:
    columns = {"constant": np.full(100, 3.0), "empty": np.full(100, np.nan), "x": np.arange(100.0)}
    encoder = FeatureEncoder.fit(columns, dict.fromkeys(columns, "float"), NOW)
    assert encoder.linear_names == ("x",)
    assert encoder.trees(columns, NOW).shape == (100, 3)


def test_the_scale_of_many_rows_is_read_from_some_and_what_hardly_varies_from_all(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    columns = {"x": rng.normal(5.0, 2.0, 20_000), "skewed": rng.lognormal(0.0, 1.5, 20_000), "rare": np.zeros(20_000)}
    columns["rare"][7] = 1.0
    whole = FeatureEncoder.fit(columns, dict.fromkeys(columns, "float"), NOW)
    monkeypatch.setattr(encoding_numbers, "SCALED_ON", 4_000)
    some = FeatureEncoder.fit(columns, dict.fromkeys(columns, "float"), NOW)
    assert some.linear_names == whole.linear_names == ("x", "skewed", "rare")
    assert some.numbers.mean[0] != whole.numbers.mean[0]
    np.testing.assert_allclose(some.linear(columns, NOW), whole.linear(columns, NOW), atol=0.2)
    assert (some.numbers.scale[2], some.numbers.mean[2]) == (whole.numbers.scale[2], whole.numbers.mean[2])


def test_an_encoder_comes_back_from_json_exactly() -> None:
    again = FeatureEncoder.from_dict(json.loads(json.dumps(ENCODER.to_dict(), allow_nan=False)))
    np.testing.assert_array_equal(again.linear(COLUMNS, NOW), ENCODER.linear(COLUMNS, NOW))
    np.testing.assert_array_equal(again.trees(COLUMNS, NOW), ENCODER.trees(COLUMNS, NOW))
    assert again.feature_names == ENCODER.feature_names == tuple(DTYPES)
    assert again.categorical_indices == (3,)


def test_times_with_a_zone_are_read_as_utc() -> None:
    values = ["2026-11-21T01:00:00+01:00", datetime(2026, 11, 21, tzinfo=UTC), "2026-11-21"]
    assert [ENCODER.trees(one("opened_on", value), NOW)[0, 4] for value in values] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("columns", "dtypes", "message"),
    [
        ({"a": np.zeros(2)}, {"a": "decimal"}, "the dtype of feature 'a' is not known; got 'decimal'"),
        ({"a": np.zeros(2), "b": np.zeros(3)}, {"a": "float"}, "the columns differ in length"),
    ],
)
def test_what_cannot_be_encoded_is_refused_plainly(columns: Any, dtypes: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FeatureEncoder.fit(columns, dtypes, NOW)


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=3),
    st.datetimes(),
    st.dates(),
    st.just(np.datetime64("NaT")),
    st.lists(st.integers(), max_size=2),
)


def as_objects(values: list[Any]) -> Any:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


@given(values=st.lists(anything, min_size=1, max_size=8), dtype=st.sampled_from(sorted(set(DTYPES.values()))))
def test_no_content_of_a_column_stops_the_encoder(values: list[Any], dtype: str) -> None:
    columns = {"x": as_objects(values)}
    fitted_on_it = FeatureEncoder.fit(columns, {"x": dtype}, NOW, min_count=1)
    fitted_before = FeatureEncoder.fit(COLUMNS, {"x": dtype, **DTYPES}, NOW)
    for encoder in (fitted_on_it, fitted_before):
        encoded = encoder.encode(columns, NOW)
        assert np.isfinite(encoded.linear).all()
        assert not np.isinf(encoded.trees).any()
    json.dumps(fitted_on_it.to_dict(), allow_nan=False)


@given(kind=st.sampled_from(["f4", "i2", "u1", "?", "M8[D]", "M8[us]", "m8[s]", "U3", "S3", "c16"]), name=st.sampled_from(sorted(DTYPES)))
def test_no_array_type_stops_the_encoder(kind: str, name: str) -> None:
    encoded = ENCODER.encode({name: np.zeros(3, dtype=kind)}, NOW)
    assert np.isfinite(encoded.linear).all()


def test_rows_kept_in_single_precision_are_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "ROWS_TOGETHER", 70)
    columns = {**mixed_columns(200), "huge": np.full(200, 1e300)}
    dtypes = {**DTYPES, "huge": "float"}
    moments = np.repeat(NOW, 200)
    encoder = FeatureEncoder.fit(columns, dtypes, moments)
    narrow, exact = encoder.encode_narrow(columns, moments), encoder.encode(columns, moments)
    assert narrow.trees.dtype == narrow.linear.dtype == np.float32
    assert not np.isinf(narrow.trees).any()
    np.testing.assert_array_equal(narrow.trees[:, :-1], exact.trees[:, :-1].astype(np.float32))
    np.testing.assert_array_equal(narrow.linear, exact.linear.astype(np.float32))
    np.testing.assert_array_equal(encoder.encode_narrow(columns, NOW).trees, narrow.trees)
