"""Features as of many moments, beside the DuckDB query that one would write by hand for them.

A tenth of the size in `make bench`: 10,000 contacts at 10 moments each and 1,000,000 events; POINT_IN_TIME_CONTACTS=100000 for the
whole of it. Both write the same columns into a parquet file, each in a process of its own (`python -m benchmarks.point_in_time WHO
FOLDER`), and the two files are compared.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.commands import ROOT
from benchmarks.online_world import AS_OF, write_world
from benchmarks.results import Figure
from features.build import build_offline, infer_contract
from features.sources import connect, literal

CONTACTS = int(os.environ.get("POINT_IN_TIME_CONTACTS", "10000"))
MOMENTS = 10
EVENTS_A_CONTACT = 100
TYPES, CHANNELS = ("view", "search", "cart", "login", "call"), ("web", "app")
OURS, BY_HAND = "ours.parquet", "by_hand.parquet"


def measure() -> list[Figure]:
    """CPU, time and memory of both."""
    with tempfile.TemporaryDirectory(prefix="nudge-point-in-time-") as name:
        folder = Path(name)
        write_world(folder, contacts=CONTACTS, events=CONTACTS * EVENTS_A_CONTACT)
        ours, theirs = _run("ours", folder), _run("by_hand", folder)
        _compare(folder)
    size = f"point_in_time.{CONTACTS * EVENTS_A_CONTACT:,} events, {CONTACTS:,} contacts x {MOMENTS}"
    peer = "DuckDB, one query by hand"
    return [
        Figure(f"{size}: CPU", ours["cpu"], "seconds CPU", peer, theirs["cpu"], "<= 2 x"),
        Figure(f"{size}: time", ours["wall"], "seconds", peer, theirs["wall"], "<= 2 x"),
        Figure(f"{size}: memory", ours["gigabytes"], "GB", peer, theirs["gigabytes"]),
    ]


def entities() -> pa.Table:
    """Every contact at ten moments of the last year."""
    moments = AS_OF - np.arange(MOMENTS) * np.timedelta64(36, "D")
    ids = pa.array([f"contact-{number}" for number in range(CONTACTS)])
    return pa.table({"contact_id": pa.concat_arrays([ids] * MOMENTS), "as_of": pa.array(np.repeat(moments, CONTACTS))})


def ours(folder: Path) -> None:
    """As training asks for it."""
    build_offline(folder, infer_contract(folder), folder / OURS, entities=entities())


def by_hand(folder: Path) -> None:
    """One join and one aggregate: what happened before as_of, counted where it fell into the window."""

    def recent(days: int) -> str:
        return f"occurred_at >= as_of - INTERVAL {days} DAY"

    def days_since(moment: str) -> str:
        return f"(epoch_us(as_of) - epoch_us({moment})) / 86400000000.0"

    columns = [f"count(*) FILTER ({recent(days)}) AS events_{days}d" for days in (7, 30, 90, 365)]
    columns += [f"{days_since('max(occurred_at)')} AS days_since_last_event", f"{days_since('min(occurred_at)')} AS tenure_days"]
    for name in TYPES:
        of = f"event_type = '{name}'"
        columns += [f"count(*) FILTER ({of} AND {recent(days)}) AS {name}_count_{days}d" for days in (30, 365)]
        columns.append(f"{days_since(f'max(occurred_at) FILTER ({of})')} AS days_since_last_{name}")
    columns += [f"count(*) FILTER (channel = '{name}' AND {recent(90)}) AS events_{name}_90d" for name in CHANNELS]
    columns += ["arg_max(event_type, occurred_at) AS last_event_type", "arg_max(channel, occurred_at) AS last_event_channel"]
    events, contacts, into = (literal(str(folder / name)) for name in ("data/events.parquet", "data/contacts.parquet", BY_HAND))
    with connect(folder) as connection:
        connection.register("entities", entities())
        connection.execute(
            f"""COPY (
                WITH windows AS (
                    SELECT e.contact_id, e.as_of, {", ".join(columns)}
                    FROM entities e LEFT JOIN read_parquet({events}) v ON v.contact_id = e.contact_id AND v.occurred_at < e.as_of
                    GROUP BY e.contact_id, e.as_of)
                SELECT windows.*, contacts.* EXCLUDE (contact_id)
                FROM windows JOIN read_parquet({contacts}) contacts USING (contact_id) ORDER BY contact_id, as_of)
            TO {into} (FORMAT parquet, COMPRESSION zstd)"""
        )


def _compare(folder: Path) -> None:
    names = [name for name in infer_contract(folder).names if name not in ("city", "tier")]
    differs = " OR ".join(f"ours.{name} IS DISTINCT FROM hand.{name}" for name in names)
    with connect(folder) as connection:
        [(rows, different)] = connection.execute(
            f"""SELECT count(*), count(*) FILTER ({differs})
            FROM read_parquet({literal(str(folder / OURS))}) ours JOIN read_parquet({literal(str(folder / BY_HAND))}) hand
            ON ours.contact_id = hand.contact_id AND CAST(ours.event_timestamp AS TIMESTAMP) = hand.as_of"""
        ).fetchall()
    if (rows, different) != (CONTACTS * MOMENTS, 0):
        raise RuntimeError(f"the two do not agree: {different} of {rows} rows differ, {CONTACTS * MOMENTS} were asked for")


def _run(who: str, folder: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.point_in_time", who, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    print(f"  {who}: {found}", file=sys.stderr, flush=True)
    return found


def main(who: str, folder: Path) -> None:
    """One run: what it took, as JSON."""
    wall, cpu = time.perf_counter(), time.process_time()
    {"ours": ours, "by_hand": by_hand}[who](folder)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps({"wall": wall, "cpu": cpu, "gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
