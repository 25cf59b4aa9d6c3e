"""What calls for a decision by itself: an event, a segment entered, a score that rose above a threshold; by an event, or by time alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, TypeAlias
from zoneinfo import ZoneInfo

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from decisioning.catalog_values import Condition, Number, Text
from decisioning.rules import Expression, Rows
from decisioning.rules.findings import RuleFindings, days_from_today
from decisioning.vocabulary import BoolArray

Score: TypeAlias = Literal["propensity", "uplift", "clv"]


class Trigger(BaseModel):
    """Calls for a decision among `actions`, within `within_minutes` of the event that fired it.

    `event_type` and `when` (a condition on `event.*` and features) say which events. With `enters` an event fires it only where it makes
    this condition true, with `segment` where it makes that of a segment of the catalogue true, with `score` and `above` where it lifts the
    score above the threshold: not so before it, so after it.

    With `every_minutes` no event is needed: all contacts are looked at so often, and whoever was outside at the last look and is inside
    now calls for a decision, within `within_minutes` of the look.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Text
    event_type: Text | None = None
    when: Condition | None = None
    enters: Condition | None = None
    segment: Text | None = None
    score: Score | None = None
    action: Text | None = None
    above: Number | None = None
    actions: tuple[Text, ...] = Field(min_length=1)
    channel: Text | None = None
    within_minutes: Annotated[Number, Field(gt=0, le=525_600)] = 60.0
    every_minutes: Annotated[Number, Field(ge=1, le=525_600)] | None = None

    @model_validator(mode="after")
    def _says_what_fires_it(self) -> Trigger:
        changes = [one for one in (self.enters, self.segment, self.score) if one is not None]
        if self.event_type is None and not changes:
            raise ValueError("a trigger needs what fires it: `event_type`, `enters`, `segment`, or `score` with `above`")
        if self.every_minutes is not None and (self.event_type is not None or self.when is not None or not changes):
            raise ValueError("with `every_minutes` no event fires it, but `enters`, `segment` or `score` alone: no `event_type`, no `when`")
        if (self.score is None) != (self.above is None):
            raise ValueError("`score` and `above` go together: the threshold that the score has to cross")
        if len(changes) > 1:
            raise ValueError("one of `enters`, `segment` and `score`: make several triggers of it")
        if (self.action is not None) != (self.score in ("propensity", "uplift")):
            raise ValueError("`action` says of which action the score is: of `propensity` and `uplift`, and of nothing else")
        return self

    @property
    def asks_what_changed(self) -> bool:
        """Whether it compares what holds after an event with what held before."""
        return not self.is_timed and (self.enters is not None or self.segment is not None or self.score is not None)

    @property
    def is_timed(self) -> bool:
        """Whether it is looked at by time, not by events."""
        return self.every_minutes is not None

    def too_late(self, occurred_at: datetime, now: datetime) -> str | None:
        """Why no decision is made for an event any more; None where it is in time."""
        age = now - occurred_at
        if age <= timedelta(minutes=self.within_minutes):
            return None
        return f"happened {age.total_seconds() / 60:.0f} minutes ago; the trigger waits {self.within_minutes:g}"


@dataclass(frozen=True)
class CompiledTrigger:
    """A trigger with its conditions as functions."""

    trigger: Trigger
    when: tuple[Expression, ...]
    enters: tuple[Expression, ...]

    def concerns(self, event_type: str) -> bool:
        """Whether it looks at events of this type."""
        return not self.trigger.is_timed and self.trigger.event_type in (None, event_type)

    def matches(self, rows: Rows) -> bool:
        """Whether `when` holds for the one row, whose context has the event's facts."""
        return _all_hold(self.when, rows)

    def inside(self, rows: Rows) -> bool:
        """Whether the condition that an event has to make true holds for the one row."""
        return _all_hold(self.enters, rows)

    def all_inside(self, rows: Rows) -> BoolArray:
        """The same of many rows, shape (rows.length,)."""
        held = np.ones(rows.length, dtype=np.bool_)
        for condition in self.enters:
            held &= condition.holds(rows)
        return held

    @property
    def columns(self) -> tuple[str, ...]:
        """The features that its condition reads."""
        return tuple(dict.fromkeys(name for condition in self.enters for name in condition.columns))

    def clock(self, now: datetime, time_zone: str) -> dict[str, str]:
        """What its condition reads of `clock.*` at `now`: the days are the business' own (its time zone), `clock.now` is UTC."""
        today = now.astimezone(ZoneInfo(time_zone)).date()
        keys = {key for condition in self.enters for key in condition.context_keys}
        days = {key: days_from_today(key) for key in keys}
        moment = now.astimezone(UTC).isoformat()
        return {key: moment if ahead is None else (today + timedelta(days=ahead)).isoformat() for key, ahead in days.items()}


def compile_triggers(
    triggers: Iterable[Trigger], declared: Collection[str], segments: Mapping[str, str], findings: RuleFindings
) -> tuple[CompiledTrigger, ...]:
    """The triggers as `findings` compiles them, with those of their actions that are declared; what does not fit is remembered there."""
    compiled = []
    for place, named in enumerate(triggers):
        one = named.model_copy(update={"actions": tuple(action for action in named.actions if action in declared)})
        when = findings.event_condition(one.when, path=f"triggers[{place}].when") if one.when else ()
        enters = one.enters if one.segment is None else segments[one.segment]
        condition = findings.timed_condition if one.is_timed else findings.condition
        entering = condition(enters, path=f"triggers[{place}].enters") if enters else ()
        if one.actions:
            compiled.append(CompiledTrigger(one, when, entering))
    return tuple(compiled)


def _all_hold(conditions: tuple[Expression, ...], rows: Rows) -> bool:
    row = rows.only
    return all(condition.on_row(row) == 1 for condition in conditions)
