"""Folders that appear whole or not at all, also where their making is killed; what was left of that is cleared away by the next."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from serving.plans.planner import PLANS

_LEFT = re.compile(rf"\.{PLANS}.+\.[0-9a-f]{{32}}")
_TRIES = 10


@contextmanager
def staged(target: Path, *, replacing: bool) -> Iterator[Path]:
    """A folder beside `target`, to be filled; then it has its name, a plan's. One that has it by then stays, or is replaced.

    A hidden folder is locked as long as somebody fills it, so that what nobody holds was left by a run that was killed.

    Raises
    ------
    OSError
        It cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _clear(target.parent)
    folder, lock = _locked_folder(target)
    try:
        yield folder
        if replacing and target.exists():  # aside first: nobody then sees a part of it
            with suppress(FileNotFoundError):
                os.replace(target, _hidden(target))
        try:
            os.replace(folder, target)
        except OSError:
            if not target.exists():  # else the same was put there by another in between
                raise
    finally:
        os.close(lock)
        _clear(target.parent)


def _hidden(target: Path) -> Path:
    return target.parent / f".{target.name}.{uuid4().hex}"  # a process id may be that of a killed run, or of another container


def _locked_folder(target: Path) -> tuple[Path, int]:
    for _ in range(_TRIES):
        folder = _hidden(target)
        folder.mkdir()
        lock = _held(folder)
        if lock is not None and folder.exists():  # else somebody has taken it for left, before it was locked
            return folder, lock
    raise OSError(f"no folder could be kept at {target.parent}")


def _held(folder: Path) -> int | None:
    """A descriptor that holds the lock of a folder, None where somebody else does or it is gone."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _clear(parent: Path) -> None:
    """Remove the hidden folders of plans in `parent` that nobody holds."""
    for folder in [one for one in parent.glob(f".{PLANS}*") if _LEFT.fullmatch(one.name)]:
        lock = _held(folder)
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)
