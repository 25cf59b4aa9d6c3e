"""What Feast warns of is ignored while it works, and nothing is ignored afterwards."""

from __future__ import annotations

import logging
import threading
import warnings

from features.quiet import quiet


def test_two_threads_that_were_quiet_leave_nothing_ignored() -> None:
    entered, left = threading.Event(), threading.Event()
    before = list(warnings.filters), logging.getLogger("feast").level

    def other() -> None:
        with quiet():
            entered.set()
            left.wait(timeout=30)

    with quiet():
        thread = threading.Thread(target=other)
        thread.start()
        entered.wait(timeout=0.2)  # it is not to enter as long as this one is in
    left.set()
    thread.join(timeout=30)

    assert (list(warnings.filters), logging.getLogger("feast").level) == before
