"""What a decision is made with, as one immutable value that is swapped whole, so that no answer mixes two versions."""

from __future__ import annotations

import logging
import math
import sys
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from decisioning.compiled_catalog import CompiledCatalog
from decisioning.errors import NudgeError
from decisioning.price_book import PriceBook
from decisioning.vocabulary import Dtype
from ledger.catalogs import catalog_key
from ledger.store import Ledger
from serving.realtime.scorer import Models, Scorer
from serving.realtime.situations import OnlineFeatures, Sources

LOG = logging.getLogger(__name__)

_SHORT_TURN = 0.0002
"""Seconds that a thread may keep the interpreter while others wait for it."""


@dataclass(frozen=True)
class Snapshot:
    """A catalogue, its scorer, the features it reads, the price book, and the versions of them all."""

    catalog: CompiledCatalog
    scorer: Scorer
    online: OnlineFeatures
    dtypes: dict[str, Dtype]
    contract_hash: str
    published: PriceBook | None = None
    attribute_names: tuple[str, ...] = ()

    @cached_property
    def book(self) -> PriceBook:
        """The price book that holds, with the catalogue's limits; before the first plan, one without prices."""
        catalog = self.catalog.catalog
        return PriceBook.without_plan(catalog) if self.published is None else self.published.under(catalog)

    @property
    def plan_id(self) -> str | None:
        """The plan that published the price book, None before the first."""
        return None if self.published is None else self.published.id

    @cached_property
    def versions(self) -> dict[str, Any]:
        """As every answer and plan carries them."""
        return {
            "catalog": self.catalog.catalog.fingerprint,
            "models": dict(self.scorer.models.versions),
            "features": self.contract_hash,
            "prices": self.plan_id,
        }

    def sources(self, ledger: Ledger) -> Sources:
        """Where what is known of a contact is read from."""
        return Sources(self.catalog.catalog, self.dtypes, self.online, ledger, self.plan_id)

    @cached_property
    def catalog_key(self) -> str:
        """Names the catalogue together with the feature contract that it was compiled against."""
        return catalog_key(self.catalog.catalog.fingerprint, self.contract_hash)

    @property
    def catalog_body(self) -> dict[str, Any]:
        """What is kept of both, so that decisions can be made again."""
        as_of = self.scorer.feature_as_of
        kept = {"catalog": self.catalog.catalog.model_dump(mode="json"), "dtypes": self.dtypes}
        return kept | {"feature_as_of": None if as_of is None else str(as_of)}


class SnapshotSource(Protocol):
    """Where snapshots come from."""

    def fingerprint(self) -> Hashable:
        """Changes whenever `load` would return something else; cheap enough to ask every second."""

    def load(self) -> Snapshot:
        """The newest snapshot.

        Raises
        ------
        NudgeError
            The new catalogue or models cannot be served.
        """

    def models(self, versions: Mapping[str, int]) -> Models:
        """The models of these versions, champions or not.

        Raises
        ------
        NotFound
            One of them is gone.
        """


@contextmanager
def _giving_way() -> Iterator[None]:
    """Let whoever waits for the interpreter wait a short while only.

    A decision lets go of it whenever it asks a store, a dozen times, and a thread that reads models then takes it for as long as it may.
    """
    before = sys.getswitchinterval()
    ours = min(before, _SHORT_TURN)
    sys.setswitchinterval(ours)
    try:
        yield
    finally:
        if math.isclose(sys.getswitchinterval(), ours):  # else somebody has set another meanwhile
            sys.setswitchinterval(before)


class SnapshotHolder:
    """The current snapshot, kept fresh by a thread.

    A new one that cannot be loaded is refused and the old one serves on; `problem` says why until the cause is mended.
    """

    def __init__(self, source: SnapshotSource, *, poll_seconds: float = 1.0) -> None:
        self._source = source
        self._poll_seconds = poll_seconds
        self._fingerprint = source.fingerprint()
        self._current = source.load()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.problem: str | None = None

    @property
    def current(self) -> Snapshot:
        """The snapshot to decide with: take it once per decision."""
        return self._current

    @property
    def source(self) -> SnapshotSource:
        """Where snapshots, and earlier versions of models, come from."""
        return self._source

    def watch(self, on_swap: Callable[[Snapshot], None] | None = None) -> None:
        """Begin to look for a newer snapshot every `poll_seconds`."""
        self._thread = threading.Thread(target=self._run, args=(on_swap,), name="nudge-snapshots", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop looking."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def refresh(self) -> bool:
        """Load the newest snapshot if there is one; says whether it was swapped in."""
        try:
            seen = self._source.fingerprint()
            if seen == self._fingerprint:
                return False
            with _giving_way():
                self._current = self._source.load()
        except NudgeError as error:
            if str(error) != self.problem:
                LOG.warning("the new version is refused, the old one serves on: %s", error)
            self.problem = str(error)
            return False
        self._fingerprint, self.problem = seen, None
        LOG.info("now serving %s", self._current.versions)
        return True

    def _run(self, on_swap: Callable[[Snapshot], None] | None) -> None:
        while not self._stop.wait(self._poll_seconds):
            try:
                if self.refresh() and on_swap is not None:
                    on_swap(self._current)
            except Exception:  # the watcher must outlive whatever a half-written file or a store does to it
                LOG.exception("looking for a new version failed; trying again")
