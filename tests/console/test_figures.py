"""Figures made in the background: nobody waits for them for long, and what is old is shown until there is something newer."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from decisioning.errors import NotFound, Unavailable
from serving.console.console import Console
from serving.console.figures import FRESH_SECONDS, LONG, MOST_KEPT, RETRY_SECONDS, Figure, Figures
from serving.ports.verbs import Service


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def figures(clock: Clock) -> Iterator[Figures]:
    made = Figures(clock, patience=5.0)
    yield made
    made.close()


def test_what_is_quick_is_there_at_once_and_made_once(figures: Figures, clock: Clock) -> None:
    made: list[int] = []

    def make() -> dict[str, Any]:
        made.append(1)
        return {"number": len(made)}

    assert figures.ask("a", make).document == {"number": 1}
    clock.now += FRESH_SECONDS
    assert figures.ask("a", make) == Figure({"number": 1}, None, FRESH_SECONDS, making=False)


def test_what_takes_long_is_not_waited_for_and_the_old_is_shown_until_then(clock: Clock) -> None:
    figures, go = Figures(clock, patience=0.0), threading.Event()
    done = threading.Event()

    def make() -> dict[str, Any]:
        go.wait(10)
        return {"made_at": clock.now}

    def then() -> dict[str, Any]:
        done.set()
        return {}

    first = figures.ask("a", make)
    assert first.document is None and first.making
    go.set()
    figures.ask("b", then)
    assert done.wait(10)  # the lane works one after the other: `a` is there
    clock.now = FRESH_SECONDS + 1
    go.clear()
    second = figures.ask("a", make)
    assert second.document == {"made_at": 0.0} and second.making and second.age == FRESH_SECONDS + 1
    go.set()
    figures.close()


def test_what_takes_minutes_holds_up_nothing_else(figures: Figures) -> None:
    go = threading.Event()

    def waits() -> dict[str, Any]:
        go.wait(10)
        return {}

    assert figures.ask("long", waits, lane=LONG).making
    figures.ask("report", lambda: {"is": "there"})
    for _ in range(1_000):
        if (found := figures.ask("report", dict)).document:
            break
        threading.Event().wait(0.005)
    assert found.document == {"is": "there"}
    go.set()


def test_a_refusal_is_said_and_tried_again_later(figures: Figures, clock: Clock) -> None:
    tries: list[int] = []

    def make() -> dict[str, Any]:
        tries.append(1)
        raise NotFound("there is no data", hint="run nudge ingest")

    assert figures.ask("a", make).problem == "there is no data. Hint: run nudge ingest"
    clock.now += RETRY_SECONDS
    assert figures.ask("a", make).problem is not None and len(tries) == 1
    clock.now += 1
    figures.ask("a", make)
    assert len(tries) == 2


def test_a_failure_that_nobody_foresaw_is_no_stack_trace_on_the_page(figures: Figures) -> None:
    assert figures.ask("a", lambda: {"x": 1 / 0}).problem == "something failed while these figures were made; the server's log says more"


def test_questions_without_end_do_not_fill_the_memory(figures: Figures, clock: Clock) -> None:
    for number in range(MOST_KEPT + 5):
        clock.now += 1.0
        figures.ask(f"question {number}", lambda: {"a": 1})
    made: list[int] = []
    figures.ask("question 0", lambda: {"again": len(made)})
    assert figures.ask("question 0", dict).document == {"again": 0}
    assert figures.ask(f"question {MOST_KEPT}", dict).document == {"a": 1}


def test_figures_that_were_forgotten_are_made_anew(figures: Figures) -> None:
    figures.ask("a", lambda: {"number": 1})
    figures.forget("a")
    assert figures.ask("a", lambda: {"number": 2}).document == {"number": 2}
    figures.forget_all()
    assert figures.ask("a", lambda: {"number": 3}).document == {"number": 3}


class OneAtATime:
    """Reports as the workspace makes them: a second one meanwhile is refused."""

    def __init__(self) -> None:
        self.free = threading.Lock()

    def report(self, name: str, *, period: str | None, drop: bool) -> dict[str, Any]:
        if not self.free.acquire(blocking=False):
            raise Unavailable("another report is being made")
        time.sleep(0.05)
        self.free.release()
        return {"report": name, "currency": "PLN", "channels": [], "drop": {"drops": []} if drop else None}


def test_plans_without_each_channel_and_the_reports_of_a_page_do_not_refuse_each_other() -> None:
    console = Console(cast(Service, SimpleNamespace(reports=OneAtATime())))
    for _ in range(200):
        found = [console.dropped(), console.report("channels")]
        if not any(one.making for one in found):
            break
        time.sleep(0.02)
    console.close()
    assert [(one.problem, one.document is not None) for one in found] == [(None, True)] * 2


def test_figures_whose_pictures_cannot_be_drawn_are_shown_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.console.console.charts", lambda name, document: 1 // 0)
    console = Console(cast(Service, SimpleNamespace(reports=OneAtATime())), Figures(patience=5.0))
    found = console.report("channels")
    console.close()
    assert found.document is not None and found.document["pictures"] == {}
