"""A plan's folder appears whole or not at all, also where its making is killed; nothing is left of that for good."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NoReturn

import pytest

from serving.plans.staging import staged

FILES = {f"file-{number}" for number in range(5)}


def fill(target: Path, text: str, *, replacing: bool = True) -> None:
    with staged(target, replacing=replacing) as folder:
        for name in FILES:
            (folder / name).write_text(text)


def killed(work: Callable[[], None]) -> None:
    """Do something in a process that is killed before it is done."""
    pid = os.fork()
    if not pid:
        work()
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL


def dies() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still here")


def beside(folder: Path) -> list[str]:
    """What is in a folder, but for the lock."""
    return sorted(path.name for path in folder.iterdir() if path.name != ".staging")


def contents(target: Path) -> set[tuple[str, str]]:
    return {(path.name, path.read_text()) for path in target.iterdir()} if target.exists() else set()


def test_a_folder_killed_while_it_is_filled_never_has_its_name_and_is_cleared_away_by_the_next(tmp_path: Path) -> None:
    target, other = tmp_path / "plan-1", tmp_path / "plan-2"

    def half() -> None:
        with staged(target, replacing=True) as folder:
            (folder / "file-0").write_text("half")
            dies()

    killed(half)
    assert not target.exists() and len(beside(tmp_path)) == 1
    fill(other, "whole")
    assert beside(tmp_path) == ["plan-2"]


def test_killed_while_the_one_before_is_removed_its_place_is_never_half_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "plan-1"
    fill(target, "before")

    def removes_one_and_dies(folder: Path, **_: object) -> None:
        next(Path(folder).iterdir()).unlink()
        dies()

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", removes_one_and_dies)
        killed(lambda: fill(target, "after"))
    assert contents(target) in (set(), {(name, "after") for name in FILES})
    fill(target, "again")
    assert contents(target) == {(name, "again") for name in FILES}
    assert beside(tmp_path) == ["plan-1"]


def test_what_somebody_else_is_filling_is_left_alone_and_so_is_what_is_no_plan(tmp_path: Path) -> None:
    own = tmp_path / f".config.{'0' * 32}"
    own.mkdir()
    with staged(tmp_path / "plan-1", replacing=True) as folder:
        fill(tmp_path / "plan-2", "other")
        assert folder.exists()
        (folder / "file-0").write_text("mine")
    assert contents(tmp_path / "plan-1") == {("file-0", "mine")}
    assert own.exists()


def test_what_another_machine_is_filling_is_left_alone_though_locks_of_folders_hold_on_one_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fcntl.flock

    def of_files(file: int | IO[Any], operation: int) -> None:
        if not stat.S_ISDIR(os.fstat(file).st_mode if isinstance(file, int) else os.fstat(file.fileno()).st_mode):
            real(file, operation)

    monkeypatch.setattr(fcntl, "flock", of_files)
    with staged(tmp_path / "plan-1", replacing=True) as folder:
        fill(tmp_path / "plan-2", "other")
        (folder / "file-0").write_text("mine")
    assert contents(tmp_path / "plan-1") == {("file-0", "mine")}


def test_where_nothing_can_be_locked_plans_are_written_and_nothing_is_cleared_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> NoReturn:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with staged(tmp_path / "plan-1", replacing=True) as folder:
        fill(tmp_path / "plan-2", "other")
        (folder / "file-0").write_text("mine")
    assert contents(tmp_path / "plan-1") == {("file-0", "mine")}
    assert beside(tmp_path) == ["plan-1", "plan-2"]


def test_of_two_who_fill_the_same_the_first_stays_where_nothing_is_to_be_replaced(tmp_path: Path) -> None:
    target = tmp_path / "plan-1"
    with staged(target, replacing=False) as folder:
        (folder / "file-0").write_text("second")
        fill(target, "first", replacing=False)
    assert contents(target) == {(name, "first") for name in FILES}
    assert beside(tmp_path) == ["plan-1"]


def test_a_block_that_fails_leaves_nothing_and_keeps_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "plan-1"
    fill(target, "before")
    with pytest.raises(ZeroDivisionError), staged(target, replacing=True):
        1 / 0  # noqa: B018
    assert contents(target) == {(name, "before") for name in FILES}
    assert beside(tmp_path) == ["plan-1"]
