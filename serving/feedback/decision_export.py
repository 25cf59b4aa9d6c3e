"""The decision log in the field's own words: a row for each candidate of each decision, as `pdstools` and its DecisionAnalyzer read it.

A candidate's row says where it ended: at the stage whose rule took it out, at arbitration where others were worth more, or in the output.
The columns are those of the analyser's second format (Decision Analyzer, "EEV2"); what it has no name for follows under ours.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from decisioning.catalog import Action, Catalog, Treatment, parse_catalog
from decisioning.errors import RequestError, Unavailable
from decisioning.explanation.funnel import STAGES
from ledger.candidates import candidate_rows
from ledger.catalogs import catalog_key
from ledger.records import DecisionRecord, Selection
from ledger.store import Ledger

_AT_ONCE = 2_000
_ARBITRATION, _OUTPUT = "Arbitration", "Output"
_ORDER = {name: 100 * (place + 1) for place, name in enumerate(STAGES)} | {_ARBITRATION: 3_800, _OUTPUT: 10_000}
_TEXTS = ("pxRecordType", "Primary_pySubjectID", "Primary_pySubjectType", "pxInteractionID")
_NAMES = ("pyIssue", "pyGroup", "pyName", "pyTreatment", "PlacementType", "pxStrategyName")
_WHERE = ("Primary_ContainerPayload_Channel", "Primary_ContainerPayload_Direction", "Stage_pyName", "Stage_pyStageGroup")
_NUMBERS = ("Value", "ContextWeight", "Weight", "FinalPropensity", "Priority")
_OURS = ("Uplift", "ExpectedProfit", "SelectionProbability")

SCHEMA = pa.schema(
    [
        *[(name, pa.string()) for name in _TEXTS],
        ("pxDecisionTime", pa.timestamp("us")),
        *[(name, pa.string()) for name in (*_NAMES, *_WHERE)],
        ("Stage_pyOrder", pa.int32()),
        *[(name, pa.string()) for name in ("pxComponentName", "pxComponentType")],
        *[(name, pa.float64()) for name in _NUMBERS],
        *[(name, pa.string()) for name in ("pyApplication", "pyApplicationVersion")],
        *[(name, pa.float64()) for name in _OURS],
        *[(name, pa.string()) for name in ("ModelControlGroup", "PlanID", "Degraded")],
    ]
)
"""Times are UTC; an unknown number is null."""

Tell = Callable[[int], None]
Row = dict[str, Any]


@dataclass(frozen=True)
class _Known:
    """What a catalogue says about its treatments."""

    treatments: Mapping[str, tuple[Action, Treatment]]
    direction: Mapping[str, str]

    @classmethod
    def of(cls, catalog: Catalog | None) -> _Known:
        if catalog is None:
            return cls({}, {})
        directions = {name: channel.direction.capitalize() for name, channel in catalog.channels.items()}
        return cls({treatment.id: (action, treatment) for action, treatment in catalog.treatments}, directions)


def export_decisions(ledger: Ledger, file: Path, tell: Tell = lambda done: None) -> dict[str, int]:
    """Write the log to one Parquet or CSV file, which appears whole or not at all: {rows, decisions, without_rows}.

    `without_rows` counts decisions of which nothing can be shown a candidate: a plan's contacts with no action.

    Raises
    ------
    RequestError
        The name ends neither in .parquet nor in .csv.
    Unavailable
        The file cannot be written.
    """
    if file.suffix not in (".parquet", ".csv"):
        raise RequestError("cannot be written in this format", field="FILE", got=file.name, allowed="a name that ends in .parquet or .csv")
    unfinished = file.with_name(f".{file.name}.{uuid4().hex}")
    counts = {"rows": 0, "decisions": 0, "without_rows": 0}
    try:
        with _writer(unfinished, csv=file.suffix == ".csv") as writer:
            for rows in _rows(ledger, counts, tell):
                writer.write_table(_table(rows))
        os.replace(unfinished, file)
    except OSError as error:
        raise Unavailable("the export cannot be written", field=str(file), got=error.strerror) from None
    finally:
        unfinished.unlink(missing_ok=True)
    return counts


def export_partitioned(ledger: Ledger, folder: Path, tell: Tell = lambda done: None) -> dict[str, int]:
    """Write the log to ``folder/decisions/day=.../*.parquet`` and the outcomes to ``folder/outcomes/day=.../*.parquet``, by UTC day.

    Raises
    ------
    RequestError
        The folder is there and holds something already.
    Unavailable
        It cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RequestError("is there already", field="--partitioned", got=str(folder), allowed="a new or empty folder")
    counts = {"rows": 0, "decisions": 0, "without_rows": 0, "outcomes": 0}
    try:
        for number, rows in enumerate(_rows(ledger, counts, tell)):
            _write_days(_table(rows), "pxDecisionTime", folder / "decisions", number)
        for number, some in enumerate(ledger.outcome_pages(_AT_ONCE)):
            counts["outcomes"] += len(some)
            _write_days(pa.Table.from_pylist([vars(one) for one in some], _OUTCOMES), "occurred_at", folder / "outcomes", number)
    except OSError as error:
        raise Unavailable("the export cannot be written", field=str(folder), got=error.strerror) from None
    return counts


_OUTCOMES = pa.schema(
    [
        *[(name, pa.string()) for name in ("event_id", "contact_id", "outcome", "behaviour")],
        *[(name, pa.timestamp("us", tz="UTC")) for name in ("occurred_at", "received_at")],
        *[(name, pa.string()) for name in ("decision_id", "treatment_id", "action_id")],
        ("value", pa.float64()),
        ("late", pa.bool_()),
    ]
)


def _writer(path: Path, *, csv: bool) -> Any:
    return pa_csv.CSVWriter(path, SCHEMA) if csv else pq.ParquetWriter(path, SCHEMA, compression="zstd")


def _write_days(table: pa.Table, time: str, folder: Path, number: int) -> None:
    days = table[time].cast(pa.timestamp("us")).cast(pa.date32()).cast(pa.string())
    for day in sorted(set(days.to_pylist())):
        path = folder / f"day={day}" / f"part-{number:06d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table.filter(pa.compute.equal(days, day)), path, compression="zstd")


def _table(rows: Sequence[Row]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), SCHEMA)


def _rows(ledger: Ledger, counts: dict[str, int], tell: Tell) -> Iterator[list[Row]]:
    catalogs: dict[str, _Known] = {}
    for some in ledger.decision_pages(_AT_ONCE):
        rows: list[Row] = []
        for record in some:
            mine = _rows_of(record, _known(ledger, record, catalogs))
            counts["without_rows"] += not mine
            rows += mine
        counts["decisions"] += len(some)
        counts["rows"] += len(rows)
        tell(counts["decisions"])
        if rows:
            yield rows


def _known(ledger: Ledger, record: DecisionRecord, catalogs: dict[str, _Known]) -> _Known:
    versions = record.trace.get("versions") or {}
    key = catalog_key(versions.get("catalog") or "", versions.get("features") or "")
    if key not in catalogs:
        kept = ledger.catalog(key)
        catalogs[key] = _Known.of(None if kept is None else parse_catalog(kept["catalog"]))
    return catalogs[key]


def _rows_of(record: DecisionRecord, known: _Known) -> list[Row]:
    chosen = {one.treatment_id: one for one in record.selections}
    candidates = {one["treatment_id"]: one for one in candidate_rows(record.trace.get("candidates") or [])}
    economics = dict(zip(chosen, record.trace.get("economics") or [], strict=False))
    actions = {one["treatment_id"]: one for one in (record.trace.get("response") or {}).get("actions", [])}
    about = _about(record)
    rows = []
    for treatment_id in dict.fromkeys([*candidates, *chosen]):
        scores = {**economics.get(treatment_id, {}), **candidates.get(treatment_id, {}), **actions.get(treatment_id, {})}
        selection = chosen.get(treatment_id)
        placed = _placed(treatment_id, selection, known)
        rows.append({**about, **placed, **_numbers(scores, selection, placed, known), **_ended(scores, selection)})
    return rows


def _about(record: DecisionRecord) -> Row:
    versions = record.trace.get("versions") or {}
    return {
        "Primary_pySubjectID": record.contact_id,
        "Primary_pySubjectType": "Contact",
        "pxInteractionID": record.decision_id,
        "pxDecisionTime": record.decided_at.replace(tzinfo=None),
        "pxStrategyName": "plan" if record.plan_id else "decide",
        "pyApplication": "Nudge",
        "pyApplicationVersion": versions.get("catalog"),
        "ModelControlGroup": record.control_group,
        "PlanID": record.plan_id,
        "Degraded": record.degraded,
    }


def _placed(treatment_id: str, selection: Selection | None, known: _Known) -> Row:
    """Which action on which channel: as it was chosen, else as the catalogue of then says."""
    action, treatment = known.treatments.get(treatment_id, (None, None))
    channel = selection.channel if selection else treatment.channel if treatment else None
    return {
        "pyIssue": action.issue if action else "unknown",
        "pyGroup": action.group if action else "unknown",
        "pyName": selection.action_id if selection else action.id if action else treatment_id,
        "pyTreatment": treatment_id,
        "PlacementType": selection.placement if selection else treatment.placement if treatment else None,
        "Primary_ContainerPayload_Channel": channel,
        "Primary_ContainerPayload_Direction": selection.direction.capitalize() if selection else known.direction.get(channel or ""),
    }


def _numbers(scores: Mapping[str, Any], selection: Selection | None, placed: Row, known: _Known) -> Row:
    action = known.treatments.get(placed["pyTreatment"], (None, None))[0]
    plain = None if action is None or action.context_weights else 1.0  # what a condition weighed is known of the chosen only
    return {
        "Value": scores.get("value"),
        "ContextWeight": scores.get("context_weight", plain),
        "Weight": scores.get("lever", action.lever if action else None),
        "FinalPropensity": scores.get("propensity"),
        "Priority": scores.get("priority"),
        "Uplift": scores.get("uplift"),
        "ExpectedProfit": selection.expected_profit if selection else scores.get("expected_profit"),
        "SelectionProbability": selection.selection_prob if selection else None,
    }


def _ended(scores: Mapping[str, Any], selection: Selection | None) -> Row:
    """The stage at which a candidate ended, and the component that ended it."""
    removed_by = scores.get("removed_by")
    if selection is not None:
        stage, component, kind, what = _OUTPUT, _OUTPUT, "Output", "OUTPUT"
    elif removed_by:
        stage, _, component = removed_by.partition(": ")
        kind, what = "Rule", "FILTERED_OUT"
    else:
        stage, component, kind, what = _ARBITRATION, "worth less than what was chosen", "Arbitration", "FILTERED_OUT"
    return {
        "pxRecordType": what,
        "Stage_pyName": stage,
        "Stage_pyStageGroup": stage,
        "Stage_pyOrder": _ORDER.get(stage, 3_000),
        "pxComponentName": component,
        "pxComponentType": kind,
    }
