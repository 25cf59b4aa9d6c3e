"""`nudge report goals`: where each goal stands, what it is likely to reach, and what goals and figures miss of each other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np

from measurement.goals import FORECAST_LEVEL, STATUS, Series, gaps, progress
from measurement.roi import KPI_BY_ID, figures
from nudge.reports.facts import Facts, Span
from nudge.reports.goals_file import Goal, known_as
from nudge.reports.roi import figure_of_whole, interval, iso, number, whole_sums
from nudge.reports.tallies import prepare, tally

_ADDS_UP = ("money", "count")
_AVERAGES = ("cac", "clv_change")
_MONTHS = 12


def goals_report(facts: Facts, goals: Sequence[Goal]) -> dict[str, Any]:
    """Each goal's progress, forecast and status, by whole months; goals that nothing measures and figures that no goal needs."""
    span = Span()
    prepare(facts, span)
    whole = whole_sums(facts, span)
    measured = [name for name, kpi in KPI_BY_ID.items() if (value := figures(kpi, whole)) is not None and value.value.size]
    found = gaps({goal.id: goal.kpi for goal in goals}, measured)
    return {
        "report": "goals",
        "as_of": iso(facts.newest),
        "currency": facts.catalog.currency,
        "forecast_level": FORECAST_LEVEL,
        "goals": [_stands(facts, goal, whole, measured) for goal in goals],
        "unmeasured": [{"goal": name, "kpi": kpi, "hint": known_as(kpi)} for name, kpi in found.unmeasured.items()],
        "unneeded": list(found.unneeded),
    }


def _stands(facts: Facts, goal: Goal, whole: dict[str, np.ndarray], measured: Sequence[str]) -> dict[str, Any]:
    about = {
        "id": goal.id,
        "kpi": goal.kpi,
        "unit": KPI_BY_ID[goal.kpi].unit if goal.kpi in KPI_BY_ID else None,
        "baseline": goal.baseline,
        "target": goal.target,
        "deadline": goal.deadline.isoformat(),
        "owner": goal.owner,
        "market": goal.market,
        "trade_offs": list(goal.trade_offs),
    }
    by_month, left = _series(facts, goal) if goal.kpi in measured else (None, 0)
    if by_month is None and goal.kpi in measured and goal.market is None:  # measured as a whole only, such as incremental money
        value = figure_of_whole(KPI_BY_ID[goal.kpi], whole)
        by_month = Series([0], [] if value is None else value.value, _adds_up(goal))
    found = progress(by_month, goal.baseline, goal.target, left)
    return {
        **about,
        "current": None if found.current is None else number(found.current),
        "progress": None if found.progress is None else number(found.progress),
        "forecast": interval(found.forecast),
        "status": found.status,
        "meaning": STATUS[found.status],
    }


def _adds_up(goal: Goal) -> bool:
    return KPI_BY_ID[goal.kpi].unit in _ADDS_UP and goal.kpi not in _AVERAGES


def _series(facts: Facts, goal: Goal) -> tuple[Series | None, int]:
    """The figure of each whole month from the goal's start, and how many whole months are left until its deadline."""
    left = 0 if facts.newest is None else _month(goal.deadline + timedelta(days=1)) - _month((facts.newest + timedelta(days=1)).date())
    by_month = tally(facts, "period", goal.market)
    found = figures(KPI_BY_ID[goal.kpi], by_month.sums)
    if found is None or facts.newest is None:
        return None, left
    newest = _month((facts.newest + timedelta(days=1)).date())
    first = -1 if goal.start is None else _month(goal.start)
    months = {_month(date.fromisoformat(f"{name}-01")): found.value[k] for k, name in enumerate(by_month.names) if name != "unknown"}
    kept = sorted(month for month in months if first <= month < newest and month < _month(goal.deadline + timedelta(days=1)))
    return Series(kept, [months[month] for month in kept], _adds_up(goal)), left


def _month(day: date) -> int:
    return day.year * _MONTHS + day.month - 1
