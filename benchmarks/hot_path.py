"""Where a decision's CPU goes: the world of `http`, without HTTP, sixteen requests at a time as a busy server takes them.

The shares are cProfile's, which makes Python calls look dearer than they are beside compiled loops; the CPU a decision is measured without.
"""

from __future__ import annotations

import cProfile
import pstats
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.http import bodies
from benchmarks.http_world import prepare, service_of
from benchmarks.results import Figure
from serving.http.hot_routes import encode
from serving.schemas import hot_requests
from serving.service import Service

AT_ONCE, DECISIONS, REPEATS = 16, 800, 5

STAGES: dict[str, tuple[tuple[str, str], ...]] = {
    "reading features, consents and the past": (("situations", "gather_many"),),
    "placements, conditions, consents and policies": (("one_contact", "open_one"),),
    "scoring": (("choosing", "_score"),),
    "worth and ranking": (("choosing", "_chosen"),),
    "the answer and its reasons": (("decision_records", "response_body"),),
    "the record for audit and replay": (("decision_records", "decision_record"),),
    "keeping it in the ledger, on disk": (("store", "record_decisions"),),
    "JSON in and out": (("hot_requests", "one_decision"), ("hot_routes", "encode")),
}
"""What is counted to each stage: file and function, none of which calls another one of them."""


def measure() -> Sequence[Figure]:
    """CPU a decision, alone and in batches, and the share of each stage."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        service = service_of(folder)
        asked = [body.encode() for body in bodies()[:DECISIONS]]
        try:
            _decide(service, asked[:160], AT_ONCE)
            batched = min(_cpu_us(service, asked, AT_ONCE) for _ in range(REPEATS))
            alone = min(_cpu_us(service, asked, 1) for _ in range(REPEATS))
            shares = _shares(service, asked)
        finally:
            service.close()
    return [
        Figure("hot_path.CPU a decision, 16 at once", batched, "us CPU"),
        Figure("hot_path.CPU a decision, alone", alone, "us CPU"),
        *(Figure(f"hot_path.{stage}", share, "share of a decision") for stage, share in shares.items()),
    ]


def _decide(service: Service, asked: Sequence[bytes], at_once: int) -> None:
    for start in range(0, len(asked), at_once):
        requests = [one for body in asked[start : start + at_once] for one in hot_requests.one_decision(body) or ()]
        for answer in service.decide_many(requests):
            encode(answer)


def _cpu_us(service: Service, asked: Sequence[bytes], at_once: int) -> float:
    before = time.process_time()
    _decide(service, asked, at_once)
    return (time.process_time() - before) / len(asked) * 1e6


def _shares(service: Service, asked: Sequence[bytes]) -> dict[str, float]:
    profile = cProfile.Profile()
    profile.runcall(_decide, service, asked, AT_ONCE)
    spent: dict[tuple[str, str], float] = {}
    for (file, _, function), (_, _, _, cumulative, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        key = (Path(file).stem, function)
        spent[key] = max(spent.get(key, 0.0), cumulative)
    whole = spent["hot_path", "_decide"]
    shares = {stage: sum(spent.get(part, 0.0) for part in parts) / whole for stage, parts in STAGES.items()}
    return {**shares, "the rest": 1.0 - sum(shares.values())}
