"""What was read last stands in for a store that does not answer: bounded, for a while, and never of somebody who was forgotten."""

from __future__ import annotations

import pytest

from features import remembered
from features.remembered import RememberedVectors


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_who_was_read_longest_ago_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "MOST_REMEMBERED", 2)
    seen = RememberedVectors()
    seen.keep(["a", "b"], [b"A", b"B"])
    seen.keep(["a"], [b"A2"])
    seen.keep(["c"], [b"C"])
    assert seen.recall(["a", "b", "c"]) == [b"A2", None, b"C"]


def test_it_stands_in_for_a_while_only() -> None:
    clock = Clock()
    seen = RememberedVectors(clock)
    seen.keep(["a"], [b"A"])
    clock.now = remembered.SECONDS_REMEMBERED
    assert seen.recall(["a"]) == [b"A"]
    clock.now += 0.1
    assert seen.recall(["a"]) == [None]


def test_who_is_unknown_at_the_next_reading_is_forgotten() -> None:
    seen = RememberedVectors()
    seen.keep(["a"], [b"A"])
    seen.keep(["a"], [None])
    assert seen.recall(["a"]) == [None]
