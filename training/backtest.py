"""CLV tested on the past: moments before as_of, what was known at each, and what came in the window after it.

The newest moment is one window before as_of, the next ones lie half a window apart. A moment is tested by what could have been trained
then: corrections from moments whose windows had closed. What is chosen so, the model of transactions, the weights of the blend, its level,
is what is served.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from decisioning.vocabulary import Columns, FloatArray
from estimators.arrays import as_numbers
from estimators.clv import Horizon, fit_btyd
from estimators.clv_blend import ColumnsRead, Corrections, blended
from estimators.clv_correction import (
    FEWEST_BUYERS,
    POISSON,
    TWEEDIE,
    BlendVerdict,
    Moment,
    choose_weights,
    deviances,
    fit_corrections,
    level_factors,
)
from estimators.clv_heads import BtydClvHead, BuyingHistory
from estimators.clv_transactions import TRANSACTION_MODELS
from estimators.encoding import Encoded, FeatureEncoder
from features.store import FeatureDoor
from training.spending import spending_between

MOST_CONTACTS = 30_000
"""A moment is tested, and learned from, on so many contacts at most."""

MOST_MOMENTS = 5
MOMENTS_LEARNED = 2
"""Corrections are learned from the newest so many moments: older ones tell of a younger business."""

MATERIAL = 0.02
"""Another model of transactions than the preferred one must lower the deviance by so large a share, and by two standard errors."""


@dataclass(frozen=True, eq=False)
class Population:
    """Contacts known at a moment, and their features then."""

    at: np.datetime64
    contact_ids: np.ndarray
    columns: Columns

    @classmethod
    def read(cls, door: FeatureDoor, contact_ids: np.ndarray, at: np.datetime64) -> Population:
        """These contacts."""
        return next(cls.read_each(door, [(contact_ids, at)]))

    @classmethod
    def read_each(cls, door: FeatureDoor, asked: Sequence[tuple[np.ndarray, np.datetime64]]) -> Iterator[Population]:
        """Contacts at each of several moments, retrieved at once: planning a retrieval costs as much as tens of thousands of rows."""
        ids, moments = zip(*asked, strict=True)
        lengths = [len(one) for one in ids]
        columns = door.historical(np.concatenate(ids), np.repeat(np.array(moments, dtype="datetime64[us]"), lengths))
        parts = {name: np.split(column, np.cumsum(lengths)[:-1]) for name, column in columns.items()}
        for k, (contact_ids, at) in enumerate(asked):
            # Copies, so that what is kept of one moment does not keep the others.
            yield cls(at, contact_ids, {name: of_each[k].copy() for name, of_each in parts.items()})

    @property
    def history(self) -> BuyingHistory:
        """What they had bought."""
        return BuyingHistory.of(self.columns, self.at)


def some_known(door: FeatureDoor, at: np.datetime64, rng: np.random.Generator) -> np.ndarray:
    """The contacts known at a moment, or a random `MOST_CONTACTS` of them."""
    contact_ids = door.known(at)
    if len(contact_ids) <= MOST_CONTACTS:
        return contact_ids
    return contact_ids[np.sort(rng.permutation(len(contact_ids))[:MOST_CONTACTS])]


@dataclass(frozen=True, eq=False)
class Past:
    """A moment before as_of: who was there, what they bought, and what came in the window after it; one row a contact.

    Attributes
    ----------
    columns : Encoded
        The columns of the matrices that corrections read, n rows.
    """

    at: np.datetime64
    history: BuyingHistory
    columns: Encoded
    count: FloatArray
    money: FloatArray

    def moment(self, head: BtydClvHead, window_days: float) -> Moment:
        """The buyers, with what BTYD expected of them then."""
        buyers = self.history.is_buyer
        outlook = head.outlook(self.history.take(buyers), window_days, window_days)
        return Moment(self.columns.take(buyers), outlook, self.count[buyers], self.money[buyers])


@dataclass(frozen=True, eq=False)
class Fold:
    """A tested moment: the members' predictions beside what came to the buyers."""

    past: Past
    moment: Moment
    members: dict[str, FloatArray]

    def levelled(self, name: str) -> FloatArray:
        """The members of the `count` or the `money`, each at BTYD's total."""
        return self.members[name] * level_factors(self.members[name])

    def came(self, name: str) -> FloatArray:
        """The buyers' purchase days or money."""
        return self.moment.count if name == "count" else self.moment.money


@dataclass(frozen=True, eq=False)
class Learning:
    """How corrections are learned.

    Attributes
    ----------
    categorical : tuple of int
        Positions of categories among the columns of the tree matrix that corrections read.
    seed : int
    own : regressor, optional
        A user's own, not fitted, for the money.
    """

    categorical: tuple[int, ...]
    seed: int
    own: Any | None = None


@dataclass(frozen=True, eq=False)
class Backtest:
    """What the past says of CLV.

    Attributes
    ----------
    kinds : tuple of str
        Models of transactions in the order in which they are to be tried.
    moments : list of (Past, Moment)
        Newest first, those at which BTYD could be fitted.
    folds : list of Fold
        Newest first; empty where the history is too short for one.
    verdicts : mapping of "count" and "money" to BlendVerdict
    own_level : mapping of "count" and "money" to bool
        Whether the blend keeps its own total; else that of BTYD stands.
    """

    kinds: tuple[str, ...]
    moments: list[tuple[Past, Moment]]
    folds: list[Fold]
    verdicts: dict[str, BlendVerdict]
    own_level: dict[str, bool]
    how: Learning

    def weights(self, name: str, members: FloatArray) -> FloatArray:
        """Factors on the members' predictions of `count` or `money`: their weight, and what brings each to its level."""
        weights = self.verdicts[name].weights
        return weights if self.own_level[name] else weights * level_factors(members)

    def predicted(self, name: str) -> FloatArray:
        """What would have been served at the newest tested moment, for its buyers."""
        fold = self.folds[0]
        return blended(fold.members[name], self.weights(name, fold.members[name]))

    def corrections(self, names: Collection[str]) -> Corrections:
        """Those that are named, learned from the newest moments.

        Raises
        ------
        ValueError
            If there are too few buyers.
        OwnEstimatorFailed
            If the user's own regressor cannot be fitted.
        """
        newest = [moment for _, moment in self.moments[:MOMENTS_LEARNED]]
        return fit_corrections(newest, self.how.categorical, names=names, own=self.how.own, seed=self.how.seed)


def moments_before(as_of: np.datetime64, window_days: float, history_days: float) -> list[np.datetime64]:
    """The moments to test at, newest first; none has less than a window of history before it.

    Examples
    --------
    >>> [str(at)[:10] for at in moments_before(np.datetime64("2026-12-31T00:00", "us"), 60, 200)]
    ['2026-11-01', '2026-10-02', '2026-09-02']
    """
    steps = [1.0 + k / 2 for k in range(MOST_MOMENTS) if (2.0 + k / 2) * window_days <= history_days]
    return [as_of - np.timedelta64(round(step * window_days * 86_400_000_000), "us") for step in steps]


@dataclass(frozen=True, eq=False)
class PastReader:
    """Reads moments: which columns, which window."""

    data_dir: Path
    encoder: FeatureEncoder
    columns: ColumnsRead
    window_days: float

    def read(self, people: Population) -> Past:
        """Contacts at a moment and what they bought in the window after it."""
        at = people.at
        end = at + np.timedelta64(round(self.window_days * 86_400_000_000), "us")
        came = spending_between(self.data_dir, people.contact_ids, at, end)
        history, columns = people.history, columns_read(self.encoder, self.columns, people)
        # Where contacts have no valid_from, one without a trace cannot be told from one who came later.
        seen = history.is_buyer | np.isfinite(as_numbers(people.columns.get("tenure_days"), len(history)))
        return Past(at, history.take(seen), columns.take(seen), came.count[seen], came.money[seen])


def columns_read(encoder: FeatureEncoder, read: ColumnsRead, people: Population) -> Encoded:
    """The columns of people that corrections read; the linear matrix is made only where somebody reads it."""
    if read.linear:
        return read.of(encoder.encode(people.columns, people.at))
    trees = encoder.trees(people.columns, people.at)
    return read.of(Encoded(trees, np.empty((len(trees), 0))))


def run_backtest(pasts: Sequence[Past], window_days: float, how: Learning) -> Backtest:
    """Choose the model of transactions at the newest moment, and the weights of the blend over the moments that can be tested.

    Raises
    ------
    ValueError
        If no model of transactions is identified at the newest moment, or nobody had bought by then.
    OwnEstimatorFailed
        If the user's own regressor cannot be fitted.
    """
    horizon = Horizon(window_days, 1.0, 0.0)
    kinds, newest = choose_kinds(pasts[0], horizon)
    moments = [(pasts[0], pasts[0].moment(newest, window_days))]
    for past in pasts[1:]:
        try:
            head = fit_btyd(past.history, horizon, value_without_purchase=0.0, kinds=kinds)
        except ValueError:
            continue  # too early a moment: there were too few repeat purchases yet
        moments.append((past, past.moment(head, window_days)))
    folds = _folds(moments, window_days, how)
    verdicts = {name: _verdict(folds, name) for name in ("count", "money")}
    own_level = {name: _own_level(folds, name, verdict.weights) for name, verdict in verdicts.items()}
    return Backtest(kinds, moments, folds, verdicts, own_level, how)


def choose_kinds(past: Past, horizon: Horizon) -> tuple[tuple[str, ...], BtydClvHead]:
    """The models of transactions, the one to serve first, and that one as it is fitted at this moment.

    The order of preference stands unless another model lowers the deviance of the window by a material share and two standard errors: short
    windows cannot see how a model behaves over a long horizon, where one that lets buyers leave at any moment holds its level better.

    Raises
    ------
    ValueError
        If none is identified.
    """
    buyers = past.history.take(past.history.is_buyer)
    count = past.count[past.history.is_buyer]
    lost: dict[str, FloatArray] = {}
    heads: dict[str, BtydClvHead] = {}
    reasons = []
    for kind in TRANSACTION_MODELS:
        try:
            heads[kind] = head = fit_btyd(buyers, horizon, value_without_purchase=0.0, kinds=(kind,))
        except ValueError as error:
            reasons.append(str(error))
            continue
        lost[kind] = deviances(count, head.outlook(buyers, horizon.horizon_days, horizon.horizon_days).count, POISSON)
    if not lost:
        raise ValueError("; ".join(dict.fromkeys(reasons)))
    best = next(iter(lost))
    for kind, of_kind in lost.items():
        gain = lost[best] - of_kind
        spread = float(gain.std(ddof=1)) / np.sqrt(len(gain))
        if float(gain.mean()) > max(MATERIAL * float(lost[best].mean()), 2.0 * spread):
            best = kind
    return (best, *(kind for kind in TRANSACTION_MODELS if kind != best)), heads[best]


def _folds(moments: list[tuple[Past, Moment]], window_days: float, how: Learning) -> list[Fold]:
    window = np.timedelta64(round(window_days * 86_400_000_000), "us")
    folds = []
    for past, moment in moments:
        closed = [earlier for other, earlier in moments if other.at + window <= past.at][:MOMENTS_LEARNED]
        if not closed or len(moment.count) < FEWEST_BUYERS:
            continue
        try:
            corrections = fit_corrections(closed, how.categorical, own=how.own, seed=how.seed)
        except ValueError:
            continue  # too few bought again before this moment
        rows, outlook = moment.rows, moment.outlook
        folds.append(Fold(past, moment, {"count": corrections.counts(rows, outlook), "money": corrections.moneys(rows, outlook)}))
    return folds


def _verdict(folds: list[Fold], name: str) -> BlendVerdict:
    """Weights over all folds together."""
    if not folds:
        return BlendVerdict(np.eye(3 if name == "count" else 4)[0], 0.0, 0.0)
    members, came = (np.concatenate(parts) for parts in ([f.levelled(name) for f in folds], [f.came(name) for f in folds]))
    return choose_weights(members, came, POISSON if name == "count" else TWEEDIE)


def _own_level(folds: list[Fold], name: str, weights: FloatArray) -> bool:
    """Whether the members' own totals came nearer to what came than BTYD's, at each of two moments or more."""
    if len(folds) < 2:
        return False
    nearer = []
    for fold in folds:
        came = float(fold.came(name).sum())
        own, btyd = (float((members @ weights).sum()) for members in (fold.members[name], fold.levelled(name)))
        nearer.append(came > 0 and own > 0 and btyd > 0 and abs(np.log(own / came)) < abs(np.log(btyd / came)))
    return all(nearer)
