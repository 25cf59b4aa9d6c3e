"""Contact events as they arrive: kept once and acknowledged when they are durable, then settled (`event_settling.py`) and answered."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from decisioning.errors import NudgeError
from ledger.codec import to_json
from ledger.events import EventRecord, OpenEvent
from ledger.store import Ledger
from serving.feedback.event_settling import Settled, Settling
from serving.people.people import People
from serving.realtime.decision_ids import new_decision_id
from serving.schemas.events import EventIn

LOG = logging.getLogger(__name__)

MOST_AHEAD = timedelta(minutes=5)
"""How far ahead of our clock an event may claim to have happened: clocks differ."""

_YEARS = (1900, 2200)
_LEFT_OPEN_SECONDS = 30.0
_AT_ONCE = 200


class Events:
    """What the routes and a server's errands ask about events.

    Parameters
    ----------
    ledger : Ledger
    people : People
        Who joined visitors are.
    settling : Settling
    clock : callable
        Returns the present as an aware datetime.
    """

    def __init__(self, ledger: Ledger, people: People, settling: Settling, clock: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._people = people
        self._settling = settling
        self._clock = clock

    def record(self, events: Sequence[EventIn]) -> dict[str, Any]:
        """Keep events, each once, and act on them: `schemas.events.EventReceipt`; in the ledger when it returns."""
        now = self._clock()
        refused = {place: reason for place, one in enumerate(events) if (reason := _refusal(one, now)) is not None}
        places = [place for place in range(len(events)) if place not in refused]
        records = self._records([events[place] for place in places], now)
        before = self._settling.before(records)
        words = self._ledger.events.record(records, before)
        first = {one.event_id: place for place, one in reversed(list(zip(places, records, strict=True)))}
        new = [OpenEvent(one, before.get(one.contact_id, {})) for one, word in zip(records, words, strict=True) if word == "accepted"]
        known = {one.event_id for one in records} - {one.record.event_id for one in new}
        settled = self._settle(new, known)
        return {
            "accepted": len(new),
            "duplicates": len(records) - len(new),
            "rejected": [{"index": place, "reason": reason} for place, reason in refused.items()],
            "decisions": [{"index": first[one.event_id], **one.to_json()} for one in settled],
        }

    def catch_up(self, *, at_start: bool = False) -> int:
        """Settle what was left open by a process that was killed, or while a store did not answer; returns the events looked at."""
        older_than = self._clock() - timedelta(seconds=0.0 if at_start else _LEFT_OPEN_SECONDS)
        left = self._ledger.events.open_before(older_than, _AT_ONCE)
        try:
            self._settling.settle(left)
        except NudgeError:
            raise
        except Exception:  # one event that cannot be settled must not keep the others waiting
            LOG.exception("settling %d events failed; trying them one by one", len(left))
            for one in left:
                self._settle_alone(one)
        return len(left)

    def _settle_alone(self, event: OpenEvent) -> None:
        try:
            self._settling.settle([event])
        except Exception:
            LOG.exception("the event %s cannot be settled; it stays open", event.record.event_id)

    def _settle(self, new: Sequence[OpenEvent], known: set[str]) -> list[Settled]:
        """Settle new events, and repeated ones that are still open; of the others, what was decided then."""
        still_open = self._ledger.events.open_among(known) if known else []
        done = known - {one.record.event_id for one in still_open}
        return [*self._settling.settle([*new, *still_open]), *self._settling.earlier(done)]

    def _records(self, events: Sequence[EventIn], now: datetime) -> list[EventRecord]:
        whose = self._people.contacts_of([str(one.contact_id or one.anonymous_id) for one in events])
        return [_record(one, contact_id, now) for one, contact_id in zip(events, whose, strict=True)]


def _refusal(event: EventIn, now: datetime) -> str | None:
    """Why an event cannot be kept, or None."""
    at = event.occurred_at
    if at is None:
        return None
    if at > now + MOST_AHEAD:
        return f"occurred_at {at.isoformat()} is in the future; allowed: up to {MOST_AHEAD.total_seconds() / 60:.0f} minutes ahead of us"
    if not _YEARS[0] <= at.year < _YEARS[1]:
        return f"occurred_at {at.isoformat()}; allowed: from {_YEARS[0]} on"
    return None


def _record(event: EventIn, contact_id: str, now: datetime) -> EventRecord:
    return EventRecord(
        event_id=event.event_id or _derived_id(event, now),
        contact_id=contact_id,
        event_type=event.event_type,
        occurred_at=(event.occurred_at or now).astimezone(UTC),
        received_at=now,
        value=event.value,
        channel=event.channel,
        session_id=event.session_id,
        content_id=event.content_id,
        anonymous_id=event.anonymous_id,
        extra=event.model_extra or {},
    )


def _derived_id(event: EventIn, now: datetime) -> str:
    """The same content at the same time is the same event; one that does not say when it occurred is always another one."""
    if event.occurred_at is None:
        return new_decision_id(now)
    return hashlib.sha256(to_json(event.model_dump(mode="json")).encode()).hexdigest()[:32]
