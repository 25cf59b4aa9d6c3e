"""The application of `nudge serve`, at a clock that the benchmark moves: sixty days would else take sixty days."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from nudge.ground.workspace import Workspace
from nudge.server import application

FOLDER, CLOCK = "NUDGE_BENCHMARK", "clock"


def app() -> Any:
    """For `uvicorn --factory benchmarks.closed_loop_server:app`, over the workspace in `NUDGE_BENCHMARK`."""
    folder = Path(os.environ[FOLDER])
    return application(Workspace.open(folder), may_be_open=True, clock=lambda: now(folder))


def now(folder: Path) -> datetime:
    """The simulated time: as far ahead of the machine's as the folder says."""
    return datetime.now(UTC) + timedelta(seconds=float((folder / CLOCK).read_text(encoding="utf-8")))


def set_clock(folder: Path, at: datetime) -> None:
    """From now on it is `at`, and time goes on."""
    written = folder / f"{CLOCK}.new"
    written.write_text(repr((at - datetime.now(UTC)).total_seconds()), encoding="utf-8")
    written.replace(folder / CLOCK)
