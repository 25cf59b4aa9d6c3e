"""How often may a contact be touched? Caps over rolling windows, and silence after an outcome.

`History` is the past as integer arrays, so that one contact and a million go through the same counting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from decisioning.candidates import Candidates, Situation
from decisioning.catalog import Policy
from decisioning.compiled_catalog import CompiledCatalog
from decisioning.vocabulary import BoolArray, Columns, IntArray


@dataclass(frozen=True)
class History:
    """Touches and outcomes of the contacts at hand.

    `touch_row` and `outcome_row` point into the situation's contacts; the mappings hold `action_id`, `channel`, `outcome` (object arrays) and
    `at` (datetime64[us]).
    """

    touch_row: IntArray
    touches: Columns
    outcome_row: IntArray
    outcomes: Columns

    @classmethod
    def of(cls, contact_ids: Sequence[str], touches: Columns, outcomes: Columns) -> History:
        """The history of `contact_ids` out of columns that carry a `contact_id`; rows of others are left out.

        Examples
        --------
        >>> none = {"contact_id": np.array([], dtype=object), "action_id": np.array([], dtype=object)}
        >>> History.of(["c-1"], none, none).touch_row
        array([], dtype=int64)
        """
        row_of = {contact_id: row for row, contact_id in enumerate(contact_ids)}
        touch_row, touches = _located(row_of, touches)
        outcome_row, outcomes = _located(row_of, outcomes)
        return cls(touch_row, touches, outcome_row, outcomes)


def _located(row_of: Mapping[str, int], columns: Columns) -> tuple[IntArray, Columns]:
    rows = np.array([row_of.get(str(one), -1) for one in columns["contact_id"]], dtype=np.int64)
    ours = rows >= 0
    return rows[ours], {name: column[ours] for name, column in columns.items()}


def apply_contact_policy(candidates: Candidates, catalog: CompiledCatalog, situation: Situation, history: History) -> None:
    """Take out treatments whose cap is used up or that a cool-off silences; mandatory and transactional ones are not bound."""
    for policy in catalog.catalog.contact_policy:
        if policy.after is not None:
            _apply_cool_off(candidates, catalog, situation, history, policy)
        else:
            _apply_cap(candidates, catalog, situation, history, policy)


def _apply_cap(candidates: Candidates, catalog: CompiledCatalog, situation: Situation, history: History, policy: Policy) -> None:
    within = _within(history.touches["at"], situation.now, policy.per_days or 0.0) if len(history.touch_row) else np.zeros(0, dtype=np.bool_)
    counted = within & _matches(history.touches, catalog, policy)
    bound = catalog.selected_by(policy) & catalog.bound_by_limits
    for columns, of_these in _apart(history.touches, catalog, policy, bound):
        count = np.bincount(history.touch_row[counted & of_these], minlength=len(situation.contact_ids))
        full = count >= (policy.max or 0)
        if full.any():
            text = f"at most {policy.max} per {policy.per_days:g} days"
            candidates.remove(full[:, None] & columns, "contact_policy", policy.id, lambda row, n=count, t=text: f"{t}; {n[row]} so far")


def _apply_cool_off(candidates: Candidates, catalog: CompiledCatalog, situation: Situation, history: History, policy: Policy) -> None:
    outcomes = history.outcomes
    if not len(history.outcome_row):
        return
    days = policy.suppress_days or 0.0
    counted = _within(outcomes["at"], situation.now, days) & (outcomes["outcome"] == policy.after)
    bound = catalog.selected_by(policy) & catalog.bound_by_limits
    for columns, of_these in _apart(outcomes, catalog, policy, bound):
        silenced = np.bincount(history.outcome_row[counted & of_these], minlength=len(situation.contact_ids)) > 0
        if silenced.any():
            text = f"silence for {days:g} days after {policy.after}"
            candidates.remove(silenced[:, None] & columns, "contact_policy", policy.id, lambda row, t=text: t)


def _within(at: np.ndarray, now: np.datetime64, days: float) -> BoolArray:
    window = np.timedelta64(round(days * 86_400_000_000), "us")
    return np.asarray((at > now - window) & (at <= now), dtype=np.bool_)


def _matches(touches: Columns, catalog: CompiledCatalog, policy: Policy) -> BoolArray:
    """Which touches a cap counts: those of its channel, action, group and issue."""
    matching = np.ones(len(touches["action_id"]), dtype=np.bool_)
    if policy.channel is not None:
        matching &= touches["channel"] == policy.channel
    for key in ("group", "issue"):
        wanted = getattr(policy, key)
        if wanted is not None:
            matching &= np.isin(touches["action_id"].astype(str), [a.id for a in catalog.catalog.actions if getattr(a, key) == wanted])
    if policy.action not in (None, "*"):
        matching &= touches["action_id"] == policy.action
    return matching


def _apart(past: Columns, catalog: CompiledCatalog, policy: Policy, bound: BoolArray) -> list[tuple[BoolArray, BoolArray]]:
    """(treatments bound, past rows that count for them): one pair, or with `action: "*"` one an action, each on its own."""
    if policy.action != "*":
        return [(bound, np.ones(len(past["action_id"]), dtype=np.bool_))]
    pairs = []
    for compiled in catalog.actions:
        columns = np.zeros_like(bound)
        columns[list(compiled.columns)] = True
        pairs.append((columns & bound, np.asarray(past["action_id"] == compiled.action.id, dtype=np.bool_)))
    return pairs
