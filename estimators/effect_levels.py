"""Which effects an action shares: with all actions, with those of its issue and group, and with whatever goes by the same channel."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

ALL, CHANNEL = "all", "channel"


@dataclass(frozen=True)
class Place:
    """Where an action stands in the catalogue, from coarse to fine."""

    action: str
    group: str = ""
    issue: str = ""

    def levels(self) -> dict[str, Hashable]:
        """The name of each level, with what tells its members apart."""
        return {"issue": self.issue, "group": (self.issue, self.group), "action": self.action}


@dataclass(frozen=True)
class EffectLevels:
    """The blocks of coefficients that add up to the effect of an action on a channel.

    A level that tells no two actions apart, or the same ones as another, is left out: its coefficients could not be told from the other's.

    Attributes
    ----------
    kinds : tuple of str
        The level of each block: `all`, `issue`, `group`, `action`, `channel`.
    by_action : tuple of tuple of int
        The blocks of each action, those of channels left out.
    by_channel : dict of str to int
        The block of each channel; empty where there are fewer than two.
    """

    kinds: tuple[str, ...]
    by_action: tuple[tuple[int, ...], ...]
    by_channel: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, places: Sequence[Place], channels: Sequence[str] = ()) -> EffectLevels:
        """The blocks for some actions and the channels that the log knows.

        Examples
        --------
        >>> levels = EffectLevels.of([Place("loan", "lending"), Place("line", "lending"), Place("fund", "investing")], ["email", "call"])
        >>> levels.kinds
        ('all', 'group', 'group', 'action', 'action', 'action', 'channel', 'channel')
        >>> levels.blocks(0, "call")
        (0, 1, 3, 7)
        """
        kinds: list[str] = [ALL]
        blocks: list[list[int]] = [[0] for _ in places]
        seen = {_partition([0] * len(places)), _partition(range(len(places)))}
        for kind in ("issue", "group", "action"):
            members = [place.levels()[kind] for place in places]
            partition = _partition(members)
            if len(set(members)) < 2 or (kind != "action" and partition in seen):
                continue
            seen.add(partition)
            first = len(kinds)
            number = {member: first + k for k, member in enumerate(dict.fromkeys(members))}
            kinds += [kind] * len(number)
            for of_action, member in zip(blocks, members, strict=True):
                of_action.append(number[member])
        by_channel: dict[str, int] = {}
        if len(channels) > 1:
            by_channel = {channel: len(kinds) + k for k, channel in enumerate(channels)}
            kinds += [CHANNEL] * len(channels)
        return cls(tuple(kinds), tuple(tuple(of_action) for of_action in blocks), by_channel)

    def blocks(self, action: int, channel: str | None) -> tuple[int, ...]:
        """The blocks of an action on a channel; an unknown channel adds nothing to the action's own."""
        own = self.by_action[action]
        return own if channel not in self.by_channel else (*own, self.by_channel[channel])


def _partition(members: Sequence[Hashable] | range) -> tuple[int, ...]:
    first: dict[Hashable, int] = {}
    return tuple(first.setdefault(member, len(first)) for member in members)
