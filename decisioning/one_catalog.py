"""The catalogue worked out for one contact at a time: sets of treatments as the bits of one integer, and as lists to walk through.

On a handful of candidates a call of numpy costs more than what it computes. Everything here depends on the catalogue alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from decisioning.catalog import Policy
from decisioning.rules import Expression
from decisioning.rules.shared import Conditions, Weighting
from decisioning.vocabulary import IntArray, Stage

MICROSECONDS_A_DAY = 86_400_000_000
Ruled: TypeAlias = list[tuple["Columns", str, str]]


class Columns(NamedTuple):
    """Some treatments: their bits, and their places."""

    bits: int
    places: tuple[int, ...]

    @classmethod
    def of(cls, places: Iterable[int]) -> Columns:
        """Those at these places.

        Examples
        --------
        >>> Columns.of([0, 2])
        Columns(bits=5, places=(0, 2))
        """
        found = tuple(int(one) for one in places)
        return cls(sum(1 << one for one in set(found)), found)


class OneRule(NamedTuple):
    """A part of a condition, and the treatments it concerns."""

    stage: Stage
    expression: Expression
    columns: Columns


class OnePolicy(NamedTuple):
    """A contact policy, and the treatments it counts together, each with the action that alone counts for them.

    `most` is the count up to which they stay; `actions` are those whose touches count, None is all of them.
    """

    policy: Policy
    most: int
    window: int
    actions: frozenset[str] | None
    together: tuple[tuple[Columns, str | None], ...]


@dataclass(frozen=True)
class OneCatalog:
    """What the stages ask of a catalogue for one contact.

    Attributes
    ----------
    rules, policies, weightings : in the catalogue's order
    consents : (channel's treatments, purpose) of the channels that ask for one
    of_accounts : whether a policy counts by account
    """

    n_treatments: int
    rules: tuple[OneRule, ...]
    policies: tuple[OnePolicy, ...]
    weightings: tuple[tuple[tuple[Expression, ...], float, Columns], ...]
    consents: tuple[tuple[Columns, str], ...]
    on_channel: Mapping[str, Columns]
    in_placement: Mapping[str | None, Columns]
    of_accounts: bool
    _elsewhere: dict[tuple[str | None, tuple[str, ...]], Ruled] = field(default_factory=dict, compare=False)

    def elsewhere(self, channel: str | None, placements: tuple[str, ...]) -> Ruled:
        """What a request for this channel and these placements does not ask for: (treatments, rule, what it is for), in order."""
        key = channel, placements
        found = self._elsewhere.get(key)
        if found is None:
            found = []
            if channel is not None:
                found += [(own, f"channel {channel}", name) for name, own in self.on_channel.items() if name != channel]
            if placements:
                rule = f"placements {', '.join(placements)}"
                found += [(own, rule, name or "no placement") for name, own in self.in_placement.items() if name not in placements]
            if len(self._elsewhere) < _MOST_REMEMBERED:
                self._elsewhere[key] = found
        return found


_MOST_REMEMBERED = 1_000  # requests name what the catalogue has, but in any order and number


def one_rules(conditions: Conditions) -> tuple[OneRule, ...]:
    """The parts of all conditions."""
    return tuple(OneRule(rule.stage, rule.expression, Columns.of(rule.columns)) for rule in conditions.rules)


def one_weightings(weightings: Iterable[Weighting]) -> tuple[tuple[tuple[Expression, ...], float, Columns], ...]:
    """The context weights."""
    return tuple((one.conditions, one.weight, Columns.of(one.columns)) for one in weightings)


def one_policies(
    policies: Sequence[Policy],
    together: Mapping[str, tuple[tuple[IntArray, str | None], ...]],
    actions_of: Mapping[tuple[str, str], frozenset[str]],
) -> tuple[OnePolicy, ...]:
    """The contact policies."""
    found = []
    for policy in policies:
        most = (policy.max or 0) - 1 if policy.after is None else 0
        window = round((policy.per_days or policy.suppress_days or 0.0) * MICROSECONDS_A_DAY)
        sets = [frozenset((policy.action,))] if policy.action not in (None, "*") else []
        sets += [actions_of[key, name] for key in ("group", "issue") if (name := getattr(policy, key)) is not None]
        counted = frozenset.intersection(*sets) if sets and policy.after is None else None
        columns = tuple((Columns.of(places), action_id) for places, action_id in together[policy.id])
        found.append(OnePolicy(policy, most, window, counted, columns))
    return tuple(found)
