"""Do the online features say what the offline ones say? Compared contact by contact, each as of the moment of its own online vector.

A contact whose vector is as it was materialised is compared with its built row. One that events or consents brought up to date is
compared, in the features that they bring up to date, with a row that is built anew from the data and these events and consents as of the
vector's moment; in the others with its built row.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from decisioning.errors import NotFound
from decisioning.vocabulary import BoolArray, Columns
from features.build import build_offline, known_contacts
from features.built import Built
from features.columns import Ids, Moments, as_column, same
from features.contract import stored_name
from features.merging import CONSENTS, EVENTS, Rows, Told, write_merged
from features.online_events import OnlineFeatures
from features.packing import as_of_of
from features.sources import connect, literal

_TOLD = (EVENTS, CONSENTS)
_NEARLY = 1e-9
"""Two ways to add up the same money differ by no more than this share."""


class Stores(Protocol):
    """Both sides of the comparison: a `FeatureDoor`."""

    def read(self, contact_ids: Sequence[str]) -> list[bytes | None]:
        """The packed vectors of contacts."""

    def historical(self, contact_ids: Ids, as_of: Moments) -> Columns:
        """Their features as of any moment, from the data."""


def skew(door: Stores, workspace_dir: Path, built: Built, told: Sequence[Rows], most_contacts: int) -> Mapping[str, float]:
    """See `FeatureDoor.skew`."""
    known = known_contacts(workspace_dir, built.as_of)
    if not len(known):
        raise NotFound("there are no contacts to compare", hint="run nudge ingest")
    with _copy(workspace_dir, told) as folder:
        contact_ids = _sample(known, _lately(workspace_dir, folder), most_contacts)
        features = OnlineFeatures(built.contract)
        vectors = door.read(list(contact_ids))
        online, found = features.packing.unpack(vectors)
        cut = built.as_of.astype("datetime64[us]")
        as_of = np.array([cut if vector is None else as_of_of(vector) for vector in vectors], dtype="datetime64[us]")
        offline = door.historical(contact_ids, np.full(len(contact_ids), cut))
        moved = np.flatnonzero(as_of != cut)
        now = _recomputed(folder, features, contact_ids[moved], as_of[moved])
    shares = {}
    for name in built.contract.names:
        right = found & same(online[name], offline[name])
        if name in now:
            right[moved] = _nearly_same(online[name][moved], now[name])
        shares[name] = float(np.mean(~right))
    return shares


def _sample(known: Ids, lately: Ids, most: int) -> Ids:
    """Some contacts, and of those to whom something happened since as many again."""
    there = np.intersect1d(known.astype(str), lately.astype(str)).astype(object)
    return np.array(sorted({*known[:: max(1, -(-len(known) // most))], *there[:: max(1, -(-len(there) // most))]}), dtype=object)


def _recomputed(folder: Path, features: OnlineFeatures, contact_ids: Ids, as_of: Moments) -> Columns:
    """What the data and the events in `folder` give of the features that events bring up to date, in the order of the contacts."""
    if not len(contact_ids):
        return {}
    pairs = pa.table({"contact_id": pa.array(contact_ids, pa.string()), "as_of": pa.array(as_of, pa.timestamp("us"))})
    build_offline(folder, features.contract, folder / "rows.parquet", entities=pairs)
    rows = pq.read_table(folder / "rows.parquet")
    place = {contact_id: row for row, contact_id in enumerate(rows.column("contact_id").to_pylist())}
    order = np.array([place[contact_id] for contact_id in contact_ids])
    dtypes = features.contract.dtypes
    return {name: as_column([rows.column(stored_name(name))], dtypes[name])[order] for name in features.computed}


@contextmanager
def _copy(workspace_dir: Path, told: Sequence[Rows]) -> Iterator[Path]:
    """A workspace beside this one, with the same data and what was told since (events, consents) merged in; gone afterwards."""
    folder = workspace_dir / "state" / f".skew.{uuid4().hex}"
    (folder / "data").mkdir(parents=True)
    merged = {_file(one) for one in _TOLD}
    try:
        for path in (workspace_dir / "data").glob("*.parquet"):
            if path.name not in merged:
                (folder / "data" / path.name).symlink_to(path.resolve())
        if (workspace_dir / "features").is_dir():
            (folder / "features").symlink_to((workspace_dir / "features").resolve())
        for one, rows in zip_longest(_TOLD, told, fillvalue=()):
            assert isinstance(one, Told)
            ingested, into = (home / "data" / _file(one) for home in (workspace_dir, folder))
            if not write_merged(one, ingested, rows, into) and not ingested.exists():
                into.unlink()  # an empty table would say that there is something
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _file(told: Told) -> str:
    return f"{told.table}.parquet"


def _lately(workspace_dir: Path, folder: Path) -> Ids:
    """The contacts of what `folder` has and the workspace's own data have not."""
    found: set[str] = set()
    for one in _TOLD:
        merged, ingested = folder / "data" / _file(one), workspace_dir / "data" / _file(one)
        if not merged.exists():
            continue
        columns = ", ".join(one.same)
        of = [f"SELECT {columns} FROM read_parquet({literal(str(path))})" for path in (merged, ingested) if path.exists()]
        with connect(folder) as connection:
            new = f"SELECT DISTINCT contact_id FROM ({' EXCEPT ALL '.join(of)}) WHERE contact_id IS NOT NULL"
            found |= {contact_id for (contact_id,) in connection.execute(new).fetchall()}
    return np.array(sorted(found), dtype=object)


def _nearly_same(left: np.ndarray, right: np.ndarray) -> BoolArray:
    if left.dtype.kind != "f":
        return same(left, right)
    return np.isclose(left, right, rtol=_NEARLY, atol=_NEARLY, equal_nan=True)
