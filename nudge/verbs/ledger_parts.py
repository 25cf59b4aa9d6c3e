"""The files of a ledger's export: rows as Parquet by table and UTC day, and the manifest that says which files count.

A file is written aside and moved into its place; the manifest, written last, makes it count. What the manifest does not name is left over
from an export that was killed, and goes with the next one.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ledger.measured import TABLES, Head, Stretch, Type

MANIFEST = "export.json"
VERSION = 1
_ASIDE = ".unfinished"
_ARROW: Mapping[Type, pa.DataType] = {
    "text": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "time": pa.timestamp("us", tz="UTC"),
}
_DUCKDB: Mapping[Type, str] = {"text": "VARCHAR", "int": "BIGINT", "float": "DOUBLE", "bool": "BOOLEAN", "time": "TIMESTAMPTZ"}


@dataclass
class Manifest:
    """What an export holds: up to which link of each stream, its files by table (relative to its folder), and how many runs there were."""

    heads: dict[str, Head] = field(default_factory=dict)
    files: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in TABLES})
    runs: int = 0

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """The manifest in a folder; an empty one where there is none that this version can read."""
        try:
            kept = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            if kept["version"] != VERSION or set(kept["files"]) != set(TABLES):
                return cls()
            heads = {str(name): Head(int(seq), str(digest)) for name, (seq, digest) in kept["heads"].items()}
            files = {str(name): [str(one) for one in listed] for name, listed in kept["files"].items()}
            there = all((folder / one).exists() for listed in files.values() for one in listed)
            return cls(heads, files, int(kept["runs"])) if there else cls()
        except (OSError, ValueError, KeyError, TypeError):
            return cls()

    def write(self, folder: Path) -> None:
        """Let these files count, and remove every other one."""
        document = {"version": VERSION, "runs": self.runs, "heads": self.heads, "files": self.files}
        unfinished = folder / f".{MANIFEST}.{os.getpid()}"
        unfinished.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        onto_disk(unfinished)
        os.replace(unfinished, folder / MANIFEST)
        self.tidy(folder)

    def tidy(self, folder: Path) -> None:
        """Remove what does not count."""
        shutil.rmtree(folder / _ASIDE, ignore_errors=True)
        kept = {folder / one for listed in self.files.values() for one in listed}
        left_over = [one for table in TABLES for one in (folder / table).rglob("*.parquet") if one not in kept]
        for path in left_over:
            path.unlink()
        for day in {path.parent for path in left_over}:
            if not any(day.iterdir()):
                day.rmdir()

    def rows(self, folder: Path) -> dict[str, int]:
        """The rows of each table."""
        return {name: sum(pq.read_metadata(folder / one).num_rows for one in listed) for name, listed in self.files.items()}


def onto_disk(path: Path) -> None:
    """Return when the file is on disk, whatever becomes of the machine."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def schema_of(table: str) -> pa.Schema:
    """The columns of a table's files."""
    layout = TABLES[table]
    stream = [("stream", pa.string())] if layout.kind else []
    return pa.schema([*stream, *((name, _ARROW[kind]) for name, kind in layout.columns.items())])


def batches(table: str, stream: str, stretches: Iterable[Stretch]) -> Iterator[pa.RecordBatch]:
    """The rows of stretches of one stream, as Arrow."""
    schema = schema_of(table)
    columns = TABLES[table].columns
    for one in stretches:
        arrays = [_values(one, place, kind) for place, kind in enumerate(columns.values())]
        of = [pa.repeat(pa.scalar(stream), one.rows)] if TABLES[table].kind else []
        yield pa.record_batch([*of, *arrays], schema=schema)


def _values(stretch: Stretch, column: int, kind: Type) -> pa.Array:
    """One column of a stretch, an empty value as NULL."""
    texts = pc.split_pattern(pa.array([stretch.texts[column]], pa.large_string()), stretch.separator).values
    empty = pc.equal(texts, "")
    known = pc.if_else(empty, pa.scalar(None, pa.large_string()), texts) if pc.any(empty).as_py() else texts
    return known.cast(pa.int64()).cast(_ARROW[kind]) if kind == "time" else known.cast(_ARROW[kind])


@dataclass(frozen=True)
class Writer:
    """Writes rows of a table into files by day, which count once the manifest says so."""

    db: duckdb.DuckDBPyConnection
    folder: Path
    run: int

    def by_day(self, table: str, rows: str, part: str) -> list[str]:
        """Write the rows of a query into new files, one or more a day; returns their names. Of no rows there is no file."""
        aside = self.folder / _ASIDE / f"{table}-{part}"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        day = f"CAST(make_timestamp(epoch_us({TABLES[table].day})) AS DATE)::VARCHAR AS day"
        name = f"part-{self.run:06}-{part}-{{i}}"
        self.db.execute(
            f"""COPY (SELECT *, {day} FROM ({rows})) TO '{quoted(aside)}'
            (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (day), OVERWRITE_OR_IGNORE, FILENAME_PATTERN '{name}')"""
        )
        return [self._moved(path, table) for path in sorted(aside.rglob("*.parquet"))]

    def _moved(self, path: Path, table: str) -> str:
        onto_disk(path)
        place = Path(table) / path.parent.name / path.name
        (self.folder / place).parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, self.folder / place)
        return str(place)


def reading(folder: Path, table: str, files: Sequence[str], *, named: bool = False) -> str:
    """What reads these files of a table in SQL; with `named`, each row's file as `filename` besides."""
    if not files:
        stream = ["NULL::VARCHAR AS stream"] if TABLES[table].kind else []
        columns = [f"NULL::{_DUCKDB[kind]} AS {name}" for name, kind in TABLES[table].columns.items()]
        name = ["NULL::VARCHAR AS filename"] if named else []
        return f"(SELECT {', '.join([*stream, *columns, *name])} WHERE FALSE)"
    listed = ", ".join(f"'{quoted(folder.absolute() / one)}'" for one in files)
    return f"read_parquet([{listed}], hive_partitioning = false, filename = {str(named).lower()})"


def quoted(path: Path) -> str:
    """A path inside a text of SQL."""
    return str(path).replace("'", "''")


def of_day(name: str) -> str:
    """The day of a file, by its name.

    Examples
    --------
    >>> of_day("events/day=2026-11-22/part-000001-0-0.parquet")
    '2026-11-22'
    """
    return name.split("/")[1].removeprefix("day=")
