"""Folders that appear whole or not at all, also where their making is killed; what was left of that is cleared away by the next."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from serving.plans.planner import PLANS

_LEFT = re.compile(rf"\.{PLANS}.+\.[0-9a-f]{{32}}")
_LOCK = ".staging"
"""A file, since a network's file system hands only locks of files on to other machines. Who fills a folder shares it; who has it alone may
clear away."""


@contextmanager
def staged(target: Path, *, replacing: bool) -> Iterator[Path]:
    """A folder beside `target`, to be filled; then it has its name, a plan's. One that has it by then stays, or is replaced.

    Raises
    ------
    OSError
        It cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    clear_left(target.parent)
    with _lock_of(target.parent) as lock:
        with suppress(OSError):  # nobody can lock here: then nobody clears away either
            fcntl.flock(lock, fcntl.LOCK_SH)
        folder, before = _hidden(target), _hidden(target)
        folder.mkdir()
        try:
            yield folder
            _put(folder, target, before if replacing else None)
        finally:
            for left in filter(Path.exists, (before, folder)):
                shutil.rmtree(left, ignore_errors=True)


def _put(folder: Path, target: Path, aside: Path | None) -> None:
    """Give a folder its name; what has it goes `aside` first, where that is given: nobody then sees a part of it."""
    if aside is not None:
        with suppress(FileNotFoundError):
            os.replace(target, aside)
    try:
        os.replace(folder, target)
    except OSError:
        if not target.exists():  # else the same was put there by another in between
            raise


def clear_left(parent: Path) -> None:
    """Remove what killed runs have left in `parent`, unless somebody fills a folder there just now."""
    left = [one for one in parent.glob(f".{PLANS}*") if _LEFT.fullmatch(one.name)]
    if not left:
        return
    with suppress(OSError), _lock_of(parent) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for folder in left:
            shutil.rmtree(folder, ignore_errors=True)


def _hidden(target: Path) -> Path:
    return target.parent / f".{target.name}.{uuid4().hex}"  # a process id may be that of a killed run, or of another container


def _lock_of(parent: Path) -> IO[Any]:
    return (parent / _LOCK).open("a+")
