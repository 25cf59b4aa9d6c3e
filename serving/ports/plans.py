"""What the routes need to know of plans: made in the background, one at a time, and looked at afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from decisioning.errors import Unavailable
from serving.schemas.plans import PlanIn


@dataclass(frozen=True)
class AudienceFile:
    """A plan's list for one channel, to be sent; `size` in bytes, None where it is written on the way."""

    name: str
    media_type: str
    chunks: Iterator[bytes]
    size: int | None


class PlanDesk(Protocol):
    """Plans of the workspace. Each job is known by its own id, and a plan that was kept by its plan_id too."""

    def start(self, asked: PlanIn) -> dict[str, Any]:
        """Have a plan made as soon as no other is being made (`schemas.plans.PlanJob`)."""

    def listed(self) -> dict[str, Any]:
        """The newest jobs, and the newest plans with their files (`schemas.plans.PlanList`)."""

    def plan(self, plan_id: str) -> dict[str, Any]:
        """How far a job is, or what a plan came to (`schemas.plans.PlanJob`)."""

    def audience(self, plan_id: str, channel: str, kind: str) -> AudienceFile:
        """A plan's list for one channel as `csv`, `parquet` or `ndjson`."""

    def close(self) -> None:
        """Stop what is under way."""


class NoPlans:
    """Where no population is known: every verb says so."""

    def start(self, asked: PlanIn) -> dict[str, Any]:
        """Refuse."""
        raise _unknown(asked)

    def listed(self) -> dict[str, Any]:
        """Refuse."""
        raise _unknown()

    def plan(self, plan_id: str) -> dict[str, Any]:
        """Refuse."""
        raise _unknown(plan_id)

    def audience(self, plan_id: str, channel: str, kind: str) -> AudienceFile:
        """Refuse."""
        raise _unknown(plan_id, channel, kind)

    def close(self) -> None:
        """Nothing is under way."""


def _unknown(*_asked: object) -> Unavailable:
    return Unavailable("no population can be planned for here", hint="use nudge plan")
