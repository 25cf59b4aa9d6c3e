"""A business with as many contacts as one likes: 37 attributes, 20 actions on 3 channels, 12 constraints, and a log to learn from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

NUMBERS, FLAGS, TEXTS = 26, 6, 5
ACTIONS, LOGGED = 20, 30_000
CITIES = np.array(["Lodz", "Krakow", "Gdynia", "Warszawa", "Poznan", "Lublin", "Torun", "Opole"], dtype=object)
AT_ONCE = 250_000
CHANNELS: dict[str, dict[str, Any]] = {
    "email": {"direction": "outbound", "cost": 0.02, "purpose": "marketing"},
    "sms": {"direction": "outbound", "cost": 0.08, "purpose": "marketing"},
    "call": {"direction": "outbound", "cost": 4.0, "purpose": "phone"},
}


def write_workspace(folder: Path, *, contacts: int, seed: int = 7) -> None:
    """nudge.yaml, catalog.yaml and the raw tables of a workspace."""
    raw = folder / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    _write(raw / "contacts.parquet", contacts, lambda start, n: _contacts(start, n, rng))
    _write(raw / "consents.parquet", contacts, lambda start, n: _consents(start, n, rng))
    interactions, outcomes = _log(min(contacts, 4 * LOGGED), rng)
    pq.write_table(interactions, raw / "interactions.parquet")
    pq.write_table(outcomes, raw / "outcomes.parquet")
    sources = {name: f"SELECT * FROM read_parquet('raw/{name}.parquet')" for name in ("contacts", "consents", "interactions", "outcomes")}
    (folder / "nudge.yaml").write_text(yaml.safe_dump({"name": "million", "seed": seed, "sources": sources}), encoding="utf-8")
    (folder / "catalog.yaml").write_text(yaml.safe_dump(catalog(contacts), sort_keys=False), encoding="utf-8")


def catalog(contacts: int) -> dict[str, Any]:
    """20 actions on 3 channels; budgets, capacities and minimums that bind."""
    return {
        "version": "1",
        "currency": "PLN",
        "time_zone": "Europe/Warsaw",
        "channels": CHANNELS,
        "outcomes": {
            **{f"goal{k}": {"kind": "conversion", "window_days": 14} for k in range(ACTIONS)},
            "unsubscribe": {"kind": "opt_out", "behaviour": "negative", "window_days": 14},
        },
        "actions": [_action(k) for k in range(ACTIONS)],
        "contact_policy": [{"id": "month", "max": 4, "per_days": 30}],
        "constraints": [
            {"id": "budget", "measure": "cost", "max": 0.12 * contacts},
            {"id": "calls", "measure": "contacts", "channel": "call", "max": int(0.02 * contacts)},
            {"id": "sms", "measure": "contacts", "channel": "sms", "max": int(0.2 * contacts)},
            *({"id": f"most{k}", "measure": "contacts", "action": f"a{k}", "max": int(0.05 * contacts)} for k in range(6)),
            *({"id": f"least{k}", "measure": "contacts", "action": f"a{k}", "min": int(0.005 * contacts)} for k in range(6, 9)),
        ],
        "controls": {"holdout": 0.02, "salt": "m"},
    }


def _action(k: int) -> dict[str, Any]:
    return {
        "id": f"a{k}",
        "issue": f"i{k % 3}",
        "group": f"g{k % 6}",
        "goal": f"goal{k}",
        "value": f"{20 + 3 * k} + 0.5 * least(greatest(n{k % NUMBERS}, -10), 10)",
        "eligibility": f"n{(k + 5) % NUMBERS} > -{0.3 + 0.1 * k:.1f} AND NOT coalesce(b{k % FLAGS}, false)",
        "treatments": [{"id": f"a{k}_{channel}", "channel": channel} for channel in CHANNELS],
    }


def _ids(start: int, n: int) -> np.ndarray:
    return np.char.add("c", np.arange(start, start + n).astype(str))


def _contacts(start: int, n: int, rng: np.random.Generator) -> pa.Table:
    columns: dict[str, Any] = {"contact_id": _ids(start, n)}
    columns |= {f"n{k}": np.round(rng.normal(size=n), 4) for k in range(NUMBERS)}
    columns |= {f"b{k}": rng.random(n) < 0.3 for k in range(FLAGS)}
    columns |= {f"s{k}": pa.array(CITIES[rng.integers(0, len(CITIES), n)].tolist()) for k in range(TEXTS)}
    return pa.table(columns)


def _consents(start: int, n: int, rng: np.random.Generator) -> pa.Table:
    moment = np.full(2 * n, np.datetime64("2026-01-01", "us"))
    columns = {"contact_id": np.tile(_ids(start, n), 2), "purpose": np.repeat(["marketing", "phone"], n)}
    status = np.where(rng.random(2 * n) < 0.9, "granted", "denied")
    return pa.table({**columns, "status": status, "changed_at": pa.array(moment, pa.timestamp("us", tz="UTC"))})


def _log(contacts: int, rng: np.random.Generator) -> tuple[pa.Table, pa.Table]:
    """Randomly chosen actions of the first contacts, whose attributes are drawn anew by their row: what they did and what came of it."""
    n = min(LOGGED, contacts)
    action = rng.integers(-1, ACTIONS, n)
    channel = np.array(list(CHANNELS), dtype=object)[rng.integers(0, 3, n)]
    at = np.datetime64("2026-06-01", "us") + rng.integers(0, 90 * 86_400, n) * np.timedelta64(1_000_000, "us")
    names = np.where(action >= 0, np.char.add("a", action.astype(str)), "no_action")
    interactions = pa.table(
        {
            "interaction_id": np.char.add("i", np.arange(n).astype(str)),
            "contact_id": _ids(0, n),
            "action_id": names,
            "channel": pa.array([None if k < 0 else one for k, one in zip(action.tolist(), channel.tolist(), strict=True)]),
            "occurred_at": pa.array(at, pa.timestamp("us", tz="UTC")),
            "selection_prob": np.full(n, 1.0 / (ACTIONS + 1)),
        }
    )
    goal = rng.integers(0, ACTIONS, 4 * n)
    who = np.repeat(np.arange(n), 4)
    happened = rng.random(4 * n) < np.where(goal == action[who], 0.12, 0.05)
    out = rng.random(n) < np.where(action >= 0, 0.01, 0.002)
    rows = np.concatenate([who[happened], np.flatnonzero(out)])
    outcomes = pa.table(
        {
            "contact_id": _ids(0, n)[rows],
            "outcome": np.concatenate([np.char.add("goal", goal[happened].astype(str)), np.full(int(out.sum()), "unsubscribe")]),
            "occurred_at": pa.array(at[rows] + np.timedelta64(3, "D"), pa.timestamp("us", tz="UTC")),
        }
    )
    return interactions, outcomes


def _write(path: Path, total: int, made: Any) -> None:
    writer: pq.ParquetWriter | None = None
    for start in range(0, total, AT_ONCE):
        table = made(start, min(AT_ONCE, total - start))
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()
