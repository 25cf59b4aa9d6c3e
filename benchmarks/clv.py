"""CLV beside the published figures: the parameters of the CDNOW sample, weeks 40-78 of all CDNOW, a year of retail, a million buyers.

The predictions are those of `training.fit_clv` with its default settings: what `nudge train` would have served at the cut. Which model,
which weights and which level is chosen by a back-test within the days before the cut; nothing after it is looked at.
"""

from __future__ import annotations

import tempfile
import time
import tracemalloc
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from benchmarks.clv_data import DATA, Buyers, SimulatedShop, cdnow_sample, workspace
from benchmarks.results import Figure
from benchmarks.small_world import Array
from estimators.clv import Horizon, fit_btyd
from estimators.clv_bg_nbd import BetaGeo
from estimators.clv_gamma_gamma import GammaGamma
from estimators.clv_heads import BuyingHistory
from estimators.clv_intervals import RatioIntervals
from estimators.clv_pareto_nbd import ParetoNbd
from training.evaluation import normalised_gini
from training.fit_clv import fit_clv
from training.spending import spending_between

BTYD = "BG/NBD x Gamma-Gamma"
REFERENCE = "re-levelled blend, published beside it"
DAY = np.timedelta64(1, "D")
RESAMPLES = 200
MILLION = 1_000_000


@dataclass(frozen=True)
class Held:
    """Predictions of a held-out window, and what came; shape (contacts,) each.

    Attributes
    ----------
    covered : float
        Share of contacts whose money came within its 90 % interval.
    level, tested_level : float
        Money that came for one unit predicted, in this window and in the one that the intervals were learned on.
    covered_at_level : float
        `covered`, had the level of this window been foreseen.
    """

    count: Array
    money: Array
    came_count: Array
    came_money: Array
    covered: float
    level: float
    tested_level: float
    covered_at_level: float
    btyd_count: Array
    btyd_money: Array


def measure() -> Sequence[Figure]:
    """All figures; about two minutes on two cores."""
    return [*_sample(), *_cdnow(), *_retail(), *_coverage(), *_million()]


def _sample() -> list[Figure]:
    rows = cdnow_sample()
    bg, pareto, money = BetaGeo().fit(*rows[:, :3].T), ParetoNbd().fit(*rows[:, :3].T), GammaGamma().fit(rows[:, 0], rows[:, 3])
    found = [*bg.params_.to_dict().values(), *pareto.params_.to_dict().values(), *money.params_.to_dict().values()]
    published = [0.243, 4.414, 0.793, 2.426, 0.553, 10.58, 0.606, 11.67, 6.25, 3.74, 15.44]
    digits = [3, 3, 3, 3, 3, 2, 3, 2, 2, 2, 2]
    off = max(abs(x - y) * 10**k for x, y, k in zip(found, published, digits, strict=True))
    return [
        Figure("clv.CDNOW sample, 11 parameters, largest deviation", off, "units of the last published digit", goal="<= 1"),
        Figure("clv.CDNOW sample, BG/NBD log likelihood off by", abs(bg.log_likelihood_ + 9582.43), "nats", goal="<= 0.05"),
        Figure("clv.CDNOW sample, Pareto/NBD log likelihood off by", abs(pareto.log_likelihood_ + 9594.98), "nats", goal="<= 0.05"),
    ]


def _held(example: str, data: Path, as_of: np.datetime64, days: int) -> Held:
    with tempfile.TemporaryDirectory() as folder:
        made = workspace(example, data, as_of, days, Path(folder) / example)
        fitted = fit_clv(made.folder / "data", made.catalog, made.door, as_of, seed=7)
        if isinstance(fitted, str):
            raise RuntimeError(fitted)
        contacts, columns = made.door.population(as_of)
        came = spending_between(made.folder / "data", contacts, as_of, as_of + days * DAY)
        count = np.nan_to_num(fitted.bundle.expected_transactions(columns, as_of))
        low, high = fitted.bundle.interval(columns, as_of, coverage=0.9)
        history = BuyingHistory.of(columns, as_of)
        btyd = fit_btyd(history, Horizon(days, 1.0, 0.0), value_without_purchase=0.0, kinds=("bg_nbd",)).outlook(history, days, days)
        money = fitted.bundle.clv(columns, as_of)
        levels = came.money.sum() / money.sum(), fitted.money.sum() / fitted.predicted[fitted.served].sum()
        moved = levels[0] / levels[1]
        covered = [float(((came.money >= low * by - 1e-9) & (came.money <= high * by + 1e-9)).mean()) for by in (1.0, moved)]
        told = covered[0], *levels, covered[1]
        return Held(count, money, came.count, came.money, *told, np.nan_to_num(btyd.count), np.nan_to_num(btyd.money))


def _cdnow() -> list[Figure]:
    held = _held("cdnow", DATA / "cdnow_master.txt", np.datetime64("1997-10-01", "us"), 273)
    goals = {
        "purchases": {"MAE": (0.811, 0.815), "RMSE": (1.697, 1.71), "bias": (0.13, 0.15), "Gini": (None, 0.675)},
        "money": {"MAE": (32.3, 32.5), "RMSE": (92.0, 92.5), "bias": (None, 0.17), "Gini": (0.723, 0.715)},
    }
    figures = []
    for what, predicted, came in (("purchases", held.count, held.came_count), ("money", held.money, held.came_money)):
        found, errors = _errors(predicted, came), _standard_errors(predicted, came)
        for name, (reference, goal) in goals[what].items():
            unit = "share" if name in ("bias", "Gini") else what
            label, sign = f"clv.CDNOW weeks 40-78, {what}, {name}", ">=" if name == "Gini" else "<="
            peer = None if reference is None else REFERENCE
            figures.append(Figure(label, found[name], unit, peer=peer, peer_value=reference, goal=f"{sign} {goal}"))
            figures.append(Figure(f"{label}, standard error", errors[name], unit))
    return [*figures, Figure("clv.CDNOW weeks 40-78, money inside the 90 % interval", held.covered, "share of contacts")]


def _retail() -> list[Figure]:
    held = _held("online_retail", DATA / "online_retail.parquet", np.datetime64("2011-09-10", "us"), 90)
    figures = []
    parts = (("purchases", held.count, held.btyd_count, held.came_count), ("money", held.money, held.btyd_money, held.came_money))
    for what, predicted, btyd, came in parts:
        found, peer = _errors(predicted, came), _errors(btyd, came)
        for name in ("MAE", "RMSE"):
            label = f"clv.Online Retail, last 90 days, {what}, {name}"
            figures.append(Figure(label, found[name], what, BTYD, peer[name], goal="<= 1.0 x"))
        figures.append(Figure(f"clv.Online Retail, last 90 days, {what}, Gini", found["Gini"], "share", BTYD, peer["Gini"]))
    name, before = "clv.Online Retail, last 90 days, money", "the tested 90 days"
    return [
        *figures,
        Figure(f"{name} inside the 90 % interval", held.covered, "share of contacts"),
        Figure(f"{name} that came for one unit predicted", held.level, "units", peer=before, peer_value=held.tested_level),
        Figure(f"{name} inside the interval, had this been foreseen", held.covered_at_level, "share of contacts"),
    ]


def _errors(predicted: Array, came: Array) -> dict[str, float]:
    error = predicted - came
    return {
        "MAE": float(np.abs(error).mean()),
        "RMSE": float(np.sqrt((error**2).mean())),
        "bias": abs(float(error.sum() / came.sum())),
        "Gini": normalised_gini(came, predicted),
    }


def _standard_errors(predicted: Array, came: Array) -> dict[str, float]:
    """By bootstrap over the contacts."""
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, len(came), len(came)) for _ in range(RESAMPLES)]
    found = [_errors(predicted[rows], came[rows]) for rows in draws]
    return {name: float(np.std([one[name] for one in found], ddof=1)) for name in found[0]}


def _coverage() -> list[Figure]:
    """Intervals learned on one window of simulated buyers, measured on the next one, and over twice as long a horizon."""
    shop = SimulatedShop(40_000, seed=3, longest_days=900.0)
    before, now, later = shop.at(450.0, 90.0), shop.at(540.0, 90.0), shop.at(540.0, 180.0)
    horizon = Horizon(90.0, 1.0, 0.0)
    past = fit_btyd(_history(before), horizon, value_without_purchase=0.0).outlook(_history(before), 90.0, 90.0)
    intervals = RatioIntervals.fit(past.count, past.money, before.future_money)
    head = fit_btyd(_history(now), horizon, value_without_purchase=0.0)
    figures = []
    for days, came in ((90, now.future_money), (180, later.future_money)):
        seen = head.outlook(_history(now), float(days), float(days))
        low, high = intervals.of(seen.count, seen.money, 0.9)
        inside = float(((came >= low - 1e-9) & (came <= high + 1e-9)).mean())
        figures.append(
            Figure(f"clv.simulated, {days} days ahead, money inside the 90 % interval", inside, "share of contacts", goal=">= 0.87")
        )
    return figures


def _history(buyers: Buyers) -> BuyingHistory:
    everybody = np.ones(len(buyers.age), dtype=bool)
    return BuyingHistory(buyers.repeat, buyers.last_gap, buyers.age, buyers.mean_money, everybody)


def _million() -> list[Figure]:
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        history = _history(SimulatedShop(MILLION, seed=5, longest_days=730.0).at(730.0, 1.0))
        seconds, peak = pool.submit(_fit_a_million, history).result()
    figures = [Figure(f"clv.a million buyers, {name}", value, "s") for name, value in seconds.items()]
    return [*figures, Figure("clv.a million buyers, memory above the data", peak, "MB")]


def _fit_a_million(history: BuyingHistory) -> tuple[dict[str, float], float]:
    horizon = Horizon(365.0)
    seconds: dict[str, float] = {}
    for kind in ("pareto_nbd", "bg_nbd", "mbg_nbd"):
        began = time.perf_counter()
        head = fit_btyd(history, horizon, value_without_purchase=0.0, kinds=(kind,))
        seconds[f"{kind} x gamma_gamma fitted"] = time.perf_counter() - began
        began = time.perf_counter()
        head.clv(history, 365.0)
        seconds[f"{kind} x gamma_gamma scored"] = time.perf_counter() - began
    tracemalloc.start()
    fit_btyd(history, horizon, value_without_purchase=0.0).clv(history, 365.0)
    return seconds, tracemalloc.get_traced_memory()[1] / 1e6
