"""Sums of what was counted, of one worker or of several that leave theirs in a folder for each other.

Prometheus' own library counts across processes by a switch that is global to a process, and that Feast turns for its own ends.
"""

from __future__ import annotations

import json
import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of durations, in seconds; what took longer has a bucket of its own."""

Key: TypeAlias = tuple[str, ...]
"""A metric's name and the values of its labels."""


class Sums:
    """Counts, and durations by bucket.

    Examples
    --------
    >>> one, other = Sums(), Sums()
    >>> one.count(("calls", "200"), 2)
    >>> other.count(("calls", "200"), 3)
    >>> other.took(("seconds",), [0.0004, 20.0])
    >>> one.add(Sums.from_json(other.to_json()))
    >>> one.counts[("calls", "200")], one.seconds[("seconds",)]
    (5, 20.0004)
    >>> [buckets for buckets in one.buckets.values()][0][2], [buckets for buckets in one.buckets.values()][0][-1]
    (1, 1)
    """

    def __init__(self) -> None:
        self.counts: Counter[Key] = Counter()
        self.buckets: dict[Key, list[int]] = {}
        self.seconds: Counter[Key] = Counter()

    def count(self, key: Key, by: int = 1) -> None:
        """Count something."""
        self.counts[key] += by

    def took(self, key: Key, amounts: Iterable[float]) -> None:
        """Add durations in seconds."""
        found = list(amounts)
        buckets = self.buckets.setdefault(key, [0] * (len(BUCKETS) + 1))
        for amount in found:
            buckets[bisect_left(BUCKETS, amount)] += 1
        self.seconds[key] += sum(found)  # type: ignore[assignment]

    def add(self, other: Sums) -> None:
        """Add another's sums to these."""
        self.counts.update(other.counts)
        self.seconds.update(other.seconds)
        for key, theirs in other.buckets.items():
            ours = self.buckets.get(key, [0] * len(theirs))
            self.buckets[key] = [mine + their for mine, their in zip(ours, theirs, strict=True)]

    def to_json(self) -> dict[str, Any]:
        """As plain lists."""
        return {name: [[list(key), value] for key, value in getattr(self, name).items()] for name in ("counts", "buckets", "seconds")}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Sums:
        """The inverse of `to_json`."""
        made = cls()
        for name in ("counts", "buckets", "seconds"):
            getattr(made, name).update({tuple(key): value for key, value in document[name]})
        return made


class SharedSums:
    """The sums of several workers: each leaves its own in a file of the folder; those of a worker that is gone stay.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own = folder / f"{os.getpid()}.json"

    def leave(self, sums: Sums, waiting: int) -> None:
        """Put this worker's sums in the place of those it left before."""
        temporary = self._own.with_suffix(".new")
        temporary.write_text(json.dumps({**sums.to_json(), "waiting": waiting}), encoding="utf-8")
        temporary.replace(self._own)

    def others(self) -> Iterator[tuple[Sums, int]]:
        """The sums of the other workers, and how much waits in each; nothing does in one that is gone."""
        for path in sorted(self._folder.glob("*.json")):
            if path == self._own:
                continue
            document = json.loads(path.read_text(encoding="utf-8"))
            yield Sums.from_json(document), document["waiting"] if _lives(int(path.stem)) else 0


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
