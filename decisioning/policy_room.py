"""What contact policies leave to a plan: caps over the whole population, gathered chunk by chunk."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from decisioning.allocation.problem import LocalCap
from decisioning.candidates import Situation
from decisioning.catalog import Policy
from decisioning.compiled_catalog import CompiledCatalog
from decisioning.contact_policy import Room, rooms
from decisioning.history import History
from decisioning.vocabulary import BoolArray, IntArray


@dataclass
class PolicyRoom:
    """The caps that a plan of `per_contact` treatments a contact could break: of accounts, and where it gives several, of contacts.

    A cap of a contact that gets one treatment is not among them: the stages have taken out what it forbids.
    """

    catalog: CompiledCatalog
    per_contact: int
    rooms: list[list[Room]] = field(default_factory=list)

    def add(self, situation: Situation, history: History) -> None:
        """Take note of the next chunk of contacts. Accounts carry the same numbers in all chunks."""
        if any(policy.scope == "account" for policy in self._policies()) or self.per_contact > 1:
            self.rooms.append(rooms(self.catalog, situation, history))

    def caps(self) -> tuple[LocalCap, ...]:
        """The caps that can bind, over the contacts of all chunks in their order."""
        if not self.rooms:
            return ()
        found = []
        for place, policy in enumerate(self._policies()):
            parts = [chunk[place] for chunk in self.rooms]
            if policy.scope == "account" or self.per_contact > 1:
                cap = _of_accounts(parts) if policy.scope == "account" else _of_contacts(parts)
                found.append(self._that_can_bind(replace(cap, policy=policy.id)))
        return tuple(cap for cap in found if (cap.unit_of >= 0).any() and cap.members.any())

    def _policies(self) -> list[Policy]:
        """The policy of each entry of `rooms`."""
        caps = [policy for policy in self.catalog.catalog.contact_policy if policy.after is None]
        counts = [len(self.catalog.actions) if policy.action == "*" else 1 for policy in caps]
        return [policy for policy, count in zip(caps, counts, strict=True) for _ in range(count)]

    def _that_can_bind(self, cap: LocalCap) -> LocalCap:
        """The same cap without the units whose contacts cannot fill it."""
        inside = cap.unit_of >= 0
        contacts = np.bincount(cap.unit_of[inside], minlength=len(cap.room))
        most = min(self.per_contact, self._actions_of(cap.members))
        binds = np.append(cap.room < contacts * most, False)
        return replace(cap, unit_of=np.where(inside & binds[cap.unit_of], cap.unit_of, -1))

    def _actions_of(self, members: BoolArray) -> int:
        return sum(bool(members[list(one.columns)].any()) for one in self.catalog.actions)


def _of_contacts(parts: list[Room]) -> LocalCap:
    """Every contact for itself, numbered on from chunk to chunk."""
    offsets = np.cumsum([0, *(len(part.left) for part in parts)])
    unit_of = [np.where(part.unit_of >= 0, part.unit_of + offset, -1) for part, offset in zip(parts, offsets[:-1], strict=True)]
    return LocalCap(np.concatenate(unit_of), np.concatenate([part.left for part in parts]), parts[0].members)


def _of_accounts(parts: list[Room]) -> LocalCap:
    """Accounts across chunks: the least that any chunk says is left of one."""
    room: IntArray = np.full(max(len(part.left) for part in parts), np.iinfo(np.int64).max, dtype=np.int64)
    for part in parts:
        np.minimum(room[: len(part.left)], part.left, out=room[: len(part.left)])
    return LocalCap(np.concatenate([part.unit_of for part in parts]), room, parts[0].members)
