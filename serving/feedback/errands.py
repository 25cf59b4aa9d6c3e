"""What a server does beside answering: it settles open events, looks at triggers by time, and delivers the webhook's messages."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from time import monotonic

from decisioning.errors import NudgeError

LOG = logging.getLogger(__name__)

_IDLE_SECONDS = 0.5
_CATCH_UP_SECONDS = 5.0


class Errands:
    """A thread that runs until it is stopped; every server process has one, and they do not get in each other's way.

    Parameters
    ----------
    catch_up : callable
        Settles events that were left open, or looks at triggers that are due; with `at_start` the newest too. Returns how many there were.
    deliver : callable
        Tries messages that are due; returns how many it tried.
    """

    def __init__(self, catch_up: Callable[..., int], deliver: Callable[[], int]) -> None:
        self._catch_up = catch_up
        self._deliver = deliver
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nudge-errands", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after what is under way."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=15)

    def _run(self) -> None:
        self._tried(lambda: self._catch_up(at_start=True))
        again_at = monotonic() + _CATCH_UP_SECONDS
        while not self._stop.is_set():
            if monotonic() >= again_at:
                self._tried(self._catch_up)
                again_at = monotonic() + _CATCH_UP_SECONDS
            if not self._tried(self._deliver):
                self._stop.wait(_IDLE_SECONDS)

    def _tried(self, errand: Callable[[], int]) -> int:
        """How much was done; a store that does not answer is asked again later."""
        try:
            return errand()
        except NudgeError as error:
            LOG.warning("an errand waits: %s", error)
        except Exception:  # the thread must outlive whatever one event or one receiver does to it
            LOG.exception("an errand failed; trying again")
        return 0
