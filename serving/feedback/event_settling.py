"""What follows from an event that was kept: the contact's online features know it, and its triggers are decided.

Every step may be done again: the online store counts an event_id once, a trigger's decision on an event has one request_id, and its message
has the decision's id. So an event that a killed process left open is settled by whoever finds it, with the same result. It is settled, and
its messages are in the outbox, in one transaction.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from decisioning.errors import NudgeError, Unavailable
from decisioning.triggers import CompiledTrigger
from features.online_recent import Fact
from ledger.codec import micros
from ledger.events import TRIGGERED, EventRecord, OpenEvent
from ledger.outbox import Message
from ledger.store import Ledger
from serving.feedback.cloud_events import decision_event
from serving.feedback.trigger_state import Standing, event_rows, inside, matched
from serving.realtime.feature_rows import to_datetime64
from serving.realtime.snapshot import Snapshot, SnapshotHolder
from serving.schemas.hot_requests import HotDecision

LOG = logging.getLogger(__name__)
_WAITS = "the online features cannot be reached now: it is decided as soon as they can, within the trigger's time"
_EVER = datetime(1970, 1, 1, tzinfo=UTC)
Decide = Callable[[Sequence[HotDecision]], list[dict[str, Any] | NudgeError]]
Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Settled:
    """What a trigger made of an event: a decision's answer, or the reason for none."""

    event_id: str
    trigger: str
    decision: Mapping[str, Any] | None
    reason: str | None

    def to_json(self) -> dict[str, Any]:
        """As `schemas.events.EventDecision` has it, but for the index."""
        return {"event_id": self.event_id, "trigger": self.trigger, "decision": self.decision, "reason": self.reason}


@dataclass(frozen=True)
class _Fired:
    """A trigger that an event fired."""

    trigger: CompiledTrigger
    event: EventRecord

    @property
    def request_id(self) -> str:
        return request_id_of(self.trigger.trigger.id, self.event.event_id)

    def request(self) -> HotDecision:
        """The decision that it calls for."""
        own, event = self.trigger.trigger, self.event
        facts = {"trigger": own.id, "event_type": event.event_type, "event_value": event.value, "event_channel": event.channel}
        return HotDecision(
            event.contact_id, request_id=self.request_id, channel=own.channel, actions=list(own.actions), limit=1, context=facts
        )


def request_id_of(trigger_id: str, event_id: str) -> str:
    """The request_id of a trigger's decision on an event: always the same, and as long as a request_id may be."""
    named = hashlib.sha256("\0".join((trigger_id, event_id)).encode("utf-8", "surrogatepass")).hexdigest()
    return f"{TRIGGERED}{named[:32]}"


class Settling:
    """Settles events.

    Parameters
    ----------
    ledger : Ledger
    snapshots : SnapshotHolder
    decide : callable
        Makes decisions and keeps them.
    clock : callable
        Returns the present as an aware datetime.
    """

    def __init__(self, ledger: Ledger, snapshots: SnapshotHolder, decide: Decide, clock: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._snapshots = snapshots
        self._decide = decide
        self._clock = clock

    def before(self, events: Sequence[EventRecord]) -> dict[str, Standing]:
        """How the contacts of events stand before them, for the triggers that ask what an event changed."""
        snapshot = self._snapshots.current
        if not any(one.trigger.asks_what_changed for one in snapshot.catalog.triggers):
            return {}
        return {contact_id: inside(snapshot, contact_id, self._clock()) for contact_id in {one.contact_id for one in events}}

    def settle(self, events: Sequence[OpenEvent]) -> list[Settled]:
        """Bring the online features up to date and decide what was triggered, in the order of the events."""
        if not events:
            return []
        snapshot, now = self._snapshots.current, self._clock()
        stood = {one.record.contact_id: one.before for one in reversed(events)}
        fired: list[_Fired] = []
        waiting: list[Settled] = []
        unknown: set[str] = set()  # events that the online store could not take
        for one in events:
            event = one.record
            if unknown or not self._apply(snapshot, event, now):  # who did not answer a moment ago is not asked again for each
                unknown.add(event.event_id)
                concerned = (trigger for trigger in snapshot.catalog.triggers if trigger.concerns(event.event_type))
                waiting += [Settled(event.event_id, trigger.trigger.id, None, _WAITS) for trigger in concerned]
            elif snapshot.catalog.triggers:
                fired += self._fired(snapshot, event, stood, now)
        settled, failed = self._decided(fired, now)
        done = {one.record.event_id for one in events} - unknown - failed
        if done or settled:
            self._ledger.events.settle(done, self._messages(snapshot, settled, fired))
        return [*settled, *waiting]

    def earlier(self, event_ids: Collection[str]) -> list[Settled]:
        """What was decided on events that are settled already."""
        triggers = [one.trigger.id for one in self._snapshots.current.catalog.triggers]
        named = {request_id_of(trigger, event_id): (event_id, trigger) for event_id in sorted(event_ids) for trigger in triggers}
        found = self._ledger.decisions_by_request(set(named), since=_EVER)
        return [Settled(*named[one], found[one].trace["response"], None) for one in named if one in found]

    def _apply(self, snapshot: Snapshot, event: EventRecord, now: datetime) -> bool:
        """Whether the online store has the event; it has not where it does not answer: then the event stays open."""
        fact = Fact("event", micros(event.occurred_at), event.event_type, event.channel, event.value, event.session_id)
        try:
            snapshot.online.apply_event(event.contact_id, fact, to_datetime64(now), event_id=event.event_id)
        except Unavailable as error:
            LOG.warning("events wait for the online store: %s", error)
            return False
        except NudgeError as error:
            LOG.error("the online features cannot know the event %s: %s", event.event_id, error)
        return True

    def _fired(self, snapshot: Snapshot, event: EventRecord, stood: dict[str, Standing], now: datetime) -> list[_Fired]:
        """The triggers that an event fired; `stood` is brought to how its contact stands after it."""
        concerned = [one for one in snapshot.catalog.triggers if one.concerns(event.event_type)]
        if not concerned and not stood[event.contact_id]:
            return []
        rows = event_rows(snapshot, event)
        asks = any(one.trigger.asks_what_changed for one in snapshot.catalog.triggers)
        after = inside(snapshot, event.contact_id, now) if asks else {}
        before, stood[event.contact_id] = stood[event.contact_id], after
        return [_Fired(one, event) for one in concerned if matched(one, rows, before, after)]

    def _decided(self, fired: Sequence[_Fired], now: datetime) -> tuple[list[Settled], set[str]]:
        """What became of each, in order, and the events whose decision has to be tried again."""
        kept = self._ledger.decisions_by_request({one.request_id for one in fired}, since=_EVER)
        late = {one.request_id: one.trigger.trigger.too_late(one.event.occurred_at, now) for one in fired}
        to_make = [one for one in fired if one.request_id not in kept and late[one.request_id] is None]
        made = dict(zip((one.request_id for one in to_make), self._decide([one.request() for one in to_make]), strict=True))
        settled, failed = [], set()
        for one in fired:
            answer = dict(kept[one.request_id].trace["response"]) if one.request_id in kept else made.get(one.request_id)
            if isinstance(answer, Unavailable):
                failed.add(one.event.event_id)
            reason = str(answer) if isinstance(answer, NudgeError) else None if answer is not None else late[one.request_id]
            settled.append(Settled(one.event.event_id, one.trigger.trigger.id, None if reason else answer, reason))  # type: ignore[arg-type]
        return settled, failed

    def _messages(self, snapshot: Snapshot, settled: Sequence[Settled], fired: Sequence[_Fired]) -> list[Message]:
        """The decisions as messages of the webhook, where the catalogue has one."""
        if snapshot.catalog.catalog.triggers_webhook is None:
            return []
        return [_message(one, own.event.contact_id) for one, own in zip(settled, fired, strict=True) if one.decision is not None]


def _message(settled: Settled, contact_id: str) -> Message:
    decision = settled.decision or {}
    at = datetime.fromisoformat(str(decision["decided_at"]))
    body = decision_event(decision, source="/nudge", trigger=settled.trigger, event_id=settled.event_id, decided_at=at)
    return Message(str(decision["decision_id"]), contact_id, body, at)
