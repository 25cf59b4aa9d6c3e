"""FeatureDoor: the only door to Feast.

Offline, features are rows of parquet files that `features.build` writes and Feast's DuckDB store reads. Online, they are packed vectors in
Feast's online store. Names and types come from the registry, that is from the applied contract. Feast is imported where it is first needed:
reading the embedded online store needs none of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from time import time_ns
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from decisioning.errors import ContractMismatch, DataError, NotFound, NudgeError, Unavailable
from decisioning.vocabulary import BoolArray, Columns, null_column
from features.build import Progress, known_contacts, known_contacts_in_parts
from features.built import Built, add_missing, build_rows, read_built
from features.columns import Ids, Moments, as_column, unique_pairs
from features.contract import FeatureContract
from features.online import ONLINE_FILE, VIEW, Kept, Materialised, OnlineVectors
from features.online_aging import Aging
from features.online_carrying import Carrying
from features.online_events import Noted, OnlineFeatures
from features.online_recent import Fact
from features.online_sqlite import SqliteVectors
from features.packing import as_of_of
from features.quiet import quiet
from features.remembered import RememberedVectors, fresh

if TYPE_CHECKING:
    import pyarrow as pa
    from feast import FeatureStore, FeatureView

    from features.merging import Rows
    from features.stored_columns import StoredTexts

ROWS_AT_ONCE = 200_000
"""Feast joins at most so many entity rows in one query: what bounds the memory of a retrieval."""


@dataclass(frozen=True)
class OnlineConfig:
    """Where online features are: an embedded SQLite file, or a Redis server by its connection string.

    Parameters
    ----------
    type : {"sqlite", "redis"}
    connection_string : str, optional
        Of a Redis server, as `features.online_redis_client.redis_settings` takes it.
    max_age_days : float, optional
        What was known longer ago than this is not answered: the contact counts as not found.
    """

    type: Literal["sqlite", "redis"] = "sqlite"
    connection_string: str | None = None
    max_age_days: float | None = None


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
        self._opened: OnlineFeatures | None = None
        self._events: OnlineFeatures | None = None
        self._remembered = RememberedVectors()

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
        self._opened = self._events = None
        if progress:
            progress("registry")
        with quiet():
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

    def known(self, as_of: np.datetime64) -> Ids:
        """The ids of the contacts known by `as_of`, in alphabetical order."""
        return known_contacts(self._workspace, as_of)

    def population(self, as_of: np.datetime64) -> tuple[Ids, Columns]:
        """Every contact known by `as_of`, in the order of their ids, and their features."""
        contact_ids = self.known(as_of)
        return contact_ids, self.historical(contact_ids, np.full(len(contact_ids), as_of.astype("datetime64[us]")))

    def stored_population(self, as_of: np.datetime64) -> tuple[Ids, Columns]:
        """The same with ids and features on disk, whose rows are read when they are asked for: memory does not grow with the contacts."""
        from features.stored_columns import stored_columns, stored_texts

        contact_ids = stored_texts(self._workspace / "state", known_contacts_in_parts(self._workspace, as_of))
        tables = self._retrieved(contact_ids, np.full(len(contact_ids), as_of.astype("datetime64[us]")))
        return cast(Ids, contact_ids), stored_columns(self._workspace / "state", tables, self.contract.dtypes)

    def build_missing(self, asked: Sequence[tuple[Ids, np.datetime64]]) -> int:
        """Build what `historical` would miss of contacts, each as of the moment beside them, in one pass; returns the rows built."""
        import pyarrow as pa

        cuts = np.concatenate([np.full(len(ids), at.astype("datetime64[us]")) for ids, at in asked])
        ids, cuts, _ = unique_pairs(np.concatenate([ids for ids, _ in asked]), cuts)
        pairs = pa.table({"contact_id": pa.array(ids, pa.string()), "as_of": pa.array(cuts, pa.timestamp("us"))})
        return add_missing(self._workspace, self._current(), pairs)

    def materialize(self, names: Mapping[str, str] | None = None) -> int:
        """Put every contact's newest row into the online store, in place of what was there; returns the contacts.

        Whoever reads meanwhile sees all of the old rows or all of the new ones. Events that were applied one by one and that the data do
        not know yet are applied to the new rows as well.

        Parameters
        ----------
        names : mapping of anonymous_id to contact_id, optional
            The visitors who became contacts: what is noted of them is the contact's.

        Raises
        ------
        Unavailable
            Where the online store cannot be reached.
        Conflict
            Where another process began to materialise meanwhile.
        """
        from features.online_rows import OnlineRows

        built = self._current()
        with OnlineRows(self._workspace, built) as rows:
            add_missing(self._workspace, built, rows.missing())
            noted = [Noted.from_bytes(note) for note in self._vectors.notes()]
            carried = Carrying(OnlineFeatures(built.contract), rows.knows(noted, names or {}), names or {})
            about = Materialised(microseconds(built.as_of), built.contract.hash, rows.contacts, microseconds(_now()))
            contacts = self._vectors.replace(rows.chunks(), about, carried)
        with quiet():
            store, view = self._store()
            as_of = built.as_of.astype(datetime).replace(tzinfo=UTC)
            store.registry.apply_materialization(view, self._project, as_of, as_of)
        self._opened = None
        return contacts

    def online(self, contact_ids: Sequence[str], *, now: np.datetime64 | None = None) -> tuple[Columns, BoolArray]:
        """What the online store holds of contacts: features in their order (NULL where unknown), and who was found.

        Parameters
        ----------
        contact_ids : sequence of str
        now : datetime64[us], optional
            From when `OnlineConfig.max_age_days` counts, and a session is over; the clock's now by default.

        Raises
        ------
        NotFound
            Where nothing was materialised yet.
        ContractMismatch
            Where the store was materialised under another contract.
        Unavailable
            Where the store cannot be read.
        """
        features = self._opened or self._open_online()
        vectors = self.read(contact_ids, now=now)
        self._remembered.keep(contact_ids, vectors)
        return features.unpacked(vectors, time_ns() // 1000 if now is None else microseconds(now))

    def remembered(self, contact_ids: Sequence[str], *, now: np.datetime64 | None = None) -> tuple[Columns, list[np.datetime64 | None]]:
        """What this door read last of contacts, for when the store does not answer: features, and as of when; None where it has nothing.

        What is too old for `online` is too old here.
        """
        moment = _now() if now is None else now
        vectors = fresh(self._remembered.recall(contact_ids), self._online.max_age_days, moment)
        columns, _ = OnlineFeatures(self.contract).unpacked(vectors, microseconds(moment))
        return columns, [None if vector is None else as_of_of(vector) for vector in vectors]

    def remember_as(self, other: FeatureDoor) -> None:
        """Remember what another door to the same store has read, if it read it under the same contract."""
        if other.contract.hash == self.contract.hash:
            self._remembered = other._remembered

    def read(self, contact_ids: Sequence[str], *, now: np.datetime64 | None = None) -> list[bytes | None]:
        """The packed vectors of contacts in their order, None where there is none or it is too old; `Packing(contract)` unpacks them.

        Raises
        ------
        Unavailable
            Where the store cannot be read.
        """
        vectors, most_days = self._vectors.read(contact_ids), self._online.max_age_days
        return vectors if most_days is None else fresh(vectors, most_days, _now() if now is None else now)

    def materialised(self) -> Materialised | None:
        """What the online store holds: as of when, of how many contacts, under which contract, since when; None where there is nothing.

        Raises
        ------
        Unavailable
            Where the store cannot be read.
        """
        return self._vectors.current()

    def apply_event(self, contact_id: str, fact: Fact, now: np.datetime64, *, event_id: str | None = None) -> bool:
        """Bring one contact's online features up to date with something that happened; returns whether they are.

        The event with an `event_id` counts once, until a materialisation knows it from the data: then the data say it.
        They are then what a build as of just after `fact` would give, but for what `OnlineFeatures.kept` names. They are not where the
        contact was written by other means than `materialize`, or under another contract.

        Raises
        ------
        DataError
            Where the fact lies in the future, or has a value that is no number.
        Unavailable
            Where the store cannot be written, or nothing was materialised.
        """
        if self._events is None:
            self._events = OnlineFeatures(self.contract)
        note = Noted(contact_id, fact, event_id).to_bytes()
        return self._vectors.change(contact_id, self._events.after(fact, microseconds(now)), note, once=event_id is not None)

    def join(self, anonymous_id: str, contact_id: str, now: np.datetime64) -> bool:
        """Let a contact's online features have what a visitor did who is the contact; returns whether there was anything.

        Once: it would count twice.

        Raises
        ------
        Unavailable
            Where the store cannot be written, or nothing was materialised.
        """
        found: list[Kept] = []
        self._vectors.change(anonymous_id, found.append, None)  # only looked at
        features = OnlineFeatures(self.contract)
        return self._vectors.change(contact_id, features.joining(found[-1], microseconds(now)), None)

    def aging(self) -> Aging:
        """Everybody's online features at a later moment; refusals as of `online`."""
        return Aging(self._vectors, self._opened or self._open_online(), self._online.max_age_days)

    def forget(self, contact_ids: Collection[str]) -> int:
        """Remove contacts from the online store: vectors, and events that no materialisation knows yet; returns the vectors.

        Raises
        ------
        Unavailable
            Where the store cannot be reached.
        """
        gone = frozenset(contact_ids)
        return self._vectors.forget(sorted(gone), lambda note: Noted.from_bytes(note).contact_id in gone) if gone else 0

    def skew(self, events: Rows = (), consents: Rows = (), *, most_contacts: int = 1000) -> Mapping[str, float]:
        """Share of contacts, a feature, whose online value is not the offline one of the same as_of; 0 everywhere is right.

        Parameters
        ----------
        events, consents : iterable of pyarrow.Table, optional
            What came in since, with the columns of `features.merging`: whom they brought up to date is compared as of that moment.

        Raises
        ------
        NotFound
            Where nothing was materialised, or there are no contacts.
        DataError
            Where the events change the feature contract.
        """
        from features.skew import skew

        self._opened or self._open_online()
        return skew(self, self._workspace, self._current(), (events, consents), most_contacts)

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

    def _retrieved(self, contact_ids: Ids | StoredTexts, as_of: Moments) -> Iterator[pa.Table]:
        """The features of distinct pairs through Feast, in their order, in tables of at most `ROWS_AT_ONCE` rows."""
        import pyarrow as pa

        from features.feast_repo.definitions import retrieve

        ids = pa.array(contact_ids, pa.string()) if isinstance(contact_ids, np.ndarray) else contact_ids.arrow
        pairs = pa.table({"contact_id": ids, "as_of": pa.array(as_of, pa.timestamp("us"))})
        add_missing(self._workspace, self._current(), pairs)
        with quiet():
            store, _ = self._store()
        for start in range(0, pairs.num_rows, ROWS_AT_ONCE):
            yield retrieve(store, self.contract, pairs.slice(start, ROWS_AT_ONCE))

    @cached_property
    def _vectors(self) -> OnlineVectors:
        if self._online.type == "redis":
            from features.online_redis import RedisVectors
            from features.online_redis_client import DEFAULT_ADDRESS

            return RedisVectors(self._online.connection_string or DEFAULT_ADDRESS, self._project)
        return SqliteVectors(self._workspace / ONLINE_FILE, f"{self._project}_{VIEW}")

    def _open_online(self) -> OnlineFeatures:
        """What the vectors hold, once the store is known to hold vectors of this contract."""
        held = self.materialised()
        if held is None:
            raise NotFound("no features are in the online store", hint="run nudge features materialize")
        if held.contract_hash != self.contract.hash:
            raise ContractMismatch(
                "the online store holds features of another contract",
                got=held.contract_hash,
                allowed=self.contract.hash,
                hint="run nudge features materialize",
            )
        self._opened = OnlineFeatures(self.contract)
        return self._opened


def microseconds(moment: np.datetime64) -> int:
    """Microseconds since 1970 UTC."""
    return int(moment.astype("datetime64[us]").astype(np.int64))


def _now() -> np.datetime64:
    return np.datetime64(time_ns() // 1000, "us")
