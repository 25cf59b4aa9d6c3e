"""Feast at work, without what it and ibis warn of and nobody here can act on."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_ONE_AT_A_TIME = threading.RLock()
"""What is ignored is the process's: of two threads the one that ends last would leave everything ignored."""


@contextmanager
def quiet() -> Iterator[None]:
    """Feast and ibis warn of what nobody here can act on: their own deprecations, a glob that is not a file. One thread at a time."""
    logger = logging.getLogger("feast")
    with _ONE_AT_A_TIME:
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            logger.setLevel(level)
