"""Composition two: the population, under budgets. The same stages as `decide.py`, chunk by chunk, and then one allocation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from decisioning.allocation import NONE, Allocation, Offers, allocate
from decisioning.arbitration import use_of
from decisioning.candidates import Situation
from decisioning.contact_policy import History
from decisioning.control import HOLDOUT, TREATED
from decisioning.explanation import explain_no_action, segment_name, segments
from decisioning.stages import Appraisal, House, appraise_candidates
from decisioning.vocabulary import FloatArray, IntArray

_FACTORS = ("propensity", "baseline", "uplift", "value", "cost", "opt_out_risk", "context_weight", "profit")


@dataclass
class _Collected:
    """What is kept of a chunk once its candidate arrays are gone: one entry a living offer, one a contact."""

    contact: list[IntArray] = field(default_factory=list)
    treatment: list[IntArray] = field(default_factory=list)
    priority: list[FloatArray] = field(default_factory=list)
    use: list[FloatArray] = field(default_factory=list)
    factors: dict[str, list[FloatArray]] = field(default_factory=lambda: {name: [] for name in _FACTORS})
    offer_segment: list[IntArray] = field(default_factory=list)
    contact_ids: list[np.ndarray] = field(default_factory=list)
    clv: list[FloatArray] = field(default_factory=list)
    control_group: list[np.ndarray] = field(default_factory=list)
    contact_segment: list[IntArray] = field(default_factory=list)
    reason: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Plan:
    """The decisions of a population.

    Attributes
    ----------
    contact_ids, clv, control_group, segment, reason : shape (n_contacts,)
        `segment` is that of the chosen or else the best candidate; `reason` says why there is no action, empty where there is one.
    treatment : array of int, shape (n_contacts,)
        Column of the chosen treatment, -1 for no_action.
    factors : mapping name -> array, shape (n_contacts,)
        The economics of the chosen treatment, NaN for no_action.
    priority, shadow_cost : shape (n_contacts,)
        After shadow prices, money; 0 for no_action.
    allocation : Allocation
    """

    contact_ids: np.ndarray
    clv: FloatArray
    control_group: np.ndarray
    segment: tuple[str | None, ...]
    reason: tuple[str, ...]
    treatment: IntArray
    factors: dict[str, FloatArray]
    priority: FloatArray
    shadow_cost: FloatArray
    allocation: Allocation


def plan(house: House, chunks: Iterable[tuple[Situation, History]]) -> Plan:
    """The plan for the contacts of all `chunks`, within the catalogue's constraints.

    `house.prices` must be empty: a plan finds its own.
    """
    kept = _Collected()
    for situation, history in chunks:
        _collect(kept, house, appraise_candidates(house, situation, history))
    n_contacts = sum(len(ids) for ids in kept.contact_ids)
    limits = np.array([constraint.max for constraint in house.catalog.catalog.constraints], dtype=np.float64)
    offers = _offers(kept, house, len(limits))
    allocation = allocate(offers, limits, n_contacts)
    return _rows(kept, offers, allocation)


def _collect(kept: _Collected, house: House, appraisal: Appraisal) -> None:
    """Keep the living candidates of a chunk, sorted by contact, and one line a contact."""
    alive, economics, scores = appraisal.candidates.alive, appraisal.economics, appraisal.scores
    offset = sum(len(ids) for ids in kept.contact_ids)
    row, column = np.nonzero(alive)
    segment = segments(appraisal)
    kept.contact.append(row + offset)
    kept.treatment.append(column)
    kept.priority.append(economics.priority[row, column])
    uses = [use_of(constraint, house.catalog, appraisal.situation)[row, column] for constraint in house.catalog.catalog.constraints]
    kept.use.append(np.column_stack(uses) if uses else np.zeros((len(row), 0)))
    for name in _FACTORS:
        source = getattr(scores if hasattr(scores, name) else economics, name)
        kept.factors[name].append(source[row, column])
    kept.offer_segment.append(segment[row, column])
    kept.contact_ids.append(appraisal.situation.contact_ids)
    kept.clv.append(scores.clv)
    kept.control_group.append(np.where(appraisal.held_out, HOLDOUT, TREATED))
    best = np.nan_to_num(economics.priority, nan=-np.inf).argmax(axis=1) if segment.shape[1] else np.zeros(len(segment), dtype=np.int64)
    kept.contact_segment.append(segment[np.arange(len(segment)), best])
    nothing = ~alive.any(axis=1)
    kept.reason += [_why_not(appraisal, house, i) if nothing[i] else "" for i in range(len(nothing))]


def _why_not(appraisal: Appraisal, house: House, row: int) -> str:
    answer = explain_no_action(appraisal, house.catalog, row)
    return f"{answer.reason}: {answer.detail}"


def _offers(kept: _Collected, house: House, n_limits: int) -> Offers:
    treatment = _join(kept.treatment, np.int64)
    return Offers(
        contact=_join(kept.contact, np.int64),
        treatment=treatment,
        value=_join(kept.priority, np.float64),
        use=np.concatenate(kept.use) if kept.use else np.zeros((0, n_limits)),
        first=house.catalog.mandatory[treatment],
    )


def _join(parts: list, dtype: type) -> np.ndarray:  # type: ignore[type-arg]
    return np.concatenate(parts).astype(dtype) if parts else np.zeros(0, dtype=dtype)


def _rows(kept: _Collected, offers: Offers, allocation: Allocation) -> Plan:
    chosen = allocation.choice
    has = chosen != NONE
    safe = np.where(has, chosen, 0)

    def of_choice(per_offer: np.ndarray, otherwise: float) -> np.ndarray:
        return np.where(has, per_offer[safe], otherwise) if len(per_offer) else np.full(len(chosen), otherwise)

    shadow_cost = offers.use @ allocation.shadow_prices
    segment = of_choice(_join(kept.offer_segment, np.int64), NONE).astype(np.int64)
    segment = np.where(has, segment, _join(kept.contact_segment, np.int64))
    wanted = np.zeros(len(chosen), dtype=np.bool_)
    wanted[offers.contact] = True
    limited = "limits: what it would use of the budgets and capacities is worth more elsewhere"
    return Plan(
        contact_ids=np.concatenate(kept.contact_ids) if kept.contact_ids else np.zeros(0, dtype=object),
        clv=_join(kept.clv, np.float64),
        control_group=np.concatenate(kept.control_group) if kept.control_group else np.zeros(0, dtype=object),
        segment=tuple(segment_name(int(one)) for one in segment),
        reason=tuple("" if h else (limited if w else r) for h, w, r in zip(has, wanted, kept.reason, strict=True)),
        treatment=of_choice(offers.treatment, NONE).astype(np.int64),
        factors={name: of_choice(_join(parts, np.float64), np.nan) for name, parts in kept.factors.items()},
        priority=of_choice(offers.value - shadow_cost, 0.0),
        shadow_cost=of_choice(shadow_cost, 0.0),
        allocation=allocation,
    )
