"""`nudge report segments`: who is in which segment of the catalogue, how that moves, and what contacting is worth in each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from decisioning.compiled_catalog import CompiledCatalog
from decisioning.control import HOLDOUT, TREATED
from decisioning.rules import Rows
from features.stored_columns import ROWS_AT_ONCE
from measurement.lift import Lift
from measurement.segments import FEWEST, BoolArray, lifts, movements, sizes
from nudge.ground.workspace import Workspace
from nudge.reports.facts import Facts, Span
from nudge.reports.roi import iso, lift_document
from nudge.reports.tallies import prepare
from nudge.reports.worth import compare, programme, read_logged
from nudge.verbs.features_ready import default_as_of, to_datetime64
from nudge.verbs.ledger_export import current_files

Members = dict[str, BoolArray]


@dataclass(frozen=True, eq=False)
class Standing:
    """Who was in which segment at one moment: `inside` by segment, over `contact_ids`."""

    moment: np.datetime64
    contact_ids: npt.NDArray[np.object_]
    inside: Members


def segments_report(
    workspace: Workspace, facts: Facts, catalog: CompiledCatalog, span: Span, dates: tuple[datetime | None, datetime | None]
) -> dict[str, Any]:
    """Sizes and overlaps at the later date, movements since the earlier one where there is one, and the lift of every segment.

    The lift is of contacts by the segment that they were in when they were first decided on, or touched: later, the touch itself may have
    moved them.
    """
    now = standing(workspace, catalog, dates[1])
    before = None if dates[0] is None else standing(workspace, catalog, dates[0])
    counted = sizes(now.inside)
    moved = {} if before is None else _movements(before, now)
    worth = _worth(workspace, facts, catalog, span)
    return {
        "report": "segments",
        "as_of": str(now.moment),
        "from": None if before is None else str(before.moment),
        "period": {"begin": iso(span.begin), "end": iso(span.end)},
        "currency": facts.catalog.currency,
        "contacts": len(now.contact_ids),
        "in_none": counted.in_none,
        "segments": [
            {
                "segment": name,
                "condition": facts.catalog.segments[name],
                "contacts": int(counted.contacts[k]),
                "share": float(counted.contacts[k] / len(now.contact_ids)) if len(now.contact_ids) else 0.0,
                "moved": moved.get(name),
                **worth.get(name, {"programme": None, "history": None}),
            }
            for k, name in enumerate(counted.names)
        ],
        "overlaps": [
            {"segment": name, "with": other, "contacts": int(counted.both[k, j]), "alike": float(counted.alike[k, j])}
            for k, name in enumerate(counted.names)
            for j, other in enumerate(counted.names)
            if k < j
        ],
        "fewest": FEWEST,
    }


def standing(workspace: Workspace, catalog: CompiledCatalog, when: datetime | None) -> Standing:
    """Everybody known at a moment, and the segments they were in."""
    moment = default_as_of(workspace) if when is None else to_datetime64(when)
    contact_ids, columns = workspace.door.stored_population(moment)
    parts = []
    for start in range(0, len(contact_ids), ROWS_AT_ONCE):
        length = min(ROWS_AT_ONCE, len(contact_ids) - start)
        parts.append(_inside(catalog, {name: column[start : start + length] for name, column in columns.items()}, length))
    nobody = np.zeros(0, dtype=np.bool_)
    return Standing(
        moment, np.asarray(contact_ids), {name: np.concatenate([nobody, *(one[name] for one in parts)]) for name in catalog.segments}
    )


def _inside(catalog: CompiledCatalog, columns: Any, length: int) -> Members:
    rows = Rows(columns, length)
    return {name: np.logical_and.reduce([part.holds(rows) for part in parts]) for name, parts in catalog.segments.items()}


def _movements(before: Standing, now: Standing) -> dict[str, dict[str, int]]:
    """Over everybody known at either date."""
    everybody = np.unique(np.concatenate([before.contact_ids, now.contact_ids]).astype(str))

    def spread(of: Standing) -> tuple[Members, BoolArray]:
        place = np.searchsorted(everybody, of.contact_ids.astype(str))
        known = np.zeros(len(everybody), dtype=np.bool_)
        known[place] = True
        inside = {name: np.zeros(len(everybody), dtype=np.bool_) for name in of.inside}
        for name, members in of.inside.items():
            inside[name][place] = members
        return inside, known

    (then, known_then), (later, known_later) = spread(before), spread(now)
    return {name: vars(one) for name, one in movements(then, later, known_then, known_later).items()}


def _worth(workspace: Workspace, facts: Facts, catalog: CompiledCatalog, span: Span) -> dict[str, dict[str, Any]]:
    prepare(facts, span)
    made = {name: {"programme": None, "history": None} for name in catalog.segments}
    for name, found in _of_programme(workspace, facts, catalog, span).items():
        made[name]["programme"] = found
    for name, found in _of_history(workspace, facts, catalog, span).items():
        made[name]["history"] = found
    return made


def _of_programme(workspace: Workspace, facts: Facts, catalog: CompiledCatalog, span: Span) -> dict[str, Any]:
    """Contacts decided here against the holdout, segment by segment."""
    groups, _ = programme(facts, span)
    if not groups:
        return {}
    table = facts.db.execute(
        f"""SELECT d.contact_id, f.occurred_at, revenue, cost, d.control_group = '{TREATED}' AS treated
        FROM of_decided d JOIN first_decided f USING (contact_id) WHERE d.control_group IN ('{TREATED}', '{HOLDOUT}')"""
    ).fetchnumpy()
    names = names_of(workspace, facts, np.asarray(table["contact_id"]))
    inside = _at_their_time(workspace, catalog, names, table["occurred_at"])
    revenue, cost, treated = (np.asarray(table[name], dtype=np.float64) for name in ("revenue", "cost", "treated"))
    profit, money = lifts(revenue - cost, treated, inside), lifts(revenue, treated, inside)
    return {name: _lift(profit[name], money[name]) for name in inside}


def _lift(profit: Lift | None, revenue: Lift | None) -> dict[str, Any] | None:
    return None if profit is None or revenue is None else lift_document(profit, revenue)


def _of_history(workspace: Workspace, facts: Facts, catalog: CompiledCatalog, span: Span) -> dict[str, Any]:
    """Logged touches against logged controls, segment by segment."""
    logged = read_logged(facts, span)
    if logged is None:
        return {}
    inside = _at_their_time(workspace, catalog, names_of(workspace, facts, logged.rows.contact), logged.moment)
    found: dict[str, Any] = {}
    for name, members in inside.items():
        sides = [int((logged.exposed[members] == side).sum()) for side in (1, 0)]
        made = compare(logged.of(members)) if min(sides) >= FEWEST else None
        found[name] = None if made is None else {**lift_document(made.profit, made.revenue), "randomised": made.randomised}
    return found


def names_of(workspace: Workspace, facts: Facts, contacts: npt.NDArray[np.uint64]) -> npt.NDArray[np.object_]:
    """What contacts are called: also those that only the ledger knows, whose events may tell of their segments."""
    people = facts.db.execute("SELECT contact_id, name FROM people ORDER BY contact_id").fetchnumpy()
    known = np.asarray(people["contact_id"])
    place = np.searchsorted(known, contacts)
    found = (place < known.size) & (np.append(known, 0)[place] == contacts)
    names = np.append(np.asarray(people["name"], dtype=object), "")[np.where(found, place, known.size)]
    if not found.all():
        strangers = _strangers(workspace, facts)
        names[~found] = [strangers.get(int(one), "") for one in contacts[~found]]
    return np.asarray(names, dtype=object)


def _strangers(workspace: Workspace, facts: Facts) -> dict[int, str]:
    """What the contacts are called whom we decided for, and who are in no table of contacts."""
    with current_files(workspace) as files:
        named = f"SELECT DISTINCT hash(contact_id::VARCHAR) AS contact_id, contact_id AS name FROM {files['decisions']}"
        rows = facts.db.execute(f"SELECT contact_id, name FROM ({named}) ANTI JOIN people USING (contact_id)")
        return {int(contact_id): str(name) for contact_id, name in rows.fetchall()}


def _at_their_time(workspace: Workspace, catalog: CompiledCatalog, ids: npt.NDArray[np.object_], moments: Any) -> Members:
    """Which segments each row's contact was in at the row's own time."""
    times = np.ma.filled(np.ma.asarray(moments).astype("datetime64[us]"), np.datetime64("NaT"))
    times = np.where(np.isnat(times), default_as_of(workspace), times)
    return _inside(catalog, workspace.door.historical(ids, times), len(ids))


def shown_offers(found: Mapping[str, Any]) -> dict[str, Any]:
    """`serving.plans.offers.offered_by_segment` for the report: everybody, and every segment by its name."""
    return {"everybody": found[""].to_json(), "segments": {name: one.to_json() for name, one in found.items() if name}}
