"""What must hold of a workspace after any load, read from its ledger as an auditor would: with SQL of our own."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

from decisioning.catalog import Catalog, Policy
from nudge.ground.workspace import Workspace

_DAY_US = 86_400_000_000


def outcomes_missing(workspace: Path, acknowledged: Collection[str]) -> int:
    """How many of the acknowledged outcomes are not in the ledger, or are there twice."""
    with closing(sqlite3.connect(workspace / "state" / "ledger.db")) as conn:
        kept = [event_id for (event_id,) in conn.execute("SELECT event_id FROM outcomes")]
    return len(set(acknowledged) - set(kept)) + len(kept) - len(set(kept))


def caps_exceeded(workspace: Path) -> int:
    """How many contacts were sent more than a cap of channels allows, by what was decided over HTTP in any window of it."""
    catalog = Workspace.open(workspace).catalog
    with closing(sqlite3.connect(workspace / "state" / "ledger.db")) as conn:
        caps = [one for one in catalog.contact_policy if one.max is not None and one.scope == "contact"]
        return sum(_exceeded(conn, catalog, cap) for cap in caps if not (cap.action or cap.group or cap.issue))


def _exceeded(conn: sqlite3.Connection, catalog: Catalog, policy: Policy) -> int:
    free = [action.id for action in catalog.actions if action.kind != "default"]
    marks = ", ".join("?" * len(free))
    window = int((policy.per_days or 0) * _DAY_US)
    only = "AND channel = ?" if policy.channel else ""
    found = conn.execute(
        f"""WITH sent AS (
                SELECT contact_id, decided_at FROM selections
                WHERE direction = 'outbound' AND plan_id IS NULL AND action_id NOT IN ({marks}) {only})
            SELECT count(*) FROM (
                SELECT contact_id FROM (
                    SELECT contact_id, count(*) OVER (
                        PARTITION BY contact_id ORDER BY decided_at RANGE BETWEEN {window} PRECEDING AND CURRENT ROW) AS within FROM sent)
                GROUP BY contact_id HAVING max(within) > ?)""",
        [*free, *([policy.channel] if policy.channel else []), policy.max],
    )
    (count,) = found.fetchone()
    return int(count)
