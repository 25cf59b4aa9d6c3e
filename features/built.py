"""The feature rows that are built: folders of parquet files, of which ``state/feature_contract.json`` names the one that counts.

A build fills a hidden folder, gives it its name when it is whole, then replaces the JSON document in one step; a killed build leaves the
last one in force. Rows that are asked for later (another as_of) join the folder as further files.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from decisioning.errors import Conflict, NotFound
from features.build import TIMESTAMP_COLUMN, Progress, build_offline, infer_contract
from features.contract import FeatureContract
from features.sources import connect, literal

CONTRACT_FILE = "feature_contract.json"

_UNFINISHED = ".unfinished-"


@dataclass(frozen=True)
class Built:
    """A finished build.

    Parameters
    ----------
    contract : FeatureContract
    as_of : datetime64[us]
        The as_of of the population's rows.
    rows : int
        Rows of the build itself, without those that joined later.
    folder : Path
        Where its parquet files are.
    """

    contract: FeatureContract
    as_of: np.datetime64
    rows: int
    folder: Path

    @property
    def files(self) -> str:
        """The glob of its parquet files."""
        return str(self.folder / "*.parquet")


def read_built(workspace_dir: Path) -> Built:
    """The build that counts.

    Raises
    ------
    NotFound
        Where features were never built.
    """
    path = workspace_dir / "state" / CONTRACT_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise NotFound("features are not built", hint="run nudge features build") from error
    contract, built = FeatureContract.from_json(text), json.loads(text)["built"]
    return Built(contract, np.datetime64(built["as_of"], "us"), int(built["rows"]), _home(workspace_dir) / built["folder"])


def build_rows(workspace_dir: Path, as_of: np.datetime64, *, progress: Progress | None = None) -> Built:
    """Build the population at `as_of` and every interaction at its own, and let the build count.

    Raises
    ------
    Conflict
        Where another process is building.
    """
    with _building(workspace_dir):
        home = _home(workspace_dir)
        for leftover in home.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(leftover)
        contract = infer_contract(workspace_dir)
        name = f"{contract.hash}-{uuid.uuid4().hex[:8]}"
        unfinished = home / f"{_UNFINISHED}{name}"
        unfinished.mkdir()
        rows = build_offline(workspace_dir, contract, unfinished / "rows.parquet", as_of=as_of, progress=progress)
        os.replace(unfinished, home / name)
        built = Built(contract, as_of.astype("datetime64[us]"), rows, home / name)
        _let_count(workspace_dir, built)
        for folder in home.iterdir():
            if folder.is_dir() and folder != built.folder:
                shutil.rmtree(folder, ignore_errors=True)
        return built


def add_missing(workspace_dir: Path, built: Built, pairs: pa.Table) -> int:
    """Build those of the (contact_id, as_of) `pairs` that a build does not hold yet; returns how many.

    Raises
    ------
    DataError
        Where the data or the queries no longer fit the build's contract.
    """
    if not _missing(built, pairs).num_rows:
        return 0
    with _building(workspace_dir, wait=True):
        missing = _missing(built, pairs)
        if missing.num_rows:
            # DuckDB reads the folder by its glob: the name must not match before the file is whole.
            build_offline(workspace_dir, built.contract, built.folder / f"more-{uuid.uuid4().hex[:8]}.parquet", entities=missing)
        return int(missing.num_rows)


def _missing(built: Built, pairs: pa.Table) -> pa.Table:
    with connect() as connection:
        connection.register("pairs", pairs)
        if not built.folder.is_dir():
            raise Conflict("the features were built anew meanwhile", hint="run the command again")
        return connection.sql(
            f"""SELECT pairs.contact_id, pairs.as_of FROM pairs ANTI JOIN read_parquet({literal(built.files)}) rows
            ON pairs.contact_id = rows.contact_id AND pairs.as_of = CAST(rows.{TIMESTAMP_COLUMN} AS TIMESTAMP)"""
        ).to_arrow_table()


def _home(workspace_dir: Path) -> Path:
    return workspace_dir / "state" / "features"


def _let_count(workspace_dir: Path, built: Built) -> None:
    document = json.loads(built.contract.to_json())
    document["built"] = {"as_of": str(built.as_of), "rows": built.rows, "folder": built.folder.name}
    path = workspace_dir / "state" / CONTRACT_FILE
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(json.dumps(document, indent=1, ensure_ascii=False), encoding="utf-8")
    os.replace(unfinished, path)


@contextmanager
def _building(workspace_dir: Path, *, wait: bool = False) -> Iterator[None]:
    """One builder at a time; the lock goes with the process that holds it."""
    home = _home(workspace_dir)
    home.mkdir(parents=True, exist_ok=True)
    with open(home / ".lock", "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict("features are being built by another process", hint="wait for it to end") from error
        yield
