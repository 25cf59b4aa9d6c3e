"""What a catalogue must hold to beyond its types: names that are declared and ids that are unique."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from decisioning.errors import ConfigError, nearest
from decisioning.quiet_hours import zone_of
from decisioning.vocabulary import NO_ACTION

if TYPE_CHECKING:
    from decisioning.catalog import Action, Catalog, Constraint, Policy
    from decisioning.triggers import Trigger

_LISTED = 20
"""Names that an error lists at most; the nearest one is its hint."""


def check_references(catalog: Catalog) -> None:
    """Raise a `ConfigError` with the path of the first name that is unknown, missing or declared twice."""
    if zone_of(catalog.time_zone) is None:
        allowed = "an IANA name such as Europe/Warsaw"
        raise ConfigError("unknown time zone", field="time_zone", got=f"'{catalog.time_zone}'", allowed=allowed)
    _check_ids(catalog)
    for index, action in enumerate(catalog.actions):
        _check_action(catalog, action, f"actions[{index}]")
    names = _names_by_key(catalog)
    for index, policy in enumerate(catalog.contact_policy):
        _check_selector(policy, {**names, "action": {*names["action"], "*"}}, f"contact_policy[{index}]")
        if policy.after is not None:
            _known_or_to_come(f"contact_policy[{index}].after", policy.after, catalog.outcomes)
    for index, constraint in enumerate(catalog.constraints):
        _check_selector(constraint, names, f"constraints[{index}]")
    if catalog.lead is not None and catalog.lead.goal is not None:
        _known("lead.goal", catalog.lead.goal, catalog.outcomes)
    for index, trigger in enumerate(catalog.triggers):
        _check_trigger(catalog, trigger, f"triggers[{index}]")
    for name, placements in catalog.fallback.items():
        _known("fallback", name, catalog.channels)
        for placement in placements:
            _known(f"fallback.{name}", placement, catalog.channels[name].placements)


def _check_ids(catalog: Catalog) -> None:
    actions = [(f"actions[{i}]", action.id) for i, action in enumerate(catalog.actions)]
    for path, action_id in actions:
        if action_id == NO_ACTION:
            raise ConfigError("`no_action` is Nudge's own word for doing nothing and cannot be an action", field=f"{path}.id")
    _refuse_duplicates(actions)
    _refuse_duplicates(
        (f"actions[{i}].treatments[{j}]", treatment.id)
        for i, action in enumerate(catalog.actions)
        for j, treatment in enumerate(action.treatments)
    )
    _refuse_duplicates((f"contact_policy[{i}]", policy.id) for i, policy in enumerate(catalog.contact_policy))
    _refuse_duplicates((f"constraints[{i}]", constraint.id) for i, constraint in enumerate(catalog.constraints))
    _refuse_duplicates((f"triggers[{i}]", trigger.id) for i, trigger in enumerate(catalog.triggers))
    for index, constraint in enumerate(catalog.constraints):
        if constraint.id.startswith("~"):
            raise ConfigError(
                "begins as Nudge's own meters do", field=f"constraints[{index}].id", got=f"'{constraint.id}'", hint="drop the ~"
            )


def _check_action(catalog: Catalog, action: Action, path: str) -> None:
    if action.goal is not None:
        _known(f"{path}.goal", action.goal, catalog.outcomes)
    elif action.kind == "default":
        raise ConfigError("is missing: a default action names the outcome it is there to cause", field=f"{path}.goal")
    for place, treatment in enumerate(action.treatments):
        _known(f"{path}.treatments[{place}].channel", treatment.channel, catalog.channels)
        if treatment.placement is not None:
            _known(f"{path}.treatments[{place}].placement", treatment.placement, catalog.channels[treatment.channel].placements)


def _check_trigger(catalog: Catalog, trigger: Trigger, path: str) -> None:
    for place, action in enumerate(trigger.actions):
        _known_or_to_come(f"{path}.actions[{place}]", action, catalog.action_by_id)
    if trigger.action is not None:
        _known(f"{path}.action", trigger.action, catalog.action_by_id)
    if trigger.segment is not None:
        _known(f"{path}.segment", trigger.segment, catalog.segments)
    if trigger.channel is not None:
        _known(f"{path}.channel", trigger.channel, catalog.channels)


def _names_by_key(catalog: Catalog) -> dict[str, set[str]]:
    """What each key of a policy or a constraint may name."""
    return {
        "channel": set(catalog.channels),
        "action": set(catalog.action_by_id),
        "group": {action.group for action in catalog.actions},
        "issue": {action.issue for action in catalog.actions},
        "treatment": {treatment.id for _, treatment in catalog.treatments},
    }


def _check_selector(entry: Policy | Constraint, names: dict[str, set[str]], path: str) -> None:
    for key, known in names.items():
        value = getattr(entry, key, None)
        if value is not None:
            _known(f"{path}.{key}", value, known)


def _known(path: str, name: str, names: Collection[str]) -> None:
    if name not in names:
        listed = ", ".join(sorted(names)[:_LISTED]) or "none is declared"
        listed += f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        raise ConfigError("is not declared", field=path, got=f"'{name}'", allowed=listed, hint=nearest(name, names))


def _known_or_to_come(path: str, name: str, names: Collection[str]) -> None:
    """Refuse what looks like a misspelt name; any other may be declared later, and until then stands for nothing (`to_come`)."""
    if nearest(name, names):
        _known(path, name, names)


def to_come(catalog: Catalog) -> list[str]:
    """What a catalogue names and does not declare, in words: policies that never apply, actions that no trigger can choose until then."""
    said = [
        f"contact_policy[{index}].after: '{policy.after}' is not declared under outcomes, so the policy {policy.id} never applies"
        for index, policy in enumerate(catalog.contact_policy)
        if policy.after is not None and policy.after not in catalog.outcomes
    ]
    for index, trigger in enumerate(catalog.triggers):
        missing = [one for one in trigger.actions if one not in catalog.action_by_id]
        if missing:
            rest = "decides without it" if len(missing) < len(trigger.actions) else "decides nothing"
            said.append(
                f"triggers[{index}].actions: {', '.join(missing)} is not declared under actions, so the trigger {trigger.id} {rest}"
            )
    return said


def _refuse_duplicates(ids: Iterable[tuple[str, str]]) -> None:
    """Raise for the second of two equal ids; `ids` are pairs of path and id."""
    seen: dict[str, str] = {}
    for path, one in ids:
        if one in seen:
            raise ConfigError(f"ids must be unique, and this is also that of {seen[one]}", field=f"{path}.id", got=f"'{one}'")
        seen[one] = path
