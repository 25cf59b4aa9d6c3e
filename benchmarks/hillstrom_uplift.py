"""Hillstrom by the protocol of the published comparison: ten random halves, stratified by arm; learned on one, valued on the other.

The uplift is what `nudge train` fits with its default settings. Policies are valued doubly robustly with cross-fitted nuisances; a
difference is paired with sending everybody the men's e-mail. Peers' figures were measured on the same protocol.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold

from benchmarks.commands import ROOT
from benchmarks.results import Figure
from decisioning.catalog import Catalog, parse_catalog
from estimators.encoding import FeatureEncoder
from measurement.uplift_curves import Experiment, qini_coefficient
from training.dataset import Dataset
from training.fit_uplift import fit_uplift
from training.labels import Labels, LoggedRows
from training.prepared import Prepared
from training.selection import Selection

Array = npt.NDArray[np.float64]

SPLITS, MARGIN, COST = 10, 0.30, 0.10
ARMS = ("no_action", "mens_email", "womens_email")
NUMBERS, TEXTS = ("recency", "history", "mens", "womens", "newbie"), ("history_segment", "zip_code", "channel")
DTYPES = {**dict.fromkeys(NUMBERS, "float"), **dict.fromkeys(TEXTS, "string")}
NOW = np.datetime64("2026-01-01", "us")
CAUSAL_FOREST, S_LEARNER = "EconML CausalForestDML", "S-learner, LightGBM"


@dataclass(frozen=True)
class Split:
    """What one half learned is worth on the other; `d_` are differences to the men's e-mail for everybody, each a contact."""

    qini_any: float
    qini_mens: float
    qini_womens: float
    d_visit: float
    d_spend: float
    profit: float
    d_conversion: float
    verdict: str


def split(seed: int) -> Split:
    """Learn on one half and value on the other."""
    table, test = _file(), ~_train(seed)
    scores = _doubly_robust()
    rows = np.arange(len(table))
    visits = _learned(seed, "visit", value=1.0, cost=0.0)
    per_visit = MARGIN * float(table.spend[~test].sum() / table.visit[~test].sum())
    money = _learned(seed, "visit", value=per_visit, cost=COST)
    conversions = _learned(seed, "conversion", value=1.0, cost=0.0)
    best_visit, best_money = _policy(visits[0], 1.0, 0.0), _policy(money[0], per_visit, COST)
    best_conversion = _policy(conversions[0], 1.0, 0.0)
    profit = MARGIN * scores["spend"] - COST * np.array([[0.0], [1.0], [1.0]])
    gained = (scores["conversion"][best_conversion, rows] - scores["conversion"][_best_arm(~test)])[test]
    return Split(
        qini_any=_qini(table, test, _learned(seed, "visit", value=1.0, cost=0.0, names=("any_email",))[0][:, 0], (1, 2)),
        qini_mens=_qini(table, test, visits[0][:, 0], (1,)),
        qini_womens=_qini(table, test, visits[0][:, 1], (2,)),
        d_visit=float((scores["visit"][best_visit, rows] - scores["visit"][1])[test].mean()),
        d_spend=float((scores["spend"][best_visit, rows] - scores["spend"][1])[test].mean()),
        profit=float(profit[best_money, rows][test].mean()),
        d_conversion=float(gained.mean()),
        verdict=money[1],
    )


def measure() -> Sequence[Figure]:
    """The figures of the published table, with standard errors over the splits."""
    with ProcessPoolExecutor(max_workers=min(2, os.cpu_count() or 1), mp_context=get_context("spawn")) as pool:
        splits = list(pool.map(split, range(SPLITS)))
    nothing = sum(one.verdict.startswith("personalising gains nothing significant") for one in splits)
    conversions = np.array([one.d_conversion for one in splits])
    conversion = float(conversions.mean())
    # Nadeau and Bengio's: the halves overlap, so the splits are far from independent.
    error = float(conversions.std(ddof=1) * np.sqrt(1.0 / SPLITS + 1.0))
    return [
        _figure(splits, "qini_any", "Qini of visits, any e-mail", "of the perfect ranking", (CAUSAL_FOREST, 0.040), ">= 0.036"),
        _figure(splits, "qini_womens", "Qini of visits, women's e-mail", "of the perfect ranking", (CAUSAL_FOREST, 0.069), ">= 0.066"),
        _figure(splits, "qini_mens", "Qini of visits, men's e-mail", "of the perfect ranking", (CAUSAL_FOREST, 0.010), ">= 0.012"),
        _figure(splits, "d_visit", "visits beyond the men's e-mail for all", "visits a contact", (CAUSAL_FOREST, 0.0006), ">= -0.001"),
        _figure(splits, "d_spend", "spend beyond the men's e-mail for all", "USD a contact", (S_LEARNER, -0.05), ">= -0.03"),
        _figure(splits, "profit", "profit", "USD a contact", (CAUSAL_FOREST, 0.312), ">= 0.310"),
        Figure("hillstrom_uplift.conversions beyond the best arm", conversion, f"conversions a contact (SE {error:.2g})"),
        Figure("hillstrom_uplift.the same in standard errors", conversion / error if error > 0 else 0.0, "standard errors", goal=">= -1"),
        Figure("hillstrom_uplift.splits in which the gate says that personalising gains nothing significant", nothing, f"of {SPLITS}"),
    ]


def _figure(splits: Sequence[Split], field: str, name: str, unit: str, peer: tuple[str, float], goal: str) -> Figure:
    values = np.array([getattr(one, field) for one in splits])
    error = values.std(ddof=1) * np.sqrt(1.0 / SPLITS + 1.0)
    return Figure(f"hillstrom_uplift.{name}", float(values.mean()), f"{unit} (SE {error:.2g})", peer=peer[0], peer_value=peer[1], goal=goal)


@cache
def _file() -> pd.DataFrame:
    table = pd.read_csv(Path(os.environ.get("NUDGE_DATA") or ROOT.parent / "shared" / "data") / "hillstrom.csv")
    table["arm"] = table["segment"].map({"No E-Mail": 0, "Mens E-Mail": 1, "Womens E-Mail": 2})
    return table


def _train(seed: int) -> npt.NDArray[np.bool_]:
    rng, arm = np.random.default_rng(seed), _file()["arm"].to_numpy()
    train = np.zeros(len(arm), dtype=bool)
    for k in range(3):
        members = rng.permutation(np.flatnonzero(arm == k))
        train[members[: len(members) // 2]] = True
    return train


def _best_arm(train: npt.NDArray[np.bool_]) -> int:
    table = _file()
    return int(np.argmax([table.conversion[train & (table.arm == k)].mean() for k in range(3)]))


@cache
def _doubly_robust() -> dict[str, Array]:
    """For each outcome the doubly robust score of each arm on each row, shape (3, n)."""
    table = _file()
    columns = {name: table[name].to_numpy(dtype=object if name in TEXTS else float) for name in DTYPES}
    x, arm = FeatureEncoder.fit(columns, DTYPES, NOW).linear(columns, NOW), table["arm"].to_numpy()
    out = {name: np.empty((3, len(arm))) for name in ("visit", "conversion", "spend")}
    for name, score in out.items():
        y = table[name].to_numpy(dtype=float)
        for k in range(3):
            for train, test in KFold(5, shuffle=True, random_state=0).split(x):
                rows = train[arm[train] == k]
                score[k, test] = _expected(x[rows], y[rows], x[test], money=name == "spend")
            score[k] += (arm == k) * 3.0 * (y - score[k])
    return out


def _expected(x: Array, y: Array, others: Array, *, money: bool) -> Array:
    if money:
        return np.asarray(Ridge(1000.0).fit(x, y).predict(others))
    return np.asarray(LogisticRegression(C=0.1).fit(x, y).predict_proba(others)[:, 1])


def _learned(seed: int, goal: str, *, value: float, cost: float, names: tuple[str, ...] = ARMS[1:]) -> tuple[Array, str]:
    """The uplift of each e-mail for everybody, shape (n, e-mails), learned on one half, and the gate's verdict."""
    table, train = _file(), _train(seed)
    fitted = fit_uplift(_prepared(table[train], goal, names), _catalog(goal, value, cost, names), seed=seed)
    columns: Any = {name: table[name].to_numpy(dtype=object if name in TEXTS else float) for name in DTYPES}
    verdict = "" if fitted.verdict is None else fitted.verdict.sentences[0]
    return fitted.bundle.uplift(columns, NOW, [(name, "email") for name in names]), verdict


def _prepared(rows: pd.DataFrame, goal: str, names: tuple[str, ...]) -> Prepared:
    n = len(rows)
    ids = np.array([f"c{i}" for i in rows.index], dtype=object)
    # One name for both e-mails asks what any e-mail changes.
    action = np.array(("no_action", names[0], names[-1]), dtype=object)[rows["arm"].to_numpy()]
    channel = np.array([None if name == "no_action" else "email" for name in action.tolist()], dtype=object)
    columns: Any = {name: rows[name].to_numpy(dtype=object if name in TEXTS else float) for name in DTYPES}
    never = np.full(n, np.datetime64("NaT", "us"))
    prob = np.where(action == "no_action", 1.0 / 3, 2.0 / 3 / len(names))
    logged = LoggedRows(ids, ids, action, channel, never, np.full(n, NOW), prob, np.ones(n))
    labels = Labels({goal: rows[goal].to_numpy(dtype=float)}, {})
    encoder = FeatureEncoder.fit(columns, DTYPES, NOW)
    data = Dataset(logged, labels, np.full(n, np.nan), columns)
    dtypes: Any = DTYPES
    nowhere = np.zeros(n, dtype=bool)
    return Prepared(data, encoder, encoder.encode(columns, NOW), Selection(prob, nowhere, nowhere), dtypes, "hillstrom")


def _catalog(goal: str, value: float, cost: float, names: tuple[str, ...]) -> Catalog:
    return parse_catalog(
        {
            "version": "1",
            "currency": "USD",
            "time_zone": "UTC",
            "channels": {"email": {"direction": "outbound", "cost": cost}},
            "outcomes": {goal: {"kind": "response", "window_days": 14}},
            "actions": [
                {"id": name, "issue": "sales", "goal": goal, "value": value, "treatments": [{"id": f"{name}_e", "channel": "email"}]}
                for name in names
            ],
        }
    )


def _policy(tau: Array, value: float, cost: float) -> npt.NDArray[np.int64]:
    """The arm of each row: 0 for nobody's e-mail."""
    expected = tau * value - cost
    return np.where(expected.max(axis=1) > 0, expected.argmax(axis=1) + 1, 0)


def _qini(table: pd.DataFrame, test: npt.NDArray[np.bool_], tau: Array, arms: tuple[int, ...]) -> float:
    arm = table["arm"].to_numpy()
    rows = test & np.isin(arm, (0, *arms))
    return qini_coefficient(Experiment(table["visit"].to_numpy(dtype=float)[rows], tau[rows], (arm[rows] > 0).astype(float)))
