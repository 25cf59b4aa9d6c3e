"""Feature rows: the contract of a workspace, and one row per (contact, as_of) with only what was known before as_of.

One path computes every row, for training, for the population and for serving, so that a value cannot differ between them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from decisioning.errors import DataError, NotFound
from features.attributes import AttributeFeature, attribute_features, presence, write_attributes, write_entities, write_memberships
from features.contract import IDENTITY_UNIT, TIMELESS, FeatureContract, FeatureSpec, stored_name
from features.shapes import StandardFeatures
from features.sources import SQL_TYPES, as_stored, connect, known_at, literal, open_tables, quoted
from features.streams import write_totals
from features.user_sql import UserQuery, read_queries, write_query
from features.windows import standard_features

Progress = Callable[[str], None]

TIMESTAMP_COLUMN = "event_timestamp"
"""The as_of of a row, under the name that Feast's retrieval expects."""


@dataclass(frozen=True)
class FeaturePlan:
    """The features of a workspace by where they come from, and the contract they make together."""

    attributes: tuple[AttributeFeature, ...]
    standard: StandardFeatures
    queries: tuple[UserQuery, ...]
    contract: FeatureContract


def infer_contract(workspace_dir: Path) -> FeatureContract:
    """The feature contract of a workspace, from ``data/*.parquet`` and ``features/*.sql``.

    Raises
    ------
    NotFound
        Where no contacts were ingested.
    DataError
        Where a query of features/ is not usable, or two features have one name.
    """
    with connect() as connection:
        return _plan(connection, workspace_dir).contract


def _plan(connection: duckdb.DuckDBPyConnection, workspace_dir: Path) -> FeaturePlan:
    tables = open_tables(connection, workspace_dir / "data")
    if not tables["contacts"].present:
        raise NotFound("no contacts are ingested", field="data/contacts.parquet", hint="run nudge ingest")
    attributes = attribute_features(tables)
    taken = {feature.spec.name for feature in attributes}
    standard = standard_features(connection)
    # An attribute that a workspace gives under a standard name is what its rules mean by it.
    windows = tuple(feature for feature in standard.features if feature.spec.name not in taken)
    queries = read_queries(connection, workspace_dir / "features")
    others = [*(feature.spec for feature in windows), *(spec for query in queries for spec in query.columns.values())]
    if not others and all(attribute.spec.unit == IDENTITY_UNIT for attribute in attributes):
        attributes = (*attributes, presence(taken))
    specs: list[FeatureSpec] = [*(attribute.spec for attribute in attributes), *others]
    return FeaturePlan(attributes, StandardFeatures(windows, standard.streams), queries, FeatureContract(tuple(specs)))


def known_contacts(workspace_dir: Path, as_of: np.datetime64) -> npt.NDArray[np.object_]:
    """The ids of the contacts known by `as_of`, in alphabetical order."""
    return np.array([one for ids in known_contacts_in_parts(workspace_dir, as_of) for one in ids.to_pylist()], dtype=object)


def known_contacts_in_parts(workspace_dir: Path, as_of: np.datetime64) -> Iterator[pa.Array]:
    """The same some at a time; they are put in order on disk where memory is short."""
    with connect(workspace_dir / "state") as connection:
        open_tables(connection, workspace_dir / "data")
        for batch in connection.sql(f"SELECT contact_id FROM ({population_sql(as_of)}) ORDER BY contact_id").to_arrow_reader():
            yield batch.column(0)


def population_sql(as_of: np.datetime64, *more: str) -> str:
    """SQL of the contacts known by `as_of`, as contact_id, as_of and what `more` aggregates over each one's rows."""
    moment = f"TIMESTAMP {literal(str(as_of.astype('datetime64[us]')))}"
    return f"""SELECT {", ".join(["contact_id", f"{moment} AS as_of", *more])}
        FROM contacts WHERE contact_id IS NOT NULL GROUP BY contact_id
        HAVING bool_or(valid_from IS NULL) OR min(valid_from) <= {known_at(moment)}"""


def _population_and_interactions(as_of: np.datetime64) -> str:
    """SQL of the rows a workspace needs: every contact known by `as_of`, and every interaction's own as_of."""
    return f"""{population_sql(as_of)}
        UNION SELECT contact_id, coalesce(as_of, occurred_at, TIMESTAMP {literal(str(TIMELESS))}) FROM interactions"""


def build_offline(
    workspace_dir: Path,
    contract: FeatureContract,
    into: Path,
    *,
    as_of: np.datetime64 | None = None,
    entities: pa.Table | None = None,
    progress: Progress | None = None,
) -> int:
    """Write one feature row per distinct (contact_id, event_timestamp) into a parquet file; returns the rows.

    Parameters
    ----------
    workspace_dir : Path
        The workspace whose ``data/*.parquet`` and ``features/*.sql`` are read.
    contract : FeatureContract
        What the rows must hold.
    into : Path
        The parquet file, written beside itself and renamed when it is whole.
    as_of : datetime64, optional
        Build every contact known by it, and every interaction at its own as_of.
    entities : pyarrow.Table, optional
        Build these (contact_id, as_of) pairs instead.
    progress : callable, optional
        Told what is being computed.

    Raises
    ------
    DataError
        Where the data or a query do not fit the contract any more.
    """
    if (as_of is None) == (entities is None):
        raise ValueError("exactly one of as_of and entities must be given")
    tell = progress or _silent
    with connect(into.parent) as connection:
        plan = _plan(connection, workspace_dir)
        if plan.contract.hash != contract.hash:
            raise DataError(
                "the data or features/*.sql changed since the features were built",
                got=plan.contract.hash,
                allowed=contract.hash,
                hint="run nudge features build",
            )
        if entities is not None:
            connection.register("given_pairs", entities)
        pairs = "SELECT contact_id, as_of FROM given_pairs" if as_of is None else _population_and_interactions(as_of)
        tables = _write_tables(connection, plan, pairs, tell)
        tell("writing the rows")
        return _write_rows(connection, plan, tables, into)


def _silent(stage: str) -> None:
    """Progress that nobody follows."""


def _write_tables(connection: duckdb.DuckDBPyConnection, plan: FeaturePlan, pairs: str, tell: Progress) -> list[str]:
    """Every feature's inputs as tables of one row an entity; returns their names."""
    tell("who is asked about, and when")
    write_memberships(connection)
    write_entities(connection, pairs)
    tell("attributes")
    tables = [write_attributes(connection, plan.attributes)]
    tell("windows")
    totals = [total for feature in plan.standard.features for total in feature.totals]
    tables += write_totals(connection, plan.standard.streams, totals)
    for query in plan.queries:
        tell(query.file)
        tables.append(write_query(connection, query))
    return tables


def _write_rows(connection: duckdb.DuckDBPyConnection, plan: FeaturePlan, tables: list[str], into: Path) -> int:
    columns = [(f"attributes.{quoted(feature.spec.name)}", feature.spec) for feature in plan.attributes]
    columns += [(as_stored(feature.sql, SQL_TYPES[feature.spec.dtype]), feature.spec) for feature in plan.standard.features]
    columns += [(f"{query.table}.{quoted(spec.name)}", spec) for query in plan.queries for spec in query.columns.values()]
    select = ["e.contact_id", f"CAST(e.as_of AS TIMESTAMPTZ) AS {TIMESTAMP_COLUMN}"]
    select += [f"{sql} AS {quoted(stored_name(spec.name))}" for sql, spec in columns]
    joins = "\n".join(f"LEFT JOIN {table} ON e.row_id = {table}.row_id" for table in tables)
    unfinished = into.with_name(f".{into.name}.{os.getpid()}")
    try:
        connection.execute(
            f"""COPY (SELECT {", ".join(select)} FROM entity_rows e {joins} ORDER BY e.row_id)
            TO {literal(str(unfinished))} (FORMAT parquet, COMPRESSION zstd)"""
        )
        [(written, wanted)] = connection.execute(
            f"SELECT count(*), (SELECT count(*) FROM entity_rows) FROM read_parquet({literal(str(unfinished))})"
        ).fetchall()
        if written != wanted:
            raise DataError(
                "a contact or an account has two rows for one moment",
                got=f"{written} rows for {wanted} entities",
                hint="ingest again",
            )
        os.replace(unfinished, into)
    finally:
        unfinished.unlink(missing_ok=True)
    return int(written)
