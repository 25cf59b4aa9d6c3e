"""While a batch is decided the event loop rests, and nobody waits longer for it than he should."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from time import perf_counter, sleep
from typing import Any

import httpx
import pytest
import uvicorn

from serving.app import SERVER_OPTIONS, create_app
from serving.http import lull as lull_module
from serving.http.desk import Desk, Patience
from serving.http.lull import Lull
from serving.schemas.hot_requests import HotDecision
from tests.serving.fake_service import FakeService

LONG = 30.0
"""Seconds; what lasts as long as this has hung."""


@pytest.fixture
def lull() -> Iterator[Lull]:
    made = Lull()
    yield made
    made.ends()


async def rounds(many: int) -> None:
    for _ in range(many):
        await asyncio.sleep(0)


async def rested(lull: Lull) -> bool:
    """Whether the loop has rested within its next rounds: rests are as long as `LONGEST_SECONDS`, and no batch ends meanwhile."""
    lull.rest(asyncio.get_running_loop())
    before = perf_counter()
    await rounds(4)
    return perf_counter() - before >= lull_module.LONGEST_SECONDS


def test_the_loop_rests_until_the_batch_is_over(lull: Lull, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lull_module, "LONGEST_SECONDS", LONG)
    over: list[bool] = []

    def decide() -> None:
        sleep(0.05)
        over.append(True)
        lull.ends()

    async def look() -> bool:
        lull.begins()
        threading.Thread(target=decide).start()
        lull.rest(asyncio.get_running_loop())
        await rounds(2)
        return bool(over)

    before = perf_counter()
    assert asyncio.run(look())
    assert perf_counter() - before < LONG


def test_a_rest_has_an_end_however_long_the_batch_takes(lull: Lull) -> None:
    lull.begins()
    assert asyncio.run(rested(lull))


def test_without_a_batch_in_hand_nothing_rests(lull: Lull, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lull_module, "LONGEST_SECONDS", LONG)
    assert not asyncio.run(rested(lull))
    lull.begins()
    lull.ends()
    assert not asyncio.run(rested(lull))


def test_asked_for_several_times_in_a_round_it_is_one_rest(lull: Lull, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[float] = []
    monkeypatch.setattr(lull._over, "wait", begun.append)

    async def ask() -> None:
        lull.begins()
        for _ in range(5):
            lull.rest(asyncio.get_running_loop())
        await rounds(4)

    asyncio.run(ask())
    assert begun == [lull_module.LONGEST_SECONDS]


def test_while_connections_are_made_it_is_put_off(lull: Lull, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[float] = []
    monkeypatch.setattr(lull._over, "wait", begun.append)

    async def come() -> list[int]:
        lull.begins()
        lull.rest(asyncio.get_running_loop())
        seen = []
        for _ in range(3):
            lull.somebody_new()
            await rounds(1)
            seen.append(len(begun))
        await rounds(2)
        return [*seen, len(begun)]

    assert asyncio.run(come()) == [0, 0, 0, 1]


def test_while_the_framework_answers_somebody_there_is_none(lull: Lull, monkeypatch: pytest.MonkeyPatch) -> None:
    lull.begins()
    with lull.awake(), lull.awake():
        pass
    assert asyncio.run(rested(lull))
    monkeypatch.setattr(lull_module, "LONGEST_SECONDS", LONG)
    with lull.awake():
        with lull.awake():
            pass
        assert not asyncio.run(rested(lull))


def test_who_asks_in_the_rounds_after_a_rest_may_have_come_when_it_began_and_later_ones_have_not(lull: Lull) -> None:
    async def ask() -> tuple[float, float, float, float, float]:
        lull.begins()
        before = perf_counter()
        lull.rest(asyncio.get_running_loop())
        await rounds(2)
        awake = perf_counter()
        read = lull.came()
        await rounds(3)
        return before, read, awake, lull.came(), perf_counter()

    before, read, awake, later, now = asyncio.run(ask())
    assert before <= read <= awake - lull_module.LONGEST_SECONDS
    assert awake <= later <= now


def test_a_deadline_counts_what_was_rested(monkeypatch: pytest.MonkeyPatch) -> None:
    class Watched(FakeService):
        def __init__(self) -> None:
            super().__init__()
            self.due: list[float] = []
            self.begun, self.go = threading.Event(), threading.Event()

        def decide_many(self, requests: Any, due: Any = None) -> list[dict[str, Any]]:
            self.due += due
            self.begun.set()
            assert self.go.wait(LONG)
            return super().decide_many(requests, due=due)

    service = Watched()
    desk = Desk(service)

    async def crowd() -> float:
        first = asyncio.ensure_future(desk.decide([HotDecision(contact_id="c-1")]))
        await asyncio.get_running_loop().run_in_executor(None, service.begun.wait, LONG)
        desk.lull.rest(asyncio.get_running_loop())
        came = perf_counter()
        await rounds(2)  # somebody comes while it rests, and is read after it
        second = asyncio.ensure_future(desk.decide([HotDecision(contact_id="c-2", deadline_ms=1_000)]))
        await rounds(2)
        service.go.set()
        await asyncio.gather(first, second)
        return came

    came = asyncio.run(crowd())
    desk.close()
    assert came <= service.due[1] - 1.0 <= came + lull_module.LONGEST_SECONDS / 2


def test_a_server_that_decides_accepts_who_comes_and_answers_its_other_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lull_module, "LONGEST_SECONDS", 0.2)

    class Slow(FakeService):
        def __init__(self) -> None:
            super().__init__()
            self.begun, self.go = threading.Event(), threading.Event()

        def decide_many(self, requests: Any, due: Any = None) -> list[dict[str, Any]]:
            self.begun.set()
            assert self.go.wait(LONG)
            return super().decide_many(requests, due=due)

    service, rests = Slow(), []
    app = create_app(service, patience=Patience(seconds=LONG))
    wait = app.state.desk.lull._over.wait
    monkeypatch.setattr(app.state.desk.lull._over, "wait", lambda seconds: (rests.append(seconds), wait(seconds)))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", **SERVER_OPTIONS))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        sleep(0.01)
    address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    statuses: list[int] = []

    def call(method: str, path: str, **more: Any) -> None:
        statuses.append(httpx.request(method, address + path, timeout=LONG, **more).status_code)

    def decide(number: int) -> threading.Thread:
        one = threading.Thread(target=call, args=("POST", "/v1/decisions"), kwargs={"json": {"contact_id": f"c-{number}"}})
        one.start()
        return one

    try:
        deciding = [decide(0)]
        assert service.begun.wait(LONG)
        deciding += [decide(number) for number in range(1, 40)]
        for _ in range(5):
            call("GET", "/health/live")
        healthy = list(statuses)
        service.go.set()
        for one in deciding:
            one.join(LONG)
    finally:
        service.go.set()
        server.should_exit = True
        thread.join(LONG)
    assert healthy == [200] * 5
    assert statuses == [200] * 45
    assert 0 < len(rests) < 12  # a rest for each new connection would be twenty and more
