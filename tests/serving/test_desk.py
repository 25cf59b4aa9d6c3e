"""Requests wait for their turn at one desk: what crowds becomes one batch, what would come too late is refused at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import pytest
from fastapi.testclient import TestClient

from decisioning.errors import NudgeError, Overloaded, Unavailable
from serving.app import create_app
from serving.http import desk as desk_module
from serving.http.desk import MOST_AT_ONCE, Desk, Patience
from serving.http.pace import Pace
from serving.schemas.hot_requests import AnyDecision, AnyOutcome, HotDecision, HotOutcome
from tests.serving.fake_service import FakeService
from tests.serving.small_house import small_house


class Watched(FakeService):
    """Notes the batches it is given; the first waits until `go`, and whoever asks about `poison` breaks the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[str]] = []
        self.begun, self.go = threading.Event(), threading.Event()

    def decide_many(self, requests: Sequence[AnyDecision], *, due: Sequence[float] | None = None) -> list[dict[str, Any] | NudgeError]:
        self.batches.append([one.contact_id for one in requests])
        self.begun.set()
        assert self.go.wait(timeout=30)
        if any(one.contact_id == "poison" for one in requests):
            raise ZeroDivisionError
        return super().decide_many(requests, due=due)

    def record_calls(self, calls: Sequence[Sequence[AnyOutcome]]) -> list[dict[str, Any]]:
        self.batches.append([one.event_id for call in calls for one in call])
        return super().record_calls(calls)


def ask(contact_id: str, **more: Any) -> list[HotDecision]:
    return [HotDecision(contact_id=contact_id, **more)]


def test_a_crowded_desk_refuses_a_decision_unread_but_asks_who_says_how_long_he_waits() -> None:
    service = Watched()
    service.go.set()
    app = create_app(service, patience=Patience(seconds=0.0001))
    desk = app.state.desk
    with TestClient(app, base_url="http://127.0.0.1") as client:
        desk._waiting = 100
        desk._pace.note(10, 0.1)
        plain = client.post("/v1/decisions", json={"contact_id": "c-1"})
        patient = client.post("/v1/decisions", json={"contact_id": "c-1", "deadline_ms": 5000})
        desk._waiting = 0
    assert (plain.status_code, plain.headers["retry-after"], plain.headers["content-type"]) == (429, "1", "application/problem+json")
    assert plain.json()["detail"].startswith("the answer would come too late")
    assert patient.status_code == 200


async def begun(service: Watched) -> None:
    await asyncio.get_running_loop().run_in_executor(None, service.begun.wait, 30)


def test_what_arrives_while_a_batch_is_worked_on_becomes_one_batch_in_its_order() -> None:
    service = Watched()
    desk = Desk(service)

    async def crowd() -> list[Any]:
        first = asyncio.ensure_future(desk.decide(ask("c-0")))
        await begun(service)
        others = [asyncio.ensure_future(desk.decide(ask(f"c-{n}"))) for n in range(1, 6)]
        outcomes = [asyncio.ensure_future(desk.record([HotOutcome(f"e-{n}", "sale", contact_id="c-0")])) for n in (1, 2, 2)]
        await asyncio.sleep(0)
        assert desk.waiting == 9
        service.go.set()
        return list(await asyncio.gather(first, *others, *outcomes))

    *decided, one, two, twice = asyncio.run(crowd())
    desk.close()
    assert service.batches == [["c-0"], ["c-1", "c-2", "c-3", "c-4", "c-5"], ["e-1", "e-2", "e-2"]]
    assert [answer["contact_id"] for (answer,) in decided] == [f"c-{n}" for n in range(6)]
    assert [(receipt["accepted"], receipt["duplicates"]) for receipt in (one, two, twice)] == [(1, 0), (1, 0), (0, 1)]
    assert desk.waiting == 0


def test_a_batch_has_an_end() -> None:
    service = Watched()
    desk = Desk(service)

    async def crowd() -> None:
        first = asyncio.ensure_future(desk.decide(ask("c-0")))
        await begun(service)
        others = [asyncio.ensure_future(desk.decide(ask("c-1"))) for _ in range(MOST_AT_ONCE + 3)]
        await asyncio.sleep(0)
        service.go.set()
        await asyncio.gather(first, *others)

    asyncio.run(crowd())
    desk.close()
    assert [len(batch) for batch in service.batches] == [1, MOST_AT_ONCE, 3]


def test_what_one_call_breaks_does_not_break_the_others() -> None:
    service = Watched()
    desk = Desk(service)

    async def crowd() -> list[Any]:
        first = asyncio.ensure_future(desk.decide(ask("c-0")))
        await begun(service)
        others = [asyncio.ensure_future(desk.decide(ask(name))) for name in ("c-1", "poison", "c-2")]
        await asyncio.sleep(0)
        service.go.set()
        return list(await asyncio.gather(first, *others, return_exceptions=True))

    _, one, poison, two = asyncio.run(crowd())
    desk.close()
    assert isinstance(poison, ZeroDivisionError)
    assert (one[0]["contact_id"], two[0]["contact_id"]) == ("c-1", "c-2")


def test_what_is_too_much_or_would_come_too_late_is_refused_at_once_and_what_comes_alone_is_let_in() -> None:
    service = Watched()
    desk = Desk(service, Patience(most_waiting=3, seconds=1.0))
    desk._pace.note(1, 0.3)

    async def crowd() -> None:
        large = asyncio.ensure_future(desk.decide(ask("c-0") * 2))
        await begun(service)
        with pytest.raises(Overloaded, match="too many requests are waiting"):
            await desk.decide(ask("c-1") * 2)
        with pytest.raises(Overloaded, match="the answer would come too late"):
            await desk.decide(ask("c-1", deadline_ms=500))
        patient = asyncio.ensure_future(desk.decide(ask("c-2", deadline_ms=700)))
        await asyncio.sleep(0)
        service.go.set()
        await asyncio.gather(large, patient)

    asyncio.run(crowd())
    desk.close()
    assert service.batches == [["c-0", "c-0"], ["c-2"]]


def after_a_batch_of(size: int, seconds: float) -> Desk:
    """A desk with that batch in hand since so long, and as many waiting."""
    desk = Desk(Watched(), Patience(seconds=0.5))
    desk._in_hand, desk._waiting = (size, perf_counter() - seconds), size
    return desk


def test_a_crowd_is_not_hopeless_because_each_batch_waits_for_a_slow_disk() -> None:
    desk = after_a_batch_of(3, seconds=0.1)
    for size, seconds in [(16, 0.02), (16, 0.02), (3, 0.3), (4, 0.31), (3, 0.3)]:  # the disk became slow, batches small: .1 s a request
        desk._pace.note(size, seconds)
    desk._waiting += 13
    assert not desk.crowded  # they are one batch
    desk._waiting += 3 * MOST_AT_ONCE
    assert desk.crowded  # and that is four


def test_while_a_batch_stands_still_nobody_is_let_in_to_wait_longer_than_patience() -> None:
    assert not after_a_batch_of(1, seconds=0.3).crowded
    assert after_a_batch_of(1, seconds=0.6).crowded


def test_a_large_call_of_outcomes_is_one_batch_however_slow_the_disk() -> None:
    service = Watched()
    desk = Desk(service, Patience(seconds=5.0, seconds_of_many=5.0))
    for size in (1, 5, 9):
        desk._pace.note(size, 1.0)
    for size in (1_000, 500):
        desk._pace_of_large.note(size, 1.0 + 5e-5 * size)

    async def crowd() -> None:
        first = asyncio.ensure_future(desk.decide(ask("c-0")))
        await begun(service)
        many = asyncio.ensure_future(desk.record([HotOutcome(f"e-{n}", "sale", contact_id="c-0") for n in range(1_000)]))
        await asyncio.sleep(0)
        second = asyncio.ensure_future(desk.decide(ask("c-1")))  # one second's batch in hand, and one before him
        await asyncio.sleep(0)
        service.go.set()
        await asyncio.gather(first, many, second)

    asyncio.run(crowd())
    desk.close()
    assert [len(batch) for batch in service.batches] == [1, 1_000, 1]
    assert (desk.waiting, desk._large) == (0, [])


def test_outcomes_by_the_thousand_do_not_make_decisions_look_cheap() -> None:
    desk = Desk(FakeService())

    async def listen() -> None:
        for _ in range(3):
            await desk.record([HotOutcome(f"e-{n}", "sale", contact_id="c-0") for n in range(1_000)])

    for size in (1, 5, 30):
        desk._pace.note(size, 0.01 * size)
    asyncio.run(listen())
    desk.close()
    desk._waiting = 10 * MOST_AT_ONCE
    assert desk._until_its_turn() == pytest.approx(3.2)


def test_a_batch_that_is_hardly_overdue_is_expected_to_end_any_moment() -> None:
    desk = after_a_batch_of(1, seconds=0.61)
    desk._pace.note(1, 0.6)  # of a slow disk
    assert not desk.crowded
    desk._in_hand = 1, perf_counter() - 1.2
    assert desk.crowded


def test_the_fixed_part_of_batches_is_told_from_what_a_request_takes() -> None:
    pace = Pace()
    assert pace.seconds(32) == 0.0
    for size in (1, 5, 30, 2):
        pace.note(size, 0.05 + 0.001 * size)
    assert pace.seconds(32, batches=1) == pytest.approx(0.082)
    assert pace.seconds(64, batches=2) == pytest.approx(0.164)
    alike = Pace()
    for _ in range(3):
        alike.note(16, 0.08)
    assert alike.seconds(16) == pytest.approx(0.08) and alike.seconds(32) == pytest.approx(0.16)


def test_a_batch_that_was_slow_by_chance_makes_no_part_negative() -> None:
    pace = Pace()
    for size, seconds in [(30, 0.01), (1, 1.0), (20, 0.01), (2, 0.5)]:  # larger ones seem to take less
        pace.note(size, seconds)
    assert 0.0 < pace.seconds(1) == pace.seconds(1_000)
    fast = Pace()
    for size, seconds in [(1, 0.0), (30, 0.3)]:  # as if the first of a batch gave time back
        fast.note(size, seconds)
    assert fast.seconds(0) >= 0.0


def test_a_large_call_takes_turns_with_what_others_ask_and_each_of_its_requests_is_decided() -> None:
    service = Watched()
    desk = Desk(service, Patience(seconds=0.01))  # that is how long one may have to wait to be let in, not how long a call may take

    async def crowd() -> tuple[list[Any], list[Any]]:
        large = asyncio.ensure_future(desk.decide([HotDecision(contact_id=f"c-{n}") for n in range(2 * MOST_AT_ONCE + 1)]))
        await begun(service)
        other = asyncio.ensure_future(desk.decide(ask("other")))
        await asyncio.sleep(0.05)
        service.go.set()
        return await large, await other

    answers, other = asyncio.run(crowd())
    desk.close()
    assert [one["contact_id"] for one in answers] == [f"c-{n}" for n in range(2 * MOST_AT_ONCE + 1)]
    assert other[0]["contact_id"] == "other"
    assert [len(batch) for batch in service.batches] == [MOST_AT_ONCE, 1, MOST_AT_ONCE, 1]
    assert service.batches[1] == ["other"]


def test_what_has_come_to_the_socket_when_a_batch_begins_is_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk_module, "_LONGEST_ROUNDS_SECONDS", 30.0)
    service = Watched()
    service.go.set()
    desk = Desk(service)

    async def read_and_ask(number: int) -> None:
        for _ in range(number % 3):  # of the loop's rounds, as a server's tasks take them
            await asyncio.sleep(0)
        await desk.decide(ask(f"c-{number}"))

    async def crowd() -> None:
        await asyncio.gather(*(read_and_ask(number) for number in range(10)))

    asyncio.run(crowd())
    desk.close()
    assert [len(batch) for batch in service.batches] == [10]


def test_after_a_loop_that_was_busy_too_long_the_next_batch_waits_for_its_own_rounds_again(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(FakeService())

    async def let_in() -> bool:
        loop, seen = asyncio.get_running_loop(), threading.Event()

        async def busy() -> None:
            sleep(0.05)

        letting = loop.run_in_executor(None, desk._let_in, loop)
        await busy()
        await letting  # nobody waited for these rounds to their end
        monkeypatch.setattr(desk_module, "_LONGEST_ROUNDS_SECONDS", 30.0)

        def after() -> bool:
            loop.call_soon_threadsafe(seen.set)
            desk._let_in(loop)
            return seen.is_set()

        return await loop.run_in_executor(None, after)

    assert asyncio.run(let_in())


def test_what_of_a_large_call_cannot_be_decided_is_refused_in_its_place() -> None:
    class Failing(FakeService):
        def decide_many(self, requests: Sequence[AnyDecision], *, due: Sequence[float] | None = None) -> list[dict[str, Any] | NudgeError]:
            if requests[0].contact_id == f"c-{MOST_AT_ONCE}":
                raise Unavailable("the ledger is away")
            return super().decide_many(requests, due=due)

    desk = Desk(Failing())
    answers = asyncio.run(desk.decide([HotDecision(contact_id=f"c-{n}") for n in range(2 * MOST_AT_ONCE + 1)]))
    desk.close()
    refused = [n for n, one in enumerate(answers) if isinstance(one, Unavailable)]
    assert refused == list(range(MOST_AT_ONCE, 2 * MOST_AT_ONCE)) and len(answers) == 2 * MOST_AT_ONCE + 1


def test_only_a_deadline_of_its_own_cuts_a_request_short() -> None:
    class Noting(FakeService):
        due: Sequence[float] | None = None

        def decide_many(self, requests: Sequence[AnyDecision], *, due: Sequence[float] | None = None) -> list[dict[str, Any] | NudgeError]:
            self.due = due
            return super().decide_many(requests, due=due)

    service = Noting()
    desk = Desk(service, Patience(seconds=0.001))
    before = perf_counter()
    asyncio.run(desk.decide([HotDecision(contact_id="c-1"), HotDecision(contact_id="c-2", deadline_ms=60_000)]))
    desk.close()
    assert service.due is not None
    without, own = service.due
    assert without == float("inf") and before + 60 <= own <= perf_counter() + 60


def test_who_is_shed_hears_429_and_when_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    service = FakeService()
    with TestClient(create_app(service)) as client:
        monkeypatch.setattr(Desk, "_admit", lambda *_: (_ for _ in ()).throw(Overloaded("too many requests are waiting")))
        answer = client.post("/v1/decisions", json={"contact_id": "c-1"})
        assert (answer.status_code, answer.headers["retry-after"], answer.json()["status"]) == (429, "1", 429)
        assert answer.headers["content-type"] == "application/problem+json"
        assert client.get("/health/live").status_code == 200


def test_a_decision_begun_after_its_deadline_is_the_fallback_says_so_and_is_kept(tmp_path: Path) -> None:
    with small_house(tmp_path) as house:
        request = HotDecision(contact_id="adult", channel="web", placements=["home_hero"], deadline_ms=5)
        late, in_time = house.service.decide_many([request, request], due=[0.0, float("inf")])
        assert isinstance(late, dict)
        assert isinstance(in_time, dict)
        assert (late["degraded"], late["actions"][0]["treatment_id"]) == ("deadline", "brand_banner")
        assert (in_time["degraded"], in_time["actions"][0]["treatment_id"]) == (None, "loan_hero")
        assert house.service.decision(late["decision_id"])["decision_id"] == late["decision_id"]


def test_stopping_finishes_what_waits() -> None:
    service = Watched()
    desk = Desk(service)

    async def crowd() -> Any:
        waiting = asyncio.ensure_future(desk.decide(ask("c-0")))
        await begun(service)
        service.go.set()
        await asyncio.get_running_loop().run_in_executor(None, desk.close)
        return await waiting

    (answer,) = asyncio.run(crowd())
    assert answer["contact_id"] == "c-0"
