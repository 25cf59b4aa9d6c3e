"""Small workspaces: contract tables as ingest would write them, and what is built from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.build import build_offline, infer_contract
from features.contract import FeatureContract, stored_name

DAY_0 = datetime(2026, 1, 1, 12, tzinfo=UTC).replace(tzinfo=None)  # naive is UTC, as in the tables

_TYPES: dict[str, pa.DataType] = {
    **dict.fromkeys(("valid_from", "occurred_at", "changed_at", "as_of"), pa.timestamp("us")),
    **dict.fromkeys(("value", "cost", "selection_prob"), pa.float64()),
    **dict.fromkeys(("contact_id", "account_id", "interaction_id", "action_id", "event_type", "channel"), pa.string()),
    **dict.fromkeys(("outcome", "behaviour", "purpose", "status", "treatment_id"), pa.string()),
}

Rows = Sequence[Mapping[str, Any]]
Pair = tuple[str, datetime]


def day(days: float) -> datetime:
    """So many days after the first day of every test."""
    return DAY_0 + timedelta(days=days)


def moment(at: datetime) -> np.datetime64:
    """A time as numpy has it."""
    return np.datetime64(at, "us")


def write_table(workspace: Path, name: str, rows: Rows | pa.Table, *, columns: Sequence[str] = ()) -> None:
    """Write rows as ``data/<name>.parquet``; `columns` names those of an empty table."""
    folder = workspace / "data"
    folder.mkdir(parents=True, exist_ok=True)
    if not isinstance(rows, pa.Table):
        names = list(dict.fromkeys([*columns, *(key for row in rows for key in row)]))
        rows = pa.table({key: pa.array([row.get(key) for row in rows], type=_TYPES.get(key)) for key in names})
    pq.write_table(rows, folder / f"{name}.parquet")


def built_rows(
    workspace: Path, *, as_of: datetime | None = None, pairs: Sequence[Pair] | None = None, contract: FeatureContract | None = None
) -> dict[Pair, dict[str, Any]]:
    """The feature rows of a workspace by (contact_id, as_of), without a store."""
    into = workspace / "rows.parquet"
    entities = None
    if pairs is not None:
        entities = pa.table(
            {
                "contact_id": pa.array([contact for contact, _ in pairs], pa.string()),
                "as_of": pa.array([at for _, at in pairs], pa.timestamp("us")),
            }
        )
    contract = contract or infer_contract(workspace)
    build_offline(workspace, contract, into, as_of=None if as_of is None else moment(as_of), entities=entities)
    rows = {}
    for row in pq.read_table(into).to_pylist():
        contact_id, at = row.pop("contact_id"), row.pop("event_timestamp").astimezone(UTC).replace(tzinfo=None)
        assert (contact_id, at) not in rows
        rows[contact_id, at] = {name: row[stored_name(name)] for name in contract.names}
    return rows
