"""What a person should know about tables that are not wrong: the warnings of an ingest, each with a count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import duckdb

from decisioning.vocabulary import NO_ACTION
from features.sources import quoted
from features.tables import TABLES


def notes(connection: duckdb.DuckDBPyConnection, columns: Mapping[str, list[str]], now: datetime) -> list[str]:
    """The warnings of the checked tables (`staging.good_<table>`), in the order of the tables."""
    found: list[str] = []
    for table, condition, text in _conditions(columns, now):
        row = connection.execute(f"SELECT count(*) FROM staging.good_{table} t WHERE {condition}").fetchone()
        if row and row[0]:
            found.append(f"{table}: {row[0]:,} {text}")
    return found + list(_no_control(connection, columns))


def _conditions(columns: Mapping[str, list[str]], now: datetime) -> Iterator[tuple[str, str, str]]:
    """(table, SQL condition, words after the count)."""
    yield from _orphans(columns)
    for table, names in columns.items():
        for name in names:
            column = TABLES[table].column(name)
            if column is not None and column.kind == "time":
                yield table, f"t.{quoted(name)} > TIMESTAMP '{now.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}'", f"rows have {name} in the future"
    if "selection_prob" in columns.get("interactions", ()):
        yield "interactions", "t.selection_prob IS NULL", "rows have no selection_prob: it is estimated for them"
    if "as_of" in columns.get("interactions", ()):
        yield "interactions", "t.as_of > t.occurred_at", "rows have as_of after occurred_at: features may know the response"


def _orphans(columns: Mapping[str, list[str]]) -> Iterator[tuple[str, str, str]]:
    """Rows that refer to nobody known: kept, and used by nothing."""

    def missing(column: str, table: str) -> str:
        return f"t.{column} IS NOT NULL AND t.{column} NOT IN (SELECT {column} FROM staging.good_{table})"

    if "accounts" in columns and "account_id" in columns["contacts"]:
        yield "contacts", missing("account_id", "accounts"), "rows name an account that is not in accounts"
    for table in ("outcomes", "events", "consents"):
        if table in columns:
            yield table, missing("contact_id", "contacts"), "orphan rows: their contact is not in contacts, nothing uses them"
    if "outcomes" in columns and "interactions" in columns:
        yield "outcomes", missing("interaction_id", "interactions"), "orphan rows: their interaction is not in interactions"
        early = "SELECT 1 FROM staging.good_interactions i WHERE i.interaction_id = t.interaction_id AND t.occurred_at < i.occurred_at"
        yield "outcomes", f"EXISTS ({early})", "rows happened before their interaction"
    elif "outcomes" in columns:
        yield "outcomes", "t.interaction_id IS NOT NULL", "orphan rows: they name an interaction but there is no source of interactions"


def _no_control(connection: duckdb.DuckDBPyConnection, columns: Mapping[str, list[str]]) -> Iterator[str]:
    if "interactions" in columns:
        control = f"SELECT 1 FROM staging.good_interactions WHERE action_id = '{NO_ACTION}' LIMIT 1"
        if not connection.execute(control).fetchone():
            yield f"interactions: no row has action_id {NO_ACTION}: there is no control group, so uplift cannot be identified"
