"""FeatureDoor: the only door to Feast.

Offline, features are rows of parquet files that `features.build` writes and Feast's DuckDB store reads. Online, they are packed vectors in
Feast's online store. Names and types come from the registry, that is from the applied contract. Feast is imported where it is first needed:
reading the embedded online store needs none of it.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from decisioning.errors import ContractMismatch, DataError, NotFound, NudgeError, Unavailable
from decisioning.vocabulary import BoolArray, Columns, null_column
from features.build import Progress, known_contacts
from features.built import Built, add_missing, build_rows, read_built
from features.columns import Ids, Moments, as_column, same, unique_pairs
from features.contract import FeatureContract
from features.online import ONLINE_FILE, VECTOR, VIEW, SqliteVectors
from features.packing import Packing, contract_hash_of

if TYPE_CHECKING:
    import pyarrow as pa
    from feast import FeatureStore, FeatureView

ROWS_AT_ONCE = 200_000
"""Feast joins at most so many entity rows in one query: what bounds the memory of a retrieval."""


@dataclass(frozen=True)
class OnlineConfig:
    """Where online features are: an embedded SQLite file, or a Redis server by its connection string."""

    type: Literal["sqlite", "redis"] = "sqlite"
    connection_string: str | None = None


@dataclass(frozen=True)
class BuildReport:
    """What a build made."""

    features: int
    rows: int
    contract_hash: str


class FeatureDoor:
    """Features of a workspace: built, retrieved as of any moment, served online.

    Parameters
    ----------
    workspace_dir : Path
        The workspace; its ``state/`` holds rows, registry and online store.
    project : str
        The workspace's name: the project in Feast's registry and stores.
    online : OnlineConfig
        Where online features are.
    """

    def __init__(self, workspace_dir: Path, *, project: str, online: OnlineConfig) -> None:
        self._workspace = workspace_dir.absolute()
        # Feast's SQLite store takes no hyphen, its tools no name that begins with a sign.
        self._project = (project if project[:1].isalnum() else f"nudge{project}").replace("-", "_")
        self._online = online
        self._built: Built | None = None
        self._feast: FeatureStore | None = None
        self._reader: _OnlineReader | None = None

    @property
    def contract(self) -> FeatureContract:
        """The applied contract; `NotFound` where features were never built."""
        return self._current().contract

    def build(self, as_of: np.datetime64, *, progress: Progress | None = None) -> BuildReport:
        """Infer the contract, build every contact at `as_of` and every interaction at its own as_of, apply the registry.

        Raises
        ------
        NotFound, DataError, Conflict
            No contacts; data or a query that cannot be used; another process is building.
        """
        self._built = build_rows(self._workspace, as_of, progress=progress)
        self._reader = None
        if progress:
            progress("registry")
        with _quiet():
            self._store()
        return BuildReport(len(self._built.contract.specs), self._built.rows, self._built.contract.hash)

    def historical(self, contact_ids: Ids, as_of: Moments) -> Columns:
        """Features as they were known before each row's as_of, in the order of the rows; what is not built yet is built now.

        Parameters
        ----------
        contact_ids : array of str, shape (n,)
        as_of : array of datetime64[us], shape (n,)
        """
        moments = as_of.astype("datetime64[us]")
        if len(contact_ids) != len(moments):
            raise DataError("one as_of for each contact", field="as_of", got=len(moments), allowed=str(len(contact_ids)))
        if np.isnat(moments).any():
            raise DataError(
                "no as_of", field="as_of", got=f"{int(np.isnat(moments).sum())} rows without", hint="use TIMELESS where there is no time"
            )
        dtypes = self.contract.dtypes
        if not len(moments):
            return {name: null_column(dtype, 0) for name, dtype in dtypes.items()}
        contacts, cuts, position = unique_pairs(contact_ids, moments)
        tables = list(self._retrieved(contacts, cuts))
        return {name: as_column([table.column(name) for table in tables], dtype)[position] for name, dtype in dtypes.items()}

    def population(self, as_of: np.datetime64) -> tuple[Ids, Columns]:
        """Every contact known by `as_of`, in the order of their ids, and their features."""
        contact_ids = known_contacts(self._workspace, as_of)
        return contact_ids, self.historical(contact_ids, np.full(len(contact_ids), as_of.astype("datetime64[us]")))

    def build_populations(self, moments: Sequence[np.datetime64]) -> int:
        """Build what is missing of everybody's features at each of these moments, in one pass over the data; returns the rows built.

        `population` at each of them then only reads: building costs a pass over events, whatever the number of moments.
        """
        import pyarrow as pa

        known = [known_contacts(self._workspace, at) for at in moments]
        cuts = np.concatenate([np.full(len(ids), at.astype("datetime64[us]")) for ids, at in zip(known, moments, strict=True)])
        contact_ids, cuts, _ = unique_pairs(np.concatenate(known), cuts)
        pairs = pa.table({"contact_id": pa.array(contact_ids, pa.string()), "as_of": pa.array(cuts, pa.timestamp("us"))})
        return add_missing(self._workspace, self._current(), pairs)

    def materialize(self) -> int:
        """Put every contact's newest row into the online store, in place of what was there; returns the contacts.

        Raises
        ------
        Unavailable
            Where the online store cannot be reached.
        """
        built = self._current()
        contact_ids = known_contacts(self._workspace, built.as_of)
        with _quiet():
            store, view = self._store()
            as_of = built.as_of.astype(datetime).replace(tzinfo=UTC)
            online_store: Any = store._get_provider().online_store
            online_store.replace_vectors(store.config, view, self._vectors(contact_ids, built), as_of)
            store.registry.apply_materialization(view, self._project, as_of, as_of)
        self._reader = None
        return len(contact_ids)

    def online(self, contact_ids: Sequence[str]) -> tuple[Columns, BoolArray]:
        """What the online store holds of contacts: features in their order (NULL where unknown), and who was found.

        Raises
        ------
        NotFound
            Where nothing was materialised yet.
        ContractMismatch
            Where the store was materialised under another contract.
        Unavailable
            Where the store cannot be read.
        """
        reader = self._reader
        if reader is None:
            reader = self._reader = self._open_online()
        return reader.packing.unpack(reader.read(contact_ids))

    def skew(self, *, most_contacts: int = 1000) -> Mapping[str, float]:
        """Share of contacts, a feature, whose online value is not the offline one of the same as_of; 0 everywhere is right.

        Raises
        ------
        NotFound
            Where nothing was materialised, or there are no contacts.
        """
        built = self._current()
        contact_ids = known_contacts(self._workspace, built.as_of)
        every = max(1, -(-len(contact_ids) // most_contacts))
        sample = contact_ids[::every]
        if not len(sample):
            raise NotFound("there are no contacts to compare", hint="run nudge ingest")
        online, found = self.online(list(sample))
        offline = self.historical(sample, np.full(len(sample), built.as_of))
        return {name: float(np.mean(~found | ~same(online[name], offline[name]))) for name in built.contract.names}

    # --- inside ---------------------------------------------------------------------------------------------------------------------

    def _current(self) -> Built:
        if self._built is None:
            self._built = read_built(self._workspace)
        return self._built

    def _store(self) -> tuple[FeatureStore, FeatureView]:
        """Feast's store and the view of the current build, applied to the registry where it is not yet."""
        from features.feast_repo.definitions import apply, open_store

        built = self._current()
        try:
            if self._feast is None:
                self._feast = open_store(self._workspace, self._project, self._online.type, self._online.connection_string)
            return self._feast, apply(self._feast, built.contract, built.files)
        except NudgeError:
            raise
        except Exception as error:
            raise Unavailable(
                "Feast's registry cannot be read or written",
                field="state/registry.db",
                got=type(error).__name__,
                hint="remove state/registry.db and run nudge features build: it is made anew from the feature contract",
            ) from error

    def _retrieved(self, contact_ids: Ids, as_of: Moments) -> Iterator[pa.Table]:
        """The features of distinct pairs through Feast, in their order, in tables of at most `ROWS_AT_ONCE` rows."""
        import pyarrow as pa

        from features.feast_repo.definitions import retrieve

        pairs = pa.table({"contact_id": pa.array(contact_ids, pa.string()), "as_of": pa.array(as_of, pa.timestamp("us"))})
        add_missing(self._workspace, self._current(), pairs)
        with _quiet():
            store, _ = self._store()
            for start in range(0, pairs.num_rows, ROWS_AT_ONCE):
                yield retrieve(store, self.contract, pairs.slice(start, ROWS_AT_ONCE))

    def _vectors(self, contact_ids: Ids, built: Built) -> Iterator[tuple[str, bytes]]:
        packing, start = Packing(built.contract), 0
        for table in self._retrieved(contact_ids, np.full(len(contact_ids), built.as_of)):
            moments = np.full(table.num_rows, built.as_of)
            yield from zip(contact_ids[start : start + table.num_rows], packing.pack(table, moments), strict=True)
            start += table.num_rows

    def _open_online(self) -> _OnlineReader:
        packing = Packing(self.contract)
        if self._online.type == "redis":
            return _OnlineReader(packing, self._through_feast())
        vectors = SqliteVectors(self._workspace / ONLINE_FILE, f"{self._project}_{VIEW}", VECTOR)
        sample = vectors.any()
        if sample is None:
            raise NotFound("no features are in the online store", hint="run nudge features materialize")
        if not packing.fits(sample):
            raise ContractMismatch(
                "the online store holds features of another contract",
                got=contract_hash_of(sample),
                allowed=self.contract.hash,
                hint="run nudge features materialize",
            )
        return _OnlineReader(packing, vectors.read)

    def _through_feast(self) -> Callable[[Sequence[str]], list[bytes | None]]:
        """How Feast's own client reads vectors; opened once, for a server's life."""
        with _quiet():
            store, view = self._store()
            online_store: Any = store._get_provider().online_store
        return lambda contact_ids: list(online_store.read_vectors(store.config, view, contact_ids))


@dataclass(frozen=True)
class _OnlineReader:
    """An online store that was opened under a contract."""

    packing: Packing
    read: Callable[[Sequence[str]], list[bytes | None]]


@contextmanager
def _quiet() -> Iterator[None]:
    """Feast and ibis warn of what nobody here can act on: their own deprecations, a glob that is not a file."""
    logger = logging.getLogger("feast")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
