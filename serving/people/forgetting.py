"""A contact is forgotten in what plans were made from and in what they gave out; the plans' sums stay.

In the archive the contact's row keeps its place, because everything else points to rows by number, but nothing is known of it any more. In
the exports `plan.parquet` says what was spent on nobody, the audiences are without the contact, and the manifest has the new hashes. Hidden
folders are plans that are not whole yet (`serving.plans.staging`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

_CONTACT, _ROW = "~contact_id", "~row"
_OF_ROWS = ("touches", "outcomes")


def forget_in_archive(folder: Path, names: Mapping[str, str]) -> int:
    """Forget contacts in a `PlanArchive`'s folder; returns the plans that knew any of them."""
    return sum(_forget_inputs(path.parent, names) for path in sorted(folder.glob("[!.]*/population.parquet")))


def forget_in_exports(folder: Path, names: Mapping[str, str]) -> int:
    """Forget contacts in the plans below `folder`; returns the plans that had any of them."""
    return sum(_forget_plan(path.parent, names) for path in sorted(folder.glob("[!.]*/plan.parquet")))


def held_in_exports(folder: Path, ids: list[str]) -> list[dict[str, Any]]:
    """What the plans below `folder` gave out about contacts, as plain values."""
    found: list[dict[str, Any]] = []
    for path in sorted(folder.glob("[!.]*/plan.parquet")):
        table = pq.read_table(path)
        theirs = table.filter(pc.is_in(table["contact_id"], value_set=pa.array(ids, table["contact_id"].type)))
        found += [{"plan_id": path.parent.name, **row} for row in theirs.to_pylist()]
    return found


def _forget_inputs(folder: Path, names: Mapping[str, str]) -> bool:
    path = folder / "population.parquet"
    everyone = pq.read_table(path)
    theirs = _is_theirs(everyone[_CONTACT], names)
    rows = pc.indices_nonzero(theirs).to_pylist()
    if not rows:
        return False
    columns = {}
    for name in everyone.column_names:
        column = everyone[name]
        if name == _CONTACT:
            columns[name] = _renamed(column, names)
        elif not name.startswith("~"):
            columns[name] = pc.if_else(theirs, pa.scalar(None, column.type), column)
        else:
            columns[name] = column
    for part in _OF_ROWS:
        past = folder / f"{part}.parquet"
        table = pq.read_table(past)
        _write(table.filter(pc.invert(pc.is_in(table[_ROW], value_set=pa.array(rows, table[_ROW].type)))), past)
    inputs = folder / "inputs.json"
    kept = json.loads(inputs.read_text(encoding="utf-8"))
    kept["suppressions"] = [one for one in kept["suppressions"] if one[0] not in set(rows)]
    _write_text(json.dumps({**kept, "forgotten": int(kept.get("forgotten", 0)) + len(rows)}), inputs)
    _write(pa.table(columns), path)
    return True


def _forget_plan(folder: Path, names: Mapping[str, str]) -> bool:
    path = folder / "plan.parquet"
    plan = pq.read_table(path)
    theirs = _is_theirs(plan["contact_id"], names)
    if not pc.any(theirs).as_py():
        return False
    for audience in sorted(folder.glob("audience_*.parquet")):
        table = pq.read_table(audience)
        left = table.filter(pc.invert(_is_theirs(table["contact_id"], names)))
        if left.num_rows != table.num_rows:
            _write(left, audience)
            unfinished = audience.with_name(f".{audience.stem}.csv.{os.getpid()}")
            pa_csv.write_csv(left, unfinished)
            os.replace(unfinished, audience.with_suffix(".csv"))
    place = plan.column_names.index("contact_id")
    nobodys = plan.set_column(place, plan.schema.field("contact_id"), _renamed(plan["contact_id"], names))
    for name in ("reason", "send_at", "clv"):  # words and figures about the person, which no sum needs
        if name in plan.column_names:
            place, column = plan.column_names.index(name), plan[name]
            nobodys = nobodys.set_column(place, plan.schema.field(name), pc.if_else(theirs, pa.scalar(None, column.type), column))
    _write(nobodys, path)
    manifest = folder / "manifest.json"
    if manifest.exists():
        said = json.loads(manifest.read_text(encoding="utf-8"))
        said["files"] = {name: _sha256(folder / name) for name in said.get("files", {}) if (folder / name).exists()}
        _write_text(json.dumps(said, indent=2, ensure_ascii=False), manifest)
    return True


def _is_theirs(column: pa.ChunkedArray, names: Mapping[str, str]) -> Any:
    return pc.is_in(column, value_set=pa.array(list(names), column.type))


def _renamed(column: pa.ChunkedArray, names: Mapping[str, str]) -> pa.Array:
    return pa.array([names.get(one, one) for one in column.to_pylist()], column.type)


def _write(table: pa.Table, path: Path) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    pq.write_table(table, unfinished)
    os.replace(unfinished, path)


def _write_text(text: str, path: Path) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(text + "\n", encoding="utf-8")
    os.replace(unfinished, path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
