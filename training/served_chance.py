"""With what chance was a logged choice made, whichever control group its contact had fallen into? Computed from what the decision kept.

Which group a contact is in is a draw of its own (`decisioning.control`), so that

    selection_prob = sum over groups g of share_g * P(the choice | group g)

The decision carries P(the choice | its own group). Of the others: the holdout gets nothing; `random` draws evenly from what is relevant;
`propensity_only` takes the likeliest response; `nudge` draws from the priorities that were logged, by the catalogue's own exploration;
`no_levers` and `eligible_only` are taken to choose as `nudge` does, unless the contact is theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from decisioning import exploration
from decisioning.arbitration import ranking
from decisioning.compiled_catalog import CompiledCatalog
from decisioning.control import HOLDOUT, PROPENSITY_ONLY, RANDOM, TREATED
from decisioning.vocabulary import BoolArray, FloatArray
from ledger.candidates import full_columns
from ledger.records import DecisionRecord

RELEVANT = ("arbitrate", "control")
"""Stages that take a candidate out although it was open to the contact: it lost to doing nothing, or its contact is kept for comparison."""

_UNKNOWN = float("nan")


@dataclass(frozen=True, eq=False)
class Candidates:
    """The candidates of one decision as it kept them, arrays of shape (n_treatments,) in the catalogue's order."""

    relevant: BoolArray
    propensity: FloatArray
    uplift: FloatArray
    profit: FloatArray
    priority: FloatArray

    @classmethod
    def of(cls, kept: object, catalog: CompiledCatalog) -> Candidates | None:
        """What a trace keeps as columns; None where it keeps none, or those of another catalogue."""
        columns = full_columns(kept)
        if columns is None or list(columns["treatment_id"]) != list(catalog.treatment_ids):
            return None
        relevant = np.array([is_relevant(word) for word in columns["removed_by"]], dtype=np.bool_)
        return cls(
            relevant, *(np.array(columns[name], dtype=np.float64) for name in ("propensity", "uplift", "expected_profit", "priority"))
        )


def is_relevant(removed_by: str | None) -> bool:
    """Whether a candidate was open to the contact.

    Examples
    --------
    >>> is_relevant(None), is_relevant("control: holdout"), is_relevant("consent: email_marketing")
    (True, True, False)
    """
    return removed_by is None or removed_by.split(":", 1)[0] in RELEVANT


def selection_chances(record: DecisionRecord, catalog: CompiledCatalog) -> list[float]:
    """The chance of each choice of a decision in its slot, of doing nothing where it chose nothing; NaN where it does not follow.

    Parameters
    ----------
    record : DecisionRecord
    catalog : CompiledCatalog
        The catalogue of then.
    """
    candidates = Candidates.of(record.trace.get("candidates"), catalog)
    if not record.selections:
        return [_over_groups(record, catalog, candidates, None, recorded_nothing(record.trace))]
    first, *later = sorted(record.selections, key=lambda one: one.rank)
    column = catalog.column_of.get(first.treatment_id)
    if column is None:
        return [_UNKNOWN for _ in record.selections]
    own = _shares(catalog).get(record.control_group, 0.0) if record.control_group == TREATED else _UNKNOWN
    return [_over_groups(record, catalog, candidates, column, first.selection_prob), *(own * one.selection_prob for one in later)]


def recorded_nothing(trace: Mapping[str, Any]) -> float:
    """The probability of doing nothing that a decision carries: one made for a request in its answer, a planned one beside it."""
    if "response" not in trace:
        return float(trace.get("selection_prob") or 1.0)
    nothing = trace["response"].get("no_action") or {}
    return float(nothing.get("selection_prob") or 1.0)


def _over_groups(
    record: DecisionRecord, catalog: CompiledCatalog, candidates: Candidates | None, choice: int | None, recorded: float
) -> float:
    chance = 0.0
    for group, share in _shares(catalog).items():
        if group == record.control_group:
            chance += share * recorded
        elif group == HOLDOUT:
            chance += share * float(choice is None)
        elif candidates is not None:
            chance += share * _in_group(group, candidates, catalog, record, choice)
        elif record.control_group != TREATED:
            return _UNKNOWN  # a plan keeps no candidates: what it would have given a contact of `nudge` is not known
    return chance


def _shares(catalog: CompiledCatalog) -> dict[str, float]:
    shares = catalog.catalog.controls.shares
    return {**{name: share for name, share in shares.items() if share > 0}, TREATED: max(0.0, 1.0 - sum(shares.values()))}


def _in_group(group: str, candidates: Candidates, catalog: CompiledCatalog, record: DecisionRecord, choice: int | None) -> float:
    open_to = np.flatnonzero(candidates.relevant)
    if group == RANDOM:
        return float(choice is None) if not len(open_to) else float(choice in open_to) / len(open_to)
    if group == PROPENSITY_ONLY:
        known = open_to[~np.isnan(candidates.propensity[open_to])]
        best = int(known[np.argmax(candidates.propensity[known])]) if len(known) else None
        return float(choice == best)
    return _treated(candidates, catalog, float(record.trace.get("allowance") or 0.0), choice)


def _treated(candidates: Candidates, catalog: CompiledCatalog, allowance: float, choice: int | None) -> float:
    """As `decisioning.decide` chooses for the first slot of a contact of `nudge`."""
    settings, mandatory = catalog.catalog.exploration, catalog.mandatory
    explores = allowance > 0 and settings.budget > 0
    drives_away = ~np.isnan(candidates.uplift) & (candidates.profit + catalog.cost < 0)
    beats_nothing = candidates.priority > 0
    wanted = candidates.relevant & (mandatory | (~drives_away if explores else beats_nothing))
    ranked = ranking(wanted, mandatory, candidates.priority)
    if not len(ranked):
        return float(choice is None)
    if not explores or mandatory[ranked[0]]:
        return float(choice == ranked[0])
    worth = np.append(candidates.priority[ranked], 0.0)
    if settings.method == "thompson" or not np.isfinite(worth).all():
        return _UNKNOWN  # what Thompson sampling believed is not kept
    chances = exploration.probabilities(worth, settings, allowance=allowance)
    places = np.flatnonzero(ranked == choice) if choice is not None else np.array([len(ranked)])
    return float(chances[places[0]]) if len(places) else 0.0
