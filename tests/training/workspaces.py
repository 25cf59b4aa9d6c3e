"""A small business whose uplift is known, written as contract tables.

Two actions against no_action, chosen with known probabilities. Young contacts buy the loan because of us, old ones are put off; the card
goes to the eager, contacted or not. Purchases follow each contact's own rate.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from decisioning.catalog import Catalog, parse_catalog

END = np.datetime64("2026-06-01T00:00:00", "us")
DAY_US = 86_400_000_000
PROBABILITIES = {"no_action": 0.4, "loan": 0.3, "card": 0.3}

CATALOG = {
    "version": "1",
    "currency": "PLN",
    "time_zone": "Europe/Warsaw",
    "horizon_days": 365,
    "channels": {"email": {"direction": "outbound", "cost": 0.1}, "call": {"direction": "outbound", "cost": 2.0}},
    "outcomes": {
        "loan_taken": {"kind": "conversion", "window_days": 14},
        "card_opened": {"kind": "conversion", "window_days": 14},
        "unsubscribe": {"kind": "opt_out", "window_days": 14},
    },
    "actions": [
        {
            "id": "loan",
            "goal": "loan_taken",
            "value": 100,
            "treatments": [{"id": "l_e", "channel": "email"}, {"id": "l_c", "channel": "call"}],
        },
        {"id": "card", "goal": "card_opened", "value": "observed", "treatments": [{"id": "c_e", "channel": "email"}]},
        {"id": "new", "goal": "card_opened", "value": 10, "treatments": [{"id": "n_e", "channel": "email"}]},
    ],
}


def a_catalog(**changes: object) -> Catalog:
    return parse_catalog({**CATALOG, **changes})


def loan_uplift(age: np.ndarray) -> np.ndarray:
    """The truth: +0.2 at 20 years, -0.1 at 70."""
    return 0.2 - 0.3 * (age - 20.0) / 50.0


def write_business(workspace: Path, *, contacts: int = 4000, seed: int = 7, days: int = 120, controls: bool = True) -> Catalog:
    """Write `workspace`/data and return the catalogue."""
    rng = np.random.default_rng(seed)
    data = workspace / "data"
    data.mkdir(parents=True, exist_ok=True)
    ids = np.array([f"c{i:05d}" for i in range(contacts)], dtype=object)
    age, eager = rng.integers(20, 71, contacts), rng.normal(size=contacts)
    city = rng.choice(["Łódź", "Kraków", "Gdynia", None], contacts, p=[0.4, 0.3, 0.2, 0.1])
    tables = {
        "contacts": {"contact_id": ids, "age": age, "eager": eager, "city": city, "joined": np.full(contacts, np.datetime64("2020-03-01"))},
        "events": _events(rng, ids, days),
        **_log(rng, ids, age, eager, days, controls),
    }
    rows = {}
    for name, columns in tables.items():
        table = pa.table({key: pa.array(values.tolist() if values.dtype == object else values) for key, values in columns.items()})
        pq.write_table(table, data / f"{name}.parquet")
        rows[name] = {"rows": table.num_rows, "sha256": "0"}
    newest = str(END - np.timedelta64(1, "us"))
    manifest = {"ingested_at": "2026-06-01T00:00:00+00:00", "tables": rows, "newest_at": f"{newest}+00:00"}
    (data / "manifest.json").write_text(json.dumps(manifest))
    return a_catalog()


def _log(
    rng: np.random.Generator, ids: np.ndarray, age: np.ndarray, eager: np.ndarray, days: int, controls: bool
) -> dict[str, dict[str, np.ndarray]]:
    n = 2 * len(ids)
    who = rng.integers(0, len(ids), n)
    names = list(PROBABILITIES) if controls else ["loan", "card"]
    chances = np.array([PROBABILITIES[name] for name in names]) / sum(PROBABILITIES[name] for name in names)
    action = rng.choice(names, n, p=chances)
    channel = np.where(action == "no_action", None, np.where((action == "loan") & (rng.random(n) < 0.3), "call", "email"))
    at = END - (rng.uniform(0, 0.7 * days, n) * DAY_US).astype("timedelta64[us]")
    called = 0.05 * (channel == "call")
    takes_loan = rng.random(n) < np.clip(0.15 + (action == "loan") * (loan_uplift(age[who]) + called), 0, 1)
    opens_card = rng.random(n) < 1 / (1 + np.exp(1.5 - 1.5 * eager[who])) + 0.01 * (action == "card")
    leaves = rng.random(n) < 0.03 * (action != "no_action")
    interactions = {
        "interaction_id": np.array([f"i{i:06d}" for i in range(n)], dtype=object),
        "contact_id": ids[who],
        "action_id": action.astype(object),
        "channel": channel.astype(object),
        "occurred_at": at,
        "selection_prob": np.array([chances[names.index(name)] for name in action]),
    }
    parts = []
    for happened, name, money in ((takes_loan, "loan_taken", np.nan), (opens_card, "card_opened", 50.0), (leaves, "unsubscribe", np.nan)):
        rows = np.flatnonzero(happened)
        delay = (rng.uniform(0.1, 13.9, len(rows)) * DAY_US).astype("timedelta64[us]")
        value = np.where(np.isnan(money), np.nan, money + rng.normal(0, 5, len(rows)))
        parts.append((interactions["interaction_id"][rows], np.full(len(rows), name, dtype=object), at[rows] + delay, value))
    joined = [np.concatenate([part[k] for part in parts]) for k in range(4)]
    return {"interactions": interactions, "outcomes": dict(zip(("interaction_id", "outcome", "occurred_at", "value"), joined, strict=True))}


def _events(rng: np.random.Generator, ids: np.ndarray, days: int) -> dict[str, np.ndarray]:
    counts = rng.poisson(rng.gamma(0.8, 4.0, len(ids)))
    who = np.repeat(np.arange(len(ids)), counts)
    money = rng.gamma(4.0, 5.0, len(ids))[who] * rng.uniform(0.8, 1.2, len(who))
    at = END - (rng.uniform(0, days, len(who)) * DAY_US).astype("timedelta64[us]")
    return {"contact_id": ids[who], "event_type": np.full(len(who), "purchase", dtype=object), "occurred_at": at, "value": money}
