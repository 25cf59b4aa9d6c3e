"""Which noted events a materialisation carries over into its new rows: those that the data do not know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from features.online import Change
from features.online_events import Noted, OnlineFeatures
from features.online_recent import FactKind
from features.packing import NULL_INT


@dataclass(frozen=True)
class DataKnow:
    """What the data of a build know of what is noted.

    Parameters
    ----------
    event_ids : frozenset of str
        Those of the noted events that the data have, before the build's as_of.
    contacts : frozenset of str
        Those of the noted contacts who have a row of their own.
    consents : frozenset of (contact_id, purpose, microseconds, granted)
        Those of the noted contacts, before the build's as_of.
    until : mapping of FactKind to int
        The last moment of which the data know a fact of a kind; nothing for a kind they do not know at all.
    cut : int
        The build's as_of, microseconds since 1970 UTC.
    """

    event_ids: frozenset[str]
    contacts: frozenset[str]
    consents: frozenset[tuple[str, str, int, bool]]
    until: Mapping[FactKind, int]
    cut: int


@dataclass(frozen=True)
class Carrying:
    """What a note does in a new version (`features.online.Carried`); the notes of joined visitors are their contacts'.

    An event with an id is known where the data have the id, a consent where they have it. An event without an id is known where the data
    reach as far as it. Of a visitor who has no row of their own everything is kept, as long as the longest window.
    """

    features: OnlineFeatures
    data: DataKnow
    names: Mapping[str, str]

    def __call__(self, note: bytes) -> tuple[str, Change] | None:
        """The contact and the change; None for what is known already or too old to matter."""
        noted = Noted.from_bytes(note)
        contact_id, fact = self.names.get(noted.contact_id, noted.contact_id), noted.fact
        step = contact_id, self.features.after(fact, fact.at)
        if fact.is_consent:
            known = (contact_id, fact.purpose or "", fact.at, fact.kind == "granted") in self.data.consents
            return None if known and contact_id in self.data.contacts else step
        if contact_id not in self.data.contacts and noted.event_id is not None:
            return step if fact.at >= self.data.cut - self.features.longest else None
        if noted.event_id is None:
            return None if fact.at <= self.data.until.get(fact.kind, NULL_INT) else step
        return None if noted.event_id in self.data.event_ids else step
