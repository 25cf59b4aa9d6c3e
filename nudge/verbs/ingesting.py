"""`nudge ingest`: sources into contract tables, and the ingested past into the ledger, where contact policies look."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from decisioning.catalog_checks import to_come
from decisioning.compiled_catalog import compile_catalog
from decisioning.errors import NudgeError
from decisioning.vocabulary import Columns
from features.audit import audit, ingest_document
from features.build import infer_contract
from features.ingest import ingest
from nudge.ground.workspace import Workspace
from nudge.verbs.ledger_events import merge_ledger_events
from nudge.verbs.people import keep_apart

KEPT_DAYS = 400
"""The ledger keeps this much of the ingested past: contact policies look no further back than about a year."""

_QUERIES = {
    "touches": """
        SELECT i.contact_id, i.action_id, {treatment} AS treatment_id, {channel} AS channel, i.occurred_at AS at
        FROM '{data}/interactions.parquet' i WHERE i.action_id <> 'no_action' AND i.occurred_at > ?""",
    "outcomes": """
        SELECT o.contact_id, {action} AS action_id, o.outcome, o.occurred_at AS at
        FROM '{data}/outcomes.parquet' o {join} WHERE o.contact_id IS NOT NULL AND o.occurred_at > ?""",
    "consents": """
        SELECT contact_id, purpose, CAST(status = 'granted' AS DOUBLE) AS granted, changed_at
        FROM '{data}/consents.parquet' WHERE changed_at IS NOT NULL AND changed_at > coalesce(?, TIMESTAMP '1900-01-01')""",
    "members": """
        SELECT contact_id, {account} AS account_id FROM '{data}/contacts.parquet' WHERE {account} IS NOT NULL AND ? IS NULL
        QUALIFY row_number() OVER (PARTITION BY contact_id ORDER BY {since} DESC NULLS LAST) = 1""",
}
_TABLE = {"touches": "interactions", "outcomes": "outcomes", "consents": "consents", "members": "contacts"}
_AS_IT_IS = ("consents", "members")
"""Tables of which the newest rows hold, however old they are."""


def ingest_workspace(workspace: Workspace, *, quarantine: bool, progress: Callable[[str], None]) -> dict[str, Any]:
    """Check and replace the contract tables, then hand the past to the ledger: {tables: {name: {rows, ...}}, warnings}.

    Raises
    ------
    DataError
        A source or a row breaks the contract; nothing was replaced.
    """
    catalog = workspace.catalog
    report = ingest(
        workspace.folder,
        workspace.config.sources.given(),
        outcomes=catalog.outcomes,
        actions=set(catalog.action_by_id),
        quarantine=quarantine,
        now=datetime.now(UTC),
        progress=progress,
    )
    progress("handing touches, outcomes and consents to the ledger")
    with workspace.open_ledger() as ledger:
        keep_apart(workspace, ledger)
        ledger.replace_history(**read_past(workspace.folder / "data", report.newest_at))
        merge_ledger_events(workspace, ledger)
    progress("auditing the data")
    document = ingest_document(report, audit(workspace.folder))
    unknown = [f"catalog.yaml: {one}" for one in to_come(catalog)]
    return {**document, "warnings": [*document["warnings"], *unknown, *_broken_rules(workspace)]}


def _broken_rules(workspace: Workspace) -> list[str]:
    """What is wrong with the catalogue's expressions on this data: said here, long before the first decision refuses."""
    try:
        compile_catalog(workspace.catalog, infer_contract(workspace.folder).dtypes)
    except NudgeError as error:
        return [f"catalog.yaml: {error}"]
    return []


def read_past(data: Path, newest_at: datetime | None) -> dict[str, Columns]:
    """Touches, outcomes, consents and members of accounts of the contract tables in `data` as columns; an absent table gives no rows."""
    since = None if newest_at is None else newest_at.astimezone(UTC).replace(tzinfo=None) - np.timedelta64(KEPT_DAYS, "D").astype(object)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return {name: _read(connection, name, data, since) for name in _QUERIES}


def _read(connection: duckdb.DuckDBPyConnection, name: str, data: Path, since: datetime | None) -> Columns:
    path = data / f"{_TABLE[name]}.parquet"
    if not path.exists():
        return {}
    have = {row[0] for row in connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(path)]).fetchall()}
    with_interactions = "interaction_id" in have and (data / "interactions.parquet").exists()
    escaped = str(data).replace("'", "''")
    parts: dict[str, Any] = {
        "data": escaped,
        "treatment": "i.treatment_id" if "treatment_id" in have else "CAST(NULL AS VARCHAR)",
        "account": "account_id",
        "since": "valid_from" if "valid_from" in have else "1",
        "channel": "i.channel" if "channel" in have else "CAST(NULL AS VARCHAR)",
        "action": "i.action_id" if with_interactions else "CAST(NULL AS VARCHAR)",
        "join": f"LEFT JOIN '{escaped}/interactions.parquet' i ON o.interaction_id = i.interaction_id" if with_interactions else "",
    }
    if (name == "outcomes" and "contact_id" not in have) or (name == "members" and "account_id" not in have):
        return {}
    limit = None if name in _AS_IT_IS else since
    found = connection.sql(_QUERIES[name].format(**parts), params=[limit]).to_arrow_table()
    return {column: _canonical(found.column(column)) for column in found.column_names}


def _canonical(column: Any) -> np.ndarray:
    array = column.to_pandas().to_numpy()
    if array.dtype.kind == "M":
        return array.astype("datetime64[us]")
    return array if array.dtype.kind == "f" else np.array([None if one is None else str(one) for one in column.to_pylist()], dtype=object)
