"""Metrics for Prometheus: what was noted, counted once a second; how serving stands, asked when it is scraped.

Several workers count each into a file of its own below `PROMETHEUS_MULTIPROC_DIR`; whichever is scraped answers with the sum of all.
"""

from __future__ import annotations

import logging
import os
import threading
from bisect import bisect_left
from collections import Counter as Counts
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from serving.tally import Tally
from serving.vitals import Vitals

LOG = logging.getLogger(__name__)

CONTENT_TYPE = CONTENT_TYPE_LATEST
DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable that has several processes counted as one."""

COUNTED_EVERY_SECONDS = 1.0
BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds."""

_SHED = 429
_UNTIL = " as of "


class Seconds(Histogram):
    """A histogram that is told many durations at once, at the price of a few."""

    def observe_many(self, amounts: Iterable[float]) -> None:
        """As `observe` of each."""
        found = list(amounts)
        self._sum.inc(sum(found))
        for place, count in Counts(bisect_left(self._upper_bounds, amount) for amount in found).items():
            self._buckets[place].inc(count)


class Metrics:
    """The families of one worker, fed from a tally.

    Parameters
    ----------
    tally : Tally
    waiting : callable
        How many requests and outcomes have no answer yet.
    vitals : callable
        How serving stands.
    clock : callable
        Returns the present as an aware datetime.
    """

    def __init__(
        self,
        tally: Tally,
        waiting: Callable[[], int],
        vitals: Callable[[], Vitals],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._tally = tally
        self._waiting = waiting
        self._state = _State(vitals, clock)
        self._registry = registry = CollectorRegistry()
        self._calls = Counter("nudge_http_requests", "Calls by route and status.", ("method", "route", "status"), registry=registry)
        self._call_seconds = Seconds("nudge_http_request_seconds", "What a call took.", ("route",), buckets=BUCKETS, registry=registry)
        self._stages = Seconds("nudge_decision_seconds", "What a decision's stages took.", ("stage",), buckets=BUCKETS, registry=registry)
        self._degraded = Counter("nudge_degraded_decisions", "Decisions that had to do without something.", ("reason",), registry=registry)
        self._shed = Counter("nudge_shed_requests", "Calls refused because too much was asked at once.", registry=registry)
        self._outcomes = Counter("nudge_outcomes", "Outcomes that came.", ("kind",), registry=registry)
        self._queue = Gauge(
            "nudge_waiting_requests", "Decisions and outcomes without an answer yet.", multiprocess_mode="livesum", registry=registry
        )
        self._counting = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self) -> None:
        """Begin to count, once a second."""
        self._thread = threading.Thread(target=self._run, name="nudge-metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop counting, with everything counted."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
        self.count()
        self._queue.set(0)

    def exposition(self) -> bytes:
        """The text that Prometheus reads, of all workers."""
        self.count()
        folder = os.environ.get(DIRECTORY)
        if folder is None:
            return generate_latest(self._registry) + generate_latest(self._state)
        _forget_the_dead(Path(folder))
        everyone = CollectorRegistry()
        multiprocess.MultiProcessCollector(everyone, folder)
        return generate_latest(everyone) + generate_latest(self._state)

    def count(self) -> None:
        """Count what was noted since the last time."""
        with self._counting:
            self._count_calls()
            self._count_decisions()
            for counts in self._tally.take_outcomes():
                for kind, count in counts.items():
                    self._outcomes.labels(kind).inc(count)
            self._queue.set(self._waiting())

    def _count_calls(self) -> None:
        calls = self._tally.take_calls()
        for (method, route, status), count in Counts(call[:3] for call in calls).items():
            self._calls.labels(method, route, status).inc(count)
            if status == _SHED:
                self._shed.inc(count)
        for route in {call.route for call in calls}:
            self._call_seconds.labels(route).observe_many(call.seconds for call in calls if call.route == route)

    def _count_decisions(self) -> None:
        decisions = self._tally.take_decisions()
        for stage in {stage for one in decisions for stage in one.took_ms}:
            self._stages.labels(stage).observe_many(one.took_ms[stage] / 1e3 for one in decisions if stage in one.took_ms)
        for reason, count in Counts(one.degraded for one in decisions if one.degraded is not None).items():
            self._degraded.labels(reason.split(_UNTIL)[0]).inc(count)

    def _run(self) -> None:
        while not self._stop.wait(COUNTED_EVERY_SECONDS):
            try:
                self.count()
            except Exception:  # a full disk must not end counting for good
                LOG.exception("counting failed; trying again")


class _State:
    """How serving stands, as gauges; the same whichever worker is asked."""

    def __init__(self, vitals: Callable[[], Vitals], clock: Callable[[], datetime]) -> None:
        self._vitals = vitals
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """The gauges as they stand now."""
        found = self._vitals()
        names = sorted(found.versions)
        info = GaugeMetricFamily("nudge_snapshot_info", "The versions that decide.", labels=names)
        info.add_metric([found.versions[name] for name in names], 1)
        yield info
        yield _gauge("nudge_snapshot_refused", "1 where a newer version was refused and the old one serves on.", float(found.refused))
        out = GaugeMetricFamily("nudge_models_left_out", "Models that are not compiled; each costs milliseconds.", labels=["model"])
        for name in found.left_out:
            out.add_metric([name], 1)
        yield out
        if found.features_as_of is not None and found.features_since is not None:
            age = (self._clock() - found.features_as_of).total_seconds()
            yield _gauge("nudge_features_age_seconds", "How long ago the online features were known.", age)
            since = found.features_since.timestamp()
            yield _gauge("nudge_features_materialised_timestamp_seconds", "When the online features were materialised.", since)


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(name, words, value=value)


def _forget_the_dead(folder: Path) -> None:
    """A worker that was killed waits for nothing any more."""
    for path in folder.glob("gauge_livesum_*.db"):
        pid: Any = path.stem.rsplit("_", 1)[-1]
        if pid.isdigit() and not _lives(int(pid)):
            multiprocess.mark_process_dead(int(pid), str(folder))


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
