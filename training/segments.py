"""Uplift as predicted and as measured on the test rows: by fifths of the prediction, and as Qini curves with their bands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from decisioning.vocabulary import FloatArray, IntArray
from measurement.uplift_curves import Experiment, UpliftCurve, qini_curve, resampled_curves, uplift_at
from training.evaluation import PairJudged
from training.prepared import Prepared

SEGMENTS = 5
RESAMPLES = 40
GRID = np.linspace(0.0, 1.0, 41)
NORMAL_95 = 1.96


@dataclass(frozen=True)
class Segment:
    """A fifth of the contacts of each action by predicted uplift, over all actions: means weighted by their contacted rows.

    `standard_error` takes the actions as independent; they share controls, so it is a little too small.
    """

    rows: int
    predicted: float
    measured: float
    standard_error: float


@dataclass(frozen=True, eq=False)
class QiniBand:
    """A Qini curve on `GRID`, with the 95 % band of a bootstrap over contacts; arrays of shape (41,)."""

    gain: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True, eq=False)
class UpliftShape:
    """Segments and bands of one model on its test rows."""

    segments: tuple[Segment, ...]
    bands: dict[str, QiniBand]

    @classmethod
    def of(cls, pairs: Mapping[int, PairJudged], test: Prepared, *, seed: int) -> UpliftShape:
        """Both at once."""
        return cls(uplift_segments(pairs, test), qini_bands(pairs, test, seed=seed))


def uplift_segments(pairs: Mapping[int, PairJudged], test: Prepared) -> tuple[Segment, ...]:
    """The fifths, lowest predicted uplift first; empty where no action has enough test rows of both arms in each."""
    found: list[tuple[float, list[tuple[int, float, float, float]]]] = []
    for pair in pairs.values():
        experiment = pair.experiment(test)
        parts = [_measured(experiment, rows) for rows in _fifths(experiment)]
        whole = [part for part in parts if part is not None]
        if len(whole) == SEGMENTS:
            found.append((float(test.data.rows.sample_weight[pair.rows] @ pair.exposed), whole))
    if not found:
        return ()
    share = np.array([size for size, _ in found]) / sum(size for size, _ in found)
    table = np.array([parts for _, parts in found])  # (actions, segments, 4)
    rows, means = table[:, :, 0].sum(axis=0), np.einsum("a,ask->sk", share, table[:, :, 1:3])
    errors = np.sqrt(np.einsum("a,as->s", share**2, table[:, :, 3] ** 2))
    return tuple(Segment(int(rows[k]), float(means[k, 0]), float(means[k, 1]), float(errors[k])) for k in range(SEGMENTS))


def segments_table(segments: tuple[Segment, ...]) -> str:
    """The fifths as markdown."""
    if not segments:
        return ""
    lines = ["| fifth by predicted uplift | rows | predicted | measured (95 %) |", "|---|---|---|---|"]
    for number, one in enumerate(segments, start=1):
        low, high = one.measured - NORMAL_95 * one.standard_error, one.measured + NORMAL_95 * one.standard_error
        lines.append(f"| {number} | {one.rows:,} | {one.predicted:+.4f} | {one.measured:+.4f} ({low:+.4f} to {high:+.4f}) |")
    return "\n".join(lines)


def qini_bands(pairs: Mapping[int, PairJudged], test: Prepared, *, seed: int) -> dict[str, QiniBand]:
    """The Qini curve of each action with its band; the model stays as it is."""
    bands = {}
    for number, pair in enumerate(pairs.values()):
        experiment = pair.experiment(test)
        contact = np.unique(test.data.rows.contact_id[pair.rows].astype(str), return_inverse=True)[1]
        rng = np.random.default_rng([seed, 0x0B, number])
        contacts = int(contact.max()) + 1
        draws = (np.bincount(rng.integers(0, contacts, contacts), minlength=contacts)[contact] for _ in range(RESAMPLES))
        drawn = [_on_grid(curve) for curve in resampled_curves(experiment, draws)]
        low, high = np.quantile(np.array(drawn), [0.025, 0.975], axis=0)
        bands[pair.action_id] = QiniBand(_on_grid(qini_curve(experiment)), low, high)
    return bands


def _counts(experiment: Experiment) -> FloatArray:
    """How many rows each row counts as, 1 on average."""
    assert experiment.stands_for is not None
    return np.asarray(experiment.stands_for / experiment.stands_for.mean(), dtype=np.float64)


def _fifths(experiment: Experiment) -> list[IntArray]:
    """The rows of each fifth of the whole log, lowest predicted uplift first; where they do not come out even the first are larger."""
    order = np.argsort(experiment.uplift, kind="stable")
    reached = np.cumsum(_counts(experiment)[order])
    size, over = divmod(float(reached[-1]), SEGMENTS)
    ends = [k * size + min(k, over) for k in range(1, SEGMENTS)]
    return np.split(order, np.searchsorted(reached, ends, side="right"))


def _measured(experiment: Experiment, rows: IntArray) -> tuple[int, float, float, float] | None:
    if not 1 < experiment.exposed[rows].sum() < len(rows) - 1:
        return None
    part = experiment.take(rows)
    found = uplift_at(part, 1.0)
    return len(rows), float(np.average(part.uplift, weights=_counts(part))), found.value, found.standard_error


def _on_grid(curve: UpliftCurve) -> FloatArray:
    return np.asarray(np.interp(GRID, curve.share, curve.gain), dtype=np.float64)
