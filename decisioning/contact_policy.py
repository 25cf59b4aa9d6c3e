"""How often may a contact, or a whole account, be touched? Caps over rolling windows, silence after an outcome, and suppressions.

A window of d days at time t is (t - d, t]: what is exactly d days old is outside, what happens at t counts, the future does not.

`History` is the past as integer arrays, so that one contact and a million go through the same counting. A policy counts by unit: the
contact, or with `scope: account` the account, whose contacts share what is allowed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from decisioning.candidates import Candidates, Removal, Situation
from decisioning.catalog import Policy
from decisioning.compiled_catalog import CompiledCatalog
from decisioning.history import History, Past
from decisioning.vocabulary import BoolArray, IntArray

MICROSECONDS_A_DAY = 86_400_000_000
_FEW = 100
"""Up to so many rows of the past, looking through a list costs less than a call of numpy."""


@dataclass(frozen=True)
class Room:
    """What a cap still allows: `left[unit_of[contact]]` treatments of `members` for the contacts of a unit; -1 is no unit.

    Shapes: `unit_of` (n_contacts,), `left` (n_units,), `members` (n_treatments,).
    """

    unit_of: IntArray
    left: IntArray
    members: BoolArray


def apply_contact_policy(candidates: Candidates, catalog: CompiledCatalog, situation: Situation, history: History) -> None:
    """Take out what a cap, a cool-off or a suppression holds back; mandatory and transactional treatments are not bound.

    What the running plan has reserved for a contact does not stand in its own way: the reserved treatment may still be chosen.
    """
    _apply_suppressions(candidates, catalog, situation, history)
    for policy in catalog.catalog.contact_policy:
        most = (policy.max or 0) - 1 if policy.after is None else 0
        if most >= 0 and _is_out_of_reach(policy, catalog, situation, history, most):
            continue
        unit_of, past, counts = _counted(policy, catalog, situation, history)
        if most >= 0 and not counts.any():
            continue
        named = set(past.columns["action_id"][counts].tolist()) if most >= 0 else None
        for columns, action_id in catalog.counted_together[policy.id]:
            if action_id is not None and named is not None and action_id not in named:
                continue
            own = _of_action(counts, past, action_id)
            count = _per_contact(unit_of, np.bincount(past.row[own], minlength=_units(unit_of)))
            removal = Removal("contact_policy", policy.id, partial(saw, policy, count))
            reached = (count > most) & (unit_of >= 0)
            _remove_but_for_the_planned(candidates, catalog, reached, columns, removal, _spared(history, past, own, count, most))


def _is_out_of_reach(policy: Policy, catalog: CompiledCatalog, situation: Situation, history: History, most: int) -> bool:
    """Whether a past of a few rows plainly holds nothing, or too little, of what `policy` counts."""
    _, past = history.seen_by(policy.scope, len(situation.contact_ids), outcomes=policy.after is not None)
    if len(past.row) <= most:
        return True
    if len(past.row) > _FEW:
        return False
    if policy.after is not None:
        return policy.after not in past.columns["outcome"].tolist()
    if policy.channel is not None and past.columns["channel"].tolist().count(policy.channel) <= most:
        return True
    return policy.group is not None and catalog.actions_of["group", policy.group].isdisjoint(past.columns["action_id"].tolist())


def rooms(catalog: CompiledCatalog, situation: Situation, history: History, *, of_each_action: bool = True) -> list[Room]:
    """What the caps still allow, one entry a cap, and with `action: "*"` one a cap and action, unless those are not asked for."""
    found = []
    for policy in catalog.catalog.contact_policy:
        if policy.after is not None or (policy.action == "*" and not of_each_action):
            continue
        unit_of, past, counts = _counted(policy, catalog, situation, history)
        for columns, action_id in catalog.counted_together[policy.id]:
            own = _of_action(counts, past, action_id)
            count = np.bincount(past.row[own], minlength=_units(unit_of))
            members = np.zeros(len(catalog.treatments), dtype=np.bool_)
            members[columns] = True
            found.append(Room(unit_of, np.maximum(0, (policy.max or 0) - count).astype(np.int64), members))
    return found


def _units(unit_of: IntArray) -> int:
    return int(unit_of.max(initial=-1)) + 1


def _per_contact(unit_of: IntArray, count: IntArray) -> IntArray:
    """The count of each contact's unit, 0 where it has none."""
    return np.where(unit_of >= 0, np.append(count, 0)[unit_of], 0).astype(np.int64)


def _of_action(counts: BoolArray, past: Past, action_id: str | None) -> BoolArray:
    return counts if action_id is None or not len(past.row) else counts & (past.columns["action_id"] == action_id)


def saw(policy: Policy, count: IntArray, row: int) -> str:
    """What a policy saw of the contact in `row`, of whom it has counted `count[row]`."""
    where = " in the account" if policy.scope == "account" else ""
    if policy.after is None:
        return f"at most {policy.max} per {policy.per_days:g} days{where}; {count[row]} so far"
    return f"silence for {policy.suppress_days:g} days after {policy.after}{where}"


def _counted(policy: Policy, catalog: CompiledCatalog, situation: Situation, history: History) -> tuple[IntArray, Past, BoolArray]:
    """The unit of each contact, the past that `policy` looks at by unit, and which of it counts.

    A cap counts the touches of what it holds back. A cool-off counts its outcome whatever action it came of: its keys say what falls
    silent, and `action: "*"` that each action answers for its own outcomes alone.
    """
    unit_of, past = history.seen_by(policy.scope, len(situation.contact_ids), outcomes=policy.after is not None)
    if not len(past.row):
        return unit_of, past, np.zeros(0, dtype=np.bool_)
    window = np.timedelta64(round((policy.per_days or policy.suppress_days or 0.0) * MICROSECONDS_A_DAY), "us")
    at = past.columns["at"]
    counts: BoolArray = np.asarray((at > situation.now - window) & (at <= situation.now), dtype=np.bool_)
    if policy.after is not None:
        counts &= np.asarray(past.columns["outcome"] == policy.after, dtype=np.bool_)
    else:
        counts &= _touches_of(policy, catalog, past)
    return unit_of, past, counts


def _touches_of(policy: Policy, catalog: CompiledCatalog, past: Past) -> BoolArray:
    """Which touches are of the policy's channel, action, group and issue."""
    touches = past.columns
    matching: BoolArray = np.ones(len(touches["action_id"]), dtype=np.bool_)
    if policy.channel is not None:
        matching &= np.asarray(touches["channel"] == policy.channel, dtype=np.bool_)
    if policy.action not in (None, "*"):
        matching &= np.asarray(touches["action_id"] == policy.action, dtype=np.bool_)
    for key in ("group", "issue"):
        wanted = getattr(policy, key)
        if wanted is not None:
            members = catalog.actions_of[key, wanted]
            matching &= np.array([one in members for one in touches["action_id"]], dtype=np.bool_)
    return matching


def _spared(history: History, past: Past, own: BoolArray, count: IntArray, most: int) -> list[tuple[int, str]]:
    """The planned (contact's row, treatment_id) that only their own reservation would hold back."""
    if not history.planned or "decision_id" not in past.columns:
        return []
    counted = set(past.columns["decision_id"][own].tolist())
    return [(one.row, one.treatment_id) for one in history.planned if one.decision_id in counted and count[one.row] - 1 <= most]


def _remove_but_for_the_planned(
    candidates: Candidates,
    catalog: CompiledCatalog,
    reached: BoolArray,
    columns: IntArray,
    removal: Removal,
    spared: list[tuple[int, str]],
) -> None:
    for row, treatment_id in spared:
        this_one = np.zeros_like(reached)
        this_one[row] = reached[row]
        candidates.remove(this_one, columns[columns != catalog.column_of.get(treatment_id, -1)], removal)
        reached = reached & ~this_one
    candidates.remove(reached, columns, removal)


def _apply_suppressions(candidates: Candidates, catalog: CompiledCatalog, situation: Situation, history: History) -> None:
    """Take out the actions and channels that are switched off for a contact until a moment that has not come."""
    for row, action_id, channel, until in history.suppressions:
        if until <= situation.now:
            continue
        held = [
            column
            for column, (action, treatment) in enumerate(catalog.treatments)
            if action_id in (None, action.id) and channel in (None, treatment.channel) and catalog.bound_by_limits[column]
        ]
        alone = np.zeros(len(situation.contact_ids), dtype=np.bool_)
        alone[row] = True
        what = action_id or channel or "everything"
        day = str(until.astype("datetime64[s]")).replace("T", " ")
        candidates.remove(alone, held, Removal("contact_policy", f"suppressed {what}", f"switched off for this contact until {day} UTC"))
