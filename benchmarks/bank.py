"""Who answers yes to a call? Bank Marketing, without the length of the call: shuffled, the first years for the last, and block by block.

The example workspace, its features and the models of `nudge train` with their default settings. Shuffled folds have no order in time, so
the calls lose theirs there; in the other two protocols only earlier calls are learned from.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import RepeatedStratifiedKFold
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

from benchmarks.bank_peer import level_shift, rolling, shifted_by_the_block_before
from benchmarks.commands import ROOT, run
from benchmarks.results import Figure
from decisioning.catalog import Catalog
from decisioning.vocabulary import FloatArray, IntArray
from estimators.calibration import expected_calibration_error, log_losses
from training.dataset import Dataset, default_as_of, model_dtypes, read_dataset
from training.evaluation import top_lift
from training.fit_propensity import learn_propensity
from training.prepared import prepare

SPLITS, REPEATS = 5, 5
EARLIER_SHARE, BLOCKS = 0.7, 10
SEED = 7
ECONOMY = {"employment_variation_rate", "consumer_price_index", "consumer_confidence_index", "euribor_3m", "people_employed"}

Metric = Callable[[FloatArray, FloatArray], float]
METRICS: dict[str, Metric] = {
    "AUC": lambda y, p: float(roc_auc_score(y, p)),
    "log loss": lambda y, p: float(log_losses(y, p).mean()),
    "Brier score": lambda y, p: float(((y - p) ** 2).mean()),
    "calibration error": expected_calibration_error,
    "lift at 10 %": lambda y, p: top_lift(y, p, np.ones(len(y))),
}
SHUFFLED_GOALS = {
    "AUC": ">= 0.803",
    "log loss": "<= 0.2705",
    "Brier score": "<= 0.0765",
    "calibration error": "<= 0.010",
    "lift at 10 %": ">= 4.55",
}
SHUFFLED_PEERS = {"AUC": 0.8053, "log loss": 0.2696, "Brier score": 0.0762, "calibration error": 0.009, "lift at 10 %": 4.61}
ROLLING_GOALS = {"AUC": ">= 0.78", "log loss": "<= 0.462", "calibration error": "<= 0.020"}
TUNED = "LightGBM tuned on this file"
SHIFTED = "the same run's tuned LightGBM, shifted by the block before"


@dataclass(frozen=True, eq=False)
class Calls:
    """The calls of the example workspace, in order of time, with what is needed to learn from them."""

    data: Dataset
    catalog: Catalog
    dtypes: dict[str, str]

    @classmethod
    def read(cls, raw: Path, folder: Path) -> Calls:
        """Make the example workspace in `folder` and read its labelled calls and their features."""
        from nudge.ground.workspace import Workspace
        from nudge.verbs.features_ready import ensure_built

        run("init", folder, "--example", "bank_marketing", "--set", f"data={raw}")
        run("ingest", "-w", folder)
        workspace = Workspace.open(folder)
        ensure_built(workspace, lambda *_: None)
        data_dir = folder / "data"
        data = read_dataset(data_dir, workspace.catalog, workspace.door, default_as_of(data_dir))
        known = np.flatnonzero(~np.isnan(data.labels.happened["subscribed"]))
        return cls(data.take(known), workspace.catalog, dict(model_dtypes(workspace.door.contract)))

    @property
    def y(self) -> FloatArray:
        """1 where the client said yes."""
        return self.data.labels.happened["subscribed"]

    def without_times(self) -> Calls:
        """The same calls as a one-shot experiment."""
        never = np.full(len(self.data), np.datetime64("NaT", "us"))
        return replace(self, data=replace(self.data, rows=replace(self.data.rows, occurred_at=never)))

    def learn(self, past: IntArray, later: Sequence[IntArray]) -> tuple[list[FloatArray], list[str]]:
        """Probabilities of the later calls by a model of the past ones, and what training warns of."""
        train = prepare(self.data.take(past), self.dtypes, self.dtypes, "benchmark", seed=SEED)  # type: ignore[arg-type]
        with threadpool_limits(limits=1):
            learned = learn_propensity(train, self.catalog, seed=SEED)
        said = []
        for rows in later:
            part = self.data.take(rows)
            said.append(learned.bundle.propensity(part.features, part.rows.features_at, [("term_deposit", "call")])[:, 0])
        return said, learned.warnings


def measure() -> Sequence[Figure]:
    """The figures of the three protocols."""
    raw = Path(os.environ.get("NUDGE_DATA") or ROOT.parent / "shared" / "data") / "bank_marketing.csv"
    with tempfile.TemporaryDirectory() as folder:
        calls = Calls.read(raw, Path(folder) / "bank")
        return [*_shuffled(calls.without_times()), *_in_time(calls)]


def _shuffled(calls: Calls) -> list[Figure]:
    """Five times five stratified folds; standard errors by Nadeau and Bengio, since the folds share their rows."""
    folds = list(RepeatedStratifiedKFold(n_splits=SPLITS, n_repeats=REPEATS, random_state=SEED).split(calls.y, calls.y))
    said = _each(calls, [(past, [test]) for past, test in folds])
    figures = []
    for name, metric in METRICS.items():
        values = np.array([metric(calls.y[test], p[0]) for (_, test), (p, _) in zip(folds, said, strict=True)])
        error = float(values.std(ddof=1) * np.sqrt(1.0 / len(values) + 1.0 / (SPLITS - 1)))
        unit = f"5 x 5 stratified folds (SE {error:.2g})"
        figures.append(_figure(f"shuffled {name}", float(values.mean()), unit, SHUFFLED_PEERS[name], SHUFFLED_GOALS[name]))
    return figures


def _in_time(calls: Calls) -> list[Figure]:
    edges = np.linspace(int(EARLIER_SHARE * len(calls.data)), len(calls.data), BLOCKS + 1).astype(int)
    every = np.arange(len(calls.data))
    blocks = [every[start:end] for start, end in pairwise(edges)]
    later = every[edges[0] :]
    said = _each(calls, [(every[: edges[0]], [blocks[0], later]), *((every[: block[0]], [block]) for block in blocks[1:])])
    (_, once), warnings = said[0]
    named = [warning for warning in warnings if warning.startswith("features that drift")]
    economy = sum(name in " ".join(named) for name in ECONOMY)
    y = calls.y[later]
    figures = [
        Figure(
            "bank.first 70 % for the last 30 %, AUC",
            METRICS["AUC"](y, once),
            f"AUC (SE {_auc_error(y, once):.2g})",
            peer=TUNED,
            peer_value=0.562,
            goal=">= 0.66",
        ),
        Figure("bank.features of the economy that the drift report names", float(economy), "of 5", goal=">= 5"),
    ]
    return [*figures, *_rolling(calls, edges, [p[0] for p, _ in said])]


def _rolling(calls: Calls, edges: IntArray, said: Sequence[FloatArray]) -> list[Figure]:
    """Block by block, beside the recipe of the published figures, and beside ourselves if every block's level were known beforehand."""
    truth = [calls.y[start:end] for start, end in pairwise(edges.tolist())]
    y, ours = np.concatenate(truth), np.concatenate(said)
    shifted = shifted_by_the_block_before(rolling(calls.data.features, calls.y, edges), truth)
    recipe = np.concatenate(shifted)
    level_known = np.concatenate([expit(logit(p) + level_shift(of_block, p)) for of_block, p in zip(truth, said, strict=True)])
    errors = _bootstrap_errors(y, ours)
    figures = []
    for name, goal in ROLLING_GOALS.items():
        metric, unit = METRICS[name], f"10 rolling blocks (SE {errors[name]:.2g})"
        figures.append(Figure(f"bank.rolling {name}", metric(y, ours), unit, peer=SHIFTED, peer_value=metric(y, recipe), goal=goal))
    foreseen = METRICS["calibration error"](y, level_known)
    block_by_block = "bank.rolling calibration error, block by block"  # too high in one and too low in the next does not cancel here
    return [
        *figures,
        Figure("bank.rolling calibration error, had every block's level been known", foreseen, "10 rolling blocks"),
        Figure(block_by_block, _mean_error(truth, said), "mean of 10 blocks", peer=SHIFTED, peer_value=_mean_error(truth, shifted)),
    ]


def _mean_error(truth: Sequence[FloatArray], said: Sequence[FloatArray]) -> float:
    return float(np.mean([expected_calibration_error(y, p) for y, p in zip(truth, said, strict=True)]))


def _figure(name: str, value: float, unit: str, peer_value: float, goal: str) -> Figure:
    return Figure(f"bank.{name}", value, unit, peer=TUNED, peer_value=peer_value, goal=goal)


def _each(calls: Calls, jobs: Sequence[tuple[IntArray, list[IntArray]]]) -> list[tuple[list[FloatArray], list[str]]]:
    workers = min(2, os.cpu_count() or 1)
    with ProcessPoolExecutor(max_workers=workers, mp_context=get_context("spawn"), initializer=_begin, initargs=(calls,)) as pool:
        return list(pool.map(_job, jobs))


_CALLS: list[Calls] = []


def _begin(calls: Calls) -> None:
    _CALLS[:] = [calls]


def _job(job: tuple[IntArray, list[IntArray]]) -> tuple[list[FloatArray], list[str]]:
    return _CALLS[0].learn(*job)


def _auc_error(y: FloatArray, p: FloatArray) -> float:
    return _bootstrap_errors(y, p)["AUC"]


def _bootstrap_errors(y: FloatArray, p: FloatArray, resamples: int = 100) -> dict[str, float]:
    """Standard errors over resampled calls: how much they say, not how the next crisis would differ."""
    rng = np.random.default_rng(SEED)
    draws = [rng.integers(0, len(y), len(y)) for _ in range(resamples)]
    return {name: float(np.std([metric(y[rows], p[rows]) for rows in draws], ddof=1)) for name, metric in METRICS.items()}
