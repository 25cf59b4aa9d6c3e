"""What has happened since somebody last counted it: noted by those who answer, at a fraction of a microsecond, taken by `metrics`.

Whoever counts takes what was noted away; where nobody counts, the newest is kept and the oldest goes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from decisioning.errors import NudgeError

MOST_NOTED = 200_000
"""Decisions, and calls, between two countings."""

_Note = TypeVar("_Note")


class Call(NamedTuple):
    """One call over HTTP: the route as it is written, not as it was called; seconds from its first byte to the last of its answer."""

    method: str
    route: str
    status: int
    seconds: float


class Decided(NamedTuple):
    """One decision: what its stages took, in milliseconds, and what it had to do without."""

    took_ms: Mapping[str, float]
    degraded: str | None


class Tally:
    """What is noted and not counted yet; threads may note and take at once."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque(maxlen=MOST_NOTED)
        self._decisions: deque[Decided] = deque(maxlen=MOST_NOTED)
        self._outcomes: deque[Mapping[str, int]] = deque(maxlen=MOST_NOTED)

    def called(self, call: Call) -> None:
        """Note a call."""
        self._calls.append(call)

    def decided(self, answers: Sequence[dict[str, Any] | NudgeError]) -> None:
        """Note the decisions among these answers."""
        self._decisions.extend(Decided(one.get("took_ms", {}), one.get("degraded")) for one in answers if not isinstance(one, NudgeError))

    def recorded(self, counts: Mapping[str, int]) -> None:
        """Note outcomes: how many of each kind came."""
        self._outcomes.append(counts)

    def take_calls(self) -> list[Call]:
        """The calls noted since they were last taken."""
        return _taken(self._calls)

    def take_decisions(self) -> list[Decided]:
        """The decisions noted since they were last taken."""
        return _taken(self._decisions)

    def take_outcomes(self) -> Iterable[Mapping[str, int]]:
        """The outcomes noted since they were last taken."""
        return _taken(self._outcomes)


def _taken(notes: deque[_Note]) -> list[_Note]:
    return [notes.popleft() for _ in range(len(notes))]
