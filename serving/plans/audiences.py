"""A plan as files: `plan.parquet`, one audience a channel, and a manifest. All of them appear at once, or none."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from decisioning.allocation.problem import blocks
from decisioning.coded import Coded
from decisioning.errors import Unavailable
from decisioning.plan import Each
from decisioning.quiet_hours import next_allowed, to_datetime
from decisioning.vocabulary import NO_ACTION, IntArray, TextArray
from serving.plans.planner import PlannedPopulation, exact_sum
from serving.plans.staging import staged
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
    zones : Coded, shape (n_contacts,), or None
        The time zone of each contact of the population, where it is known.
    """

    planned: PlannedPopulation
    by_channel: dict[str, IntArray]
    rank: IntArray
    zones: Coded | None

    @classmethod
    def of(cls, planned: PlannedPopulation) -> _Table:
        """Rank everybody; ties go by contact_id."""
        made, treatments = planned.plan, planned.snapshot.catalog.treatments
        rank, by_channel = np.zeros(len(made.treatment), dtype=np.int64), {}
        standing = _alphabetical(planned.population.contact_ids)
        for channel in planned.snapshot.catalog.catalog.channels:
            own = np.array([treatment.channel == channel for _, treatment in treatments] + [False], dtype=np.bool_)
            rows = np.flatnonzero(own[made.treatment])
            contact = made.contact[rows]
            rows = rows[np.lexsort((contact if standing is None else standing[contact], -made.priority[rows]))]
            rank[rows], by_channel[channel] = np.arange(1, len(rows) + 1), rows
        return cls(planned, by_channel, rank, _coded(planned.population.columns.get("time_zone")))

    def parts(self, rows: IntArray) -> Iterator[pa.Table]:
        """Tables of `ROWS_AT_ONCE` of these rows, at least one."""
        for start in range(0, max(1, len(rows)), ROWS_AT_ONCE):
            yield self.part(rows[start : start + ROWS_AT_ONCE])

    def part(self, rows: IntArray) -> pa.Table:
        """Some rows, in their order."""
        made, treatments = self.planned.plan, self.planned.snapshot.catalog.treatments
        column, contact = made.treatment[rows], made.contact[rows]
        chosen = column >= 0
        data: dict[str, Any] = {
            "contact_id": self.planned.population.contact_ids[contact],
            "action_id": _texts(column, [*(action.id for action, _ in treatments), NO_ACTION]),
            "treatment_id": _texts(column, [*(treatment.id for _, treatment in treatments), None]),
            "channel": _texts(column, [*(treatment.channel for _, treatment in treatments), None]),
            "content_id": _texts(column, [*(treatment.content for _, treatment in treatments), None]),
            "rank": pa.array(self.rank[rows], mask=~chosen),
            "priority": made.priority[rows],
            **{name: _nullable(made.factors[name][rows]) for name in _FROM_FACTORS},
            "clv": _nullable(made.clv[rows]),
            "shadow_cost": made.shadow_cost[rows],
            "expected_profit": np.where(chosen, made.factors["profit"][rows], 0.0),
            "segment": _texts(made.segment.codes[rows], made.segment.texts),
            "control_group": _texts(made.control_group.codes[rows], made.control_group.texts),
            "selection_prob": made.selection_prob[rows],
            "decision_id": self.planned.decision_ids[contact].tolist(),
            "send_at": _send_at(self.planned, rows, self.zones),
            "reason": _reasons(self.planned, rows),
        }
        return pa.table({field.name: pa.array(data[field.name], type=field.type) for field in PLAN_SCHEMA}, schema=PLAN_SCHEMA)

    def write(self, rows: IntArray, paths: Sequence[Path]) -> dict[str, str]:
        """Write some rows to files, part after part; returns the digest of each by its name."""
        with ExitStack() as files:
            kinds = {".parquet": pq.ParquetWriter, ".csv": pa_csv.CSVWriter}
            writers: list[Any] = [files.enter_context(kinds[path.suffix](path, PLAN_SCHEMA)) for path in paths]
            for part in self.parts(rows):
                for writer in writers:
                    writer.write_table(part)
        return {path.name: _sha256(path) for path in paths}


def write_plan(planned: PlannedPopulation, out: Path, each: Each = map) -> dict[str, Any]:
    """Write the files to `out/<plan_id>/` and return the manifest; an earlier run of the same plan is replaced by identical files.

    `each`: who writes the plan and each audience, one after the other unless given.

    Raises
    ------
    Unavailable
        The folder cannot be written.
    """
    try:
        with staged(out / planned.plan_id, replacing=True) as folder:
            table = _Table.of(planned)
            whole = [(np.arange(len(table.rank)), [folder / "plan.parquet"])]
            audiences = [
                (rows, [folder / f"audience_{channel}.{kind}" for kind in ("parquet", "csv")]) for channel, rows in table.by_channel.items()
            ]
            written = [name for digests in each(lambda one: table.write(*one), whole + audiences) for name in digests.items()]
            manifest = summary(planned) | {"files": dict(sorted(written))}
            (folder / "manifest.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise Unavailable(f"the plan cannot be written to {out}", got=error.strerror) from None
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
        "by_segment": _sorted(Counter({text or "unknown": count for text, count in made.segment.counts().items()})),
        "by_control_group": _sorted(made.control_group[once].counts()),
        "constraints": _constraints(planned),
        "optimality_gap": float(made.allocation.gap),
        "exploration_cost": made.expected_cost,
        "prices_valid_until": iso(planned.created_at + timedelta(days=planned.snapshot.catalog.catalog.period_days)),
    }


def _constraints(planned: PlannedPopulation) -> list[dict[str, Any]]:
    """Each constraint: what is used of it, what one more unit is worth, and what it costs to have it at all."""
    allocation, rows = planned.plan.allocation, []
    for place, one in enumerate(planned.snapshot.catalog.catalog.constraints):
        used = exact_sum(planned.uses_of(one))
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


def _texts(codes: IntArray, texts: Sequence[str | None]) -> pa.Array:
    """The text of each code; -1 is the last."""
    return pa.array(texts, type=pa.string()).take(pa.array(codes % len(texts)))


def _coded(column: Any) -> Coded | None:
    """A column of few texts, which may be on disk."""
    if column is None:
        return None
    places: dict[Any, int] = {}
    parts = [[places.setdefault(one, len(places)) for one in column[some].tolist()] for some in blocks(len(column), ROWS_AT_ONCE)]
    return Coded(np.concatenate([np.zeros(0, dtype=np.int32), *(np.array(part, dtype=np.int32) for part in parts)]), tuple(places))


def _alphabetical(contact_ids: TextArray) -> IntArray | None:
    """Where each contact stands in alphabetical order; None where that is the order in which they come."""
    last = ""
    for some in blocks(len(contact_ids), ROWS_AT_ONCE):
        ids = [last, *contact_ids[some].tolist()]
        if any(one > other for one, other in itertools.pairwise(ids)):
            break
        last = ids[-1]
    else:
        return None
    standing: IntArray = np.empty(len(contact_ids), dtype=np.int64)
    texts = pa.chunked_array([pa.array(contact_ids[some], pa.string()) for some in blocks(len(contact_ids), ROWS_AT_ONCE)])
    standing[pc.sort_indices(texts).to_numpy()] = np.arange(len(contact_ids))
    return standing


def _send_at(planned: PlannedPopulation, rows: IntArray, zones: Coded | None) -> pa.Array:
    """When each row's message may go out, the same for all of one channel and time zone; NULL where nothing is sent."""
    catalog, made = planned.snapshot.catalog, planned.plan
    moment, column = to_datetime(planned.population.moment), made.treatment[rows]
    n_zones = 1 if zones is None else len(zones.texts)
    zone = np.zeros(len(rows), dtype=np.int64) if zones is None else zones.codes[made.contact[rows]]
    different, which = np.unique(np.where(column < 0, -1, column * n_zones + zone), return_inverse=True)
    answers: list[datetime | None] = []
    for one in different.tolist():
        if one < 0 or not catalog.outbound[one // n_zones]:
            answers.append(None)
            continue
        quiet = catalog.catalog.channels[catalog.treatments[one // n_zones][1].channel].quiet_hours
        answers.append(next_allowed(moment, quiet, None if zones is None else zones.texts[one % n_zones], catalog.catalog.time_zone))
    return pa.array(answers, type=PLAN_SCHEMA.field("send_at").type).take(pa.array(which.ravel()))


def _reasons(planned: PlannedPopulation, rows: IntArray) -> list[str]:
    """The arithmetic of each row's treatment, and what else led to it; or why there is none."""
    made, money = planned.plan, planned.snapshot.catalog.catalog.currency
    factors = [made.factors[name][rows].tolist() for name in ("uplift", "propensity", "value", "profit")]
    words = []
    for reason, column, uplift, propensity, value, profit in zip(made.reason[rows], made.treatment[rows].tolist(), *factors, strict=True):
        if column < 0:
            words.append(reason)
            continue
        if uplift != uplift:  # not known
            said = f"ranked by response, uplift unknown: propensity {propensity:.4f} x value {value:.2f}; {profit:.2f} {money}"
        else:
            said = f"uplift {uplift:.4f} x value {value:.2f}, after risk and cost: {profit:.2f} {money} expected"
        words.append(f"{said}; {reason}" if reason else said)
    return words


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
