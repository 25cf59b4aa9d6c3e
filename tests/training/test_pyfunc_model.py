from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from estimators.bundle import PropensityBundle
from estimators.encoding import FeatureEncoder
from estimators.heads import ResponseHead
from estimators.scores import LinearScore
from tests.training.conftest import AS_OF, a_run
from training.pyfunc_model import frame_to_columns
from training.tracking import Tracker

DTYPES = {"age": "int", "city": "string", "vip": "bool", "joined": "date"}
ARMS = [("loan", "email"), ("loan", None), ("card", None)]


def a_bundle() -> PropensityBundle:
    columns = {
        "age": np.array([20.0, 40.0, np.nan, 30.0]),
        "city": np.array(["Łódź", "Kraków", None, "Łódź"], dtype=object),
        "vip": np.array([1.0, 0.0, np.nan, 0.0]),
        "joined": np.array(["2020-01-01", "2025-01-01", "NaT", "2024-06-01"], dtype="datetime64[us]"),
    }
    encoder = FeatureEncoder.fit(columns, DTYPES, AS_OF, min_count=1)
    linear = LinearScore(-2.0, np.linspace(-0.5, 0.5, len(encoder.linear_names)))
    head = ResponseHead(0.1, (0.5, 0.5, 0.0), linear, None, None, 100, 10)
    return PropensityBundle("0123456789ab", encoder, {"loan": head}, {("loan", "email"): 0.3})


ROWS = pd.DataFrame(
    {
        "age": [25, 61],
        "city": ["Łódź", None],
        "vip": [True, False],
        "joined": pd.to_datetime(["2022-02-02", None]),
        "not_a_feature": [1, 2],
    },
    index=["c1", "c2"],
)

FRESH_PROCESS = """
import sys, mlflow, pandas as pd
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(f"models:/{sys.argv[2]}@champion")
rows = pd.read_json(sys.argv[3], orient="split", convert_dates=["joined"])
model.predict(rows).to_json(sys.argv[4], orient="split", double_precision=15)
model.predict(model.input_example)
"""


def test_any_process_loads_the_champion_by_mlflow_alone(tracker: Tracker, tmp_path: Path) -> None:
    bundle = a_bundle()
    published = tracker.publish(a_run("propensity", bundle=bundle, arms=ARMS))
    ROWS.to_json(tmp_path / "rows.json", orient="split", date_format="iso")
    arguments = [tracker.tracking_uri, published.name, str(tmp_path / "rows.json"), str(tmp_path / "answers.json")]

    ran = subprocess.run([sys.executable, "-c", FRESH_PROCESS, *arguments], cwd=tmp_path, capture_output=True, text=True)

    assert ran.returncode == 0, ran.stderr
    answers = pd.read_json(tmp_path / "answers.json", orient="split")
    expected = bundle.propensity(frame_to_columns(ROWS, DTYPES), AS_OF, ARMS)
    assert list(answers.columns) == ["loan@email", "loan", "card"]
    assert list(answers.index) == ["c1", "c2"]
    np.testing.assert_allclose(answers.to_numpy(dtype=float), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        (pd.Series([1, 2]), "float", [1.0, 2.0]),
        (pd.Series([True, None], dtype=object), "bool", [1.0, np.nan]),
        (pd.Series([True, pd.NA], dtype="boolean"), "bool", [1.0, np.nan]),
        (pd.Series([1.5, np.nan]), "int", [1.5, np.nan]),
        (pd.Series([3, pd.NA], dtype="Int64"), "int", [3.0, np.nan]),
        (pd.Series(["a", np.nan], dtype=object), "string", ["a", None]),
        (pd.Series(["a", None], dtype="category"), "string", ["a", None]),
        (pd.Series([7, None], dtype=object), "string", ["7", None]),
    ],
)
def test_a_column_of_any_pandas_dtype_is_read(values: pd.Series, dtype: str, expected: list[object]) -> None:
    columns = frame_to_columns(pd.DataFrame({"x": values}), {"x": dtype})

    assert [None if value != value else value for value in columns["x"].tolist()] == [
        None if value != value else value for value in expected
    ]


@pytest.mark.parametrize("zone", [None, "Europe/Warsaw"])
def test_times_become_utc(zone: str | None) -> None:
    values = pd.Series(pd.to_datetime(["2026-07-01T12:00", None])).dt.tz_localize(zone)

    read = frame_to_columns(pd.DataFrame({"x": values}), {"x": "timestamp"})["x"]

    assert read[0] == np.datetime64("2026-07-01T12:00" if zone is None else "2026-07-01T10:00")
    assert np.isnat(read[1])


def test_a_column_that_is_absent_is_null() -> None:
    columns = frame_to_columns(pd.DataFrame({"x": [1.0]}), {"age": "int", "city": "string", "joined": "date"})

    assert np.isnan(columns["age"]).all()
    assert columns["city"].tolist() == [None]
    assert np.isnat(columns["joined"]).all()
