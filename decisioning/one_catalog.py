"""The catalogue worked out for one contact at a time: sets of treatments as the bits of one integer, and as lists to walk through.

On a handful of candidates a call of numpy costs more than what it computes. Everything here depends on the catalogue alone.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache, partial
from typing import Any, NamedTuple, TypeAlias

from decisioning.candidates import Removal
from decisioning.catalog import Policy
from decisioning.rules import Expression, Rows
from decisioning.rules.shared import Conditions, Weighting
from decisioning.rules.sql_scalars import ComparedToFixed, OnRow
from decisioning.vocabulary import IntArray, Stage

MICROSECONDS_A_DAY = 86_400_000_000
Ruled: TypeAlias = tuple[tuple[int, Removal], ...]
"""Which treatments, as bits, go for which reason, in order."""


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


@lru_cache(maxsize=1 << 14)
def places_of(bits: int) -> tuple[int, ...]:
    """The places of some treatments, in the catalogue's order.

    Examples
    --------
    >>> places_of(0b101)
    (0, 2)
    """
    return tuple(place for place in range(bits.bit_length()) if bits >> place & 1)


class OneRule(NamedTuple):
    """A part of a condition, and the treatments it concerns, as bits; among removals it stands for its own until details are asked for."""

    stage: Stage
    rule: str
    expression: Expression
    bits: int

    def on(self, rows: Rows) -> Removal:
        """The removal, with what the rule read in these rows."""
        return Removal(self.stage, self.rule, partial(self.expression.reads, rows))


class OneTest(NamedTuple):
    """A rule as a comparison: of what `left` gives of the row with `fixed`; what it concerns goes where that is NULL or false."""

    bits: int
    left: OnRow
    comparison: Callable[[Any, Any], bool]
    fixed: Any
    rule: OneRule

    @classmethod
    def of(cls, rule: OneRule) -> OneTest:
        """The test of a rule: its own comparison where it is one, else whether it is true."""
        asks = rule.expression.on_row
        if isinstance(asks, ComparedToFixed):
            return cls(rule.bits, asks.left, asks.comparison, asks.fixed, rule)
        return cls(rule.bits, asks, operator.eq, 1, rule)


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
    consents : (channel's treatments as bits, purpose, what takes them out) of the channels that ask for one
    cost, lever, mandatory, uses : as in `CompiledCatalog`, as lists
    bound_by_limits : as there, as bits
    of_accounts : whether a policy counts by account
    """

    n_treatments: int
    rules: tuple[OneRule, ...]
    policies: tuple[OnePolicy, ...]
    weightings: tuple[tuple[tuple[Expression, ...], float, Columns], ...]
    consents: tuple[tuple[int, str, Removal], ...]
    on_channel: Mapping[str, Columns]
    in_placement: Mapping[str | None, Columns]
    valid_on: Mapping[tuple[date, date], Columns]
    cost: list[float]
    lever: list[float]
    mandatory: list[bool]
    uses: Mapping[str, list[float]]
    bound_by_limits: int
    of_accounts: bool
    _elsewhere: dict[tuple[str | None, tuple[str, ...]], Opening] = field(default_factory=dict, compare=False)
    _invalid: dict[date, Ruled] = field(default_factory=dict, compare=False)

    def elsewhere(self, channel: str | None, placements: tuple[str, ...]) -> Opening:
        """What is left of the catalogue for a request for this channel and these placements."""
        key = channel, placements
        found = self._elsewhere.get(key)
        if found is None:
            found = self._opening(self._asked_elsewhere(channel, placements))
            if len(self._elsewhere) < _MOST_REMEMBERED:
                self._elsewhere[key] = found
        return found

    def invalid(self, today: date) -> Ruled:
        """What is out of its dates on a day, and why."""
        found = self._invalid.get(today)
        if found is None:
            over = [(days, own) for days, own in self.valid_on.items() if not days[0] <= today <= days[1]]
            words = f"today is {today}"
            found = tuple((own.bits, Removal("contact_policy", f"valid {days[0]} to {days[1]}", words)) for days, own in over)
            if len(self._invalid) < _MOST_REMEMBERED:
                self._invalid[today] = found
        return found

    def _asked_elsewhere(self, channel: str | None, placements: tuple[str, ...]) -> list[tuple[int, Removal]]:
        found: list[tuple[int, Removal]] = []
        if channel is not None:
            rule = f"channel {channel}"
            found += [(own.bits, _placed(rule, name)) for name, own in self.on_channel.items() if name != channel]
        if placements:
            rule = f"placements {', '.join(placements)}"
            found += [
                (own.bits, _placed(rule, name or "no placement")) for name, own in self.in_placement.items() if name not in placements
            ]
        return found

    def _opening(self, elsewhere: Iterable[tuple[int, Removal]]) -> Opening:
        alive, taken = (1 << self.n_treatments) - 1, list[tuple[int, Removal]]()
        for bits, removal in elsewhere:
            if hit := alive & bits:
                alive ^= hit
                taken.append((hit, removal))
        return Opening(alive, tuple(taken), tuple(OneTest.of(rule) for rule in self.rules if rule.bits & alive))


class Opening(NamedTuple):
    """What a request leaves of the catalogue, before anything is known of the contact.

    `alive` is what is left, as bits; `taken` what went and why; `tests` the rules that concern what is left.
    """

    alive: int
    taken: Ruled
    tests: tuple[OneTest, ...]


_MOST_REMEMBERED = 1_000  # requests name what the catalogue has, but in any order and number


def not_granted(purpose: str) -> Removal:
    """What takes out the treatments of a channel whose purpose is not granted."""
    return Removal("consent", purpose, f"consent for {purpose} is not granted")


def _placed(rule: str, name: str) -> Removal:
    return Removal("placement", rule, f"it is for {name}")


def one_rules(conditions: Conditions) -> tuple[OneRule, ...]:
    """The parts of all conditions."""
    return tuple(OneRule(rule.stage, rule.expression.text, rule.expression, Columns.of(rule.columns).bits) for rule in conditions.rules)


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
