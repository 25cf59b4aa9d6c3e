"""Leads as files: what sales gets (CSV, or CloudEvents a line), and what comes back from it."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

from decisioning.errors import DataError, NotFound, RequestError
from ledger.leads import LeadStep
from nudge.verbs.reported_files import read_reported

EVENT_TYPE = "com.nudge.lead.qualified.v1"
COLUMNS = ("lead_id", "contact_id", "handed_over_at", "grade", "fit", "score", "probability", "owner", "accept_by", "contact_by")
_NAMES: Mapping[str, tuple[str, ...]] = {
    "lead_id": ("lead_id", "id"),
    "status": ("status", "lead_status"),
    "at": ("at", "occurred_at", "changed_at", "timestamp", "time"),
    "revenue": ("revenue", "value", "amount"),
    "reason": ("reason", "comment"),
}


def write_leads(leads: Sequence[Mapping[str, Any]], path: Path, source: str) -> None:
    """Write leads with their reasons, whole or not at all; `.csv`, or `.ndjson` for CloudEvents 1.0.

    Raises
    ------
    RequestError
        Another ending.
    NotFound
        The file cannot be written there.
    """
    text = _writer(path)(leads, source)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise NotFound(
            "the file cannot be written", field="--out", got=error.strerror, hint="hand over with --again and another --out"
        ) from None


def check_name(path: Path) -> None:
    """Refuse a name of which no format is known, before anything is handed over."""
    _writer(path)


def _writer(path: Path) -> Callable[[Iterable[Mapping[str, Any]], str], str]:
    writers = {".csv": _csv, ".ndjson": _events, ".jsonl": _events}
    if path.suffix.lower() not in writers:
        raise RequestError("cannot be written in this format", field="--out", got=path.name, allowed=", ".join(writers))
    return writers[path.suffix.lower()]


def _csv(leads: Iterable[Mapping[str, Any]], source: str) -> str:
    del source
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, "reasons", "to_ask"])
    for one in leads:
        reasons = "; ".join(f"{reason['because']} ({reason['points']:+g})" for reason in one["reasons"])
        writer.writerow(
            [*map(_cell, (one[name] for name in COLUMNS)), _cell(reasons), _cell("; ".join(q["ask"] for q in one["questions"]))]
        )
    return text.getvalue()


def _cell(value: object) -> object:
    """A text that a spreadsheet would run as a formula is kept a text."""
    if not isinstance(value, str) or not value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return value
    return f"'{value}"


def _events(leads: Iterable[Mapping[str, Any]], source: str) -> str:
    return "".join(json.dumps(lead_event(one, source), ensure_ascii=False) + "\n" for one in leads)


def lead_event(lead: Mapping[str, Any], source: str) -> dict[str, Any]:
    """A lead as a CloudEvent; its id is the lead's, so a receiver keeps each once."""
    return {
        "specversion": "1.0",
        "id": lead["lead_id"],
        "source": source,
        "type": EVENT_TYPE,
        "subject": lead["contact_id"],
        "time": lead["handed_over_at"],
        "datacontenttype": "application/json",
        "data": {**{name: lead[name] for name in COLUMNS}, "reasons": lead["reasons"], "questions": lead["questions"]},
    }


def read_steps(path: Path, now: datetime) -> list[LeadStep]:
    """What became of leads, row by row: `lead_id`, `status`, and where known `at` (else `now`), `revenue`, `reason`.

    Raises
    ------
    RequestError
        The file has another format.
    NotFound
        There is no such file.
    DataError
        The file or a row, by its number, cannot be read, or columns are lacking.
    """
    found = read_reported(path)
    names, columns = [name.lower() for name in found.column_names], [column.to_pylist() for column in found.columns]
    place = {key: next((names.index(one) for one in known if one in names), None) for key, known in _NAMES.items()}
    if place["lead_id"] is None or place["status"] is None:
        raise DataError("lacks the columns of statuses", field="FILE", got=", ".join(names), allowed="lead_id, status")
    return [
        _step({key: None if at is None else row[at] for key, at in place.items()}, f"row {number}", now)
        for number, row in enumerate(zip(*columns, strict=True), 1)
    ]


def _step(row: Mapping[str, Any], where: str, now: datetime) -> LeadStep:
    text = {key: "" if value is None else str(value).strip() for key, value in row.items()}
    try:
        revenue = float(text["revenue"]) if text["revenue"] else None
    except ValueError:
        raise DataError("is not a number", field=f"{where}.revenue", got=text["revenue"]) from None
    at = row["at"] if isinstance(row["at"], datetime) else None
    try:
        at = at or (datetime.fromisoformat(text["at"]) if text["at"] else now)
    except ValueError:
        raise DataError("is not a time", field=f"{where}.at", got=text["at"], allowed="ISO 8601") from None
    aware = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return LeadStep(text["lead_id"], text["status"].lower(), aware, revenue, text["reason"] or None, where)
