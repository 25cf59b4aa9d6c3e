"""Where requests wait for their turn: what has arrived while the last batch was worked on is worked on as one batch.

One thread decides: deciding is Python, of which a process runs one thread at a time anyway, and a batch reads the past once and waits for
the disk once. The event loop only reads and writes, and rests meanwhile (`lull.py`). So requests are batched exactly as much as they crowd:
before a batch begins the loop hands on what has already come to the socket, and alone, one goes straight through.

The queue is bounded, in requests and in time: what could not be answered in time is refused at once, while it still costs nothing.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import Any

from decisioning.errors import NudgeError, Overloaded
from serving.http.lull import Lull
from serving.http.pace import Pace
from serving.ports.verbs import Service
from serving.schemas.hot_requests import AnyDecision, AnyOutcome

LOG = logging.getLogger(__name__)

MOST_AT_ONCE = 32
"""Requests in one batch: what a full batch takes is what the last in line waits longer than it would alone."""

_ROUNDS = 2
"""Of the event loop, after which what had come to the socket has come to the queue: it reads, the request's task runs, it asks."""

_LONGEST_ROUNDS_SECONDS = 0.005


@dataclass(frozen=True)
class Patience:
    """How much may wait.

    Attributes
    ----------
    most_waiting : int
        Requests and outcomes that may wait in all; a call of a thousand is let in where nothing waits.
    seconds : float
        How long one decision may have to wait for its turn that names no deadline of its own: somebody looks at a page meanwhile. What is
        let in is decided, however long that takes.
    seconds_of_many : float
        The same of a call for several decisions, and of outcomes: a program waits.
    """

    most_waiting: int = 2_000
    seconds: float = 0.5
    seconds_of_many: float = 2.0


@dataclass(frozen=True)
class _Call:
    """One call in the queue: its items, what works on items of its kind, and where the answer goes."""

    work: Callable[[list[_Call]], list[Any]]
    items: Sequence[Any]
    came: float
    answer: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


@dataclass
class Desk:
    """Decides and records for the event loop, a batch at a time, in a thread of its own.

    Parameters
    ----------
    service : Service
    patience : Patience
    """

    service: Service
    patience: Patience = field(default_factory=Patience)
    lull: Lull = field(init=False, default_factory=Lull)
    _queue: SimpleQueue[_Call | None] = field(init=False, default_factory=SimpleQueue)
    _next: _Call | None = field(init=False, default=None)
    _thread: threading.Thread | None = field(init=False, default=None)
    _waiting: int = field(init=False, default=0)
    _large: list[int] = field(init=False, default_factory=list)
    _pace: Pace = field(init=False, default_factory=Pace)
    _pace_of_large: Pace = field(init=False, default_factory=Pace)
    _in_hand: tuple[int, float] = field(init=False, default=(0, 0.0))

    async def decide(self, requests: Sequence[AnyDecision]) -> list[dict[str, Any] | NudgeError]:
        """One answer a request, in order.

        More than a batch of requests take their turns with what others ask meanwhile. What then cannot be decided has the refusal in its
        place: the others are kept already.

        Raises
        ------
        Overloaded
            The answer would come too late.
        NudgeError
            No decision can be made or kept now.
        """
        shortest = min((one.deadline_ms for one in requests if one.deadline_ms is not None), default=None)
        usual = self.patience.seconds if len(requests) == 1 else self.patience.seconds_of_many
        self._admit(len(requests), usual if shortest is None else shortest / 1e3)
        came = self.lull.came()
        if len(requests) <= MOST_AT_ONCE:
            first: list[dict[str, Any] | NudgeError] = await self._ask(self._decided, requests, came)
            return first
        answers: list[dict[str, Any] | NudgeError] = []
        for start in range(0, len(requests), MOST_AT_ONCE):
            some = requests[start : start + MOST_AT_ONCE]
            try:
                answers += await self._ask(self._decided, some, came)
            except NudgeError as error:
                answers += [error] * len(some)
        return answers

    async def record(self, outcomes: Sequence[AnyOutcome]) -> dict[str, Any]:
        """Keep outcomes, each once (`schemas.hot_answers.ReceiptAnswer`); raises as `decide`."""
        self._admit(len(outcomes), self.patience.seconds_of_many)
        receipt: dict[str, Any] = await self._ask(self._recorded, outcomes, self.lull.came())
        return receipt

    def close(self) -> None:
        """Finish what waits, then stop."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    @property
    def waiting(self) -> int:
        """How many requests and outcomes have no answer yet."""
        return self._waiting

    @property
    def crowded(self) -> bool:
        """Whether one decision more that names no deadline would be refused."""
        return self._waiting >= self.patience.most_waiting or self._until_its_turn() > self.patience.seconds

    def _until_its_turn(self) -> float:
        """Seconds until the batch of whoever comes now would begin: what is left of the one in hand, and the full ones before.

        A call of more than a batch is one by itself, and has a pace of its own: an outcome takes less than a decision. A batch that is
        overdue is expected to be so for as long again: the longer a disk stands still, the longer it will.
        """
        size, begun = self._in_hand
        in_hand_is_large = size > MOST_AT_ONCE
        large = self._large[1:] if in_hand_is_large else self._large
        full = max(0, self._waiting - sum(large) - size) // MOST_AT_ONCE
        before = self._pace.seconds(full * MOST_AT_ONCE, full) + self._pace_of_large.seconds(sum(large), len(large))
        if not size:
            return before
        expected = (self._pace_of_large if in_hand_is_large else self._pace).seconds(size)
        return before + abs(expected - (perf_counter() - begun))

    def _ask(self, work: Callable[[list[_Call]], list[Any]], items: Sequence[Any], came: float) -> asyncio.Future[Any]:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="nudge-desk", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        call = _Call(work, items, came, loop.create_future(), loop)
        self._waiting += len(items)
        if len(items) > MOST_AT_ONCE:
            self._large.append(len(items))
        self._queue.put(call)
        self.lull.rest(loop)
        return call.answer

    def _admit(self, count: int, seconds: float) -> None:
        """Refuse what would not be answered in time; whoever comes when nothing waits is let in."""
        ahead = self._waiting
        if not ahead:
            return
        if ahead + count > self.patience.most_waiting:
            raise Overloaded("too many requests are waiting", got=ahead, hint="try again in a moment")
        wait = self._until_its_turn()
        if wait > seconds:
            raise Overloaded(
                "the answer would come too late",
                got=f"{wait:.3f} s",
                allowed=f"{seconds:g} s",
                hint="try again in a moment",
            )

    # the thread ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        last = False
        while not last:
            calls, last, begun = self._next_batch()
            done = sum(len(call.items) for call in calls)
            self._in_hand = done, begun
            self.lull.begins()
            answers = [pair for work in dict.fromkeys(call.work for call in calls) for pair in _worked(work, calls)]
            self._in_hand = 0, 0.0
            self.lull.ends()
            if calls:
                calls[0].loop.call_soon_threadsafe(self._deliver, answers, done, perf_counter() - begun)

    def _next_batch(self) -> tuple[list[_Call], bool, float]:
        """The calls that wait, up to a batch; whether these are the last; and since when they are on.

        A call that fits no more is the first of the next batch.
        """
        first = self._queue.get() if self._next is None else self._next
        self._next, begun = None, perf_counter()
        if first is None:
            return [], True, begun
        self._let_in(first.loop)
        calls, size = [first], len(first.items)
        with suppress(Empty):
            while size < MOST_AT_ONCE:
                call = self._queue.get_nowait()
                if call is None:
                    return calls, True, begun
                if size + len(call.items) > MOST_AT_ONCE:
                    self._next = call
                    break
                calls.append(call)
                size += len(call.items)
        return calls, False, begun

    def _let_in(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let the event loop write the last answers and hand on what has come to the socket, while nobody else wants the interpreter.

        Those of one crowd become one batch, not several. In an overload the loop refuses meanwhile, and is not interrupted for it later.
        """
        gone: SimpleQueue[None] = SimpleQueue()  # its own: rounds that nobody waited for to the end must not stand for the next ones
        with suppress(RuntimeError, Empty):  # the loop has ended; it is busy with something long
            loop.call_soon_threadsafe(_go_round, loop, _ROUNDS, gone)
            gone.get(timeout=_LONGEST_ROUNDS_SECONDS)

    def _decided(self, calls: list[_Call]) -> list[Any]:
        requests = [one for call in calls for one in call.items]
        due = [math.inf if one.deadline_ms is None else call.came + one.deadline_ms / 1e3 for call in calls for one in call.items]
        answers = iter(self.service.decide_many(requests, due=due))
        return [[next(answers) for _ in call.items] for call in calls]

    def _recorded(self, calls: list[_Call]) -> list[Any]:
        return self.service.record_calls([call.items for call in calls])

    def _deliver(self, answers: list[tuple[_Call, Any]], done: int, seconds: float) -> None:
        self._waiting -= done
        if done > MOST_AT_ONCE:
            self._large.pop(0)
            self._pace_of_large.note(done, seconds)
        elif done:
            self._pace.note(done, seconds)
        for call, answer in answers:
            if call.answer.done():  # its caller has gone
                continue
            if isinstance(answer, BaseException):
                call.answer.set_exception(answer)
            else:
                call.answer.set_result(answer)


def _go_round(loop: asyncio.AbstractEventLoop, rounds: int, gone: SimpleQueue[None]) -> None:
    if rounds:
        loop.call_soon(_go_round, loop, rounds - 1, gone)
    else:
        gone.put(None)


def _worked(work: Callable[[list[_Call]], list[Any]], calls: list[_Call]) -> list[tuple[_Call, Any]]:
    """Each call of this kind of work with its answer, or with what went wrong."""
    mine = [call for call in calls if call.work == work]
    try:
        return list(zip(mine, work(mine), strict=True))
    except NudgeError as error:
        return [(call, error) for call in mine]
    except Exception as error:  # nobody foresaw it: what one call has brought about must not become the others' failure
        LOG.debug("a batch of %d calls failed; each is tried alone", len(mine), exc_info=error)
        return [(mine[0], error)] if len(mine) == 1 else [pair for call in mine for pair in _worked(work, [call])]
