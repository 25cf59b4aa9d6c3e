"""What was acknowledged is in the ledger, whatever becomes of the process that wrote it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from ledger.store import Ledger
from tests.conftest import ROOT

ACKNOWLEDGED = 300
DEADLINE_SECONDS = 60.0

WRITER = """
import os, sys, threading
from ledger import checkpoints
from ledger.store import Ledger
from tests.ledger.conftest import decision, email, outcome

checkpoints._WORTH_BYTES, checkpoints._LONG_PAGES, checkpoints._SECONDS_BETWEEN = 1, 20, 0.001  # killed while the log is copied, too
ledger, name = Ledger.open(sys.argv[1]), sys.argv[2]

def write(thread):
    for n in range(100_000):
        key = f"{name}-{thread}-{n}"
        ledger.record_decisions([decision(f"d-{key}", email(), request_id=f"r-{key}")])
        os.write(1, f"d-{key}\\n".encode())
        ledger.record_outcomes([outcome(f"e-{key}", decision_id=f"d-{key}"), outcome(f"f-{key}", decision_id=f"d-{key}")])
        os.write(1, f"e-{key}\\n".encode())

for thread in range(3):
    threading.Thread(target=write, args=(thread,)).start()
"""


def test_a_killed_writer_loses_nothing_that_it_acknowledged(tmp_path: Path, url: str) -> None:
    acks = [tmp_path / f"acks-{name}" for name in ("a", "b")]
    writers = []
    for path in acks:
        with path.open("wb") as sink:
            command = [sys.executable, "-c", WRITER, url, path.name]
            writers.append(subprocess.Popen(command, cwd=ROOT, stdout=sink, env={**os.environ, "PYTHONPATH": str(ROOT)}))
    deadline = time.monotonic() + DEADLINE_SECONDS
    while min(path.read_bytes().count(b"\n") for path in acks) < ACKNOWLEDGED and time.monotonic() < deadline:
        assert all(writer.poll() is None for writer in writers), "a writer ended by itself"
        time.sleep(0.02)
    for writer in writers:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    acknowledged = [line for path in acks for line in path.read_text().splitlines()]
    assert len(acknowledged) >= 2 * ACKNOWLEDGED
    _every_one_is_there(url, acknowledged)


def _every_one_is_there(url: str, acknowledged: list[str]) -> None:
    with Ledger.open(url) as ledger:
        for line in acknowledged:
            kind, key = line[0], line[2:]
            if kind == "d":
                kept = ledger.decision(line)
                assert kept is not None
                assert len(kept.selections) == 1
            else:
                assert {found.event_id for found in ledger.outcomes_for(f"d-{key}")} == {f"e-{key}", f"f-{key}"}
        written = ledger.outcomes_of("c-1", 1_000_000)
        whole = {found.event_id[2:] for found in written if found.event_id[0] == "e"}
        assert whole == {found.event_id[2:] for found in written if found.event_id[0] == "f"}, "half a batch was kept"
        assert ledger.verify().intact, "a link is missing"
