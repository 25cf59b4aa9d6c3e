r"""Does a ranking by uplift put those first who respond because of us?

Notation: rows ordered by predicted uplift, largest first; among the first k, :math:`N_t, N_c` are the weights of the exposed and the
others and :math:`Y_t, Y_c` their weighted outcomes. The weight of a row is 1 / its ``selection_prob``: it makes both arms speak for
everybody, also where the logging policy exposed some kinds of contacts more than others. Without weights every row counts the same,
which is right for an experiment with one probability of exposure.

Rows of equal predicted uplift enter together: a ranking that does not tell contacts apart gains nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from measurement.arrays import FloatArray, between, column
from measurement.intervals import LEVEL, Interval, bootstrap, clustered_interval, normal_interval


@dataclass(frozen=True)
class UpliftCurve:
    """A curve from (0, 0): at each ``share`` of contacts exposed, the ``gain`` in outcome a contact of the whole population."""

    share: FloatArray
    gain: FloatArray

    @property
    def area(self) -> float:
        """Area under the curve, by trapezoids."""
        return float(np.trapezoid(self.gain, self.share))

    @property
    def area_above_random(self) -> float:
        """Area between the curve and the straight line to its end: what the order adds to exposing as many at random."""
        return self.area - float(self.gain[-1]) / 2.0


@dataclass(frozen=True)
class Experiment:
    """Rows of an experiment with a predicted uplift.

    Parameters
    ----------
    outcome : array-like, shape (n,)
        :math:`y_i`: 0/1, or money.
    uplift : array-like, shape (n,)
        Predicted, out of sample; only its order matters to the curves.
    exposed : array-like of 0/1, shape (n,)
        :math:`w_i`; both arms must occur.
    weight : array-like, shape (n,), optional
        1 / ``selection_prob`` of what happened to the row; above 0.
    stands_for : array-like, shape (n,), optional
        How many rows of the whole log each row stands for; above 0.
    contact : array, shape (n,), optional
        Whose row it is: the rows of a contact are not independent, and intervals then count contacts.

    Raises
    ------
    ValueError
        Columns of different lengths, NaN, or an arm without rows.
    """

    outcome: FloatArray
    uplift: FloatArray
    exposed: FloatArray
    weight: FloatArray | None = None
    stands_for: FloatArray | None = None
    contact: npt.NDArray[np.generic] | None = None

    def __post_init__(self) -> None:
        outcome = column("outcome", self.outcome)
        exposed = column("exposed", self.exposed, outcome.size)
        if not np.isin(exposed, (0.0, 1.0)).all():
            raise ValueError("exposed: expected 0 or 1 in every row")
        if exposed.min() == exposed.max():
            raise ValueError(
                f"exposed: got {exposed[0]:g} in every row, expected both arms: without a control there is no uplift to measure"
            )
        checked = {"outcome": outcome, "uplift": column("uplift", self.uplift, outcome.size), "exposed": exposed}
        for name in ("weight", "stands_for"):
            given = getattr(self, name)
            checked[name] = np.ones(outcome.size) if given is None else column(name, given, outcome.size)
            between(name, checked[name], 0.0, np.inf, open_low=True)
        for name, array in checked.items():
            object.__setattr__(self, name, array)

    @property
    def heft(self) -> FloatArray:
        """What each row counts for in sums over an arm, shape (n,)."""
        assert self.weight is not None and self.stands_for is not None
        return self.weight * self.stands_for

    def take(self, rows: npt.NDArray[np.int64]) -> Experiment:
        """Some of the rows."""
        assert self.weight is not None and self.stands_for is not None
        contact = None if self.contact is None else self.contact[rows]
        outcome, uplift, exposed = self.outcome[rows], self.uplift[rows], self.exposed[rows]
        return Experiment(outcome, uplift, exposed, self.weight[rows], self.stands_for[rows], contact)


def qini_curve(rows: Experiment) -> UpliftCurve:
    r"""Qini curve: :math:`g(k) = (Y_t - Y_c \, N_t / N_c) / N_t(n)` over the share :math:`(N_t + N_c) / (N_t(n) + N_c(n))`.

    Without weights it is the curve of scikit-uplift's ``qini_curve`` and causalml's ``get_qini``, counted a contact of the population
    instead of in exposed rows.

    References
    ----------
    Nicholas Radcliffe. "Using Control Groups to Target on Predicted Lift: Building and Assessing Uplift Models.", 2007.

    Examples
    --------
    >>> curve = qini_curve(Experiment([1, 0, 0, 0], [0.4, 0.3, 0.2, 0.1], [1, 0, 1, 0]))
    >>> curve.share.tolist(), curve.gain.tolist()
    ([0.0, 0.25, 0.5, 0.75, 1.0], [0.0, 0.5, 0.5, 0.5, 0.5])
    """
    return _Ordered.of(rows, rows.uplift).curve()


def perfect_qini_curve(rows: Experiment) -> UpliftCurve:
    """The highest Qini curve that these outcomes allow: exposed rows with large outcomes first, others with large outcomes last.

    No model reaches it, as it knows what happened; it is scikit-uplift's ``perfect_qini_curve(negative_effect=True)``.
    """
    return _Ordered.of(rows, _hindsight(rows)).curve()


def qini_coefficient(rows: Experiment) -> float:
    """Area of the Qini curve above the random line over that of the perfect curve: 1 perfect, 0 random, below 0 worse than random.

    Without weights it is scikit-uplift's ``qini_auc_score``; causalml's ``qini_score`` divides ``area_above_random`` by the end of the
    curve instead. NaN where even the perfect curve has no area (no outcome at all).

    Examples
    --------
    >>> qini_coefficient(Experiment([1, 0, 0, 1], [0.4, 0.3, 0.2, 0.1], [1, 0, 1, 0]))
    1.0
    """
    return _coefficient(_Ordered.of(rows, rows.uplift), _Ordered.of(rows, _hindsight(rows)))


def qini_interval(rows: Experiment, rng: np.random.Generator, *, level: float = LEVEL, resamples: int = 200) -> Interval:
    """`qini_coefficient` with the percentile bootstrap interval over rows, or contacts where they are known (the model stays as it is)."""
    found, perfect = _Ordered.of(rows, rows.uplift), _Ordered.of(rows, _hindsight(rows))
    place = _repeated(rows.contact)

    def of_resample(counts: FloatArray) -> float:
        return _coefficient(found, perfect, counts if place is None else counts[place])

    return bootstrap(of_resample, rows.outcome.size if place is None else int(place.max()) + 1, rng, level=level, resamples=resamples)


def resampled_curves(rows: Experiment, draws: Iterable[npt.NDArray[np.int64]]) -> Iterator[UpliftCurve]:
    """The Qini curve of each resample that has rows of both arms: what `qini_curve` says of the rows repeated so often.

    Parameters
    ----------
    draws : iterable of int arrays, shape (n,)
        How often each row was drawn.
    """
    ordered = _Ordered.of(rows, rows.uplift)
    for counts in draws:
        if all((counts[rows.exposed == arm] > 0).any() for arm in (0.0, 1.0)):
            yield ordered.curve(counts)


def uplift_at(rows: Experiment, share: float, *, level: float = LEVEL) -> Interval:
    r"""Measured uplift among the first `share` of the ranking: :math:`Y_t / N_t - Y_c / N_c`, with its normal interval.

    scikit-uplift's ``uplift_at_k(strategy="overall")``. Rows tied with the last one are taken in the order given. The interval comes from
    the rows' influences :math:`n_k [w_i \omega_i (y_i - \bar y_t) / N_t - (1 - w_i) \omega_i (y_i - \bar y_c) / N_c]`.

    Parameters
    ----------
    share : float
        In (0, 1].

    Raises
    ------
    ValueError
        The share is outside its range, or holds no row of one arm.
    """
    if not 0.0 < share <= 1.0:
        raise ValueError(f"share: got {share:g}, expected above 0 and at most 1")
    first = _first(rows, share)
    outcome, exposed, weight = rows.outcome[first], rows.exposed[first], rows.heft[first]
    if exposed.min() == exposed.max():
        raise ValueError(f"the first {share:.0%} of the ranking ({first.size:,} rows) hold one arm only")
    value, influence = 0.0, np.zeros(first.size)
    for sign, arm in ((1.0, weight * exposed), (-1.0, weight * (1.0 - exposed))):
        mean = float(arm @ outcome / arm.sum())
        value += sign * mean
        influence += sign * first.size * arm * (outcome - mean) / arm.sum()
    contact = None if rows.contact is None else rows.contact[first]
    if _repeated(contact) is None:
        return normal_interval(value + influence, level=level)
    assert contact is not None
    return clustered_interval(value + influence, contact, level=level)


@dataclass(frozen=True)
class _Ordered:
    """Rows by a score, largest first, and the last place of each group of equal scores: ready for the curves of many resamples.

    Attributes
    ----------
    order : int array, shape (n,)
    ends : int array
    exposed, others : float arrays, shape (n,)
        What each row, in this order, counts for in the sums of its arm; 0 in the other.
    outcome : float array, shape (n,)
    """

    order: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    exposed: FloatArray
    others: FloatArray
    outcome: FloatArray

    @classmethod
    def of(cls, rows: Experiment, score: FloatArray) -> _Ordered:
        order = np.argsort(-score, kind="stable")
        changes = np.flatnonzero(np.diff(score[order]))
        heft, exposed = rows.heft[order], rows.exposed[order]
        return cls(order, np.append(changes, score.size - 1), heft * exposed, heft * (1.0 - exposed), rows.outcome[order])

    def curve(self, counts: npt.NDArray[Any] | None = None) -> UpliftCurve:
        """The Qini curve, each row counted so often, shape (n,)."""
        drawn = 1.0 if counts is None else counts[self.order]
        exposed, others = self.exposed * drawn, self.others * drawn
        n_t, n_c = self._running(exposed), self._running(others)
        y_t, y_c = self._running(exposed * self.outcome), self._running(others * self.outcome)
        ratio = np.divide(n_t, n_c, out=np.zeros_like(n_t), where=n_c > 0)
        total = n_t[-1] if n_t[-1] > 0 else np.nan  # a resample may miss an arm
        gain, share = (y_t - y_c * ratio) / total, (n_t + n_c) / (n_t[-1] + n_c[-1])
        return UpliftCurve(np.concatenate(([0.0], share)), np.concatenate(([0.0], gain)))

    def _running(self, values: FloatArray) -> FloatArray:
        return np.asarray(np.cumsum(values)[self.ends])


def _first(rows: Experiment, share: float) -> npt.NDArray[np.int64]:
    """The best-ranked rows that stand for this share of the whole log, at least one."""
    assert rows.stands_for is not None
    order = np.argsort(-rows.uplift, kind="stable")
    reached = np.cumsum(rows.stands_for[order])
    return order[: max(1, int(np.searchsorted(reached, reached[-1] * share, side="right")))]


def _repeated(contact: npt.NDArray[np.generic] | None) -> npt.NDArray[np.int64] | None:
    """The contacts of rows as numbers; None where they are not known, or each has one row."""
    if contact is None:
        return None
    contacts, place = np.unique(contact.astype(str), return_inverse=True)
    return None if len(contacts) == len(place) else place.astype(np.int64)


def _hindsight(rows: Experiment) -> FloatArray:
    return rows.outcome * (2.0 * rows.exposed - 1.0)


def _coefficient(found: _Ordered, perfect: _Ordered, counts: FloatArray | None = None) -> float:
    best = perfect.curve(counts).area_above_random
    return found.curve(counts).area_above_random / best if best > 0.0 else float("nan")
