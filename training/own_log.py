"""The ledger's own log as interactions and outcomes: what training learns from beside the ingested history.

A decision is one interaction for each of its choices, or one of no_action, of every control group; an outcome that names a decision belongs
to the choice whose treatment it names, else to all of them. Features are those that the decision was made with, to the last bit; a plan's
decisions, and those of another feature contract, get the historical ones of their moment.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from decisioning.catalog import parse_catalog
from decisioning.compiled_catalog import CompiledCatalog, compile_catalog
from decisioning.errors import NudgeError
from decisioning.vocabulary import NO_ACTION, BoolArray, Columns, Dtype, null_column
from features.contract import FeatureContract
from ledger.candidates import full_columns
from ledger.catalogs import catalog_key
from ledger.codec import chunks
from ledger.outcomes import OutcomeRecord
from ledger.records import DecisionRecord, Selection
from ledger.store import Ledger
from training.served_chance import is_relevant, selection_chances

_AT_ONCE = 2_000
"""Decisions read at once: a trace is some kilobytes."""
_EVER = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)

ROWS: pa.Schema = pa.schema(
    {
        "interaction_id": pa.string(),
        "contact_id": pa.string(),
        "action_id": pa.string(),
        "channel": pa.string(),
        "occurred_at": pa.timestamp("us"),
        "features_at": pa.timestamp("us"),
        "selection_prob": pa.float64(),
    }
)
OUTCOMES: pa.Schema = pa.schema(
    {
        "event_id": pa.string(),
        "interaction_id": pa.string(),
        "contact_id": pa.string(),
        "outcome": pa.string(),
        "occurred_at": pa.timestamp("us"),
        "value": pa.float64(),
    }
)


@dataclass(frozen=True, eq=False)
class OwnLog:
    """The newest decisions of the ledger as n interactions, and all of its outcomes.

    Attributes
    ----------
    rows, outcomes : pyarrow.Table
        Named as the contract tables; `rows` has n rows.
    features : Columns
        Of each row, NULL where `known` is False.
    known : bool array, shape (n,)
        Whose features were kept under the present contract.
    reachable : mapping of action_id to bool array, shape (n,)
        Whether the action was open to the decision: not withheld by its request, its conditions, consent or contact policy.
    newest_at : datetime or None
        The newest decision, or outcome by then: one that is dated after its arrival counts as of its arrival. UTC, naive.
    notes : tuple of str
        What was left out, in words.
    """

    rows: pa.Table
    outcomes: pa.Table
    features: Columns
    known: BoolArray
    reachable: Mapping[str, BoolArray]
    newest_at: datetime | None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    @property
    def digest(self) -> str:
        """SHA-256 of all of it."""
        found = hashlib.sha256()
        for table in (self.rows, self.outcomes):
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, table.schema) as writer:
                writer.write_table(table.combine_chunks())
            found.update(sink.getvalue())
        for columns in (self.features, self.reachable, {"": self.known}):
            for name, column in columns.items():
                found.update(f"{name}\0".encode())
                found.update(repr(column.tolist()).encode() if column.dtype == object else column.tobytes())
        return found.hexdigest()


class _Choice(NamedTuple):
    """One choice of a decision: its row, and its treatment, None of no_action."""

    row_id: str
    treatment_id: str | None


@dataclass
class _Reading:
    """What is known once for all decisions, and what fills up on the way."""

    ledger: Ledger
    contract: FeatureContract
    actions: Sequence[str]
    left_out: Counter[str] = field(default_factory=Counter)
    redeemed: dict[str, _Choice] = field(default_factory=dict)
    _then: dict[str, _Then | None] = field(default_factory=dict)

    def then(self, versions: Mapping[str, Any]) -> _Then | None:
        """The catalogue of a decision; None where it was not kept, or says nothing to this version."""
        key = catalog_key(versions["catalog"], versions["features"])
        if key not in self._then:
            kept = self.ledger.catalog(key)
            try:
                self._then[key] = None if kept is None else _Then.of(kept)
            except NudgeError:
                self._then[key] = None
        return self._then[key]


@dataclass(frozen=True)
class _Then:
    """A catalogue that decided, and the moment from which it saw dates: that of the decision where it is None."""

    catalog: CompiledCatalog
    seen_from: np.datetime64 | None

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> _Then:
        seen_from = None if kept["feature_as_of"] is None else np.datetime64(kept["feature_as_of"], "us")
        return cls(compile_catalog(parse_catalog(kept["catalog"]), kept["dtypes"]), seen_from)


def read_own_log(
    ledger: Ledger, contract: FeatureContract, actions: Sequence[str], *, as_of: np.datetime64 | None, most: int
) -> OwnLog | None:
    """The newest decisions before as_of and what followed them; None where there are none.

    Parameters
    ----------
    actions : sequence of str
        The catalogue's.
    as_of : datetime64[us], optional
        Exclusive; without it everything counts.
    most : int
        So many decisions at most.

    Raises
    ------
    Unavailable
        The ledger does not answer.
    """
    until = _EVER[1] if as_of is None else as_of.astype("datetime64[us]").item().replace(tzinfo=UTC)
    ids = sorted(ledger.newest_between(_EVER[0], until, most))
    if not ids:
        return None
    reading = _Reading(ledger, contract, actions)
    parts = [_part(records, reading) for records in _records(ledger, ids, reading)]
    choices = {decision_id: found for part in parts for decision_id, found in part.choices.items()}
    outcomes, heard_at = _outcomes(ledger, choices, reading, until)
    rows = pa.concat_tables([part.rows for part in parts])
    keep = np.array([one not in reading.redeemed for part in parts for one in part.decision_ids], dtype=np.bool_)
    if not keep.all():
        reading.left_out["carried out by a later decision, which counts"] += int((~keep).sum())
    decided_at = rows["occurred_at"].to_numpy(zero_copy_only=False).astype("datetime64[us]")
    reachable = np.concatenate([part.reachable for part in parts])[keep]
    return OwnLog(
        rows=rows.filter(pa.array(keep)),
        outcomes=outcomes,
        features={name: np.concatenate([part.features[name] for part in parts])[keep] for name in contract.dtypes},
        known=np.concatenate([part.known for part in parts])[keep],
        reachable={action_id: reachable[:, k] for k, action_id in enumerate(actions)},
        newest_at=max([*decided_at.tolist(), *heard_at], default=None),
        notes=tuple(f"{count:,} decisions of the ledger are left out: {why}" for why, count in sorted(reading.left_out.items())),
    )


def _records(ledger: Ledger, ids: Sequence[str], reading: _Reading) -> Iterator[list[DecisionRecord]]:
    """The decisions that can be learned from, in the order of their ids, some at a time; at least one part, be it empty."""
    for chunk in chunks(ids, _AT_ONCE):
        found = ledger.decisions_by_id(chunk)
        usable = []
        for one in (found[decision_id] for decision_id in chunk if decision_id in found):
            why = _why_not(one)
            if why is not None:
                reading.left_out[why] += 1
            else:
                usable.append(one)
        yield usable


def _why_not(record: DecisionRecord) -> str | None:
    """Why nothing can be learned of a decision."""
    if "versions" not in record.trace or ("features" not in record.trace and record.plan_id is None):
        return "kept without what they were made from, as those of erased contacts"
    if record.degraded is not None:
        return "answered without features or models"
    if "raced" in record.trace:
        return "of plans, overtaken by another decision"
    return None


@dataclass(frozen=True, eq=False)
class _Part:
    """Some decisions as rows; `choices` says which rows an outcome of a decision may belong to, by treatment."""

    rows: pa.Table
    decision_ids: list[str]
    choices: dict[str, list[_Choice]]
    features: Columns
    known: BoolArray
    reachable: BoolArray


def _part(records: Sequence[DecisionRecord], reading: _Reading) -> _Part:
    rows: list[tuple[Any, ...]] = []
    choices: dict[str, list[_Choice]] = {}
    for record in records:
        of_record = _rows_of(record, reading.then(record.trace["versions"]))
        treatments: list[str | None] = [one.treatment_id for one in _ranked(record)]
        treatments = treatments or [None]
        choices[record.decision_id] = [_Choice(row[0], treatment) for row, treatment in zip(of_record, treatments, strict=True)]
        rows += of_record
        for one, choice in zip(_ranked(record), choices[record.decision_id], strict=False):
            if one.redeems is not None:
                reading.redeemed[one.redeems] = choice
    at = np.repeat(np.arange(len(records)), [len(choices[record.decision_id]) for record in records])
    features, known = _features(records, reading.contract)
    return _Part(
        rows=_table(ROWS, rows),
        decision_ids=[records[place].decision_id for place in at.tolist()],
        choices=choices,
        features={name: column[at] for name, column in features.items()},
        known=known[at],
        reachable=_reached(records, reading)[at],
    )


def _ranked(record: DecisionRecord) -> list[Selection]:
    return sorted(record.selections, key=lambda one: one.rank)


def _rows_of(record: DecisionRecord, then: _Then | None) -> list[tuple[Any, ...]]:
    """The interactions of one decision, in the order of `ROWS`."""
    decided_at = record.decided_at.astimezone(UTC).replace(tzinfo=None)
    seen_from = decided_at if then is None or then.seen_from is None else then.seen_from
    chosen: list[tuple[str, str | None]] = [(one.action_id, one.channel) for one in _ranked(record)] or [(NO_ACTION, None)]
    chances = [np.nan] * len(chosen) if then is None else selection_chances(record, then.catalog)
    return [
        (
            record.decision_id if rank == 0 else f"{record.decision_id}:{rank + 1}",
            record.contact_id,
            action_id,
            channel,
            decided_at,
            seen_from,
            None if np.isnan(chance) else chance,
        )
        for rank, ((action_id, channel), chance) in enumerate(zip(chosen, chances, strict=True))
    ]


def _table(schema: pa.Schema, rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [()] * len(schema.names)
    return pa.table([pa.array(values, type=one.type) for one, values in zip(schema, columns, strict=True)], schema=schema)


def _features(records: Sequence[DecisionRecord], contract: FeatureContract) -> tuple[Columns, BoolArray]:
    """What each decision was made with, and of which it is known under this contract."""
    held = ["features" in one.trace and one.trace["versions"]["features"] == contract.hash for one in records]
    known = np.array(held, dtype=np.bool_)
    rows = np.flatnonzero(known)
    kept = [records[row].trace["features"] for row in rows.tolist()]
    columns = {}
    for name, dtype in contract.dtypes.items():
        column = null_column(dtype, len(records))
        column[rows] = _values([one.get(name) for one in kept], dtype)
        columns[name] = column
    return columns, known


def _values(kept: list[Any], dtype: Dtype) -> np.ndarray:
    if dtype == "string":
        column = np.empty(len(kept), dtype=object)
        column[:] = kept
        return column
    if dtype in ("date", "timestamp"):
        return np.array([None if one is None else str(one).removesuffix("Z") for one in kept], dtype="datetime64[us]")
    return np.array([np.nan if one is None else float(one) for one in kept], dtype=np.float64)


def _reached(records: Sequence[DecisionRecord], reading: _Reading) -> BoolArray:
    """Which of the catalogue's actions were open to each decision; all of them where it kept no candidates."""
    found = np.ones((len(records), len(reading.actions)), dtype=np.bool_)
    place = {action_id: k for k, action_id in enumerate(reading.actions)}
    for row, record in enumerate(records):
        then, kept = reading.then(record.trace["versions"]), full_columns(record.trace.get("candidates"))
        if then is None or kept is None:
            continue
        found[row] = False
        for treatment_id, removed_by in zip(kept["treatment_id"], kept["removed_by"], strict=True):
            column = then.catalog.column_of.get(treatment_id)
            if column is not None and is_relevant(removed_by) and (action := then.catalog.treatments[column][0].id) in place:
                found[row, place[action]] = True
    return found


def _outcomes(
    ledger: Ledger, choices: Mapping[str, Sequence[_Choice]], reading: _Reading, until: datetime
) -> tuple[pa.Table, list[datetime]]:
    """Every outcome before `until`, once for each row that it belongs to, and when each was known.

    One of an unknown decision keeps that id and belongs to none.
    """
    rows: list[tuple[Any, ...]] = []
    known: list[datetime] = []
    for page in ledger.outcome_pages(_AT_ONCE):
        for one in page:
            if one.occurred_at >= until:
                continue
            what = (one.contact_id, one.outcome, one.occurred_at.astimezone(UTC).replace(tzinfo=None), one.value)
            known.append(min(one.occurred_at, one.received_at).astimezone(UTC).replace(tzinfo=None))
            rows += [(one.event_id, row_id, *what) for row_id in _rows_meant(one, choices, reading.redeemed)]
    return _table(OUTCOMES, rows), known


def _rows_meant(one: OutcomeRecord, choices: Mapping[str, Sequence[_Choice]], redeemed: Mapping[str, _Choice]) -> list[str | None]:
    """The rows that an outcome names; None stands for every row of its contact."""
    if one.decision_id is None:
        return [None]
    if one.decision_id in redeemed:
        return [redeemed[one.decision_id].row_id]
    of_decision = choices.get(one.decision_id, ())
    named: list[str | None] = [choice.row_id for choice in of_decision if choice.treatment_id == one.treatment_id]
    return named or [choice.row_id for choice in of_decision] or [one.decision_id]
