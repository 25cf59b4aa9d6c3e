"""Plans made in the background: each by `nudge plan` in a process of its own, one at a time, for all workers of a workspace.

A job is a folder of `state/plan_jobs/`: its request, what the command printed, its progress. Whether it still goes on is said by a lock
that the command holds with whoever waits for it, and that the system lets go when they end, however they end. So nothing has to be
written for a job to have failed, and what a killed server leaves behind says so.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from decisioning.errors import NotFound, Overloaded, Unavailable
from serving.realtime.answers import iso
from serving.realtime.decision_ids import new_decision_id

LOG = logging.getLogger(__name__)
JOBS = "job-"
"""Every job's id begins so."""

MOST_WAITING = 20
"""Jobs that may wait in one worker."""

KEPT = 200
"""Jobs that are remembered."""

_REFUSED = "nudge: "
_NEVER_BEGAN = "the server stopped before it began"
_STOPPED = "it was stopped before it was done"
_OF_PLANNING = 0.9  # of the whole: writing the plan is the rest
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class _Waiting:
    """A job whose turn will come: what to run, its folder, its lock, held already, and whether another like it is likely to follow soon."""

    folder: Path
    arguments: Sequence[str]
    lock: int
    question: bool


class Programs(Protocol):
    """Starts the program of a job: `plan_process.PlanProcesses`."""

    def run(self, arguments: Sequence[str], files: Sequence[int]) -> subprocess.Popen[bytes]:
        """Start it with these arguments; `files` are descriptors: its stdout, its stderr, and the locks that it holds."""

    def prepare(self) -> None:
        """A job may come soon."""

    def tidy(self) -> None:
        """No job has come for a while."""

    def close(self) -> None:
        """No job comes any more."""


class PlanJobs:
    """The jobs of one workspace, as one worker starts them and every worker sees them.

    Parameters
    ----------
    folder : Path
        Where jobs are kept.
    programs : Programs
        What runs a job's arguments.
    """

    def __init__(self, folder: Path, programs: Programs) -> None:
        self._folder = folder
        self._programs = programs
        self._queue: SimpleQueue[_Waiting] = SimpleQueue()
        self._stop = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self, arguments: Sequence[str], request: dict[str, Any], *, question: bool = False) -> str:
        """Have the program run with these arguments when its turn comes; returns the job's id. After a `question` the next is prepared for.

        Raises
        ------
        Overloaded
            Too many wait.
        Unavailable
            The folder cannot be written.
        """
        now = datetime.now(UTC)
        job_id = f"{JOBS}{new_decision_id(now)}"
        folder = self._folder / job_id
        with self._starting:
            if self._queue.qsize() >= MOST_WAITING:
                raise Overloaded("too many plans are waiting", got=self._queue.qsize(), hint="wait for one to be completed")
            try:
                self._forget_oldest()
                folder.mkdir(parents=True)
                lock = _locked(folder / "lock")
                _write(folder / "job.json", {"id": job_id, "created_at": iso(now), "request": request})
            except OSError as error:
                raise Unavailable("the job cannot be kept", got=error.strerror) from None
            assert lock is not None
            self._queue.put(_Waiting(folder, arguments, lock, question))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="nudge-plans", daemon=True)
                self._thread.start()
        return job_id

    def job(self, job_id: str) -> dict[str, Any]:
        """{id, created_at, request, status, progress, message, reason, result}.

        Raises
        ------
        NotFound
            There is no such job.
        """
        found = _read(self._folder / job_id) if job_id.startswith(JOBS) and job_id.isascii() and "/" not in job_id else None
        if found is None:
            raise NotFound("there is no such job", field="plan_id", got=job_id)
        return found

    def newest(self, limit: int) -> list[dict[str, Any]]:
        """The newest jobs, newest first."""
        found = (_read(folder) for folder in self._folders()[: 2 * limit])
        return [one for one in found if one is not None][:limit]

    def close(self) -> None:
        """Stop what runs and forget what waits: they have failed, and say so."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=15)
        self._programs.close()
        while True:
            try:
                os.close(self._queue.get_nowait().lock)
            except Empty:
                return

    def _folders(self) -> list[Path]:
        return sorted(self._folder.glob(f"{JOBS}*"), reverse=True)  # their ids sort by time

    def _forget_oldest(self) -> None:
        for folder in self._folders()[KEPT:]:
            if not _is_held(folder / "lock"):
                shutil.rmtree(folder, ignore_errors=True)

    # the thread ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                waiting = self._queue.get(timeout=_POLL_SECONDS)
            except Empty:
                self._programs.tidy()
                continue
            try:
                self._run_one(waiting)
            except OSError:
                LOG.exception("the job %s could not be run", waiting.folder.name)
            finally:
                os.close(waiting.lock)
            if waiting.question and not self._stop.is_set():
                self._programs.prepare()

    def _run_one(self, waiting: _Waiting) -> None:
        """Run one job while no other runs in any worker; both locks are the command's too, so that they outlive this process with it."""
        while (turn := _locked(self._folder / "turn")) is None:
            if self._stop.wait(_POLL_SECONDS):
                return
        try:
            with (waiting.folder / "printed.json").open("wb") as printed, (waiting.folder / "progress.ndjson").open("wb") as said:
                process = self._programs.run(waiting.arguments, [printed.fileno(), said.fileno(), waiting.lock, turn])
            self._await(process)
        finally:
            os.close(turn)

    def _await(self, process: subprocess.Popen[bytes]) -> None:
        while process.poll() is None:
            if self._stop.is_set():
                process.terminate()
                try:
                    process.wait(timeout=10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                return
            try:
                process.wait(timeout=_POLL_SECONDS)
            except subprocess.TimeoutExpired:
                continue


def _locked(path: Path) -> int | None:
    """A descriptor that holds the lock of a file, None where somebody else does."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _is_held(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two who look do not take each other for the holder
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _write(path: Path, document: dict[str, Any]) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    temporary.replace(path)


def _read(folder: Path) -> dict[str, Any] | None:
    """A job as its folder tells; None where there is none, or not yet."""
    going_on = _is_held(folder / "lock")  # asked first: what has let go has written all it had to say
    job = _document(folder / "job.json")
    if job is None:
        return None
    begun, lines = _lines(folder / "progress.ndjson")
    share, message = _progress(lines)
    if going_on:
        return {**job, "status": "running" if begun else "queued", "progress": share, "message": message, "reason": None, "result": None}
    result = _document(folder / "printed.json")
    if result is not None:
        return {**job, "status": "completed", "progress": 1.0, "message": None, "reason": None, "result": result}
    refusals = [line.removeprefix(_REFUSED) for line in lines if line.startswith(_REFUSED)]
    reason = refusals[-1] if refusals else _STOPPED if begun else _NEVER_BEGAN
    return {**job, "status": "failed", "progress": share, "message": message, "reason": reason, "result": None}


def _document(path: Path) -> dict[str, Any] | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def _lines(path: Path) -> tuple[bool, list[str]]:
    """Whether the command was started, and what it has said on stderr."""
    try:
        return True, path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False, []


def _progress(lines: Sequence[str]) -> tuple[float, str | None]:
    """How far it is, from 0 to 1, and the last that it said of itself."""
    share, message = 0.0, None
    for line in lines:
        if not line.startswith('{"message"'):
            continue
        try:
            said = json.loads(line)
        except ValueError:  # half a line: the rest is on its way
            continue
        message = str(said["message"])
        if said.get("total"):
            share = max(share, _OF_PLANNING * said["done"] / said["total"])
    return min(share, 1.0), message
