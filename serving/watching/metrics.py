"""Metrics for Prometheus: what was noted, counted once a second; how serving stands, asked when it is scraped."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.utils import floatToGoString

from serving.watching.metric_sums import BUCKETS, SharedSums, Sums
from serving.watching.tally import Tally
from serving.watching.vitals import Vitals

LOG = logging.getLogger(__name__)

CONTENT_TYPE = CONTENT_TYPE_LATEST
COUNTED_EVERY_SECONDS = 1.0

CALLS, CALL_SECONDS, STAGES = "nudge_http_requests", "nudge_http_request_seconds", "nudge_decision_seconds"
DEGRADED, SHED, OUTCOMES = "nudge_degraded_decisions", "nudge_shed_requests", "nudge_outcomes"

_COUNTERS: dict[str, tuple[str, tuple[str, ...]]] = {
    CALLS: ("Calls by route and status.", ("method", "route", "status")),
    DEGRADED: ("Decisions that had to do without something.", ("reason",)),
    SHED: ("Calls refused because too much was asked at once.", ()),
    OUTCOMES: ("Outcomes that came.", ("kind",)),
}
_DURATIONS = {CALL_SECONDS: ("What a call took.", ("route",)), STAGES: ("What a decision's stages took.", ("stage",))}
_BOUNDS = [*map(floatToGoString, BUCKETS), "+Inf"]
_TOO_MUCH = 429
_UNTIL = " as of "  # what comes after it in a reason is of one decision


class Metrics:
    """The metrics of one worker, and of those beside it where there is a folder for all of them.

    Parameters
    ----------
    tally : Tally
        What is answered.
    waiting : callable
        How many requests and outcomes have no answer yet.
    vitals : callable
        How serving stands.
    folder : Path, optional
        Where each worker leaves its sums.
    clock : callable
        Returns the present as an aware datetime.
    """

    def __init__(
        self,
        tally: Tally,
        waiting: Callable[[], int],
        vitals: Callable[[], Vitals],
        *,
        folder: Path | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._tally = tally
        self._waiting = waiting
        self._vitals = vitals
        self._shared = None if folder is None else SharedSums(folder)
        self._clock = clock
        self._sums = Sums()
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

    def exposition(self) -> bytes:
        """The text that Prometheus reads, of all workers."""
        self.count()
        return generate_latest(self)

    def count(self) -> None:
        """Count what was noted since the last time."""
        with self._counting:
            self._count_calls()
            self._count_decisions()
            for counts in self._tally.take_outcomes():
                for kind, count in counts.items():
                    self._sums.count((OUTCOMES, kind), count)
            if self._shared is not None:
                self._shared.leave(self._sums, self._waiting())

    def collect(self) -> Iterator[Metric]:
        """Every family as it stands."""
        sums, waiting = Sums(), self._waiting()
        with self._counting:
            sums.add(self._sums)
        for theirs, wait in () if self._shared is None else self._shared.others():
            sums.add(theirs)
            waiting += wait
        yield from _counted(sums)
        yield _gauge("nudge_waiting_requests", "Decisions and outcomes without an answer yet.", waiting)
        yield from _standing(self._vitals(), self._clock())

    def _count_calls(self) -> None:
        calls = self._tally.take_calls()
        for (method, route, status), count in Counter(call[:3] for call in calls).items():
            self._sums.count((CALLS, method, route, str(status)), count)
            self._sums.count((SHED,), count if status == _TOO_MUCH else 0)
        for route in {call.route for call in calls}:
            self._sums.took((CALL_SECONDS, route), (call.seconds for call in calls if call.route == route))

    def _count_decisions(self) -> None:
        decisions = self._tally.take_decisions()
        for stage in {stage for one in decisions for stage in one.took_ms}:
            self._sums.took((STAGES, stage), (one.took_ms[stage] / 1e3 for one in decisions if stage in one.took_ms))
        for reason, count in Counter(one.degraded for one in decisions if one.degraded is not None).items():
            self._sums.count((DEGRADED, reason.split(_UNTIL)[0]), count)

    def _run(self) -> None:
        while not self._stop.wait(COUNTED_EVERY_SECONDS):
            try:
                self.count()
            except Exception:  # a full disk must not end counting for good
                LOG.exception("counting failed; trying again")


def _counted(sums: Sums) -> Iterator[Metric]:
    for name, (words, labels) in _COUNTERS.items():
        counter = CounterMetricFamily(name, words, labels=labels)
        for key, count in sums.counts.items():
            if key[0] == name:
                counter.add_metric(key[1:], count)
        yield counter
    for name, (words, labels) in _DURATIONS.items():
        histogram = HistogramMetricFamily(name, words, labels=labels)
        for key, buckets in sums.buckets.items():
            if key[0] == name:
                histogram.add_metric(key[1:], list(zip(_BOUNDS, accumulate(buckets), strict=True)), sums.seconds[key])
        yield histogram


def _standing(found: Vitals, now: datetime) -> Iterator[Metric]:
    names = sorted(found.versions)
    info = GaugeMetricFamily("nudge_snapshot_info", "The versions that decide.", labels=names)
    info.add_metric([found.versions[name] for name in names], 1)
    yield info
    yield _gauge("nudge_snapshot_refused", "1 where a newer version was refused and the old one serves on.", float(found.refused))
    out = GaugeMetricFamily("nudge_models_left_out", "Models that are not compiled; each costs milliseconds.", labels=["model"])
    for name in found.left_out:
        out.add_metric([name], 1)
    yield out
    messages = GaugeMetricFamily("nudge_webhook_messages", "Messages for the webhook by state.", labels=["state"])
    for state, count in found.messages.items():
        messages.add_metric([state], count)
    yield messages
    if found.features_as_of is not None and found.features_since is not None:
        age = (now - found.features_as_of).total_seconds()
        yield _gauge("nudge_features_age_seconds", "How long ago the online features were known.", age)
        since = found.features_since.timestamp()
        yield _gauge("nudge_features_materialised_timestamp_seconds", "When the online features were materialised.", since)


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(name, words, value=value)
