"""A workspace of a million decisions that nobody made: 500,000 contacts, 5,000,000 events, a fifth of the contacts held out."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from nudge.ground.workspace import Workspace

CONTACTS, EVENTS, DECISIONS = 500_000, 5_000_000, 1_000_000
SALE, HELD_OUT, TREATED = 80.0, 0.20, 0.25
"""Money of a sale, and the chance of one after each decision, of those held out and of the others."""

_DAY = 86_400_000_000
CATALOG: dict[str, Any] = {
    "version": "1",
    "currency": "PLN",
    "time_zone": "Europe/Warsaw",
    "channels": {"web": {"direction": "inbound"}, "email": {"direction": "outbound", "cost": 0.5}},
    "outcomes": {
        "sale": {"kind": "conversion", "window_days": 30},
        "card_sale": {"kind": "conversion", "window_days": 30},
        "click": {"kind": "response", "window_days": 7},
        "unsubscribe": {"kind": "opt_out", "window_days": 30},
    },
    "actions": [
        {"id": "loan", "issue": "sales", "goal": "sale", "value": SALE, "treatments": [{"id": "loan_email", "channel": "email"}]},
        {"id": "card", "issue": "cards", "goal": "card_sale", "value": 30, "treatments": [{"id": "card_web", "channel": "web"}]},
    ],
    "controls": {"holdout": 0.2, "salt": "s"},
}


def write(folder: Path) -> Workspace:
    """Write the workspace and return it."""
    for name in ("data", "state"):
        (folder / name).mkdir(parents=True)
    (folder / "nudge.yaml").write_text(yaml.safe_dump({"name": "big", "sources": {"contacts": "SELECT 1"}}), encoding="utf-8")
    (folder / "catalog.yaml").write_text(yaml.safe_dump(CATALOG), encoding="utf-8")
    rng = np.random.default_rng(1)
    ids = np.array([f"c-{k:07}" for k in range(CONTACTS)], dtype=object)
    _ingested(folder / "data", ids, rng)
    made = Workspace.open(folder)
    made.open_ledger().close()
    with sqlite3.connect(folder / "state" / "ledger.db") as db:
        _decided(db, ids, rng)
    return made


def _ingested(folder: Path, ids: np.ndarray, rng: np.random.Generator) -> None:
    begin = np.datetime64("2026-01-01", "us")
    pq.write_table(pa.table({"contact_id": ids, "market": rng.choice(["PL", "DE"], CONTACTS)}), folder / "contacts.parquet")
    events = {
        "contact_id": pa.array(ids).take(pa.array(rng.integers(0, CONTACTS, EVENTS))),
        "event_type": rng.choice(["view", "login"], EVENTS),
        "occurred_at": begin + rng.integers(0, 300 * 86_400, EVENTS).astype("m8[s]"),
        "session_id": pa.array(rng.integers(0, 2_000_000, EVENTS)).cast(pa.string()),
        "value": np.where(rng.random(EVENTS) < 0.1, 20.0, np.nan),
    }
    pq.write_table(pa.table(events), folder / "events.parquet")


def _decided(db: sqlite3.Connection, ids: np.ndarray, rng: np.random.Generator) -> None:
    who = rng.integers(0, CONTACTS, DECISIONS)
    at = int(np.datetime64("2026-07-01", "us").astype(int)) + rng.integers(0, 90 * 86_400, DECISIONS) * 1_000_000
    held_out = who % 10 < 2
    sold = np.flatnonzero(rng.random(DECISIONS) < np.where(held_out, HELD_OUT, TREATED))
    rows = list(zip(range(DECISIONS), ids[who].tolist(), at.tolist(), held_out.tolist(), strict=True))
    db.executemany(
        "INSERT INTO decisions (decision_id, contact_id, decided_at, control_group, trace) VALUES (?, ?, ?, ?, '{}')",
        ((f"d{k}", contact, moment, "holdout" if out else "nudge") for k, contact, moment, out in rows),
    )

    def selections() -> Iterator[tuple[Any, ...]]:
        for k, contact, moment, out in rows:
            if not out:
                what = ("loan", "loan_email", "email", "outbound") if k % 2 else ("card", "card_web", "web", "inbound")
                yield (f"d{k}", contact, moment, *what)

    db.executemany(
        """INSERT INTO selections (decision_id, rank, contact_id, decided_at, action_id, treatment_id, channel, direction, selection_prob,
           expected_profit, cost) VALUES (?, 1, ?, ?, ?, ?, ?, ?, 1, 5, 0.5)""",
        selections(),
    )
    db.executemany(
        """INSERT INTO outcomes (event_id, contact_id, outcome, behaviour, value, occurred_at, received_at, late)
           VALUES (?, ?, ?, 'positive', ?, ?, ?, 0)""",
        ((f"e{k}", rows[k][1], "sale" if k % 2 else "card_sale", SALE, rows[k][2] + _DAY, rows[k][2] + _DAY) for k in sold.tolist()),
    )
    _linked(db)


def _linked(db: sqlite3.Connection) -> None:
    """A link for each row, which vouches for nothing: what is read is found by it, and nobody checks these."""
    for kind, key in (("decisions", "decision_id"), ("outcomes", "event_id")):
        db.execute(
            f"""INSERT INTO chain_entries (stream, seq, key, salt, personal, hash)
            SELECT '{kind}/0', rowid, {key}, zeroblob(16), zeroblob(32), zeroblob(32) FROM {kind} ORDER BY rowid"""
        )
        db.execute(f"UPDATE chain_heads SET seq = (SELECT max(rowid) FROM {kind}), hash = zeroblob(32) WHERE stream = '{kind}/0'")
