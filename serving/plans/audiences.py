"""A plan as files: `plan.parquet`, one audience a channel, and a manifest. All of them appear at once, or none."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from decisioning.errors import Unavailable
from decisioning.quiet_hours import next_allowed, to_datetime
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
_FROM_FACTORS = {"propensity": "propensity", "baseline": "baseline", "uplift": "uplift", "value": "value", "cost": "cost"}


def plan_table(planned: PlannedPopulation) -> pa.Table:
    """The plan, one row a contact, or one a treatment where a contact gets several, in the population's order."""
    made, catalog = planned.plan, planned.snapshot.catalog
    columns = made.treatment.tolist()
    chosen = made.treatment >= 0
    channels = [catalog.treatments[k][1].channel if k >= 0 else None for k in columns]
    profit = np.where(chosen, made.factors["profit"], 0.0)
    data: dict[str, Any] = {
        "contact_id": [str(one) for one in made.contact_ids.tolist()],
        "action_id": planned.action_names,
        "treatment_id": planned.treatment_names,
        "channel": channels,
        "content_id": [catalog.treatments[k][1].content if k >= 0 else None for k in columns],
        "rank": _ranks(channels, made.priority, made.contact_ids),
        "priority": made.priority,
        **{name: _nullable(made.factors[factor]) for name, factor in _FROM_FACTORS.items()},
        "clv": _nullable(made.clv),
        "shadow_cost": made.shadow_cost,
        "expected_profit": profit,
        "segment": list(made.segment),
        "control_group": made.control_group.tolist(),
        "selection_prob": made.selection_prob,
        "decision_id": [planned.decision_ids[contact] for contact in made.contact.tolist()],
        "send_at": _send_at(planned),
        "reason": _reasons(planned),
    }
    return pa.table({field.name: pa.array(data[field.name], type=field.type) for field in PLAN_SCHEMA}, schema=PLAN_SCHEMA)


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
        table = plan_table(planned)
        pq.write_table(table, staging / "plan.parquet")
        for channel in planned.snapshot.catalog.catalog.channels:
            audience = table.filter(pc.equal(table["channel"], channel)).sort_by("rank")
            pq.write_table(audience, staging / f"audience_{channel}.parquet")
            pa_csv.write_csv(audience, staging / f"audience_{channel}.csv")
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
        "by_channel": _counts([planned.snapshot.catalog.treatments[k][1].channel for k in made.treatment[chosen].tolist()]),
        "by_action": _counts(planned.action_names),
        "by_segment": _counts([one or "unknown" for one in made.segment]),
        "by_control_group": _counts(made.control_group[once].tolist()),
        "constraints": _constraints(planned),
        "optimality_gap": float(made.allocation.gap),
        "exploration_cost": made.expected_cost,
        "prices_valid_until": iso(planned.created_at + timedelta(days=planned.snapshot.catalog.catalog.period_days)),
    }


def _constraints(planned: PlannedPopulation) -> list[dict[str, Any]]:
    """Each constraint: what is used of it, what one more unit is worth, and what it costs to have it at all."""
    allocation, uses = planned.plan.allocation, planned.uses()
    rows = []
    for place, one in enumerate(planned.snapshot.catalog.catalog.constraints):
        used = math.fsum(uses[:, place].tolist())
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


def _counts(names: list[str]) -> dict[str, int]:
    found, counts = np.unique(np.array(names, dtype=str), return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def _nullable(values: np.ndarray) -> pa.Array:
    return pa.array(values, from_pandas=True)  # NaN becomes NULL


def _ranks(channels: list[str | None], priority: np.ndarray, contact_ids: np.ndarray) -> list[int | None]:
    """1 for the highest priority in its channel's audience; ties go by contact_id."""
    names = np.array([channel or "" for channel in channels], dtype=str)
    order = np.lexsort((contact_ids.astype(str), -priority, names))
    ranks = np.empty(len(names), dtype=np.int64)
    starts = np.flatnonzero(np.append(True, names[order][1:] != names[order][:-1])) if len(names) else np.zeros(0, dtype=np.int64)
    lengths = np.diff(np.append(starts, len(names)))
    ranks[order] = np.arange(len(names)) - np.repeat(starts, lengths) + 1
    return [int(rank) if channel is not None else None for rank, channel in zip(ranks, channels, strict=True)]


def _send_at(planned: PlannedPopulation) -> list[datetime | None]:
    catalog = planned.snapshot.catalog
    moment = to_datetime(planned.population.moment)
    stored = planned.population.columns.get("time_zone")
    zones = None if stored is None else np.asarray(stored)
    answer: list[datetime | None] = []
    for row, column in enumerate(planned.plan.treatment.tolist()):
        if column < 0 or not catalog.outbound[column]:
            answer.append(None)
            continue
        quiet = catalog.catalog.channels[catalog.treatments[column][1].channel].quiet_hours
        zone = None if zones is None else zones[planned.plan.contact[row]]
        answer.append(next_allowed(moment, quiet, zone, catalog.catalog.time_zone))
    return answer


def _reasons(planned: PlannedPopulation) -> list[str]:
    """The arithmetic of each row's treatment, and what else led to it; or why there is none."""
    made, money = planned.plan, planned.snapshot.catalog.catalog.currency
    factors = {name: made.factors[name].tolist() for name in ("uplift", "propensity", "value", "profit")}
    words = []
    for row, column in enumerate(made.treatment.tolist()):
        if column < 0:
            words.append(made.reason[row])
            continue
        uplift, propensity, value, profit = (factors[name][row] for name in ("uplift", "propensity", "value", "profit"))
        if np.isnan(uplift):
            said = f"ranked by response, uplift unknown: propensity {propensity:.4f} x value {value:.2f}; {profit:.2f} {money}"
        else:
            said = f"uplift {uplift:.4f} x value {value:.2f}, after risk and cost: {profit:.2f} {money} expected"
        words.append(f"{said}; {made.reason[row]}" if made.reason[row] else said)
    return words


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
