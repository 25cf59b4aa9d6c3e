"""A small valid workspace as SQL, whose sources a test replaces one at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from features.ingest import IngestReport, ingest

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)

CONTACTS = "SELECT * FROM (VALUES ('a', 30, 'F'), ('b', 40, NULL), ('c', 50, NULL)) t(contact_id, age, account_id)"
INTERACTIONS = """SELECT * FROM (VALUES
    ('i1', 'a', 'loan', TIMESTAMP '2026-01-01 10:00', 0.5, 1.5), ('i2', 'b', 'no_action', TIMESTAMP '2026-01-02', 0.5, 0.0))
    t(interaction_id, contact_id, action_id, occurred_at, selection_prob, cost)"""
OUTCOMES = "SELECT 'i1' AS interaction_id, 'loan_taken' AS outcome, TIMESTAMP '2026-01-03' AS occurred_at, 100.0 AS value, 'o1' AS event_id"
EVENTS = """SELECT * FROM (VALUES ('a', 'login', TIMESTAMP '2026-01-01', 'e1', NULL), ('b', 'purchase', TIMESTAMP '2026-01-04', 'e2', 9.5))
    t(contact_id, event_type, occurred_at, event_id, value)"""
CONSENTS = "SELECT 'a' AS contact_id, 'email_marketing' AS purpose, 'granted' AS status, TIMESTAMP '2025-12-01' AS changed_at"
ACCOUNTS = "SELECT 'F' AS account_id, 12 AS employees"

SOURCES: dict[str, str] = {
    "contacts": CONTACTS,
    "accounts": ACCOUNTS,
    "interactions": INTERACTIONS,
    "outcomes": OUTCOMES,
    "events": EVENTS,
    "consents": CONSENTS,
}


@dataclass(frozen=True)
class Outcome:
    """What ingest asks of the catalog's outcomes."""

    behaviour: str


OUTCOME_KINDS = {"loan_taken": Outcome("positive"), "unsubscribe": Outcome("negative")}
ACTIONS = ("loan", "savings")


def run(workspace: Path, *, quarantine: bool = False, base: Mapping[str, str] = SOURCES, **replaced: str) -> IngestReport:
    """Ingest the valid sources with some of them replaced."""
    sources = {**base, **replaced}
    return ingest(workspace, sources, outcomes=OUTCOME_KINDS, actions=ACTIONS, quarantine=quarantine, now=NOW)


def rows(workspace: Path, table: str) -> list[dict[str, Any]]:
    """The rows of an ingested table."""
    relation = duckdb.read_parquet(str(workspace / "data" / f"{table}.parquet"))
    return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]


def column(workspace: Path, table: str, name: str) -> list[Any]:
    """One column of an ingested table."""
    return [row[name] for row in rows(workspace, table)]


def types(workspace: Path, table: str) -> dict[str, str]:
    """Column -> DuckDB type of an ingested table."""
    relation = duckdb.read_parquet(str(workspace / "data" / f"{table}.parquet"))
    return dict(zip(relation.columns, map(str, relation.types), strict=True))


def fingerprint(workspace: Path) -> dict[str, str]:
    """Every file of `data/` (but the lock) with its hash."""
    files = [path for path in sorted((workspace / "data").rglob("*")) if path.is_file() and path.name != ".ingest.lock"]
    return {str(path.relative_to(workspace)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
