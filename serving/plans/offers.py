"""What could be proposed to a population and what it would be worth: for whom nothing good is on offer, and the four segments of uplift."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from decisioning.arbitration import SEGMENTS, segment_of
from decisioning.quiet_hours import to_datetime
from decisioning.stages import Appraisal, House, appraise_candidates
from decisioning.vocabulary import FloatArray
from ledger.store import Ledger
from measurement.value_finder import CLASSES, Value, find_value
from serving.plans.planner import PLANS
from serving.plans.population import Chunks, Population, gather_population
from serving.realtime.answers import iso
from serving.realtime.snapshot import Snapshot

UNKNOWN = "unknown"


def _appraised(population: Population, snapshot: Snapshot, ledger: Ledger, now: datetime) -> Iterator[Appraisal]:
    """The population as the next plan would find it, before the choice, some contacts at a time."""
    found = gather_population(population, snapshot, ledger, now, excluding_plan=PLANS)
    house = House(snapshot.catalog, snapshot.scorer, {name: line.price for name, line in snapshot.book.lines.items()})
    for situation, history in Chunks(found.situation, found.history, lambda done: None):
        yield appraise_candidates(house, situation, history)


def value_finder(population: Population, snapshot: Snapshot, ledger: Ledger, now: datetime) -> dict[str, Any]:
    """Contacts to whom no good action is available: how many, what they are worth, what kind of action is missing, and what rules it out.

    Contacts of the universal holdout are left out: that they get nothing is meant.
    """
    parts = list(_appraised(population, snapshot, ledger, now))
    open_, propensity, profit = (
        np.concatenate([of(one)[~one.held_out] for one in parts])
        for of in (lambda one: one.relevant, lambda one: one.scores.propensity, lambda one: one.economics.profit)
    )
    clv = np.concatenate([snapshot.scorer.clv(one.situation)[~one.held_out] for one in parts])
    treatments = snapshot.catalog.treatments
    by_kind = {
        name: find_value(open_, propensity, profit, [getattr(action, name) for action, _ in treatments]) for name in ("issue", "group")
    }
    found, under = by_kind["issue"], by_kind["issue"].of < len(CLASSES) - 1
    return {
        "report": "value-finder",
        "as_of": iso(to_datetime(population.moment)),
        "currency": snapshot.catalog.catalog.currency,
        "contacts": len(clv),
        "held_out": len(population.contact_ids) - len(clv),
        "underserved": int(under.sum()),
        "classes": [{"class": name, **_worth(clv[found.of == k])} for k, name in enumerate(CLASSES)],
        "missing": {name: _missing(value) for name, value in by_kind.items()},
        "taken_out_by": _taken_out(parts),
    }


def _worth(clv: FloatArray) -> dict[str, Any]:
    known = clv[np.isfinite(clv)]
    return {
        "contacts": len(clv),
        "clv": float(known.sum()) if known.size else None,
        "clv_each": float(known.mean()) if known.size else None,
    }


def _missing(value: Value) -> list[dict[str, Any]]:
    return [
        {
            "kind": one.kind,
            "contacts": one.contacts,
            "no_candidate": one.no_candidate,
            "unwanted": one.unwanted,
            "not_worth_it": one.not_worth_it,
            "best_profit": None if np.isnan(one.best_profit) else one.best_profit,
        }
        for one in value.missing
        if one.contacts
    ]


def _taken_out(parts: list[Appraisal]) -> list[dict[str, Any]]:
    """Of the contacts whom the rules leave no action at all, how many each rule takes some action from; most first."""
    counts: Counter[tuple[str, str]] = Counter()
    for one in parts:
        removed = one.candidates.removed_by[~one.relevant.any(axis=1) & ~one.held_out]
        for place, removal in enumerate(one.candidates.removals):
            touched = int((removed == place).any(axis=1).sum())
            if touched:
                counts[(removal.stage, removal.rule)] += touched
    return [{"stage": stage, "rule": rule, "contacts": number} for (stage, rule), number in counts.most_common()]


@dataclass
class Offered:
    """What is counted of contacts: how many, their lifetime value, what the best action would bring, and their segment of uplift.

    `clv` and `best_profit` hold the sum and the number of those of whom it is known.
    """

    contacts: int = 0
    clv: list[float] = field(default_factory=lambda: [0.0, 0.0])
    best_profit: list[float] = field(default_factory=lambda: [0.0, 0.0])
    uplift: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """Means and counts."""
        mean = {name: sums[0] / sums[1] if sums[1] else None for name, sums in (("clv", self.clv), ("best_profit", self.best_profit))}
        return {"contacts": self.contacts, **mean, "uplift": {name: self.uplift[name] for name in (*SEGMENTS, UNKNOWN)}}


def offered_by_segment(population: Population, snapshot: Snapshot, ledger: Ledger, now: datetime) -> dict[str, Offered]:
    """The same of everybody (under the empty name) and of every segment of the catalogue.

    A contact's segment of uplift is that of the action that would bring most; where no rule leaves one, of the best of all. What the best
    action brings is 0 where none is open and worth it.
    """
    segments = snapshot.catalog.segments
    found = {name: Offered() for name in ("", *segments)}
    for one in _appraised(population, snapshot, ledger, now):
        rows = one.situation.rows
        inside = {name: np.logical_and.reduce([part.holds(rows) for part in parts]) for name, parts in segments.items()}
        profit = np.nan_to_num(one.economics.profit, nan=-np.inf)
        best = np.where(one.relevant, profit, -np.inf)
        gain = np.maximum(best.max(axis=1, initial=-np.inf), 0.0)
        clv = snapshot.scorer.clv(one.situation)
        none_open = ~one.relevant.any(axis=1)
        place = np.where(none_open, profit.argmax(axis=1), best.argmax(axis=1))
        uplift = segment_of(one.scores, one.economics)[np.arange(rows.length), place]
        for name, counted in found.items():
            _count(counted, inside[name] if name else np.ones(rows.length, dtype=np.bool_), (clv, gain, uplift))
    return found


def _count(counted: Offered, rows: np.ndarray, facts: tuple[FloatArray, FloatArray, np.ndarray]) -> None:
    clv, gain, uplift = (one[rows] for one in facts)
    counted.contacts += int(rows.sum())
    known = np.isfinite(clv)
    counted.clv[0] += float(clv[known].sum())
    counted.clv[1] += float(known.sum())
    counted.best_profit[0] += float(gain.sum())
    counted.best_profit[1] += float(len(gain))
    for place, name in enumerate(SEGMENTS):
        counted.uplift[name] += int((uplift == place).sum())
    counted.uplift[UNKNOWN] += int((uplift < 0).sum())
