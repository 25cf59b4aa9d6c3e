"""`nudge ingest-outcomes`: what an orchestration tool reports by file, each row once, all of them or none."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from decisioning.catalog import Catalog
from decisioning.errors import DataError, RequestError, nearest
from decisioning.schema_errors import explain_validation_error
from nudge.ground.workspace import Workspace
from nudge.verbs.reported_files import read_reported
from serving.feedback.outcome_intake import intake, refusals
from serving.schemas.decisions import MAX_ITEMS, OutcomeIn

NAMES: Mapping[str, tuple[str, ...]] = {
    "event_id": ("event_id", "id", "message_id"),
    "decision_id": ("decision_id",),
    "contact_id": ("contact_id",),
    "treatment_id": ("treatment_id",),
    "outcome": ("outcome", "status", "event", "event_type"),
    "value": ("value", "amount"),
    "occurred_at": ("occurred_at", "timestamp", "time"),
}
"""The columns that are read, each under the first of these names that the file has; any other is ignored."""

_WORDS = {"sent": "delivery", "delivered": "delivery", "opened": "impression", "open": "impression", "seen": "impression"}
_SHOWN = 3
Bad = list[tuple[int, str]]
Say = Callable[[str], None]


def ingest_outcomes(workspace: Workspace, file: Path, words: Mapping[str, str], *, quarantine: bool, say: Say) -> dict[str, Any]:
    """Keep the outcomes of a file: {rows, accepted, duplicates, quarantined, ignored, orphans}.

    Parameters
    ----------
    words : mapping of str to str
        The tool's word for what happened -> the catalogue's outcome; to nothing: such rows are ignored.
    quarantine : bool
        Set bad rows aside in data/quarantine/ and go on, instead of refusing the file.

    Raises
    ------
    RequestError
        The file cannot be read, or a word is mapped to an outcome that the catalogue does not have.
    DataError
        Rows are bad: how many and three of them are named, and nothing of the file is kept.
    """
    catalog, now = workspace.catalog, datetime.now(UTC)
    meanings = _meanings(catalog, words)
    table = read_reported(file)
    rows = _rows(table)
    with workspace.open_ledger() as ledger:
        good, bad, ignored = _parsed(rows, meanings)
        say(f"checking {len(good):,} outcomes")
        for start in range(0, len(good), MAX_ITEMS):
            some = good[start : start + MAX_ITEMS]
            bad += [(some[place][0], reason) for place, reason in refusals([one for _, one in some], ledger, catalog).items()]
        if bad and not quarantine:
            raise _refusal(file, bad)
        if bad:
            _set_aside(workspace, file, table, bad)
        out = {number for number, _ in bad}
        left = [one for number, one in good if number not in out]
        counts = {"accepted": 0, "duplicates": 0}
        for start in range(0, len(left), MAX_ITEMS):
            say(f"{start:,} of {len(left):,} outcomes")
            [receipt] = intake([left[start : start + MAX_ITEMS]], ledger, catalog, now)
            counts = {name: counts[name] + receipt[name] for name in counts}
        known = ledger.decisions_by_id({one.decision_id for one in left if one.decision_id is not None})
    orphans = sum(one.decision_id is not None and one.decision_id not in known for one in left)
    return {"rows": len(rows), **counts, "quarantined": len(bad), "ignored": ignored, "orphans": orphans}


def _meanings(catalog: Catalog, words: Mapping[str, str]) -> Callable[[str], str | None]:
    """What a word of the file means: itself, what `words` says, the only outcome of that kind but bounces, `click` for `clicked`."""
    for word, outcome in words.items():
        if outcome and outcome not in catalog.outcomes:
            hint = nearest(outcome, catalog.outcomes)
            raise RequestError(f"'{word}' means no outcome", field="--map", got=outcome, allowed=", ".join(catalog.outcomes), hint=hint)
    only: dict[str, str] = {}
    for kind in set(_WORDS.values()):
        of_kind = [name for name, one in catalog.outcomes.items() if one.kind == kind and one.behaviour != "negative"]  # no bounce
        if len(of_kind) == 1:
            only[kind] = of_kind[0]

    def meaning(word: str) -> str | None:
        if word in words:
            return words[word] or None
        if word in catalog.outcomes:
            return word
        of_kind = only.get(_WORDS.get(word.lower(), ""))
        return of_kind or next((one for one in _done(word.lower()) if one in catalog.outcomes), word)

    return meaning


def _done(word: str) -> Iterator[str]:
    """What it may be that was done.

    Examples
    --------
    >>> list(_done("bounced")), list(_done("replied"))[-1], list(_done("reply"))
    (['bounc', 'bounce', 'bouny'], 'reply', [])
    """
    if word.endswith("ed"):
        yield from (word[:-2], word[:-1], f"{word[:-3]}y")


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    """The rows under the names of the API."""
    have = {name.lower(): name for name in table.column_names}
    columns = {name: next((have[one] for one in names if one in have), None) for name, names in NAMES.items()}
    if columns["outcome"] is None or (columns["decision_id"] is None and columns["contact_id"] is None):
        allowed = f"one of {', '.join(NAMES['outcome'])}, and decision_id or contact_id"
        raise DataError("lacks the columns of outcomes", field="FILE", got=", ".join(table.column_names), allowed=allowed)
    given = {name: column for name, column in columns.items() if column is not None}
    values = {name: table[column].to_pylist() for name, column in given.items()}
    return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]


def _parsed(rows: Sequence[dict[str, Any]], meaning: Callable[[str], str | None]) -> tuple[list[tuple[int, OutcomeIn]], Bad, int]:
    """(row number from 1, outcome) of the rows that can be read, the others with their reason, and how many are to be ignored."""
    good: list[tuple[int, OutcomeIn]] = []
    bad: Bad = []
    ignored = 0
    for number, row in enumerate(rows, 1):
        word = "" if row["outcome"] is None else str(row["outcome"]).strip()
        outcome = meaning(word)
        if outcome is None:
            ignored += 1
            continue
        try:
            good.append((number, OutcomeIn.model_validate({**dict(_plain(row)), "outcome": outcome})))
        except ValidationError as error:
            bad.append((number, explain_validation_error(error, OutcomeIn)))
        except ValueError as error:
            bad.append((number, str(error)))
    return good, bad, ignored


def _plain(row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The row's values as the API reads them; without an event_id of its own it gets one that its content gives: the same row, the same."""
    for name, value in row.items():
        if value is None or (isinstance(value, str) and not value.strip()):
            continue
        if name == "value":
            yield name, _number(value)
        elif name == "occurred_at":
            yield name, value if isinstance(value, datetime) else str(value).strip()
        elif name != "outcome":
            yield name, str(value).strip()
    if not row.get("event_id"):
        content = "\0".join(f"{name}={row[name]}" for name in sorted(row) if row[name] is not None)
        yield "event_id", f"file-{hashlib.sha256(content.encode()).hexdigest()[:32]}"


def _number(value: Any) -> float:
    try:
        return float(value)
    except ValueError:
        raise ValueError(f"value: is no number; got {value}") from None


def _refusal(file: Path, bad: Bad) -> DataError:
    bad.sort()
    examples = "; ".join(f"row {number}: {reason}" for number, reason in bad[:_SHOWN])
    return DataError(
        f"{len(bad):,} rows cannot be kept, so nothing of the file is",
        field=file.name,
        got=examples,
        hint="mend them, say what a word means with --map WORD=OUTCOME (WORD= leaves its rows out), or use --quarantine",
    )


def _set_aside(workspace: Workspace, file: Path, table: pa.Table, bad: Bad) -> None:
    bad.sort()
    folder = workspace.folder / "data" / "quarantine"
    folder.mkdir(parents=True, exist_ok=True)
    rows = table.take([number - 1 for number, _ in bad]).append_column("_reason", pa.array([reason for _, reason in bad]))
    pq.write_table(rows, folder / f"outcomes_{file.stem}.parquet")
