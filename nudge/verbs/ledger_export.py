"""The ledger as Parquet for analysts and reports: `nudge export-ledger`, in `exports/ledger/` unless said otherwise.

`TABLE/day=YYYY-MM-DD/*.parquet`, brought up to date with what is new since the last time. An erased contact, a joined visitor and rows that
were removed by age are brought up to date as well: an export says what its ledger says.
"""

from __future__ import annotations

import fcntl
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from decisioning.errors import RequestError, Unavailable
from ledger.chain import kind_of
from ledger.measured import TABLES, Head, LedgerReader, Reading
from ledger.verify import TOMBSTONE
from nudge.ground.config import absolute_url
from nudge.ground.workspace import Workspace
from nudge.verbs.ledger_parts import MANIFEST, Manifest, Writer, batches, of_day, reading, schema_of

FILES_A_DAY = 8
"""A day's files of a table beyond this many become one."""

Say = Callable[[str], None]


def default_folder(workspace: Workspace) -> Path:
    """Where reports look, and analysts may."""
    return workspace.folder / "exports" / "ledger"


def export_ledger(workspace: Workspace, folder: Path | None = None, say: Say = lambda text: None) -> dict[str, Any]:
    """Bring an export up to date.

    Returns
    -------
    dict
        `folder`; `tables`: rows and files of each; `new`: rows that came with this call; `rewritten`: files in which rows changed or went;
        `whole`: whether everything was written, because there was no export of this ledger yet.

    Raises
    ------
    RequestError
        The folder holds something else.
    Unavailable
        It cannot be written.
    """
    place = folder or default_folder(workspace)
    with _held(workspace, place) as held:
        done = held.bring_up_to_date(say)
        rows = held.manifest.rows(place)
        files = {name: len(listed) for name, listed in held.manifest.files.items()}
    tables = {name: {"rows": rows[name], "files": files[name]} for name in TABLES}
    return {"folder": str(place), "tables": tables, **done}


@contextmanager
def current_files(workspace: Workspace, say: Say = lambda text: None) -> Iterator[Mapping[str, str]]:
    """What reads each table in SQL, up to date and unchanged for as long as the block lasts."""
    with _held(workspace, default_folder(workspace)) as held:
        held.bring_up_to_date(say)
        yield {name: reading(held.folder, name, held.manifest.files[name]) for name in TABLES}


def forget_in_ledger_export(workspace: Workspace) -> int:
    """After an erasure or a removal: the workspace's own export says what the ledger says; returns the files that were rewritten.

    Rows that are new are left to the next export.
    """
    folder = default_folder(workspace)
    if not (folder / MANIFEST).exists():
        return 0
    with _held(workspace, folder) as held:
        return held.mend()


@contextmanager
def _held(workspace: Workspace, folder: Path) -> Iterator[_Held]:
    """The export, one process at a time; the lock goes with the process that holds it."""
    url = absolute_url(workspace.config.stores.ledger, workspace.folder)
    workspace.open_ledger().close()  # an older ledger is brought up to date, an absent one made
    try:
        _refuse_others(folder)
        with (
            (folder / ".lock").open("w", encoding="utf-8") as lock,
            duckdb.connect() as db,
            LedgerReader(url) as reader,
        ):
            fcntl.flock(lock, fcntl.LOCK_EX)
            _claim(folder)
            db.execute("SET TimeZone = 'UTC'")
            with reader.reading() as found:
                yield _Held(folder, db, found, Manifest.read(folder))
    except (OSError, duckdb.IOException) as error:
        got = error.strerror if isinstance(error, OSError) else str(error).splitlines()[0]
        raise Unavailable("the export of the ledger cannot be written or read", field=str(folder), got=got) from None


def _claim(folder: Path) -> None:
    """Say that the folder is an export before its first file: an export that ends half-way is known by it, to erasures too."""
    _refuse_others(folder)
    if not (folder / MANIFEST).exists():
        Manifest().write(folder)


def _refuse_others(folder: Path) -> None:
    """Make the folder, or refuse one that is somebody else's: files in it that are not of the export would go."""
    folder.mkdir(parents=True, exist_ok=True)
    others = {one.name for one in folder.iterdir() if not one.name.startswith(".")}
    if others and not (folder / MANIFEST).exists():
        got = ", ".join(sorted(others)[:3])
        raise RequestError(
            "holds something else", field="DIR", got=got, allowed="a new or empty folder, or an earlier export of the ledger"
        )


@dataclass
class _Held:
    """An export that nobody else writes now, and a transaction on its ledger."""

    folder: Path
    db: duckdb.DuckDBPyConnection
    ledger: Reading
    manifest: Manifest

    def bring_up_to_date(self, say: Say) -> dict[str, Any]:
        """Add what is new, mend what has changed, and let it count. Nothing changes without a new link."""
        heads, known = self.ledger.heads(), self.manifest.heads
        whole = set(known) != set(heads) or not all(self.ledger.holds(name, head) for name, head in known.items())
        if whole:
            self.manifest = Manifest(dict.fromkeys(heads, Head(0, "")), runs=self.manifest.runs)
        since = self.manifest.heads
        if heads == since and not whole:
            return {"new": 0, "rewritten": 0, "whole": False}
        writer = self._begun()
        rewritten = 0 if whole else self._mended(writer, emptied=self.ledger.changed(since, heads))
        new = sum(self._added(writer, table, since, heads, say) for table in TABLES)
        self._merge_days(writer)
        self.manifest.heads = heads
        self.manifest.write(self.folder)
        return {"new": new, "rewritten": rewritten, "whole": whole}

    def mend(self) -> int:
        """Only mend what has changed."""
        writer = self._begun()
        rewritten = self._mended(writer, emptied=True)
        self._written_whole(writer)
        self.manifest.write(self.folder)
        return rewritten

    def _begun(self) -> Writer:
        self.manifest.tidy(self.folder)
        self.manifest.runs += 1
        return Writer(self.db, self.folder, self.manifest.runs)

    def _added(self, writer: Writer, table: str, since: Mapping[str, Head], heads: Mapping[str, Head], say: Say) -> int:
        """Write the rows of a table that came between these heads; returns how many."""
        kind = TABLES[table].kind
        if kind is None:
            self._written_whole(writer)
            return 0
        count = 0

        def arriving() -> Iterator[pa.RecordBatch]:
            nonlocal count
            for stream in (one for one in heads if kind_of(one) == kind):
                stretches = self.ledger.rows(table, stream, since[stream].seq, heads[stream].seq)
                for batch in batches(table, stream, stretches):
                    count += batch.num_rows
                    yield batch
                    say(f"{table}: {count:,} rows")

        if any(heads[one] != since[one] for one in heads if kind_of(one) == kind):
            with self._registered(pa.RecordBatchReader.from_batches(schema_of(table), arriving())) as name:
                self.manifest.files[table] += writer.by_day(table, f"SELECT * FROM {name}", "new")
        return count

    def _written_whole(self, writer: Writer) -> None:
        """Write the tables without links anew."""
        for table in (name for name, layout in TABLES.items() if layout.kind is None):
            rows = pa.RecordBatchReader.from_batches(schema_of(table), batches(table, "", self.ledger.whole(table)))
            with self._registered(rows) as name:
                self.manifest.files[table] = writer.by_day(table, f"SELECT * FROM {name}", "all")

    def _merge_days(self, writer: Writer) -> None:
        """Make one file of a day's many."""
        for table, listed in self.manifest.files.items():
            by_day: dict[str, list[str]] = defaultdict(list)
            for one in listed:
                by_day[of_day(one)].append(one)
            many = {one for files in by_day.values() if len(files) > FILES_A_DAY for one in files}
            if many:
                merged = writer.by_day(table, f"SELECT * FROM {reading(self.folder, table, sorted(many))}", "day")
                self.manifest.files[table] = [one for one in listed if one not in many] + merged

    def _mended(self, writer: Writer, *, emptied: bool) -> int:
        """Write the files anew whose rows are not what they were; returns how many."""
        links = list(self.ledger.emptied()) if emptied else []
        visitors = self.ledger.visitors()
        if not links and not visitors:
            return 0
        streams, numbers, gone = zip(*links, strict=True) if links else ((), (), ())
        stale = {"stream": pa.array(streams, pa.string()), "seq": pa.array(numbers, pa.int64()), "gone": pa.array(gone, pa.bool_())}
        with (
            self._registered(pa.table(stale)) as stale_name,
            self._registered(pa.table({"contact_id": pa.array(visitors, pa.string())})) as who,
        ):
            return sum(self._mend(writer, table, stale_name, who) for table, layout in TABLES.items() if layout.kind)

    def _mend(self, writer: Writer, table: str, stale: str, visitors: str) -> int:
        files = reading(self.folder, table, self.manifest.files[table], named=True)
        hits = self.db.execute(
            f"""SELECT filename, f.stream, f.seq FROM {files} f LEFT JOIN {stale} s ON s.stream = f.stream AND s.seq = f.seq
            WHERE s.gone OR (s.seq IS NOT NULL AND NOT starts_with(coalesce(f.contact_id, '{TOMBSTONE}'), '{TOMBSTONE}'))
              OR f.contact_id IN (SELECT contact_id FROM {visitors})"""
        ).fetchall()
        rows: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for filename, stream, seq in hits:
            rows[filename][stream].append(seq)
        for place, (filename, found) in enumerate(sorted(rows.items())):
            old = str(Path(filename).relative_to(self.folder.absolute()))
            self.manifest.files[table].remove(old)
            self.manifest.files[table] += self._rewritten(writer, table, old, found, f"mended{place}")
        return len(rows)

    def _rewritten(self, writer: Writer, table: str, old: str, links: Mapping[str, list[int]], part: str) -> list[str]:
        """A file with these links' rows as the ledger has them now."""
        fresh = [one for stream, numbers in links.items() for one in batches(table, stream, self.ledger.rows_at(table, stream, numbers))]
        changed = {
            "stream": pa.array([stream for stream, numbers in links.items() for _ in numbers], pa.string()),
            "seq": pa.array([one for numbers in links.values() for one in numbers], pa.int64()),
        }
        with self._registered(pa.table(changed)) as names, self._registered(pa.Table.from_batches(fresh, schema_of(table))) as now:
            kept = f"SELECT f.* FROM {reading(self.folder, table, [old])} f ANTI JOIN {names} USING (stream, seq)"
            return writer.by_day(table, f"{kept} UNION ALL BY NAME SELECT * FROM {now}", part)

    @contextmanager
    def _registered(self, rows: pa.Table | pa.RecordBatchReader) -> Iterator[str]:
        """Rows under a name in SQL."""
        name = f"rows_{uuid.uuid4().hex}"
        self.db.register(name, rows)
        try:
            yield name
        finally:
            self.db.unregister(name)
