"""Which effects an action shares: with all actions, with those of its issue and group, and with whatever goes by the same channel."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

ALL, ACTION, CHANNEL = "all", "action", "channel"


@dataclass(frozen=True)
class Place:
    """Where an action stands in the catalogue, from coarse to fine."""

    action: str
    group: str = ""
    issue: str = ""

    def levels(self) -> dict[str, Hashable]:
        """The name of each level, with what tells its members apart."""
        return {"issue": self.issue, "group": (self.issue, self.group), ACTION: self.action}


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
    def of(cls, places: Sequence[Place], cells: Sequence[tuple[int, str | None]]) -> EffectLevels:
        """The blocks for some actions, by what the log holds: (action, channel) of each cell.

        Examples
        --------
        >>> places = [Place("loan", "lending"), Place("line", "lending"), Place("fund", "investing")]
        >>> levels = EffectLevels.of(places, [(0, "call"), (0, "email"), (1, "call"), (2, "email")])
        >>> levels.kinds
        ('all', 'group', 'group', 'action', 'action', 'action', 'channel', 'channel')
        >>> levels.blocks(0, "email", strength=0.5)
        {0: 0.5, 1: 0.5, 3: 0.5, 7: 1.0}
        """
        kinds: list[str] = [ALL]
        blocks: list[list[int]] = [[0] for _ in places]
        actions = [action for action, _ in cells]
        seen = {_partition([0] * len(cells)), _partition(actions)}
        for kind in ("issue", "group", ACTION):
            members = [place.levels()[kind] for place in places]
            partition = _partition([members[action] for action in actions])
            if len(set(members)) < 2 or (kind != ACTION and partition in seen):
                continue
            seen.add(partition)
            number = {member: len(kinds) + k for k, member in enumerate(dict.fromkeys(members))}
            kinds += [kind] * len(number)
            for of_action, member in zip(blocks, members, strict=True):
                of_action.append(number[member])
        channels = [channel for _, channel in cells]
        by_channel: dict[str, int] = {}
        if _partition(channels) not in seen:
            by_channel = {name: len(kinds) + k for k, name in enumerate(sorted({name for name in channels if name is not None}))}
            kinds += [CHANNEL] * len(by_channel)
        return cls(tuple(kinds), tuple(tuple(of_action) for of_action in blocks), by_channel)

    def own(self, action: int) -> tuple[int, ...]:
        """The blocks of an action, the channel's left out."""
        return self.by_action[action]

    def blocks(self, action: int, channel: str | None, strength: float = 1.0) -> dict[int, float]:
        """How much of each block an action on a channel carries: its own by the channel's strength, and the channel's once."""
        own = dict.fromkeys(self.own(action), strength)
        return own if channel not in self.by_channel else {**own, self.by_channel[channel]: 1.0}


def _partition(members: Sequence[Hashable] | range) -> tuple[int, ...]:
    first: dict[Hashable, int] = {}
    return tuple(first.setdefault(member, len(first)) for member in members)
