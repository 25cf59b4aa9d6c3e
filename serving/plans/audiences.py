"""A plan as files: `plan.parquet`, one audience a channel, and a manifest. All of them appear at once, or none."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from decisioning.errors import Unavailable
from decisioning.quiet_hours import next_allowed, to_datetime
from decisioning.vocabulary import NO_ACTION, IntArray
from serving.plans.planner import PlannedPopulation
from serving.realtime.answers import iso

PLAN_SCHEMA = pa.schema(
    [
        *[(name, pa.string()) for name in ("contact_id", "action_id", "treatment_id", "channel", "content_id")],
        ("rank", pa.int64()),
        *[
            (name, pa.float64())
            for name in ("priority", "propensity", "baseline", "uplift", "value", "clv", "cost", "shadow_cost", "expected_profit")
        ],
        *[(name, pa.string()) for name in ("segment", "control_group")],
        ("selection_prob", pa.float64()),
        ("decision_id", pa.string()),
        ("send_at", pa.timestamp("us", tz="UTC")),
        ("reason", pa.string()),
    ]
)
_FROM_FACTORS = ("propensity", "baseline", "uplift", "value", "cost")

ROWS_AT_ONCE = 50_000
"""Rows of the files that are made together."""


@dataclass(frozen=True)
class _Table:
    """The plan as rows of `PLAN_SCHEMA`, one a contact, or one a treatment where a contact gets several; some rows at a time are made.

    Attributes
    ----------
    planned : PlannedPopulation
    by_channel : mapping of channel to array of int
        The rows of its audience, best first.
    rank : array of int, shape (n_rows,)
        1 for the highest priority in its channel's audience, 0 without a channel.
    zones : object array, shape (n_contacts,), or None
        The time zone of each contact of the population, where it is known.
    """

    planned: PlannedPopulation
    by_channel: dict[str, IntArray]
    rank: IntArray
    zones: np.ndarray | None

    @classmethod
    def of(cls, planned: PlannedPopulation) -> _Table:
        """Rank everybody; ties go by contact_id."""
        made, treatments = planned.plan, planned.snapshot.catalog.treatments
        rank, by_channel = np.zeros(len(made.treatment), dtype=np.int64), {}
        for channel in planned.snapshot.catalog.catalog.channels:
            own = np.array([treatment.channel == channel for _, treatment in treatments] + [False], dtype=np.bool_)
            rows = np.flatnonzero(own[made.treatment])
            rows = rows[np.lexsort((made.contact_ids[rows].astype(str), -made.priority[rows]))]
            rank[rows], by_channel[channel] = np.arange(1, len(rows) + 1), rows
        stored = planned.population.columns.get("time_zone")
        return cls(planned, by_channel, rank, None if stored is None else np.asarray(stored))

    def parts(self, rows: IntArray) -> Iterator[pa.Table]:
        """Tables of `ROWS_AT_ONCE` of these rows, at least one."""
        for start in range(0, max(1, len(rows)), ROWS_AT_ONCE):
            yield self.part(rows[start : start + ROWS_AT_ONCE])

    def part(self, rows: IntArray) -> pa.Table:
        """Some rows, in their order."""
        made, catalog = self.planned.plan, self.planned.snapshot.catalog
        chosen = made.treatment[rows] >= 0
        rendered = [catalog.treatments[k] if k >= 0 else None for k in made.treatment[rows].tolist()]
        data: dict[str, Any] = {
            "contact_id": [str(one) for one in made.contact_ids[rows].tolist()],
            "action_id": [NO_ACTION if one is None else one[0].id for one in rendered],
            "treatment_id": [None if one is None else one[1].id for one in rendered],
            "channel": [None if one is None else one[1].channel for one in rendered],
            "content_id": [None if one is None else one[1].content for one in rendered],
            "rank": pa.array(self.rank[rows], mask=~chosen),
            "priority": made.priority[rows],
            **{name: _nullable(made.factors[name][rows]) for name in _FROM_FACTORS},
            "clv": _nullable(made.clv[rows]),
            "shadow_cost": made.shadow_cost[rows],
            "expected_profit": np.where(chosen, made.factors["profit"][rows], 0.0),
            "segment": [made.segment[row] for row in rows.tolist()],
            "control_group": made.control_group[rows].tolist(),
            "selection_prob": made.selection_prob[rows],
            "decision_id": [self.planned.decision_ids[contact] for contact in made.contact[rows].tolist()],
            "send_at": _send_at(self.planned, rows, self.zones),
            "reason": _reasons(self.planned, rows),
        }
        return pa.table({field.name: pa.array(data[field.name], type=field.type) for field in PLAN_SCHEMA}, schema=PLAN_SCHEMA)

    def write(self, rows: IntArray, parquet: Path, csv: Path | None = None) -> None:
        """Write some rows to files, part after part."""
        with ExitStack() as files:
            writers: list[Any] = [files.enter_context(pq.ParquetWriter(parquet, PLAN_SCHEMA))]
            writers += [] if csv is None else [files.enter_context(pa_csv.CSVWriter(csv, PLAN_SCHEMA))]
            for part in self.parts(rows):
                for writer in writers:
                    writer.write_table(part)


def write_plan(planned: PlannedPopulation, out: Path) -> dict[str, Any]:
    """Write the files to `out/<plan_id>/` and return the manifest; an earlier run of the same plan is replaced by identical files.

    Raises
    ------
    Unavailable
        The folder cannot be written.
    """
    target = out / planned.plan_id
    staging = out / f".{planned.plan_id}.{uuid4().hex}"  # a process id may be that of a killed run, or of another container
    try:
        staging.mkdir(parents=True, exist_ok=False)
        table = _Table.of(planned)
        table.write(np.arange(len(table.rank)), staging / "plan.parquet")
        for channel, rows in table.by_channel.items():
            table.write(rows, staging / f"audience_{channel}.parquet", staging / f"audience_{channel}.csv")
        manifest = summary(planned) | {"files": {path.name: _sha256(path) for path in sorted(staging.iterdir())}}
        (staging / "manifest.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        shutil.rmtree(target, ignore_errors=True)
        os.replace(staging, target)
    except OSError as error:
        raise Unavailable(f"the plan cannot be written to {out}", got=error.strerror) from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return manifest


def summary(planned: PlannedPopulation) -> dict[str, Any]:
    """The manifest without its files: identity, versions, counts, constraints with their prices, and the proof of the allocation."""
    made, chosen, versions = planned.plan, planned.chosen, planned.snapshot.versions
    once = made.rank == 1
    return {
        "plan_id": planned.plan_id,
        "created_at": iso(planned.created_at),
        "as_of": iso(to_datetime(planned.population.moment)),
        "catalog": versions["catalog"],
        "models": versions["models"],
        "features": versions["features"],
        "contacts": int(once.sum()),
        "selected": int((once & chosen).sum()),
        "treatments": int(chosen.sum()),
        "expected_profit": float(np.where(chosen, made.factors["profit"], 0.0).sum()),
        "incremental": bool(not np.isnan(made.factors["uplift"][chosen]).any()),
        "by_channel": _counted([treatment.channel for _, treatment in planned.snapshot.catalog.treatments], made.treatment[chosen]),
        "by_action": _counted([*(action.id for action, _ in planned.snapshot.catalog.treatments), NO_ACTION], made.treatment),
        "by_segment": _sorted(Counter(one or "unknown" for one in made.segment)),
        "by_control_group": _sorted(Counter(made.control_group[once].tolist())),
        "constraints": _constraints(planned),
        "optimality_gap": float(made.allocation.gap),
        "exploration_cost": made.expected_cost,
        "prices_valid_until": iso(planned.created_at + timedelta(days=planned.snapshot.catalog.catalog.period_days)),
    }


def _constraints(planned: PlannedPopulation) -> list[dict[str, Any]]:
    """Each constraint: what is used of it, what one more unit is worth, and what it costs to have it at all."""
    allocation, rows = planned.plan.allocation, []
    for place, one in enumerate(planned.snapshot.catalog.catalog.constraints):
        used = math.fsum(planned.uses_of(one).tolist())
        rows.append(
            {
                "id": one.id,
                "measure": one.measure,
                "used": used,
                "limit": one.max,
                "min": one.min,
                "shadow_price": float(allocation.shadow_prices[place]),
                "slack": None if one.max is None else one.max - used,
                "excess": None if one.min is None else used - one.min,
                "cost": float(allocation.cost_of_limit[place]),
            }
        )
    return rows


def _counted(names: Sequence[str], which: IntArray) -> dict[str, int]:
    """How often each name is meant by its place among `names`; -1 is the last."""
    counts: Counter[str] = Counter()
    for name, count in zip(names, np.bincount(which % max(1, len(names)), minlength=len(names)).tolist(), strict=True):
        counts[name] += count
    return _sorted(counts)


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return {name: counts[name] for name in sorted(counts) if counts[name]}


def _nullable(values: np.ndarray) -> pa.Array:
    return pa.array(values, from_pandas=True)  # NaN becomes NULL


def _send_at(planned: PlannedPopulation, rows: IntArray, zones: np.ndarray | None) -> list[datetime | None]:
    catalog, made = planned.snapshot.catalog, planned.plan
    moment = to_datetime(planned.population.moment)
    answer: list[datetime | None] = []
    for contact, column in zip(made.contact[rows].tolist(), made.treatment[rows].tolist(), strict=True):
        if column < 0 or not catalog.outbound[column]:
            answer.append(None)
            continue
        quiet = catalog.catalog.channels[catalog.treatments[column][1].channel].quiet_hours
        zone = None if zones is None else zones[contact]
        answer.append(next_allowed(moment, quiet, zone, catalog.catalog.time_zone))
    return answer


def _reasons(planned: PlannedPopulation, rows: IntArray) -> list[str]:
    """The arithmetic of each row's treatment, and what else led to it; or why there is none."""
    made, money = planned.plan, planned.snapshot.catalog.catalog.currency
    factors = [made.factors[name][rows].tolist() for name in ("uplift", "propensity", "value", "profit")]
    words = []
    for row, column, uplift, propensity, value, profit in zip(rows.tolist(), made.treatment[rows].tolist(), *factors, strict=True):
        if column < 0:
            words.append(made.reason[row])
            continue
        if np.isnan(uplift):
            said = f"ranked by response, uplift unknown: propensity {propensity:.4f} x value {value:.2f}; {profit:.2f} {money}"
        else:
            said = f"uplift {uplift:.4f} x value {value:.2f}, after risk and cost: {profit:.2f} {money} expected"
        words.append(f"{said}; {made.reason[row]}" if made.reason[row] else said)
    return words


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
