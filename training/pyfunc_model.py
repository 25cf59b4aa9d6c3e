"""What MLflow loads when anybody asks for `models:/NAME@champion`.

MLflow copies this file into each logged model (as `nudge_pyfunc.py`) beside the room `estimators` and the bundle. Hence the model answers
in any process that has numpy, pandas and LightGBM, whether Nudge is installed there or not; where it is, Nudge's own room is used. Nothing
here is pickled: the bundle is JSON and LightGBM text. A classifier of a user's own is opened where NUDGE_TRUSTED_TYPES in the environment
names its types, separated by commas.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Array = npt.NDArray[np.generic]
TIMES = ("date", "timestamp")


def _load_pyfunc(path: str, model_config: Mapping[str, Any]) -> BundleModel:
    """MLflow's entry: `path` is the bundle's folder, `model_config` names the model and its arms."""
    try:
        from estimators.bundle import load_bundle
    except ModuleNotFoundError:
        # At the end of the path: an installed Nudge keeps its own rooms.
        sys.path.append(str(Path(__file__).resolve().parent / "nudge_rooms"))
        from estimators.bundle import load_bundle
    arms = [(str(action), None if channel is None else str(channel)) for action, channel in model_config["arms"]]
    trusted = [name for name in os.environ.get("NUDGE_TRUSTED_TYPES", "").split(",") if name]
    return BundleModel(load_bundle(Path(path), trusted), str(model_config["model"]), arms)


class BundleModel:
    """A served bundle with MLflow's `predict`: features in, one column an arm out."""

    def __init__(self, bundle: Any, model: str, arms: Sequence[tuple[str, str | None]]) -> None:
        self.bundle = bundle
        self.model = model
        self.arms = list(arms)

    def predict(self, model_input: pd.DataFrame, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Predictions for each row of features, with the input's index.

        Parameters
        ----------
        model_input : DataFrame, shape (n, d)
            Feature columns by name; a column that is absent counts as NULL. Other columns are ignored.
        params : mapping, optional
            `as_of`: the instant to predict for, ISO 8601 UTC; the default is the as_of of training.

        Returns
        -------
        DataFrame, shape (n, arms)
            Columns as `arm_name` gives them: propensity or uplift; for the CLV model one column `clv`, for the lead score one `lead`.
        """
        as_of = np.datetime64(str((params or {})["as_of"]).removesuffix("Z"), "us")
        columns = frame_to_columns(model_input, self.bundle.feature_dtypes)
        if self.model == "clv":
            return pd.DataFrame({"clv": self.bundle.clv(columns, as_of)}, index=model_input.index)
        if self.model == "lead":
            return pd.DataFrame({"lead": self.bundle.probability(columns, as_of)}, index=model_input.index)
        values = getattr(self.bundle, self.model)(columns, as_of, self.arms)
        return pd.DataFrame(values, columns=[arm_name(arm) for arm in self.arms], index=model_input.index)


def arm_name(arm: tuple[str, str | None]) -> str:
    """The column of an arm: its action, and its channel where the log knew one.

    Examples
    --------
    >>> arm_name(("loan", "email")), arm_name(("loan", None))
    ('loan@email', 'loan')
    """
    action, channel = arm
    return action if channel is None else f"{action}@{channel}"


def frame_to_columns(frame: pd.DataFrame, dtypes: Mapping[str, str]) -> dict[str, Array]:
    """The feature columns of a data frame in the representation that bundles read; an absent column is all NULL.

    Examples
    --------
    >>> frame = pd.DataFrame({"age": [30, 41], "city": ["Łódź", None]})
    >>> frame_to_columns(frame, {"age": "int", "city": "string", "vip": "bool"})
    {'age': array([30., 41.]), 'city': array(['Łódź', None], dtype=object), 'vip': array([nan, nan])}
    """
    absent = pd.Series(np.full(len(frame), None, dtype=object), index=frame.index)
    return {name: _column(frame.get(name, absent), dtype) for name, dtype in dtypes.items()}


def _column(series: pd.Series, dtype: str) -> Array:
    if dtype == "string":
        null = series.isna().to_numpy()
        texts = np.full(len(series), None, dtype=object)
        texts[~null] = [str(value) for value in series[~null]]
        return texts
    if dtype in TIMES:
        return pd.to_datetime(series, utc=True).dt.tz_localize(None).to_numpy().astype("datetime64[us]")
    return pd.Series(pd.to_numeric(series.astype(object).mask(series.isna(), np.nan))).to_numpy(dtype=np.float64)
