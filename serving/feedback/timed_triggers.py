"""Triggers that time alone fires: everybody is looked at so often, and whoever has entered the condition since is decided on.

A look goes over the online store a page at a time, with what the condition reads brought forward to now, and notes who is inside
(`ledger.trigger_looks`). Who entered is open until a decision is made. Its request_id comes from the trigger, the contact and the look, its
message has the decision's id, and both are settled in one transaction: so what a killed process left is decided by the next one, once.

A first look, of a new trigger or of one that asks something else than before, only notes who is inside: when they entered is not known. So
it is of a look that is more than `within_minutes` overdue: what happened since then may be too long ago.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from decisioning.errors import NudgeError, RequestError, Unavailable, nearest
from decisioning.rules import Rows
from decisioning.triggers import CompiledTrigger
from decisioning.vocabulary import BoolArray, Columns
from ledger.codec import micros
from ledger.outbox import Message
from ledger.store import Ledger
from ledger.trigger_looks import Entry, Look
from serving.feedback.cloud_events import decision_event
from serving.feedback.event_settling import Clock, Decide, request_id_of
from serving.feedback.trigger_state import above
from serving.realtime.answers import iso
from serving.realtime.decision_inputs import plain
from serving.realtime.feature_rows import to_datetime64
from serving.realtime.snapshot import Snapshot, SnapshotHolder
from serving.schemas.hot_requests import HotDecision

LOG = logging.getLogger(__name__)
PAGE = 1_000
"""Contacts looked at together: what bounds the memory of a look, and how long it keeps others waiting."""

_DECIDED_AT_ONCE = 200
_EVER = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


@dataclass(frozen=True)
class Looked:
    """What a look at a trigger found, and what became of it.

    Attributes
    ----------
    trigger : str
    looked_at : str or None
        None where somebody else was looking.
    first : bool
        Nobody could enter: who is inside was noted.
    contacts, inside, entered, left : int
    late : int
        Who entered at a look that was too long overdue, and is not decided on.
    """

    trigger: str
    looked_at: str | None
    first: bool = False
    contacts: int = 0
    inside: int = 0
    entered: int = 0
    left: int = 0
    late: int = 0


class TimedTriggers:
    """What a server's errands and `nudge triggers` ask about triggers that time fires.

    Parameters
    ----------
    ledger : Ledger
    snapshots : SnapshotHolder
    decide : callable
        Makes decisions and keeps them.
    clock : callable
        Returns the present as an aware datetime.
    """

    def __init__(self, ledger: Ledger, snapshots: SnapshotHolder, decide: Decide, clock: Clock) -> None:
        self._ledger = ledger
        self._snapshots = snapshots
        self._decide = decide
        self._clock = clock

    def run_due(self) -> int:
        """Look at what is due and decide what is open; returns the decisions that were tried."""
        triggers = self._triggers()
        if not triggers:
            return 0
        every = {name: timedelta(minutes=one.trigger.every_minutes or 0) for name, one in triggers.items()}
        due = [triggers[name] for name in self._ledger.looks.due(every, self._clock())]
        return sum(self._looked_and_decided(due)[1].values())

    def run(self, trigger_ids: Collection[str] = ()) -> dict[str, Any]:
        """Look at these triggers, or at all, now, due or not, and decide what is open: {triggers: [...], decided: {word: count}}.

        Raises
        ------
        RequestError
            There is no such trigger, or none that time fires.
        """
        triggers = self._triggers()
        for name in trigger_ids:
            if name not in triggers:
                allowed = ", ".join(triggers) or "none: a trigger with `every_minutes`"
                raise RequestError(
                    "is no trigger that time fires", field="TRIGGER", got=name, allowed=allowed, hint=nearest(name, triggers)
                )
        looked, words = self._looked_and_decided([one for name, one in triggers.items() if not trigger_ids or name in trigger_ids])
        return {"triggers": [asdict(one) for one in looked], "decided": dict(words)}

    def _looked_and_decided(self, triggers: Sequence[CompiledTrigger]) -> tuple[list[Looked], Counter[str]]:
        """Look at these, after what is open was settled: a look forgets who has left, and their decision may be made but not sent yet.

        Where a look fails the others go on; the first failure is raised at the end.
        """
        words, looked = self.decide_open(), []
        failed: Exception | None = None
        for one in triggers:
            try:
                looked.append(self.look(one))
            except NudgeError as error:
                failed = failed or error
            except Exception as error:  # a model that fails for one trigger must not take the others with it
                LOG.exception("trigger %s: the look failed", one.trigger.id)
                failed = failed or error
        words += self.decide_open()
        if failed is not None:
            raise failed
        return looked, words

    def listed(self) -> list[dict[str, Any]]:
        """How each trigger that time fires stands: {trigger, every_minutes, looked_at, inside, waiting}."""
        standing = self._ledger.looks.standing()
        rows = []
        for name, one in self._triggers().items():
            stands = standing.get(name)
            at = None if stands is None or stands.looked_at is None else iso(stands.looked_at)
            counts = {"inside": stands.inside if stands else 0, "waiting": stands.waiting if stands else 0}
            rows.append({"trigger": name, "every_minutes": one.trigger.every_minutes, "looked_at": at, **counts})
        return rows

    # --- looking --------------------------------------------------------------------------------------------------------------------

    def look(self, trigger: CompiledTrigger) -> Looked:
        """Go over everybody once, and note who entered and who left; nothing where somebody else is looking."""
        snapshot, name = self._snapshots.current, trigger.trigger.id
        look = self._ledger.looks.begin(name, _asks(trigger), self._clock())
        if look is None:
            return Looked(name, None)
        whole = False
        try:
            found = self._gone_over(snapshot, trigger, look)
            whole = found is not None
        finally:
            with suppress(Unavailable):  # the lease ends by itself
                self._ledger.looks.end(look, whole=whole)
        return found or Looked(name, None)

    def _gone_over(self, snapshot: Snapshot, trigger: CompiledTrigger, look: Look) -> Looked | None:
        """What the look found; None where another looker took over."""
        in_time = _in_time(trigger, look)
        counts: Counter[str] = Counter()
        any_joined = self._ledger.anybody_joined()
        names = tuple(snapshot.dtypes) if trigger.trigger.score is not None else trigger.columns
        for ids, columns in snapshot.online.aging().pages(names, to_datetime64(look.began), PAGE):
            inside = self._inside(snapshot, trigger, look, ids, columns)
            joined = self._ledger.identities(ids) if any_joined else {}
            places = {contact_id: place for place, contact_id in enumerate(ids) if inside[place] and contact_id not in joined}
            read = {contact_id: _read(columns, trigger.columns, place) for contact_id, place in places.items()}
            changed = self._ledger.looks.seen(look, ids, read, self._clock(), opens=look.before is not None and in_time)
            if changed is None:
                return None
            counts.update(contacts=len(ids), inside=len(read), entered=changed[0], left=changed[1])
        if self._ledger.looks.standing()[look.trigger_id].inside > counts["inside"]:
            counts.update(left=self._forget_gone(snapshot, look))
        late = counts["entered"] if look.before is not None and not in_time else 0
        if late:
            LOG.warning("trigger %s: the last look was at %s, so %d who entered are too late", look.trigger_id, look.before, late)
        if look.before is None:
            del counts["entered"]
        return Looked(look.trigger_id, iso(look.began), look.before is None, late=late, **counts)

    def _forget_gone(self, snapshot: Snapshot, look: Look) -> int:
        """Forget those inside who are no contacts any more, and so on no page: they have left; how many those are."""
        gone, last = 0, ""
        while ids := self._ledger.looks.inside(look.trigger_id, PAGE, after=last):
            _, known = snapshot.online.online(ids)
            missing = [contact_id for contact_id, here in zip(ids, known.tolist(), strict=True) if not here]
            gone += (self._ledger.looks.seen(look, missing, {}, self._clock(), opens=False) or (0, 0))[1]
            last = ids[-1]
        return gone

    def _inside(self, snapshot: Snapshot, trigger: CompiledTrigger, look: Look, ids: list[str], columns: Columns) -> BoolArray:
        if trigger.trigger.score is not None:
            return above(snapshot, trigger, np.array(ids, dtype=object), columns, look.began)
        return trigger.all_inside(Rows(columns, len(ids), trigger.clock(look.began, snapshot.catalog.catalog.time_zone)))

    # --- deciding -------------------------------------------------------------------------------------------------------------------

    def decide_open(self) -> Counter[str]:
        """Decide on who entered and is not decided on yet: how many were `decided`, came too `late`, were `refused`, have to `wait`."""
        words: Counter[str] = Counter()
        triggers, last = self._triggers(), None  # of one catalogue to the end, though another be swapped in meanwhile
        while some := self._ledger.looks.open(triggers, _DECIDED_AT_ONCE, after=last):
            words += self._settle(some, triggers)
            last = some[-1]
        return words

    def _settle(self, entries: Sequence[Entry], triggers: Mapping[str, CompiledTrigger]) -> Counter[str]:
        now = self._clock()
        requests = {_request_id(one): one for one in entries}
        kept = self._ledger.decisions_by_request(set(requests), since=_EVER)
        late = {name for name, one in requests.items() if triggers[one.trigger_id].trigger.too_late(one.entered_at, now) is not None}
        to_make = [name for name in requests if name not in kept and name not in late]
        made = self._decide([_request(triggers[requests[name].trigger_id], requests[name]) for name in to_make])
        answers: dict[str, Any] = {name: one.trace["response"] for name, one in kept.items()} | dict(zip(to_make, made, strict=True))
        words = {name: _word(answers.get(name)) for name in requests}
        done = [one for name, one in requests.items() if words[name] != "wait"]
        for name, one in requests.items():
            if words[name] == "refused":
                LOG.warning("trigger %s: no decision on a contact: %s", one.trigger_id, answers[name])
        decided = {name: answers[name] for name in requests if words[name] == "decided"}
        self._ledger.looks.settle(done, self._messages(requests, decided))
        return Counter(words.values())

    def _messages(self, requests: Mapping[str, Entry], decided: Mapping[str, Mapping[str, Any]]) -> list[Message]:
        if self._snapshots.current.catalog.catalog.triggers_webhook is None:
            return []
        return [_message(requests[name], decision) for name, decision in decided.items()]

    def _triggers(self) -> dict[str, CompiledTrigger]:
        return {one.trigger.id: one for one in self._snapshots.current.catalog.triggers if one.trigger.is_timed}


def _asks(trigger: CompiledTrigger) -> str:
    """What the trigger asks of a contact, as text: another text is another question."""
    own = trigger.trigger
    condition = " AND ".join(one.text for one in trigger.enters)
    return condition if own.score is None else f"{own.score} of {own.action} > {own.above}"


def _in_time(trigger: CompiledTrigger, look: Look) -> bool:
    """Whether whoever entered since the last look did so within the trigger's time."""
    own = trigger.trigger
    return look.before is None or look.began - look.before <= timedelta(minutes=(own.every_minutes or 0) + own.within_minutes)


def _read(columns: Columns, names: Sequence[str], place: int) -> dict[str, Any]:
    """What a condition read of one contact, as a request gives features."""
    values = ((name, plain(columns[name][place])) for name in names if name in columns)
    return {name: value for name, value in values if value is not None}


def _request_id(entry: Entry) -> str:
    return request_id_of(entry.trigger_id, f"{entry.contact_id}\0{micros(entry.entered_at)}")


def _request(trigger: CompiledTrigger, entry: Entry) -> HotDecision:
    """The decision that an entry calls for; it sees the features as the condition saw them."""
    own = trigger.trigger
    facts: dict[str, bool | int | float | str | None] = {"trigger": own.id, "entered_at": iso(entry.entered_at)}
    return HotDecision(
        entry.contact_id,
        request_id=_request_id(entry),
        channel=own.channel,
        actions=list(own.actions),
        limit=1,
        context=facts,
        features=dict(entry.features) or None,
    )


def _word(answer: Mapping[str, Any] | NudgeError | None) -> str:
    if answer is None:
        return "late"
    if isinstance(answer, Unavailable):
        return "wait"
    return "refused" if isinstance(answer, NudgeError) else "decided"


def _message(entry: Entry, decision: Mapping[str, Any]) -> Message:
    at = datetime.fromisoformat(str(decision["decided_at"]))
    body = decision_event(decision, source="/nudge", trigger=entry.trigger_id, event_id=None, decided_at=at)
    return Message(str(decision["decision_id"]), entry.contact_id, body, at)
