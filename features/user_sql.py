"""A workspace's own features: every ``features/*.sql`` is one DuckDB query over the contract tables.

The query reads ``contacts, accounts, events, interactions, outcomes, consents`` and ``entities(contact_id, as_of)`` and returns one of

- ``contact_id, as_of`` and features: one row an entity;
- ``contact_id, valid_from`` and features: the newest row whose valid_from is before as_of holds;
- ``contact_id`` and features: the same at any as_of.

The leak check runs the query again with every table cut at a sampled as_of. A query whose values then differ has looked into the future and
is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import duckdb

from decisioning.errors import DataError
from features.contract import FeatureSpec, unique_identifiers
from features.sources import ALWAYS, KEY_COLUMNS, as_stored, dtype_of, known_at, literal, quoted

Shape = Literal["as_of", "valid_from", "static"]

CUT_COLUMNS = {"events": "occurred_at", "interactions": "occurred_at", "outcomes": "occurred_at", "consents": "changed_at"}
"""The moment of a row of a table: what the leak check cuts by (exclusive)."""

CHECKED_CONTACTS = 1000
"""How many contacts the leak check compares at a moment."""

MOST_CUTS = 3
"""At how many moments the leak check compares."""

_KEYS = ("contact_id", "as_of", "valid_from")


@dataclass(frozen=True)
class UserQuery:
    """One file of features/: its text, the shape of its answer, the features it makes (column -> spec), its DuckDB types."""

    file: str
    sql: str
    shape: Shape
    columns: Mapping[str, FeatureSpec]
    types: Mapping[str, str]

    @property
    def table(self) -> str:
        """The table that holds its features, one row an entity by ``row_id``."""
        return quoted(f"user {self.file}")


def read_queries(connection: duckdb.DuckDBPyConnection, folder: Path) -> tuple[UserQuery, ...]:
    """The queries of ``folder/*.sql`` in the order of their names; ``connection`` has the contract tables opened.

    Raises
    ------
    DataError
        Where a file is not a query, does not return contact_id, or returns no feature.
    """
    if not folder.is_dir():
        return ()
    _show_entities(connection, "(SELECT NULL::VARCHAR AS contact_id, NULL::TIMESTAMP AS as_of WHERE false)")
    return tuple(_read_query(connection, path) for path in sorted(folder.glob("*.sql")))


def _read_query(connection: duckdb.DuckDBPyConnection, path: Path) -> UserQuery:
    file = f"features/{path.name}"
    sql = path.read_text(encoding="utf-8")
    try:
        statements = connection.extract_statements(sql)
        if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
            raise DataError("is not one SELECT", field=file, got=f"{len(statements)} statements", allowed="one query")
        # As a statement of its own, not between brackets: the query may end in a semicolon and a comment.
        connection.execute(f"CREATE OR REPLACE TEMP VIEW answer_view AS\n{sql}")
        described = connection.execute("DESCRIBE answer_view").fetchall()
    except duckdb.Error as error:
        raise DataError("is not a query that DuckDB can run", field=file, got=str(error).strip()) from error
    types = {str(column): str(sql_type) for column, sql_type, *_ in described}
    if "contact_id" not in types:
        raise DataError("does not return contact_id", field=file, got=", ".join(types), hint="add contact_id to its SELECT")
    shape: Shape = "as_of" if "as_of" in types else "valid_from" if "valid_from" in types else "static"
    own = [column for column in types if column not in _KEYS]
    if not own:
        raise DataError("returns no feature", field=file, got=", ".join(types), hint="select a column beside its keys")
    names = unique_identifiers(own, taken=(*_KEYS, "event_timestamp"))
    specs = {column: _spec(names[column], types[column], f"{file}:{column}", file) for column in own}
    return UserQuery(file, sql, shape, specs, types)


def _spec(name: str, sql_type: str, source: str, file: str) -> FeatureSpec:
    return FeatureSpec(name, dtype_of(sql_type), "none", "NULL: the query has no row or no value", None, source, f"From {file}")


def write_query(connection: duckdb.DuckDBPyConnection, query: UserQuery) -> str:
    """Run a query for every row of ``entity_rows`` into its table, after the leak check; returns the table.

    Raises
    ------
    DataError
        Where the query fails, returns two rows for one key, or looks into the future.
    """
    for cut in _sampled_cuts(connection):
        _check_leak(connection, query, cut)
    _run(connection, query, "entity_rows", query.table, schema="main")
    return query.table


def _show_entities(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    connection.execute(f"CREATE OR REPLACE VIEW memory.main.entities AS SELECT contact_id, as_of FROM {table}")


def _run(connection: duckdb.DuckDBPyConnection, query: UserQuery, entities: str, into: str, *, schema: str) -> None:
    """The query's features for the rows of the table `entities` into a table, read from the contract tables of `schema`."""
    _show_entities(connection, entities)
    keys = ["contact_id"] if query.shape == "static" else ["contact_id", query.shape]
    connection.execute(f"SET search_path = '{schema},main'")
    try:
        connection.execute(f"CREATE OR REPLACE TEMP TABLE answer AS\n{query.sql}")
    except duckdb.Error as error:
        raise DataError("cannot be run", field=query.file, got=str(error).strip()) from error
    finally:
        connection.execute("SET search_path = 'main'")
    _refuse_two_rows(connection, query, keys)
    features = [
        f"{as_stored(f'answer.{quoted(column)}', query.types[column])} AS {quoted(spec.name)}" for column, spec in query.columns.items()
    ]
    join = {
        "static": "LEFT JOIN answer ON e.contact_id = CAST(answer.contact_id AS VARCHAR)",
        "as_of": "LEFT JOIN answer ON e.contact_id = CAST(answer.contact_id AS VARCHAR) AND e.as_of = CAST(answer.as_of AS TIMESTAMP)",
        "valid_from": f"""ASOF LEFT JOIN (SELECT *, coalesce(CAST(valid_from AS TIMESTAMP), {ALWAYS}) AS "known since" FROM answer) answer
            ON e.contact_id = CAST(answer.contact_id AS VARCHAR) AND e.known_at > answer."known since\"""",
    }[query.shape]
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {into} AS SELECT e.row_id, e.contact_id, e.as_of, {', '.join(features)} FROM {entities} e {join}"
    )


def _refuse_two_rows(connection: duckdb.DuckDBPyConnection, query: UserQuery, keys: list[str]) -> None:
    key = ", ".join(keys)
    twice = connection.execute(f"SELECT {key} FROM answer GROUP BY {key} HAVING count(*) > 1 ORDER BY ALL LIMIT 3").fetchall()
    if twice:
        rows = "; ".join(", ".join(map(str, row)) for row in twice)
        raise DataError("returns two rows for one key", field=query.file, got=rows, allowed=f"one row for each {key}")


# --- the leak check -----------------------------------------------------------------------------------------------------------------


def _sampled_cuts(connection: duckdb.DuckDBPyConnection) -> list[object]:
    """Moments at which a look into the future would show: among the entities' own as_ofs, and in the middle of the events."""
    rows = connection.execute(
        f"""SELECT DISTINCT cut FROM (
            SELECT unnest(quantile_disc(as_of, [0.25, 0.75])) AS cut FROM (SELECT DISTINCT as_of FROM entity_rows)
            UNION ALL SELECT quantile_disc(occurred_at, 0.5) FROM events
        ) WHERE cut IS NOT NULL ORDER BY cut LIMIT {MOST_CUTS}"""
    ).fetchall()
    return [cut for (cut,) in rows]


def _check_leak(connection: duckdb.DuckDBPyConnection, query: UserQuery, cut: object) -> None:
    _write_checked_rows(connection, cut)
    _open_cut(connection, cut)
    _run(connection, query, "checked_rows", "answer_of_all", schema="main")
    _run(connection, query, "checked_rows", "answer_before", schema="cut")
    for spec in query.columns.values():
        name = quoted(spec.name)
        differs = f"a.{name} IS DISTINCT FROM b.{name}"
        if spec.dtype == "float":  # The sum of floats depends on their order, which DuckDB does not promise.
            differs += f" AND NOT coalesce(abs(a.{name} - b.{name}) <= 1e-9 * (1 + abs(a.{name})), false)"
        found = connection.execute(
            f"""SELECT a.contact_id, a.as_of, a.{name}, b.{name} FROM answer_of_all a JOIN answer_before b USING (row_id)
            WHERE {differs} ORDER BY row_id LIMIT 1"""
        ).fetchall()
        for contact_id, as_of, with_future, without in found:
            raise DataError(
                "looks into the future: the value changes when what happened at or after as_of is taken away",
                field=f"{query.file}: {spec.name}",
                got=f"{with_future} with and {without} without the future, for contact {contact_id} at {as_of}",
                hint="join entities and keep only rows with occurred_at < as_of",
            )


def _write_checked_rows(connection: duckdb.DuckDBPyConnection, cut: object) -> None:
    """Entities to compare: some contacts at the cut itself and at their own earlier as_ofs; first those with a future."""
    later = " UNION ".join(f"SELECT contact_id FROM {table} WHERE {column} >= $cut" for table, column in CUT_COLUMNS.items())
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE checked_rows AS
        WITH later AS ({later}),
        contacts_checked AS (
            SELECT contact_id FROM (SELECT DISTINCT contact_id FROM entity_rows)
            ORDER BY contact_id IN (FROM later) DESC, hash(contact_id), contact_id LIMIT {CHECKED_CONTACTS}),
        pairs AS (
            SELECT contact_id, as_of FROM entity_rows WHERE as_of <= $cut AND contact_id IN (FROM contacts_checked)
            UNION SELECT contact_id, CAST($cut AS TIMESTAMP) FROM contacts_checked)
        SELECT row_number() OVER (ORDER BY contact_id, as_of) AS row_id, contact_id, as_of, {known_at("as_of")} AS known_at FROM pairs""",
        {"cut": cut},
    )


def _open_cut(connection: duckdb.DuckDBPyConnection, cut: object) -> None:
    """The schema ``cut``: the contract tables as they were at a moment."""
    connection.execute("CREATE SCHEMA IF NOT EXISTS cut")
    moment = f"TIMESTAMP {literal(str(cut))}"
    for table in KEY_COLUMNS:
        condition = "true"
        if table in CUT_COLUMNS:
            condition = f"{CUT_COLUMNS[table]} < {moment}"
        elif table == "contacts":
            condition = f"valid_from IS NULL OR valid_from <= {known_at(moment)}"
        connection.execute(f"CREATE OR REPLACE VIEW cut.{table} AS SELECT * FROM memory.main.{table} WHERE {condition}")
