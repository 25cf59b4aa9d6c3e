"""For whom is nothing good on offer, and what kind of action is missing?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from measurement.arrays import FloatArray

BoolArray = npt.NDArray[np.bool_]

CLASSES = ("no action", "only unwanted actions", "only actions not worth it", "well served")
"""No rule leaves any action; those left have a low propensity; they are wanted but worth less than they cost; at least one is good."""


@dataclass(frozen=True, eq=False)
class Missing:
    """One kind of action (an issue, a group) and the contacts who have no good action of it.

    `contacts` are the underserved ones without a good action of this kind, `no_candidate` those among them whom the rules leave none of
    it, `unwanted` those who would hardly respond, `not_worth_it` the rest; `best_profit` is what the best of the kind would bring a
    contact, on average over those who have one at all, NaN where nobody has.
    """

    kind: str
    contacts: int
    no_candidate: int
    unwanted: int
    not_worth_it: int
    best_profit: float


@dataclass(frozen=True, eq=False)
class Value:
    """Everybody by how well he is served: `of` is an index into `CLASSES`, shape (n_contacts,); `missing` is worst first."""

    of: npt.NDArray[np.int64]
    counts: Mapping[str, int]
    missing: Sequence[Missing]


def find_value(
    open_: BoolArray, propensity: FloatArray, profit: FloatArray, kind: Sequence[str], *, wanted_from: float | None = None
) -> Value:
    """Sort contacts by the best that can be proposed to them.

    Parameters
    ----------
    open_ : array of bool, shape (n_contacts, n_treatments)
        What the rules leave.
    propensity : array, shape (n_contacts, n_treatments)
        Of a response; NaN where unknown, which is not wanted.
    profit : array, shape (n_contacts, n_treatments)
        Expected incremental profit; good is what has more than 0.
    kind : sequence of str, length n_treatments
        What each treatment is a kind of: its issue, its group.
    wanted_from : float, optional
        The propensity from which an action is wanted; where None, the 5th percentile over contacts of their best one.

    References
    ----------
    Pega. "Value Finder" (documentation): people without actions, with only irrelevant ones, and the well served.

    Examples
    --------
    >>> open_, profit = np.array([[True, True], [True, False], [False, False]]), np.array([[1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]])
    >>> found = find_value(open_, np.full((3, 2), 0.2), profit, ["sales", "service"], wanted_from=0.1)
    >>> [CLASSES[one] for one in found.of]
    ['well served', 'only actions not worth it', 'no action']
    >>> [(one.kind, one.no_candidate, one.not_worth_it) for one in found.missing]
    [('service', 2, 0), ('sales', 1, 1)]
    """
    known = np.where(open_, np.nan_to_num(propensity, nan=0.0), -1.0)
    best = known.max(axis=1, initial=-1.0)
    if wanted_from is None:
        wanted_from = float(np.quantile(best[best >= 0], 0.05)) if (best >= 0).any() else 0.0
    wanted = open_ & (known >= wanted_from)
    good = wanted & (np.nan_to_num(profit, nan=-1.0) > 0)
    of = np.where(good.any(axis=1), 3, np.where(wanted.any(axis=1), 2, np.where(open_.any(axis=1), 1, 0)))
    under = of < len(CLASSES) - 1
    kinds = list(dict.fromkeys(kind))
    columns = {name: np.flatnonzero(np.array([one == name for one in kind])) for name in kinds}
    missing = [_missing(name, under, columns[name], (open_, wanted, profit)) for name in kinds]
    counts = dict(zip(CLASSES, np.bincount(of, minlength=len(CLASSES)).tolist(), strict=True))
    return Value(of.astype(np.int64), counts, sorted(missing, key=lambda one: (-one.no_candidate, kinds.index(one.kind))))


def _missing(name: str, under: BoolArray, columns: npt.NDArray[np.intp], facts: tuple[BoolArray, BoolArray, FloatArray]) -> Missing:
    """Of those who are not well served, all lack a good action of every kind; they differ in why."""
    open_, wanted, profit = (one[np.ix_(under, columns)] for one in facts)
    has_any, has_wanted = open_.any(axis=1), wanted.any(axis=1)
    best = np.where(open_, np.nan_to_num(profit, nan=-np.inf), -np.inf).max(axis=1, initial=-np.inf)
    valued = best[np.isfinite(best)]
    return Missing(
        name,
        int(under.sum()),
        int((~has_any).sum()),
        int((has_any & ~has_wanted).sum()),
        int(has_wanted.sum()),
        float(valued.mean()) if valued.size else float("nan"),
    )
