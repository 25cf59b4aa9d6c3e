"""Composition two: the population, under budgets. The same stages as `decide.py`, chunk by chunk, and then one allocation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from decisioning.allocation import NONE, Allocation, Offers, allocate
from decisioning.arbitration import use_of
from decisioning.candidates import Situation
from decisioning.control import HOLDOUT, TREATED, hash_to_unit
from decisioning.explanation import LIMITED, explain_no_actions, segment_name, segments
from decisioning.history import History
from decisioning.stages import Appraisal, House, appraise_candidates
from decisioning.vocabulary import BoolArray, FloatArray, IntArray, TextArray

_OF_SCORES = ("propensity", "baseline", "uplift", "value", "opt_out_risk")
_OF_ECONOMICS = ("cost", "context_weight", "profit")
_ORDER = "the order in which a plan serves equals"


@dataclass
class _Collected:
    """What is kept of a chunk once its candidate arrays are gone: one entry a living offer, one a contact."""

    contact: list[IntArray] = field(default_factory=list)
    treatment: list[IntArray] = field(default_factory=list)
    priority: list[FloatArray] = field(default_factory=list)
    use: list[FloatArray] = field(default_factory=list)
    factors: dict[str, list[FloatArray]] = field(default_factory=lambda: {name: [] for name in (*_OF_SCORES, *_OF_ECONOMICS)})
    offer_segment: list[IntArray] = field(default_factory=list)
    contact_ids: list[TextArray] = field(default_factory=list)
    clv: list[FloatArray] = field(default_factory=list)
    control_group: list[TextArray] = field(default_factory=list)
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

    contact_ids: TextArray
    clv: FloatArray
    control_group: TextArray
    segment: tuple[str | None, ...]
    reason: tuple[str, ...]
    treatment: IntArray
    factors: dict[str, FloatArray]
    priority: FloatArray
    shadow_cost: FloatArray
    allocation: Allocation


def plan(house: House, chunks: Iterable[tuple[Situation, History]]) -> Plan:
    """The plan for the contacts of all `chunks`, within the catalogue's constraints.

    A plan finds its own prices: those of `house` do not count. Equals are served in the order of a hash of their contact ids, so that the
    plan does not depend on the order in which contacts come.
    """
    unpriced = replace(house, prices={})
    kept = _Collected()
    for situation, history in chunks:
        _collect(kept, unpriced, appraise_candidates(unpriced, situation, history))
    contact_ids = _join(kept.contact_ids, np.object_)
    limits = np.array([constraint.max for constraint in house.catalog.catalog.constraints], dtype=np.float64)
    offers = _offers(kept, house, len(limits))
    return _rows(kept, contact_ids, offers, _allocate_in_hash_order(offers, limits, contact_ids))


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
    for name in _OF_SCORES:
        kept.factors[name].append(getattr(scores, name)[row, column])
    for name in _OF_ECONOMICS:
        kept.factors[name].append(getattr(economics, name)[row, column])
    kept.offer_segment.append(segment[row, column])
    kept.contact_ids.append(np.asarray(appraisal.situation.contact_ids, dtype=np.object_))
    kept.clv.append(scores.clv)
    kept.control_group.append(np.where(appraisal.held_out, HOLDOUT, TREATED))
    best = np.where(np.isnan(economics.priority), -np.inf, economics.priority).argmax(axis=1)
    kept.contact_segment.append(segment[np.arange(len(segment)), best])
    kept.reason += _reasons(appraisal, house, alive)


def _reasons(appraisal: Appraisal, house: House, alive: BoolArray) -> list[str]:
    """Why each contact of a chunk gets nothing; empty where something may still come of it."""
    nothing = np.flatnonzero(~alive.any(axis=1))
    reasons = [""] * len(alive)
    for row, answer in zip(nothing.tolist(), explain_no_actions(appraisal, house.catalog, nothing), strict=True):
        reasons[row] = f"{answer.reason}: {answer.detail}"
    return reasons


def _offers(kept: _Collected, house: House, n_limits: int) -> Offers:
    treatment = _join(kept.treatment, np.int64)
    return Offers(
        contact=_join(kept.contact, np.int64),
        treatment=treatment,
        value=_join(kept.priority, np.float64),
        use=np.concatenate(kept.use) if kept.use else np.zeros((0, n_limits)),
        first=house.catalog.mandatory[treatment],
    )


def _allocate_in_hash_order(offers: Offers, limits: FloatArray, contact_ids: TextArray) -> Allocation:
    """The allocation of `offers`, in the same order whatever the order of the contacts."""
    turn = hash_to_unit(contact_ids, _ORDER).argsort(kind="stable").argsort()
    order = np.argsort(turn[offers.contact], kind="stable")
    turned = Offers(turn[offers.contact[order]], offers.treatment[order], offers.value[order], offers.use[order], offers.first[order])
    allocation = allocate(turned, limits, len(contact_ids))
    choice = allocation.choice[turn]
    return replace(allocation, choice=np.where(choice == NONE, NONE, order[choice] if len(order) else NONE))


def _join(parts: list[Any], dtype: type[Any]) -> Any:
    return np.concatenate(parts).astype(dtype) if parts else np.zeros(0, dtype=dtype)


def _rows(kept: _Collected, contact_ids: TextArray, offers: Offers, allocation: Allocation) -> Plan:
    chosen: IntArray = allocation.choice
    has = np.asarray(chosen != NONE, dtype=np.bool_)
    safe = np.where(has, chosen, 0)

    def of_choice(per_offer: Any, otherwise: float) -> Any:
        return np.where(has, per_offer[safe], otherwise) if len(per_offer) else np.full(len(chosen), otherwise)

    shadow_cost = offers.use @ allocation.shadow_prices
    segment = of_choice(_join(kept.offer_segment, np.int64), NONE).astype(np.int64)
    segment = np.where(has, segment, _join(kept.contact_segment, np.int64))
    wanted = np.zeros(len(chosen), dtype=np.bool_)
    wanted[offers.contact] = True
    limited = ": ".join(LIMITED)
    return Plan(
        contact_ids=contact_ids,
        clv=_join(kept.clv, np.float64),
        control_group=_join(kept.control_group, np.object_),
        segment=tuple(segment_name(int(one)) for one in segment),
        reason=tuple("" if h else (limited if w else r) for h, w, r in zip(has, wanted, kept.reason, strict=True)),
        treatment=of_choice(offers.treatment, NONE).astype(np.int64),
        factors={name: of_choice(_join(parts, np.float64), np.nan) for name, parts in kept.factors.items()},
        priority=of_choice(offers.value - shadow_cost, 0.0),
        shadow_cost=of_choice(shadow_cost, 0.0),
        allocation=allocation,
    )
