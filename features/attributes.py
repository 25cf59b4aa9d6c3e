"""Features that are columns of contacts and accounts: any type, under their own names.

A contact may have several rows; the newest whose ``valid_from`` is not after as_of holds. A row without ``valid_from`` was always known.
For a timeless entity every row counts as known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import duckdb

from features.contract import IDENTITY_UNIT, RESERVED_NAMES, FeatureSpec, unique_identifiers
from features.sources import ALWAYS, Table, known_at, quoted

ACCOUNT_PREFIX = "account_"
PRESENCE = "presence"
"""In place of a table's name: whether there is a row of the contact."""

_UNKNOWN = "NULL: unknown"


@dataclass(frozen=True)
class AttributeFeature:
    """A column of contacts or accounts and the feature it becomes."""

    spec: FeatureSpec
    table: str
    column: str


def attribute_features(tables: Mapping[str, Table]) -> tuple[AttributeFeature, ...]:
    """The attributes of the opened tables as features, in the order of their columns."""
    contacts, accounts = tables["contacts"], tables["accounts"]
    names = unique_identifiers(contacts.attributes(), taken=(*RESERVED_NAMES, "account_id"))
    features = [_attribute(name, "contacts", column, tables) for column, name in names.items()]
    if "account_id" not in contacts.columns:
        return tuple(features)
    spec = FeatureSpec("account_id", "string", IDENTITY_UNIT, "NULL: belongs to no firm", None, "contacts.account_id", "The contact's firm")
    firm = unique_identifiers(map(_with_prefix, accounts.attributes()), taken=(*RESERVED_NAMES, "account_id", *names.values()))
    features += [_attribute(firm[_with_prefix(column)], "accounts", column, tables) for column in accounts.attributes()]
    return (AttributeFeature(spec, "contacts", "account_id"), *features)


def presence(taken: Iterable[str]) -> AttributeFeature:
    """The one feature of a workspace that knows nothing but ids, so that every step works there too: whether the contact is known."""
    (name,) = unique_identifiers(["is_known"], taken=(*RESERVED_NAMES, *taken)).values()
    spec = FeatureSpec(name, "bool", "flag", "false: no row by then", None, "contacts", "The contact is known")
    return AttributeFeature(spec, PRESENCE, "contact_id")


def _with_prefix(column: str) -> str:
    return column if column.lower().startswith(ACCOUNT_PREFIX) else f"{ACCOUNT_PREFIX}{column}"


def _attribute(name: str, table: str, column: str, tables: Mapping[str, Table]) -> AttributeFeature:
    spec = FeatureSpec(name, tables[table].columns[column], "none", _UNKNOWN, None, f"{table}.{column}", f"Attribute {column} of {table}")
    return AttributeFeature(spec, table, column)


def write_memberships(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the table ``memberships``: each row of contacts as (contact_id, account_id, since), with the firm ``before`` it."""
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE memberships AS
        SELECT contact_id, account_id, since, lag(account_id) OVER (PARTITION BY contact_id ORDER BY since) AS before
        FROM (SELECT contact_id, account_id, coalesce(valid_from, {ALWAYS}) AS since FROM contacts)"""
    )


def write_entities(connection: duckdb.DuckDBPyConnection, pairs: str) -> None:
    """Create the table ``entity_rows`` from SQL that gives (contact_id, as_of): row_id, the two, account_id, known_at, first_known.

    ``known_at`` is the cut for attributes; ``first_known`` the first ``valid_from`` of the contact, where there is one.
    """
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE entity_rows AS
        WITH pairs AS (
            SELECT DISTINCT contact_id, as_of, {known_at("as_of")} AS known_at
            FROM ({pairs}) WHERE contact_id IS NOT NULL AND as_of IS NOT NULL),
        first AS (SELECT contact_id, min(valid_from) AS first_known FROM contacts GROUP BY contact_id)
        SELECT row_number() OVER (ORDER BY pairs.contact_id, pairs.as_of) AS row_id, pairs.contact_id, pairs.as_of, pairs.known_at,
            memberships.account_id, first.first_known
        FROM pairs ASOF LEFT JOIN memberships ON pairs.contact_id = memberships.contact_id AND pairs.known_at >= memberships.since
        LEFT JOIN first ON pairs.contact_id = first.contact_id"""
    )


def write_attributes(connection: duckdb.DuckDBPyConnection, features: tuple[AttributeFeature, ...]) -> str:
    """Create the table ``attributes``, one row an entity by ``row_id`` with a column a feature; returns its name."""
    own = [f"known.{quoted(f.column)} AS {quoted(f.spec.name)}" for f in features if f.table == "contacts"]
    own += [f"known.{quoted(f.column)} IS NOT NULL AS {quoted(f.spec.name)}" for f in features if f.table == PRESENCE]
    firm = [f"accounts.{quoted(f.column)} AS {quoted(f.spec.name)}" for f in features if f.table == "accounts"]
    join = "LEFT JOIN accounts ON e.account_id = accounts.account_id" if firm else ""
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE attributes AS
        SELECT {", ".join(["e.row_id", *own, *firm])} FROM entity_rows e
        ASOF LEFT JOIN (SELECT *, coalesce(valid_from, {ALWAYS}) AS "known since" FROM contacts) known
        ON e.contact_id = known.contact_id AND e.known_at >= known."known since" {join}"""
    )
    return "attributes"
