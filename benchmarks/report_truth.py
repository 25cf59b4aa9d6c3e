"""Does the report find what a programme truly earned? Five hundred small businesses whose every contact's effect is known.

Each has 2,000 contacts, a fifth of them held out by the hash of their ids; a mail changes the chance of a sale by an amount of each
contact's own, in one world in two by less than it costs. All goes through the ledger and `nudge report roi`'s own steps.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from benchmarks.report_world import CATALOG, SALE
from benchmarks.results import Figure
from decisioning.catalog import Controls
from decisioning.control import GROUPS, TREATED, control_groups
from nudge.ground.workspace import Workspace
from nudge.reports.facts import Span, open_facts
from nudge.reports.tallies import prepare, tally
from nudge.reports.worth import programme

WORLDS, CONTACTS, HOLDOUT, COST = 500, 2_000, 0.2, 0.5
_DAY = 86_400_000_000
_BEGIN = np.datetime64("2026-07-01", "us")


@dataclass(frozen=True)
class Told:
    """What a world's report said, and the truth: money of the whole programme."""

    truth: float
    value: float
    low: float
    high: float
    attributed: float


def measure(worlds: int = WORLDS) -> Sequence[Figure]:
    """How often the 95 % interval holds the truth, and how far attribution is from it."""
    with tempfile.TemporaryDirectory() as folder:
        told = [_world(Path(folder) / str(seed), seed) for seed in range(worlds)]
    covered = np.mean([one.low <= one.truth <= one.high for one in told])
    attributed = np.mean([one.low <= one.attributed <= one.high for one in told])
    off = np.array([(one.value - one.truth, one.attributed - one.truth) for one in told])
    scale = float(np.mean([abs(one.truth) for one in told]))
    chance = 2 * np.sqrt(0.95 * 0.05 / worlds)
    return [
        Figure("report_truth.intervals of incremental profit that hold the truth", float(covered), "of 1", goal=f">= {0.95 - chance:.3f}"),
        Figure("report_truth.bias of incremental profit", float(abs(off[:, 0].mean()) / scale), "of the truth", goal="<= 0.05"),
        Figure("report_truth.attributed profit within that interval", float(attributed), "of 1", goal="<= 0.05"),
        Figure("report_truth.attributed profit beyond the truth", float(off[:, 1].mean() / scale), "times the truth", goal=">= 1"),
    ]


def _world(folder: Path, seed: int) -> Told:
    rng = np.random.default_rng([seed, 0x7A1])
    for name in ("data", "state"):
        (folder / name).mkdir(parents=True)
    catalog = {**CATALOG, "controls": {"holdout": HOLDOUT, "salt": f"world {seed}"}}
    (folder / "nudge.yaml").write_text(yaml.safe_dump({"name": "truth", "sources": {"contacts": "SELECT 1"}}), encoding="utf-8")
    (folder / "catalog.yaml").write_text(yaml.safe_dump(catalog), encoding="utf-8")
    ids = np.array([f"c-{seed}-{k}" for k in range(CONTACTS)], dtype=object)
    groups = np.array(GROUPS)[control_groups(ids, Controls(holdout=HOLDOUT, salt=f"world {seed}"))]
    baseline = rng.beta(2.0, 8.0, CONTACTS)
    effect = np.minimum(rng.gamma(2.0, 0.5, CONTACTS) * (0.06 if seed % 2 else 0.004), 1.0 - baseline)
    treated = groups == TREATED
    sold = rng.random(CONTACTS) < baseline + effect * treated
    _tables(folder, ids, rng.poisson(10.0 * baseline), rng)
    made = Workspace.open(folder)
    made.open_ledger().close()
    with sqlite3.connect(folder / "state" / "ledger.db") as db:
        _decided(db, ids.tolist(), groups.tolist(), sold)
    with open_facts(made) as facts:
        prepare(facts, Span())
        total = programme(facts, Span())[0]["profit"].lifts["holdout"].total
        sums = tally(facts, "all").sums
    truth = float((effect * SALE)[treated].sum() - COST * treated.sum())
    attributed = float(sums["attributed_revenue"][0] - sums["marketing_cost"][0])
    return Told(truth, total.value, total.low, total.high, attributed)


def _tables(folder: Path, ids: np.ndarray, purchases: np.ndarray, rng: np.random.Generator) -> None:
    """Contacts, and what they bought before: it tells how much they buy anyway."""
    pq.write_table(pa.table({"contact_id": ids}), folder / "data" / "contacts.parquet")
    who = np.repeat(ids, purchases)
    when = _BEGIN - rng.integers(1, 80 * 86_400, len(who)).astype("m8[s]")
    events = {"contact_id": who, "event_type": np.full(len(who), "purchase"), "occurred_at": when, "value": np.full(len(who), SALE)}
    pq.write_table(pa.table(events), folder / "data" / "events.parquet")


def _decided(db: sqlite3.Connection, ids: list[str], groups: list[str], sold: np.ndarray) -> None:
    at = int(_BEGIN.astype(np.int64))
    db.executemany(
        "INSERT INTO decisions (decision_id, contact_id, decided_at, control_group, trace) VALUES (?, ?, ?, ?, '{}')",
        ((f"d{k}", one, at, group) for k, (one, group) in enumerate(zip(ids, groups, strict=True))),
    )
    db.executemany(
        """INSERT INTO selections (decision_id, rank, contact_id, decided_at, action_id, treatment_id, channel, direction, selection_prob,
           expected_profit, cost) VALUES (?, 1, ?, ?, 'loan', 'loan_email', 'email', 'outbound', 1, 5, ?)""",
        ((f"d{k}", one, at, COST) for k, (one, group) in enumerate(zip(ids, groups, strict=True)) if group == TREATED),
    )
    db.executemany(
        """INSERT INTO outcomes (event_id, contact_id, outcome, behaviour, value, occurred_at, received_at, late)
           VALUES (?, ?, 'sale', 'positive', ?, ?, ?, 0)""",
        ((f"e{k}", ids[k], SALE, at + _DAY, at + _DAY) for k in np.flatnonzero(sold).tolist()),
    )
