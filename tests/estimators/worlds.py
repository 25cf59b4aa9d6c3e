"""Simulated businesses whose truth is known, for the tests of this folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from estimators.arrays import Columns, FloatArray

NOW = np.datetime64("2026-11-22T00:00:00", "us")

DTYPES = {
    "age": "int",
    "income": "float",
    "is_member": "bool",
    "market": "string",
    "opened_on": "date",
    "last_login_at": "timestamp",
}


def mixed_columns(n: int, seed: int = 0) -> Columns:
    """Every dtype with NULLs in each; `income` is skewed, `market` has rare levels."""
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {
        "age": rng.integers(18, 90, n).astype(float),
        "income": rng.lognormal(8.0, 1.5, n),
        "is_member": (rng.random(n) < 0.3).astype(float),
        "market": rng.choice(np.array(["PL", "DE", "CZ", "rare"], dtype=object), n, p=[0.6, 0.3, 0.09, 0.01]),
        "opened_on": NOW - rng.integers(1, 3000, n).astype("timedelta64[D]"),
        "last_login_at": NOW - rng.integers(1, 10**7, n).astype("timedelta64[s]"),
    }
    for name, column in columns.items():
        null = None if name == "market" else np.datetime64("NaT") if name in ("opened_on", "last_login_at") else np.nan
        column[rng.random(n) < 0.05] = null
    return columns


@dataclass(frozen=True)
class Trial:
    """A logged policy over {action, no_action} with its truth."""

    x: FloatArray
    y: FloatArray
    w: FloatArray
    weight: FloatArray
    baseline: FloatArray
    uplift: FloatArray


def trial(n: int, *, seed: int, effect: float = 0.3, spread: float = 0.0, confounded: bool = False) -> Trial:
    """Responses with log odds -2 + 0.6 x0 - 0.5 x1, plus (where contacted) effect + spread * (x2 - 0.5 x0).

    With `confounded`, the logging policy contacts those who would respond anyway much more often, and logs with which probability.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6))
    base = -2.0 + 0.6 * x[:, 0] - 0.5 * x[:, 1]
    baseline, propensity = expit(base), expit(base + effect + spread * (x[:, 2] - 0.5 * x[:, 0]))
    chosen = np.clip(expit(1.2 * x[:, 0]), 0.1, 0.9) if confounded else np.full(n, 0.5)
    w = (rng.random(n) < chosen).astype(float)
    y = (rng.random(n) < np.where(w == 1, propensity, baseline)).astype(float)
    return Trial(x, y, w, 1.0 / np.where(w == 1, chosen, 1.0 - chosen), baseline, propensity - baseline)
