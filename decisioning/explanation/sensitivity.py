"""What do the choices hang on? Each factor of the priority made neutral in turn, and the contacts counted whose first choice changes.

Arbitration sensitivity: a factor that changes nobody's choice when it is left out does no work; one that changes most of them must be
right. Neutral is what says nothing: a lever, a context weight of 1; a value that is the mean over the contact's relevant candidates; an
uplift that is the propensity (ranking by response); no opt-out risk, no cost, no shadow prices.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from decisioning.compiled_catalog import CompiledCatalog
from decisioning.control import skips_arbitration
from decisioning.explanation.worth_parts import Factors, factors_of
from decisioning.stages import Appraisal
from decisioning.vocabulary import BoolArray, FloatArray, IntArray

NEUTRAL: dict[str, str] = {
    "lever": "1",
    "context_weight": "1",
    "value": "the contact's mean over its candidates",
    "uplift": "the propensity: ranked by response",
    "opt_out_risk": "0",
    "cost": "0",
    "shadow_cost": "0",
}
"""Each factor, and what it is replaced by."""

CHANGES = ("another action", "another treatment", "no_action", "an action")
"""What the first choice becomes without the factor: the last is where there was none."""

_NOTHING = -1


def first_choices(alive: BoolArray, mandatory: BoolArray, preference: FloatArray) -> IntArray:
    """The column of each contact's first choice, -1 where nothing is alive, shape (n_contacts,): the first of `arbitration.ranking`.

    Examples
    --------
    >>> alive = np.array([[True, True, False], [True, True, True], [False, False, False]])
    >>> first_choices(alive, np.array([False, False, True]), np.array([[1.0, 2.0, 9.0]] * 3))
    array([ 1,  2, -1])
    """
    if not alive.shape[1]:
        return np.full(len(alive), _NOTHING, dtype=np.int64)
    owed = alive & mandatory
    standing = np.where(np.any(owed, axis=1, keepdims=True), owed, alive)
    known = np.nan_to_num(preference, nan=-np.inf, posinf=np.inf, neginf=-np.inf)
    best = np.where(standing, known, -np.inf).max(axis=1)
    first = (standing & (known == best[:, None])).argmax(axis=1)
    return np.where(alive.any(axis=1), first, _NOTHING).astype(np.int64)


def sensitivity(appraisal: Appraisal, catalog: CompiledCatalog) -> Counter[tuple[str, ...]]:
    """`comparable`: the contacts for whom worth decides and something relevant is left. `swayed, factor, change`: whose choice changes.

    Notes
    -----
    The relevant candidates are what no rule took out; what wins must still beat no_action.
    """
    rows = np.asarray(appraisal.relevant.any(axis=1) & ~skips_arbitration(appraisal.groups), dtype=np.bool_)
    counts: Counter[tuple[str, ...]] = Counter({("comparable",): int(rows.sum())})
    relevant, factors = appraisal.relevant[rows], _of_rows(factors_of(appraisal, catalog), rows)
    propensity = appraisal.scores.propensity[rows]
    today = _choices(relevant, catalog.mandatory, factors)
    action = np.array([*(place for place, one in enumerate(catalog.actions) for _ in one.columns), _NOTHING])
    for factor in NEUTRAL:
        without = _choices(relevant, catalog.mandatory, _neutral(factor, factors, relevant, propensity))
        changed = without != today
        becomes = np.where(action[without] == action[today], 1, 0)
        becomes = np.where(without == _NOTHING, 2, np.where(today == _NOTHING, 3, becomes))
        counts.update(("swayed", factor, CHANGES[one]) for one in becomes[changed].tolist())
    return counts


def _of_rows(factors: Factors, rows: BoolArray) -> Factors:
    shape = (len(rows), factors.cost.shape[1])
    return Factors(**{name: np.broadcast_to(getattr(factors, name), shape)[rows] for name in NEUTRAL})


def _choices(relevant: BoolArray, mandatory: BoolArray, factors: Factors) -> IntArray:
    priority = factors.priority
    return first_choices(relevant & ((priority > 0) | mandatory), mandatory, priority)


def _neutral(factor: str, factors: Factors, relevant: BoolArray, propensity: FloatArray) -> Factors:
    ones, zeros = np.ones_like(factors.cost), np.zeros_like(factors.cost)
    neutral: dict[str, Callable[[], FloatArray]] = {
        "lever": lambda: ones,
        "context_weight": lambda: ones,
        "value": lambda: np.broadcast_to(_mean(factors.value, relevant)[:, None], ones.shape),
        "uplift": lambda: np.where(np.isfinite(propensity), propensity, factors.uplift),
        "opt_out_risk": lambda: zeros,
        "cost": lambda: zeros,
        "shadow_cost": lambda: zeros,
    }
    return replace(factors, **{factor: neutral[factor]()})


def _mean(values: FloatArray, where: BoolArray) -> FloatArray:
    return np.asarray(np.where(where, values, 0.0).sum(axis=1) / np.maximum(1, where.sum(axis=1)), dtype=np.float64)
