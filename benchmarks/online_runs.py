"""What `benchmarks.online` measures, each in a process of its own: `python -m benchmarks.online_runs WHAT FOLDER [REDIS]`.

Feast's own store is filled by Feast's own `materialize` from the very rows that ours is filled from, and asked by `get_online_features`.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.online_world import AS_OF
from features.built import build_rows, read_built
from features.contract import stored_name
from features.online import VIEW
from features.online_recent import Fact
from features.packing import Packing
from features.store import FeatureDoor, OnlineConfig, microseconds
from serving.realtime.feature_rows import FeatureRows

ROUNDS, ROUND_SECONDS = 12, 0.2

Measured = dict[str, float]


def build(folder: Path, _redis: str) -> Measured:
    """Build the feature rows that everything else reads."""
    build_rows(folder, AS_OF)
    return {}


def materialise(folder: Path, redis: str) -> Measured:
    """Ours: everybody into the embedded store, or into Redis; what Feast's registry notes of it is timed with it, its import is not."""
    door = FeatureDoor(folder, project="bench", online=OnlineConfig("redis", redis) if redis else OnlineConfig())
    door._store()
    return _timed(door.materialize)


def feast_materialise(folder: Path, redis: str) -> Measured:
    """Feast's: the same rows into its own store."""
    store = feasts_own(folder, redis)
    begin, end = (AS_OF.astype(datetime).replace(tzinfo=UTC) + timedelta(days=days) for days in (-1, 1))

    def all_of_them() -> int:
        store.materialize(begin, end)
        return read_built(folder).rows

    return _timed(all_of_them)


def _timed(work: Callable[[], int]) -> Measured:
    wall, cpu = time.perf_counter(), time.process_time()
    rows = work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return {"rows": rows, "wall": wall, "cpu": cpu, "gigabytes": gigabytes}


def read(folder: Path, redis: str) -> Measured:
    """Microseconds (median) a call, ours and Feast's in turns: one contact, a hundred, a thousand; one event."""
    door = FeatureDoor(folder, project="bench", online=OnlineConfig("redis", redis) if redis else OnlineConfig())
    feast = feasts_own(folder, redis)
    contract = door.contract
    packing = Packing(contract)
    asked = [f"{VIEW}:{stored_name(name)}" for name in contract.names]
    rng = np.random.default_rng(7)
    contacts = read_built(folder).rows

    # Drawn beforehand: drawing takes longer than reading.
    drawn = {
        number: cycle([[f"contact-{place}" for place in rng.integers(contacts, size=number)] for _ in range(500)])
        for number in (1, 100, 1000)
    }

    def some(number: int) -> list[str]:
        return next(drawn[number])

    def sdk(number: int) -> object:
        return feast.get_online_features(asked, [{"contact_id": contact_id} for contact_id in some(number)]).to_dict()

    moment = np.datetime64(AS_OF)

    def event() -> object:
        nonlocal moment
        moment = moment + np.timedelta64(1, "s")
        return door.apply_event(some(1)[0], Fact("event", microseconds(moment), "cart", "web"), moment)

    assert door.online(some(100))[1].all()
    floor = {"redis-py's GET": redis_floor(redis, door)} if redis else {}
    return medians(
        {
            **floor,
            "vector of one": lambda: door.read(some(1)),
            "columns of one": lambda: door.online(some(1)),
            "rules of one": lambda: FeatureRows(door.online(some(1))[0], 1).for_rules,
            "values of one": lambda: packing.values(door.read(some(1))[0]),
            "columns of 100": lambda: door.online(some(100)),
            "columns of 1000": lambda: door.online(some(1000)),
            "event": event,
            "sdk of one": lambda: sdk(1),
            "sdk of 100": lambda: sdk(100),
        }
    )


def redis_floor(address: str, door: FeatureDoor) -> Callable[[], object]:
    """redis-py getting one packed vector by a plain key: what any client of a Redis server takes."""
    from redis import Redis

    host, port = address.split(":")
    client = Redis(host=host, port=int(port))
    client.set("floor", door.read(["contact-0"])[0] or b"")
    return lambda: client.get("floor")


def medians(calls: Mapping[str, Callable[[], object]]) -> Measured:
    """The median time of each call in microseconds, in rounds that take turns, so that all see the same machine."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            until = time.perf_counter() + ROUND_SECONDS
            while (begin := time.perf_counter()) < until:
                call()
                taken[name].append(time.perf_counter() - begin)
    return {name: statistics.median(times) * 1e6 for name, times in taken.items()}


def feasts_own(folder: Path, redis: str) -> Any:
    """A feature store with nothing of ours in it but the names and types of the features."""
    from feast import FeatureStore, RepoConfig

    from features.feast_repo.definitions import definitions

    own = folder / "feast"
    own.mkdir(exist_ok=True)
    config = RepoConfig(
        project="feasts_own",
        provider="local",
        registry={"registry_type": "sql", "path": f"sqlite:///{own / 'registry.db'}"},
        offline_store={"type": "duckdb"},
        online_store={"type": "redis", "connection_string": redis} if redis else {"type": "sqlite", "path": str(own / "online.db")},
        entity_key_serialization_version=3,
        repo_path=own,
    )
    store = FeatureStore(config=config)
    built = read_built(folder)
    wanted = definitions(built.contract, built.files)
    wanted.view.ttl = timedelta(days=100_000)
    store.apply([wanted.contact, wanted.source, wanted.view])
    return store


RUNS: dict[str, Callable[[Path, str], Measured]] = {
    "build": build,
    "materialise": materialise,
    "feast_materialise": feast_materialise,
    "read": read,
}

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    what, where, *server = sys.argv[1:]
    answer = RUNS[what](Path(where), server[0] if server else "")
    print(json.dumps(answer))
