"""What a plan was made from, kept beside the ledger as Parquet, so that any of its decisions can be made again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import structs

from decisioning.candidates import Situation
from decisioning.errors import Conflict, NotFound, Unavailable
from decisioning.history import Firms, History, Past, Suppression
from decisioning.vocabulary import Columns, Dtype, null_column
from features.stored_columns import ROWS_AT_ONCE
from serving.plans.planner import PlannedPopulation
from serving.plans.population import GatheredPopulation, Population
from serving.plans.staging import staged

_ROW = "~row"
_CONTACT, _GRANTED, _UNIT = "~contact_id", "~granted ", "~unit"
_INPUTS = "inputs.json"


class PlanArchive:
    """The inputs of plans, a folder each; they appear whole or not at all.

    Parameters
    ----------
    folder : Path
        Made when the first plan is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, planned: PlannedPopulation) -> None:
        """Keep what the plan was made from; a plan that is there already stays.

        Raises
        ------
        Unavailable
            The folder cannot be written.
        """
        target = self.folder / planned.plan_id
        if target.exists():
            return
        try:
            with staged(target, replacing=False) as folder:
                _write(planned, folder)
        except OSError as error:
            raise Unavailable(f"the plan's inputs cannot be written to {self.folder}", got=error.strerror) from None

    def load(self, plan_id: str, dtypes: Mapping[str, Dtype]) -> tuple[Population, GatheredPopulation]:
        """What the plan was made from; `dtypes` is the feature contract of that time.

        Raises
        ------
        NotFound
            It was not kept, or is gone.
        Conflict
            Contacts whose places others took were erased since.
        """
        folder = self.folder / plan_id
        try:
            kept = json.loads((folder / _INPUTS).read_text(encoding="utf-8"))
            tables = {path.stem: pq.read_table(path) for path in sorted(folder.glob("*.parquet"))}
        except (OSError, ValueError):
            raise NotFound("the inputs of this plan are not there any more", field="plan_id", got=plan_id) from None
        _forgotten(kept, plan_id)
        return _read(kept, tables, dtypes)


def _forgotten(kept: Mapping[str, Any], plan_id: str) -> None:
    if kept.get("forgotten"):
        raise Conflict("contacts of this plan were erased since: it cannot be made again", field="plan_id", got=plan_id)


def _write(planned: PlannedPopulation, folder: Path) -> None:
    population, (situation, history, *_) = planned.population, planned.gathered
    everyone: dict[str, Any] = {_CONTACT: population.contact_ids, **population.columns}
    everyone |= {f"{_GRANTED}{purpose}": yes for purpose, yes in situation.granted.items()}
    pasts = {"touches": Past(history.touch_row, history.touches), "outcomes": Past(history.outcome_row, history.outcomes)}
    if history.firms is not None:
        everyone[_UNIT] = history.firms.unit
        pasts |= {"firm_touches": history.firms.touches, "firm_outcomes": history.firms.outcomes}
    _write_in_parts(everyone, len(population.contact_ids), folder / "population.parquet")
    for name, past in pasts.items():
        pq.write_table(_table({_ROW: past.row, **past.columns}), folder / f"{name}.parquet")
    off = [[one.row, one.action_id, one.channel, str(one.until)] for one in history.suppressions]
    kept = {"moment": str(population.moment), "fingerprint": population.fingerprint, "suppressions": off}
    (folder / _INPUTS).write_text(json.dumps(kept) + "\n", encoding="utf-8")


def _write_in_parts(columns: Mapping[str, Any], rows: int, path: Path) -> None:
    """Columns that may be on disk themselves."""
    first = _table({name: column[:ROWS_AT_ONCE] for name, column in columns.items()})
    with pq.ParquetWriter(path, first.schema) as writer:
        writer.write_table(first)
        for start in range(ROWS_AT_ONCE, rows, ROWS_AT_ONCE):
            writer.write_table(_table({name: column[start : start + ROWS_AT_ONCE] for name, column in columns.items()}))


def _read(kept: Mapping[str, Any], tables: Mapping[str, pa.Table], dtypes: Mapping[str, Dtype]) -> tuple[Population, GatheredPopulation]:
    everyone = tables["population"]
    ids = _array(everyone[_CONTACT], "string")
    names = [name for name in everyone.column_names if not name.startswith("~")]
    columns = {name: _array(everyone[name], dtypes.get(name)) for name in names}
    marked = [name for name in everyone.column_names if name.startswith(_GRANTED)]
    granted = {name.removeprefix(_GRANTED): everyone[name].to_numpy().astype(np.bool_) for name in marked}
    moment = np.datetime64(kept["moment"])
    touches, outcomes = _past(tables["touches"]), _past(tables["outcomes"])
    history = History(touches.row, touches.columns, outcomes.row, outcomes.columns)
    if _UNIT in everyone.column_names:
        unit = everyone[_UNIT].to_numpy()
        history = structs.replace(history, firms=Firms(unit, _past(tables["firm_touches"]), _past(tables["firm_outcomes"])))
    off = tuple(Suppression(row, action, channel, np.datetime64(until)) for row, action, channel, until in kept["suppressions"])
    situation = Situation(ids, columns, moment, granted)
    population = Population(ids, columns, moment, kept["fingerprint"])
    return population, GatheredPopulation(situation, structs.replace(history, suppressions=off), {}, {})


def _table(columns: Columns) -> pa.Table:
    return pa.table({name: pa.array(column, type=pa.string() if column.dtype == object else None) for name, column in columns.items()})


def _past(table: pa.Table) -> Past:
    names = [name for name in table.column_names if name != _ROW]
    return Past(table[_ROW].to_numpy().astype(np.int64), {name: _array(table[name], None) for name in names})


def _array(column: pa.ChunkedArray, dtype: Dtype | None) -> np.ndarray:
    """A column as the stages read it: texts as objects with None, numbers as float64 with NaN, times as datetime64[us] with NaT."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        found = np.empty(len(column), dtype=object)
        found[:] = column.to_pylist()
        return found
    if pa.types.is_null(column.type):
        return null_column(dtype or "string", len(column))
    plain = column.to_numpy()
    return plain.astype("datetime64[us]") if plain.dtype.kind == "M" else plain
