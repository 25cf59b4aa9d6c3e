"""Everything one decision came from: what its answer, its record and its claim are made of."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from decisioning.compiled_catalog import CompiledCatalog
from decisioning.decide import Decision
from serving.realtime.running_period import RunningPeriod
from serving.realtime.situations import Gathered
from serving.realtime.snapshot import Snapshot
from serving.schemas.hot_requests import AnyDecision


class Decided(Struct, frozen=True, eq=False):
    """Everything one decision came from; `decision` is None where none could be made, `degraded` says why."""

    decision_id: str
    request: AnyDecision
    now: datetime
    snapshot: Snapshot
    gathered: Gathered
    period: RunningPeriod
    decision: Decision | None
    degraded: str | None

    @property
    def catalog(self) -> CompiledCatalog:
        """The catalogue it was made with."""
        return self.snapshot.catalog
