"""How often may a contact be touched? Caps over rolling windows, and silence after an outcome.

A window of d days at time t is (t - d, t]: what is exactly d days old is outside, what happens at t counts, the future does not.

`History` is the past as integer arrays, so that one contact and a million go through the same counting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from decisioning.candidates import Candidates, Removal, Situation
from decisioning.catalog import Policy
from decisioning.compiled_catalog import CompiledCatalog
from decisioning.vocabulary import BoolArray, Columns, IntArray

MICROSECONDS_A_DAY = 86_400_000_000


@dataclass(frozen=True)
class History:
    """Touches and outcomes of the contacts at hand.

    `touch_row` and `outcome_row` point into the situation's contacts; the mappings hold `action_id`, `channel`, `outcome` (object arrays)
    and `at` (datetime64[us]).
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
        row, past, counts = _counted(policy, catalog, situation.now, history)
        most = (policy.max or 0) - 1 if policy.after is None else 0
        if most >= 0 and not counts.any():
            continue
        for columns, action_id in _apart(policy, catalog):
            own = counts if action_id is None or not len(row) else counts & (past["action_id"] == action_id)
            count = np.bincount(row[own], minlength=len(situation.contact_ids))
            reached = count > most
            candidates.remove(reached, columns, Removal("contact_policy", policy.id, partial(_saw, policy, count)))


def _saw(policy: Policy, count: IntArray, row: int) -> str:
    if policy.after is None:
        return f"at most {policy.max} per {policy.per_days:g} days; {count[row]} so far"
    return f"silence for {policy.suppress_days:g} days after {policy.after}"


def _counted(policy: Policy, catalog: CompiledCatalog, now: np.datetime64, history: History) -> tuple[IntArray, Columns, BoolArray]:
    """The past that `policy` looks at: the contact's row, the columns, and which of them count.

    A cap counts the touches of what it holds back. A cool-off counts its outcome whatever action it came of: its keys say what falls
    silent, and `action: "*"` that each action answers for its own outcomes alone.
    """
    row, past = (history.touch_row, history.touches) if policy.after is None else (history.outcome_row, history.outcomes)
    if not len(row):
        return row, past, np.zeros(0, dtype=np.bool_)
    window = np.timedelta64(round((policy.per_days or policy.suppress_days or 0.0) * MICROSECONDS_A_DAY), "us")
    counts: BoolArray = np.asarray((past["at"] > now - window) & (past["at"] <= now), dtype=np.bool_)
    if policy.after is not None:
        counts &= np.asarray(past["outcome"] == policy.after, dtype=np.bool_)
    else:
        counts &= _touches_of(policy, catalog, past)
    return row, past, counts


def _touches_of(policy: Policy, catalog: CompiledCatalog, touches: Columns) -> BoolArray:
    """Which touches are of the policy's channel, action, group and issue."""
    matching: BoolArray = np.ones(len(touches["action_id"]), dtype=np.bool_)
    if policy.channel is not None:
        matching &= np.asarray(touches["channel"] == policy.channel, dtype=np.bool_)
    if policy.action not in (None, "*"):
        matching &= np.asarray(touches["action_id"] == policy.action, dtype=np.bool_)
    for key in ("group", "issue"):
        wanted = getattr(policy, key)
        if wanted is not None:
            members = {action.id for action in catalog.catalog.actions if getattr(action, key) == wanted}
            matching &= np.array([one in members for one in touches["action_id"]], dtype=np.bool_)
    return matching


def _apart(policy: Policy, catalog: CompiledCatalog) -> list[tuple[IntArray, str | None]]:
    """The treatments that are counted together: all that the policy holds back, or with `action: "*"` those of one action at a time."""
    held_back = catalog.held_back_by[policy.id]
    if policy.action != "*":
        return [(np.flatnonzero(held_back), None)]
    of_actions = [(np.array(one.columns, dtype=np.int64), one.action.id) for one in catalog.actions]
    return [(columns[held_back[columns]], action_id) for columns, action_id in of_actions]
