"""What was ingested into a workspace, and what was built from it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb

from decisioning.errors import DataError, NotFound

_BUILT = "built.json"


@dataclass(frozen=True)
class DataState:
    """The ingested tables.

    Attributes
    ----------
    tables : mapping of table name to {rows, sha256}
    fingerprint : str
        Changes with the content of any table and of any features/*.sql.
    ingested_at : datetime
    newest_at : datetime or None
        The newest time in the data; None where nothing has a time.
    timeless : bool
        True where the logged interactions have no times (a one-shot experiment).
    """

    tables: dict[str, dict[str, Any]]
    fingerprint: str
    ingested_at: datetime
    newest_at: datetime | None
    timeless: bool

    @property
    def as_of(self) -> datetime | None:
        """Just after the newest row, so that everything ingested counts; None where nothing has a time."""
        return None if self.newest_at is None else self.newest_at + timedelta(microseconds=1)

    @property
    def moment(self) -> datetime:
        """The moment a plan is for unless it is told: just after the newest row, or when the timeless data was ingested."""
        return self.as_of or self.ingested_at


def read_data_state(folder: Path) -> DataState:
    """What `nudge ingest` left in `folder`.

    Raises
    ------
    NotFound
        Nothing was ingested.
    DataError
        The manifest was damaged.
    """
    path = folder / "data" / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        tables, ingested_at = manifest["tables"], _moment(manifest["ingested_at"])
    except FileNotFoundError:
        raise NotFound("there is no ingested data in this workspace", hint="run nudge ingest first") from None
    except (ValueError, KeyError, TypeError):
        raise DataError("the manifest of the ingested data is damaged", field="data/manifest.json", hint="run nudge ingest again") from None
    queries = {one.name: one.read_text(encoding="utf-8") for one in sorted((folder / "features").glob("*.sql"))}
    hashes = {name: table["sha256"] for name, table in tables.items()}
    fingerprint = hashlib.sha256(json.dumps([hashes, queries], sort_keys=True).encode()).hexdigest()[:16]
    return DataState(tables, fingerprint, ingested_at or datetime.now(UTC), _moment(manifest.get("newest_at")), _timeless(folder))


def _timeless(folder: Path) -> bool:
    path = folder / "data" / "interactions.parquet"
    try:
        about = path.stat()
    except FileNotFoundError:
        return False
    return _has_no_times(str(path), about.st_ino, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=8)
def _has_no_times(path: str, *version: int) -> bool:
    """Whether a file of interactions has rows, and none with a time; read once for each version of the file, since pages ask often."""
    del version
    with duckdb.connect() as connection:
        row = connection.execute("SELECT count(*) > 0 AND count(occurred_at) = 0 FROM read_parquet(?)", [path]).fetchone()
    return bool(row and row[0])


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text.replace("Z", "+00:00"))


@dataclass(frozen=True)
class Built:
    """What the feature store holds: built from which data, as of when, and whether that is what the online store holds."""

    fingerprint: str = ""
    as_of: str = ""
    online: str = ""


def read_built(folder: Path) -> Built:
    """What was last built in a workspace; nothing where that is not known."""
    try:
        return Built(**json.loads((folder / "state" / _BUILT).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return Built()


def write_built(folder: Path, built: Built) -> None:
    """Remember what was built."""
    temporary = folder / "state" / f".{_BUILT}"
    temporary.write_text(json.dumps(vars(built)), encoding="utf-8")
    temporary.replace(folder / "state" / _BUILT)
