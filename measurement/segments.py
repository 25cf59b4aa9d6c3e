"""Who is in which segment: sizes, overlaps, movements between two dates, and what contacting is worth in each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from measurement.arrays import FloatArray, column
from measurement.lift import Known, Lift, Looking, lift

BoolArray = npt.NDArray[np.bool_]

FEWEST = 20
"""Contacts on either side below which a segment gets no lift of its own."""


@dataclass(frozen=True, eq=False)
class Sizes:
    """How large segments are and how much they share, in the order of `names`.

    Attributes
    ----------
    names : tuple of str
    contacts : array of int, shape (n_segments,)
    both : array of int, shape (n_segments, n_segments)
        Contacts in both; the diagonal is `contacts`.
    alike : array, shape (n_segments, n_segments)
        Those in both over those in either (Jaccard), 0 where nobody is in either.
    in_none : int
        Contacts in no segment at all.
    """

    names: tuple[str, ...]
    contacts: npt.NDArray[np.int64]
    both: npt.NDArray[np.int64]
    alike: FloatArray
    in_none: int


def sizes(members: Mapping[str, BoolArray]) -> Sizes:
    """Count segments and their overlaps.

    Parameters
    ----------
    members : mapping of str to array of bool, shape (n_contacts,)
        Who is in each segment.

    Examples
    --------
    >>> found = sizes({"young": np.array([True, True, False, False]), "rich": np.array([False, True, True, False])})
    >>> found.both.tolist(), found.in_none, round(float(found.alike[0, 1]), 3)
    ([[2, 1], [1, 2]], 1, 0.333)
    """
    names = tuple(members)
    if not names:
        return Sizes((), np.zeros(0, dtype=np.int64), np.zeros((0, 0), dtype=np.int64), np.zeros((0, 0)), 0)
    inside = np.column_stack([np.asarray(members[name], dtype=np.bool_) for name in names])
    weights = inside.astype(np.float64)
    both = np.rint(weights.T @ weights).astype(np.int64)
    contacts = np.diag(both).copy()
    either = contacts[:, np.newaxis] + contacts[np.newaxis, :] - both
    return Sizes(
        names, contacts, both, np.divide(both, either, out=np.zeros(both.shape), where=either > 0), int((~inside.any(axis=1)).sum())
    )


@dataclass(frozen=True)
class Moved:
    """One segment between two dates: who stayed, came and went, contacts known at both; `new` and `gone` are known at one only."""

    stayed: int
    came: int
    went: int
    new: int = 0
    gone: int = 0


def movements(
    before: Mapping[str, BoolArray], after: Mapping[str, BoolArray], known_before: BoolArray, known_after: BoolArray
) -> Mapping[str, Moved]:
    """How each segment changed between two dates, over the same contacts in the same order.

    Examples
    --------
    >>> then, now = np.array([True, True, False, False]), np.array([True, False, True, True])
    >>> everybody = np.ones(4, dtype=bool)
    >>> movements({"loyal": then}, {"loyal": now}, everybody, np.array([True, True, True, True]))["loyal"]
    Moved(stayed=1, came=2, went=1, new=0, gone=0)
    """
    found = {}
    for name in before:
        then, now = before[name] & known_before, after[name] & known_after
        same = known_before & known_after
        found[name] = Moved(
            stayed=int((then & now).sum()),
            came=int((~then & now & same).sum()),
            went=int((then & ~now & same).sum()),
            new=int((now & ~known_before).sum()),
            gone=int((then & ~known_after).sum()),
        )
    return found


def transitions(before: npt.NDArray[np.integer], after: npt.NDArray[np.integer], number: int) -> npt.NDArray[np.int64]:
    """Contacts from each segment (row) to each (column), where everybody is in exactly one; shape (number, number).

    Examples
    --------
    >>> transitions(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    return np.bincount(before * number + after, minlength=number * number).reshape(number, number).astype(np.int64)


def lifts(
    outcome: npt.ArrayLike,
    exposed: npt.ArrayLike,
    members: Mapping[str, BoolArray],
    known: Known | None = None,
    looking: Looking | None = None,
) -> Mapping[str, Lift | None]:
    """What contacting is worth in each segment: its members against its own control; None where either side is smaller than `FEWEST`.

    Of twenty segments one interval in twenty misses by chance: they are for looking, not for picking the best.
    """
    y = column("outcome", outcome)
    w = column("exposed", exposed, y.size)
    facts = known or Known()
    found: dict[str, Lift | None] = {}
    for name, inside in members.items():
        treated, control = int((w[inside] == 1).sum()), int((w[inside] == 0).sum())
        part = Known(*(None if one is None else np.asarray(one)[inside] for one in (facts.covariates, facts.weight, facts.cluster)))
        found[name] = lift(y[inside], w[inside], part, looking) if min(treated, control) >= FEWEST else None
    return found
