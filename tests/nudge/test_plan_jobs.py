"""Plans in the background: one at a time, and what is left of them when somebody stops or dies."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from decisioning.errors import NotFound, Overloaded
from nudge.desks import plan_jobs
from nudge.desks.plan_jobs import PlanJobs

SAYS = 'import sys; sys.stderr.write(\'{"message": "half", "done": 1, "total": 2}\\n\'); sys.stderr.flush();'
PRINTS = f'{SAYS} print(\'{{"plan_id": "plan-1"}}\')'
REFUSES = f"{SAYS} sys.stderr.write('nudge: budget: too little\\n'); sys.exit(1)"
DIES = f"{SAYS} import os; os.kill(os.getpid(), 9)"


def waits(path: Path) -> str:
    """A program that goes on until there is a file."""
    return f"{SAYS} import os, time\nwhile not os.path.exists({str(path)!r}): time.sleep(0.01)\nprint('{{}}')"


class Snippets:
    """Runs a job's one argument as Python."""

    def run(self, arguments: Sequence[str], files: Sequence[int]) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", *arguments], stdout=files[0], stderr=files[1], pass_fds=files[2:])

    prepared = 0

    def prepare(self) -> None:
        self.prepared += 1

    def tidy(self) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[PlanJobs]:
    made = PlanJobs(tmp_path / "jobs", Snippets())
    yield made
    made.close()


def awaited(jobs: PlanJobs, job_id: str, when: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    for _ in range(2_000):
        job = jobs.job(job_id)
        if when(job):
            return job
        time.sleep(0.01)
    raise AssertionError(f"the job stayed {job}")


def ended(job: dict[str, Any]) -> bool:
    return job["status"] in ("completed", "failed")


def test_a_job_ends_with_what_the_program_printed(jobs: PlanJobs) -> None:
    job = awaited(jobs, jobs.start([PRINTS], {"sample": 5}), ended)

    assert (job["status"], job["progress"], job["result"], job["request"]) == ("completed", 1.0, {"plan_id": "plan-1"}, {"sample": 5})


@pytest.mark.parametrize(("program", "reason"), [(REFUSES, "budget: too little"), (DIES, "it was stopped before it was done")])
def test_a_job_that_fails_says_why(jobs: PlanJobs, program: str, reason: str) -> None:
    job = awaited(jobs, jobs.start([program], {}), ended)

    assert (job["status"], job["reason"], job["progress"], job["result"]) == ("failed", reason, 0.45, None)


def test_one_job_runs_and_the_others_wait_for_it_in_every_worker(jobs: PlanJobs, tmp_path: Path) -> None:
    other_worker = PlanJobs(tmp_path / "jobs", Snippets())
    first = jobs.start([waits(tmp_path / "go")], {})
    awaited(jobs, first, lambda job: job["progress"] > 0)
    second = other_worker.start([PRINTS], {})
    time.sleep(0.5)

    assert [jobs.job(one)["status"] for one in (first, second)] == ["running", "queued"]
    (tmp_path / "go").touch()
    assert awaited(jobs, second, ended)["status"] == "completed"
    assert awaited(other_worker, first, ended)["status"] == "completed"
    assert [one["id"] for one in jobs.newest(5)] == [second, first]
    other_worker.close()


def test_a_server_that_stops_leaves_failed_jobs_with_their_reasons(jobs: PlanJobs, tmp_path: Path) -> None:
    first, second = (jobs.start([waits(tmp_path / "never")], {}) for _ in range(2))
    awaited(jobs, first, lambda job: job["progress"] > 0)
    jobs.close()

    after_restart = PlanJobs(tmp_path / "jobs", Snippets())
    reasons = [after_restart.job(one)["reason"] for one in (first, second)]
    assert reasons == ["it was stopped before it was done", "the server stopped before it began"]


def test_a_job_of_a_killed_server_has_failed_after_the_restart(tmp_path: Path) -> None:
    server = f"""
import sys, time
from pathlib import Path
from nudge.desks.plan_jobs import PlanJobs
from tests.nudge.test_plan_jobs import Snippets
jobs = PlanJobs(Path({str(tmp_path / "jobs")!r}), Snippets())
print(jobs.start([{waits(tmp_path / "never")!r}], {{}}), flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", server], stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        job_id = process.stdout.readline().strip()
        after_restart = PlanJobs(tmp_path / "jobs", Snippets())
        awaited(after_restart, job_id, lambda job: job["progress"] > 0)
        os.killpg(process.pid, 9)

    assert awaited(after_restart, job_id, ended)["reason"] == "it was stopped before it was done"


def test_after_a_question_the_next_one_is_prepared_for(tmp_path: Path) -> None:
    programs = Snippets()
    jobs = PlanJobs(tmp_path / "jobs", programs)
    awaited(jobs, jobs.start([PRINTS], {}), ended)
    awaited(jobs, jobs.start([PRINTS], {}, question=True), ended)
    for _ in range(500):
        if programs.prepared:
            break
        time.sleep(0.01)
    jobs.close()
    assert programs.prepared == 1


def test_too_many_that_wait_are_refused(jobs: PlanJobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_jobs, "MOST_WAITING", 1)
    awaited(jobs, jobs.start([waits(tmp_path / "never")], {}), lambda job: job["progress"] > 0)
    jobs.start([PRINTS], {})
    with pytest.raises(Overloaded):
        jobs.start([PRINTS], {})


@pytest.mark.parametrize("name", ["job-1", "job-/../../x", "turn", "job-ł", "job-.."])
def test_a_job_that_nobody_started_is_not_there(jobs: PlanJobs, name: str) -> None:
    with pytest.raises(NotFound):
        jobs.job(name)


def test_old_jobs_are_forgotten(jobs: PlanJobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_jobs, "KEPT", 1)
    first, second = (awaited(jobs, jobs.start([PRINTS], {}), ended)["id"] for _ in range(2))
    third = jobs.start([PRINTS], {})

    assert {one["id"] for one in jobs.newest(5)} == {second, third}
    with pytest.raises(NotFound):
        jobs.job(first)
