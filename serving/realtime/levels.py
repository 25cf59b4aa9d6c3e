"""The adaptive layer: how far the level of responses has moved, measured on the newest choices of the ledger and kept in versions.

A decision names the version that it was made with, among its models' versions, and is made again with it. Levels belong to the propensity
model that promised the responses: another champion begins without.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from scipy.special import expit, logit

from decisioning.catalog import Catalog
from estimators.adaptive import Trials, arrived_share, level_shifts
from ledger.codec import chunks
from ledger.outcomes import OutcomeRecord
from ledger.records import DecisionRecord
from ledger.store import Ledger

LEVELS = "levels"
"""Its name among the versions of the models."""

MOST_DECISIONS = 20_000
HALF_LIVES = 4.0
"""Older choices count next to nothing."""
SAME = 0.02
"""Shifts that differ by less are the version that is there."""

_AT_ONCE = 250
_DAY = 86_400.0


@dataclass(frozen=True)
class Adapting:
    """How quickly levels follow, and how far they may go.

    Attributes
    ----------
    half_life_days : float
        After so long a choice counts half.
    most_shift : float
        The largest shift of the log odds, either way.
    every_minutes : float
        How often a server measures.
    """

    half_life_days: float = 14.0
    most_shift: float = 0.7
    every_minutes: float = 15.0


@dataclass(frozen=True)
class Levels:
    """A version of the shifts: log odds by (action_id, channel)."""

    version: int
    propensity: int | None
    shifts: Mapping[tuple[str, str], float]

    @classmethod
    def of(cls, kept: tuple[int, Mapping[str, Any]]) -> Levels:
        """What the ledger keeps."""
        version, body = kept
        return cls(version, body["propensity"], {(action, channel): float(shift) for action, channel, shift in body["shifts"]})


def levels_for(ledger: Ledger, propensity: int | None) -> Levels | None:
    """The newest levels, if they belong to this version of the propensity model."""
    kept = ledger.levels()
    found = None if kept is None else Levels.of(kept)
    return found if found is not None and found.propensity == propensity else None


def renew_levels(ledger: Ledger, catalog: Catalog, propensity: int | None, how: Adapting, now: datetime) -> Levels | None:
    """Measure, and keep a new version where a shift has moved; returns the levels that hold, None where nothing ever moved.

    Parameters
    ----------
    propensity : int or None
        The version of the propensity model that serves; None where the catalogue's cold starts do.
    now : datetime
        Nothing later counts.

    Raises
    ------
    Unavailable
        The ledger does not answer.
    """
    before = levels_for(ledger, propensity)
    shifts = measured_shifts(ledger, catalog, propensity, how, now)
    known = {} if before is None else before.shifts
    if all(abs(shifts.get(arm, 0.0) - known.get(arm, 0.0)) < SAME for arm in {*shifts, *known}):
        return before
    rows = [[action, channel, shift] for (action, channel), shift in sorted(shifts.items())]
    body = {"propensity": propensity, "measured_at": now.isoformat(), "shifts": rows}
    return Levels.of((ledger.keep_levels(body), body))


@dataclass(frozen=True)
class _Choice:
    """One choice: its arm, what the models alone promised, and what is needed to find its response."""

    arm: tuple[str, str]
    promised: float
    contact_id: str
    decision_id: str
    treatment_id: str
    decided_at: datetime


def measured_shifts(ledger: Ledger, catalog: Catalog, propensity: int | None, how: Adapting, now: datetime) -> dict[tuple[str, str], float]:
    """The shift of each arm of the catalogue that surely moved, by (action_id, channel)."""
    since = now - timedelta(days=HALF_LIVES * how.half_life_days)
    ids = ledger.newest_between(since, now, MOST_DECISIONS)
    reading = _Reading(ledger, propensity)
    choices = [one for chunk in chunks(ids, _AT_ONCE) for one in reading.choices(ledger.decisions_by_id(chunk).values())]
    goal_of = {action.id: action.goal for action in catalog.actions if action.goal is not None}
    choices = [one for one in choices if one.decision_id not in reading.redeemed and one.arm[0] in goal_of]
    if not choices:
        return {}
    came: dict[str, list[OutcomeRecord]] = {}
    for each in ledger.outcomes_between(sorted({one.contact_id for one in choices}), since, now):
        came.setdefault(each.contact_id, []).append(each)
    windows = {action_id: catalog.outcomes[goal].window_days for action_id, goal in goal_of.items()}
    delays = np.array([_delay(one, came.get(one.contact_id, ()), goal_of[one.arm[0]], windows[one.arm[0]]) for one in choices])
    arms = sorted({one.arm for one in choices})
    actions = sorted({action_id for action_id, _ in arms})
    trials = _trials(choices, delays, windows, arms, now, how)
    found = level_shifts(trials, [actions.index(action_id) for action_id, _ in arms], most=how.most_shift)
    return {arm: round(float(shift), 6) for arm, shift in zip(arms, found.tolist(), strict=True) if shift}


@dataclass
class _Reading:
    """Choices out of decisions; `redeemed` fills up with the plan's decisions that others carried out: the two are one touch."""

    ledger: Ledger
    propensity: int | None
    redeemed: set[str] = field(default_factory=set)
    _known: dict[int, Mapping[tuple[str, str], float]] = field(default_factory=dict)

    def choices(self, records: Sequence[DecisionRecord] | Any) -> Iterator[_Choice]:
        """What was chosen by this version of the model, with what it promised before any shift."""
        for record in records:
            self.redeemed |= {one.redeems for one in record.selections if one.redeems is not None}
            versions = record.trace.get("versions", {}).get("models", {})
            if record.degraded is not None or "raced" in record.trace or versions.get("propensity") != self.propensity:
                continue
            shifts = self._shifts(versions.get(LEVELS))
            for one, promised in zip(sorted(record.selections, key=lambda each: each.rank), _promises(record), strict=False):
                if promised is None or not 0.0 < promised < 1.0:
                    continue
                arm = one.action_id, one.channel
                plain = float(expit(logit(promised) - shifts.get(arm, 0.0)))
                yield _Choice(arm, plain, record.contact_id, record.decision_id, one.treatment_id, record.decided_at)

    def _shifts(self, version: int | None) -> Mapping[tuple[str, str], float]:
        """The shifts that a decision was made with."""
        if version is None:
            return {}
        if version not in self._known:
            kept = self.ledger.levels(version)
            self._known[version] = {} if kept is None else Levels.of(kept).shifts
        return self._known[version]


def _promises(record: DecisionRecord) -> list[float | None]:
    """The propensity of each choice, best first."""
    chosen = record.trace["economics"] if record.plan_id is not None else record.trace.get("response", {}).get("actions", [])
    return [one.get("propensity") for one in chosen]


def _delay(one: _Choice, outcomes: Sequence[OutcomeRecord], goal: str | None, window_days: float) -> float:
    """Days until the goal was reached, NaN where it was not, by what names the choice or only its contact."""
    for each in outcomes:
        names_it = each.decision_id == one.decision_id and each.treatment_id in (None, one.treatment_id)
        days = (each.occurred_at - one.decided_at).total_seconds() / _DAY
        if each.outcome == goal and (names_it or each.decision_id is None) and 0.0 < days <= window_days:
            return days
    return float("nan")


def _trials(
    choices: Sequence[_Choice],
    delays: np.ndarray,
    windows: Mapping[str, float],
    arms: Sequence[tuple[str, str]],
    now: datetime,
    how: Adapting,
) -> Trials:
    ages = np.array([(now - one.decided_at).total_seconds() / _DAY for one in choices])
    action = np.array([one.arm[0] for one in choices])
    arrived = np.zeros(len(choices))
    for action_id in np.unique(action).tolist():
        own, window = action == action_id, windows[action_id]
        closed = own & (ages >= window) & ~np.isnan(delays)
        arrived[own] = arrived_share(delays[closed], ages[own], window)
    speaks = arrived > 0.0
    return Trials(
        arm=np.array([arms.index(one.arm) for one in choices], dtype=np.int64)[speaks],
        promised=np.array([one.promised for one in choices])[speaks],
        arrived=arrived[speaks],
        responded=(~np.isnan(delays)).astype(np.float64)[speaks],
        weight=0.5 ** (ages[speaks] / how.half_life_days),
    )
