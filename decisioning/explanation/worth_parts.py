"""Where does a priority come from, and the lead over the runner-up? Money, taken apart factor by factor.

    priority = lever * context_weight * (effect * value - risk) - cost - shadow_cost,      risk = opt_out_risk * clv

The lead over the runner-up is shared out by the Shapley value over the seven factors (Shapley, A value for n-person games, 1953): start
from the runner-up, exchange its factors for the winner's one by one, and average what each exchange changes over all orders. The
parts sum to the lead exactly, and none depends on an order that somebody chose.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import factorial

import numpy as np

from decisioning.compiled_catalog import CompiledCatalog
from decisioning.control import NO_LEVERS, members
from decisioning.stages import Appraisal
from decisioning.vocabulary import BoolArray, FloatArray

FACTORS = ("uplift", "value", "opt_out_risk", "lever", "context_weight", "cost", "shadow_cost")
"""In the order of every array of factors. Where no uplift is known the first is the propensity; the third is opt_out_risk * clv, money."""

_MOST_DIGITS = 10


@dataclass(frozen=True)
class Part:
    """One step of a sum in money: its name, the arithmetic behind it (empty where there is none) and what it adds."""

    name: str
    how: str
    amount: float


@dataclass(frozen=True)
class RunnerUp:
    """Who comes next, by how much it is behind, and what each factor contributes to that: the parts sum to `lead`."""

    treatment_id: str
    lead: float
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Factors:
    """The factors of every candidate, each of shape (n_contacts, n_treatments)."""

    uplift: FloatArray
    value: FloatArray
    opt_out_risk: FloatArray
    lever: FloatArray
    context_weight: FloatArray
    cost: FloatArray
    shadow_cost: FloatArray

    @property
    def priority(self) -> FloatArray:
        """What they come to, money."""
        return self.lever * self.context_weight * (self.uplift * self.value - self.opt_out_risk) - self.cost - self.shadow_cost

    def of_contact(self, row: int) -> FloatArray:
        """Those of one contact, shape (n_treatments, 7)."""
        return np.stack([getattr(self, name)[row] for name in FACTORS], axis=-1)


def factors_of(appraisal: Appraisal, catalog: CompiledCatalog) -> Factors:
    """What the priorities came of. A gain that is not known counts 0; the group without levers has a lever of 1."""
    scores, economics = appraisal.scores, appraisal.economics
    with np.errstate(over="ignore", invalid="ignore"):
        known = np.isfinite(economics.effect * scores.value)
    return Factors(
        uplift=np.where(known, economics.effect, 0.0),
        value=np.where(known, scores.value, 0.0),
        opt_out_risk=_or_zero(scores.opt_out_risk) * _or_zero(scores.clv)[:, None],
        lever=np.where(members(appraisal.groups, NO_LEVERS)[:, None], 1.0, catalog.lever),
        context_weight=economics.context_weight,
        cost=economics.cost,
        shadow_cost=economics.shadow_cost,
    )


def _or_zero(a: FloatArray) -> FloatArray:
    return np.where(np.isfinite(a), a, 0.0)


def priority_of(factors: FloatArray) -> FloatArray:
    """The priority of factors, shape (..., 7) -> (...).

    Examples
    --------
    >>> float(priority_of(np.array([0.05, 100.0, 1.0, 2.0, 1.0, 0.5, 0.0])))
    7.5
    """
    effect, value, risk, lever, weight, cost, shadow_cost = np.moveaxis(factors, -1, 0)
    return np.asarray(lever * weight * (effect * value - risk) - cost - shadow_cost, dtype=np.float64)


def shapley_parts(winner: FloatArray, runner_up: FloatArray) -> FloatArray:
    """What each factor contributes to the lead of `winner` over `runner_up`, money, shape (7,); sums to the lead.

    Examples
    --------
    Twice the value at the same uplift, and a cost that is 3 higher:

    >>> loan, card = np.array([0.1, 100, 0, 1, 1, 4, 0]), np.array([0.1, 50, 0, 1, 1, 1, 0])
    >>> dict(zip(FACTORS, shapley_parts(loan, card).round(2).tolist()))["value"]
    5.0
    >>> round(float(shapley_parts(loan, card).sum()), 2)
    2.0
    """
    subsets, weights = _subsets(len(FACTORS))
    worth = priority_of(np.where(subsets, winner, runner_up))
    with_it = np.arange(len(subsets))[:, None] | (1 << np.arange(len(FACTORS)))
    return np.asarray((weights * (worth[with_it] - worth[:, None])).sum(axis=0), dtype=np.float64)


@lru_cache(maxsize=1)
def _subsets(n_factors: int) -> tuple[BoolArray, FloatArray]:
    """All subsets of the factors, shape (2^n, n), and the weight with which each factor's joining counts; 0 where it is in already."""
    members = (np.arange(2**n_factors)[:, None] >> np.arange(n_factors) & 1).astype(np.bool_)
    of_size = [factorial(size) * factorial(n_factors - size - 1) / factorial(n_factors) for size in range(n_factors)] + [0.0]
    return members, np.where(members, 0.0, np.array(of_size)[members.sum(axis=1)][:, None])


def waterfall(appraisal: Appraisal, catalog: CompiledCatalog, row: int, column: int) -> tuple[Part, ...]:
    """From what the uplift earns to the priority: parts that sum to it. A part that adds nothing is left out, but for the first."""
    effect, value, risk, lever, weight, cost, shadow_cost = factors_of(appraisal, catalog).of_contact(row)[column].tolist()
    scores = appraisal.scores
    name = "propensity" if np.isnan(scores.uplift[row, column]) else "uplift"
    gain = effect * value
    parts = (
        Part("gain", f"{name} {effect:.4f} x value {value:.2f}", gain),
        Part("opt-out risk", f"risk {_shown(scores.opt_out_risk[row, column], 4)} x CLV {_shown(scores.clv[row], 2)}", -risk),
        Part("lever and context", f"lever {lever:g} x context weight {weight:g}", (lever * weight - 1.0) * (gain - risk)),
        Part("cost", "", -cost),
        Part("shadow cost", "what it uses of budgets and capacities", -shadow_cost),
    )
    return parts[:1] + tuple(part for part in parts[1:] if part.amount != 0)


def _shown(number: float, digits: int) -> str:
    return f"{number:.{digits}f}" if np.isfinite(number) else "unknown"


def against_runner_up(appraisal: Appraisal, catalog: CompiledCatalog, row: int, winner: int, second: int) -> RunnerUp:
    """Why `winner` and not `second`: the lead in priority and its parts, largest first; those that play no role are left out."""
    factors = factors_of(appraisal, catalog).of_contact(row)
    shares = shapley_parts(factors[winner], factors[second])
    parts = [
        Part(name, _between(name, factors[winner, place], factors[second, place]), float(shares[place]))
        for place, name in enumerate(FACTORS)
        if shares[place] != 0
    ]
    lead = float(priority_of(factors[winner]) - priority_of(factors[second]))
    return RunnerUp(catalog.treatments[second][1].id, lead, tuple(sorted(parts, key=lambda part: -abs(part.amount))))


def _between(name: str, ours: float, theirs: float) -> str:
    return "{} against {}".format(*told_apart(ours, theirs, 4 if name == "uplift" else 2))


def told_apart(one: float, other: float, digits: int) -> tuple[str, str]:
    """Both numbers with `digits` decimals, or with as many more as it takes to tell them apart.

    Examples
    --------
    >>> told_apart(0.05, 0.08, 2), told_apart(0.01771, 0.01774, 4)
    (('0.05', '0.08'), ('0.01771', '0.01774'))
    """
    while f"{one:.{digits}f}" == f"{other:.{digits}f}" and one != other and digits < _MOST_DIGITS:
        digits += 1
    return f"{one:.{digits}f}", f"{other:.{digits}f}"
