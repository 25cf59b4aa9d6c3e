"""Which limits contradict one another, and by how much? An irreducible clash, by a deletion filter (Chinneck, Dravnieks, 1991).

Only what offers use matters here, not what they are worth. Contacts who can be asked to use the same are one group, so that few limits
make a small linear programme whatever the population.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array, hstack, vstack

from decisioning.allocation.assignment import Assignment
from decisioning.allocation.program import Program
from decisioning.errors import Clashing
from decisioning.vocabulary import FloatArray, IntArray

_WORD = 64
_TOLERANCE = 1e-6
_Side = tuple[int, str]


@dataclass(frozen=True)
class _System:
    """What can be used: `uses @ x` within the limits, `groups @ x` <= `room`, 0 <= x <= `most_of_each`."""

    uses: csr_array
    groups: csr_array
    room: FloatArray
    most_of_each: FloatArray


def find_clash(served: Assignment, competing: IntArray) -> tuple[Clashing, ...]:
    """The bounds that clash when the offers `competing` are all there is beside what is `served`; empty where divided offers meet all.

    Examples
    --------
    >>> from decisioning.allocation.problem import Limits, Offers, Problem
    >>> nothing = np.zeros(3, dtype=int)
    >>> offers = Offers(np.arange(3), nothing, np.ones(3), nothing, np.ones((1, 1)), nothing.astype(bool), nothing)
    >>> problem = Problem(offers, Limits(np.array([np.inf]), np.array([5.0])), 3)
    >>> find_clash(Assignment(problem), np.arange(3))
    (Clashing(limit=0, side='least', bound=5.0, by=2.0),)
    """
    for sides in _suspects(served):
        system = _system(served, competing, sides)
        if _falls_short(served, system, sides):
            return _named(served, system, _irreducible(served, system, sides))
    return ()


def _suspects(served: Assignment) -> Iterator[list[_Side]]:
    """Sets of sides to look at: the smallest first, where they are solved fastest, and all of them last."""
    limits = served.problem.limits
    asking: list[_Side] = [(r, "least") for r in np.flatnonzero(served.lacking > 0).tolist()]
    capping: list[_Side] = [(r, "most") for r in np.flatnonzero(np.isfinite(limits.most)).tolist()]
    if served.problem.is_plain:
        yield from ([one] for one in asking)
        yield from ([one, other] for one in asking for other in capping)
        yield from (list(pair) for pair in combinations(asking, 2))
        yield from ([*asking, one] for one in capping)
    yield [*asking, *capping]


def _irreducible(served: Assignment, system: _System, sides: list[_Side]) -> list[_Side]:
    """Leave out, one after the other, every side without which there is still a clash."""
    kept = list(sides)
    for one in reversed(sides):
        fewer = [side for side in kept if side != one]
        if fewer and _falls_short(served, system, fewer):
            kept = fewer
    return kept


def _named(served: Assignment, system: _System, sides: list[_Side]) -> tuple[Clashing, ...]:
    limits = served.problem.limits
    found = []
    for limit, side in sides:
        bound = float((limits.most if side == "most" else limits.least)[limit])
        by = _give_way(served, system, sides, [(limit, side)]) * _unit(system, limit)
        found.append(Clashing(limit, "most" if side == "most" else "least", bound, by))
    return tuple(found)


def _falls_short(served: Assignment, system: _System, sides: list[_Side]) -> bool:
    return _give_way(served, system, sides, sides) > _TOLERANCE


def _give_way(served: Assignment, system: _System, sides: list[_Side], elastic: list[_Side]) -> float:
    """The least sum by which the `elastic` of the `sides` must give way, each divided by `_unit`; the others hold."""
    rows, right = [], []
    for limit, side in sides:
        sign, unit = (1.0 if side == "most" else -1.0), _unit(system, limit)
        rows.append(system.uses[[limit]] * (sign / unit))
        right.append((served.left[limit] if side == "most" else -served.lacking[limit]) / unit)
    gives = np.array([side in elastic for side in sides])
    slack = csr_array(
        (-np.ones(int(gives.sum())), (np.flatnonzero(gives), np.arange(int(gives.sum())))), shape=(len(sides), int(gives.sum()))
    )
    n = system.uses.shape[1]
    left = vstack(
        [hstack([vstack(rows), slack]), hstack([system.groups, csr_array((system.groups.shape[0], slack.shape[1]))])], format="csr"
    )
    bounds = np.column_stack([np.zeros(n + slack.shape[1]), np.append(system.most_of_each, np.full(slack.shape[1], np.inf))])
    cost = np.append(np.zeros(n), np.ones(slack.shape[1]))
    found = linprog(cost, A_ub=left, b_ub=np.append(right, system.room), bounds=bounds, method="highs")
    return float(found.fun) if found.success else float("inf")


def _unit(system: _System, limit: int) -> float:
    """The greatest use of a limit, by which its row is divided: a solver's tolerance then means the same in every row."""
    return float(system.uses[[limit]].max()) or 1.0 if system.uses.shape[1] else 1.0


def _system(served: Assignment, competing: IntArray, sides: list[_Side]) -> _System:
    return _grouped(served, competing, sides) if served.problem.is_plain else _in_full(served, competing)


def _in_full(served: Assignment, competing: IntArray) -> _System:
    """Every offer for itself, with the rows of contacts, actions and caps."""
    offers = served.problem.offers
    program = Program.of(served, competing)
    own = len(program.limits)
    uses = csr_array(offers.uses[offers.profile[competing]].T)
    return _System(uses, program.rows[own:], program.high[own:], np.ones(len(competing)))


def _grouped(served: Assignment, competing: IntArray, sides: list[_Side]) -> _System:
    """Contacts with the same choice of uses together; only the limits of `sides` are told apart."""
    offers = served.problem.offers
    columns = sorted({limit for limit, _ in sides})
    kinds, kind_of = np.unique(offers.uses[:, columns], axis=0, return_inverse=True)
    sets, counts = _choices(offers.contact[competing], kind_of.ravel()[offers.profile[competing]], len(kinds))
    group, kind = np.nonzero(sets)
    uses = np.zeros((offers.uses.shape[1], len(group)))
    uses[columns] = kinds[kind].T
    groups = csr_array((np.ones(len(group)), (group, np.arange(len(group)))), shape=(len(sets), len(group)))
    return _System(csr_array(uses), groups, counts.astype(np.float64), counts[group].astype(np.float64))


def _choices(contact: IntArray, kind: IntArray, n_kinds: int) -> tuple[np.ndarray, IntArray]:
    """The different sets of kinds that contacts choose from, shape (n_sets, n_kinds), and how many contacts have each."""
    if not len(contact):
        return np.zeros((0, n_kinds), dtype=np.bool_), np.zeros(0, dtype=np.int64)
    begins = np.flatnonzero(np.append(True, contact[1:] != contact[:-1]))
    words = []
    for low in range(0, n_kinds, _WORD):
        bit = np.where((kind >= low) & (kind < low + _WORD), np.uint64(1) << ((kind - low) % _WORD).astype(np.uint64), np.uint64(0))
        words.append(np.bitwise_or.reduceat(bit, begins))
    found, counts = np.unique(np.column_stack(words), axis=0, return_counts=True)
    place = np.arange(n_kinds)
    sets = (found[:, place // _WORD] >> (place % _WORD).astype(np.uint64)) & np.uint64(1)
    return sets.astype(bool), counts
