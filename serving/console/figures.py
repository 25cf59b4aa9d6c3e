"""Figures that take longer than a page may: made in the background and shown with their age.

One is made at a time in each lane, so that what somebody waits for does not stand behind what takes long.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any

from decisioning.errors import NudgeError

LOG = logging.getLogger(__name__)

FRESH_SECONDS = 600.0
"""Older figures are shown, and made anew."""

PATIENCE_SECONDS = 0.35
"""So long a page waits for figures that are not there yet."""

LANES = REPORTS, QUESTIONS, LONG = "reports", "questions", "long"
"""Reports of seconds; what somebody asked and waits for; and what takes minutes."""

MOST_KEPT = 100
"""Documents that are kept; beyond, the oldest go."""

RETRY_SECONDS = 20.0
"""What failed is tried again no sooner."""


@dataclass(frozen=True)
class Figure:
    """What a page knows of one document.

    Attributes
    ----------
    document : dict or None
        None until it was made once.
    problem : str or None
        Why the newest try failed, in words.
    age : float or None
        Seconds since the document was made.
    making : bool
        It is being made now.
    """

    document: dict[str, Any] | None = None
    problem: str | None = None
    age: float | None = None
    making: bool = False


@dataclass(frozen=True)
class _Kept:
    document: dict[str, Any] | None = None
    problem: str | None = None
    made_at: float = 0.0
    tried_at: float | None = None


class Figures:
    """Documents by name. Each is asked for with the function that makes it."""

    def __init__(self, clock: Callable[[], float] = monotonic, patience: float = PATIENCE_SECONDS) -> None:
        self._clock = clock
        self._patience = patience
        self._lock = threading.Lock()
        self._kept: dict[str, _Kept] = {}
        self._making: dict[str, Future[None]] = {}
        self._lanes = {lane: ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"nudge-{lane}") for lane in LANES}

    def ask(self, name: str, make: Callable[[], dict[str, Any]], *, fresh: float = FRESH_SECONDS, lane: str = REPORTS) -> Figure:
        """The document `name` as it is, made in a lane; where it is older than `fresh` seconds, a newer one is on its way."""
        with self._lock:
            kept = self._kept.get(name, _Kept())
            now = self._clock()
            old = kept.document is None or now - kept.made_at > fresh
            rested = kept.tried_at is None or now - kept.tried_at > RETRY_SECONDS
            if name not in self._making and old and rested:
                self._making[name] = self._lanes[lane].submit(self._make, name, make)
            under_way = self._making.get(name)
            alone = len(self._making) == 1  # behind others there is nothing to wait for
        if under_way is not None and kept.document is None and alone and lane != LONG:
            wait_for([under_way], timeout=self._patience)
        return self._seen(name)

    def forget(self, *names: str) -> None:
        """Have these made anew when they are next asked for."""
        with self._lock:
            for name in names:
                self._kept.pop(name, None)

    def forget_all(self) -> None:
        """Have everything made anew when it is next asked for."""
        with self._lock:
            self._kept.clear()

    def close(self) -> None:
        """Make no more."""
        for lane in self._lanes.values():
            lane.shutdown(wait=False, cancel_futures=True)

    def _seen(self, name: str) -> Figure:
        with self._lock:
            kept = self._kept.get(name, _Kept())
            age = None if kept.document is None else self._clock() - kept.made_at
            return Figure(kept.document, kept.problem, age, name in self._making)

    def _make(self, name: str, make: Callable[[], dict[str, Any]]) -> None:
        document, problem = None, None
        try:
            document = make()
        except NudgeError as error:
            problem = str(error)
        except Exception:  # a page says that its figures are missing; the log says why
            LOG.exception("the figures %s could not be made", name)
            problem = "something failed while these figures were made; the server's log says more"
        with self._lock:
            now, before = self._clock(), self._kept.get(name, _Kept())
            if document is not None:
                self._kept[name] = _Kept(document, None, now, now)
            else:
                self._kept[name] = replace(before, problem=problem, tried_at=now)
            del self._making[name]
            for oldest in sorted(self._kept, key=lambda one: self._kept[one].made_at)[: len(self._kept) - MOST_KEPT]:
                del self._kept[oldest]
