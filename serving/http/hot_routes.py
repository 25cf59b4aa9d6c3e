"""ASGI middleware: the hot routes answered before the framework's routing, which costs more than a decision.

It takes what it is sure of: a POST of JSON that fits. Everything else goes on to the application unread or read back, whose ordinary
routes say what is wrong with it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from typing import Any

import msgspec

from decisioning.errors import NudgeError, Overloaded
from ledger.codec import plain
from serving.http.body_limit import ASGIApp, Receive, Scope, Send, replayed
from serving.http.desk import Desk
from serving.http.doorway import Headers
from serving.http.gate import Gate
from serving.http.http_errors import PROBLEM_JSON, RETRY_AFTER_SECONDS, ProblemResponse, is_json, problem_of
from serving.schemas import hot_requests
from serving.watching.tally import Call, Tally

LOG = logging.getLogger(__name__)

_JSON = b"application/json"
_ENCODER = msgspec.json.Encoder(enc_hook=plain)
_Answered = tuple[int, Any]
_ONE = "/v1/decisions"
_ONE_TARGET = _ONE.encode()
_DEADLINE = b"deadline_ms"
_PLAIN = ((b"content-type", _JSON),)
_CROWDED = msgspec.json.encode(problem_of(Overloaded("the answer would come too late", hint="try again in a moment")))
_LATER = ((b"content-type", PROBLEM_JSON.encode()), (b"retry-after", str(RETRY_AFTER_SECONDS).encode()))
_CROWDED_HEAD = b"HTTP/1.1 429 Too Many Requests\r\n" + b"".join(
    b"%s: %s\r\n" % header for header in (*_LATER, (b"content-length", str(len(_CROWDED)).encode()))
)


class AtTheDoor:
    """The refusal of `HotRoutes` when the desk is crowded, for `doorway.Doorway`: of who passes the gate, if there is one.

    Whoever does not pass is none of its: the application says what is wrong.
    """

    def __init__(self, desk: Desk, tally: Tally, gate: Gate | None = None) -> None:
        self._desk = desk
        self._tally = tally
        self._gate = gate

    def may_turn_away(self, method: bytes, target: bytes, headers: Headers) -> bool:
        """Whether this asks for one decision that would be refused now; see `doorway.Doorkeeper`."""
        if target != _ONE_TARGET or method != b"POST" or not self._desk.crowded:
            return False
        scope = {"method": "POST", "path": _ONE, "headers": headers}
        return _is_json(scope) and (self._gate is None or self._gate.lets(scope))

    def refusal(self, body: bytes) -> tuple[bytes, bytes] | None:
        """The refusal of a body that names no deadline, if the desk is crowded still: the body may have come long after its headers."""
        return (_CROWDED_HEAD, _CROWDED) if _DEADLINE not in body and self._desk.crowded else None

    def turned_away(self, seconds: float) -> None:
        """Count it as any call."""
        self._tally.called(Call("POST", _ONE, 429, seconds))
        self._desk.lull.rest(asyncio.get_running_loop())

    def connected(self) -> None:
        """Others may wait behind him."""
        self._desk.lull.somebody_new()


class HotRoutes:
    """The decisions, the batches of them and the outcomes that fit; the rest goes on to `app`."""

    def __init__(self, app: ASGIApp, *, desk: Desk, max_body_bytes: int) -> None:
        self.app = app
        self._desk = desk
        self._max_body_bytes = max_body_bytes
        self._routes: dict[str, tuple[Callable[[bytes], Sequence[Any] | None], Callable[[Any], Awaitable[_Answered]]]] = {
            _ONE: (hot_requests.one_decision, self._decide),
            "/v1/decisions:batch": (hot_requests.many_decisions, self._decide_many),
            "/v1/outcomes": (hot_requests.outcomes, self._record),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        route = self._routes.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if route is None or not _is_json(scope):
            await self._pass_on(scope, receive, send)
            return
        body, more = await self._body(receive)
        if body is None:  # the caller has gone: there is nobody to answer
            return
        # Refused unread: what it costs to refuse is taken from those who are decided. Who says how long he waits is asked first.
        if scope["path"] == _ONE and self._desk.crowded and _DEADLINE not in body:
            await _send(send, 429, _CROWDED, _LATER)
            self._desk.lull.rest(asyncio.get_running_loop())
            return
        asked = None if more else route[0](body)
        if asked is None:
            await self._pass_on(scope, replayed(body, receive, more=more), send)
            return
        try:
            status, answer = await route[1](asked)
        except NudgeError as error:
            await ProblemResponse(problem_of(error))(scope, receive, send)
            return
        await _send(send, status, encode(answer))

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._desk.lull.awake() if scope["type"] == "http" else nullcontext():  # the lifespan lasts as long as the server
            await self.app(scope, receive, send)

    async def _body(self, receive: Receive) -> tuple[bytes | None, bool]:
        """What was read of the body, None where the caller hung up; and whether there is more of it, because it is too large."""
        message = await receive()
        body: bytes = message.get("body", b"")
        while message.get("more_body", False) and len(body) <= self._max_body_bytes:
            message = await receive()
            body += message.get("body", b"")
        if message["type"] == "http.disconnect":
            return None, False
        return body, len(body) > self._max_body_bytes

    async def _decide(self, asked: Sequence[hot_requests.HotDecision]) -> _Answered:
        (answer,) = await self._desk.decide(asked)
        if isinstance(answer, NudgeError):
            raise answer
        return 200, _logged(answer)

    async def _decide_many(self, asked: Sequence[hot_requests.HotDecision]) -> _Answered:
        answers = await self._desk.decide(asked)
        return 200, [problem_of(answer) if isinstance(answer, NudgeError) else _logged(answer) for answer in answers]

    async def _record(self, given: Sequence[hot_requests.HotOutcome]) -> _Answered:
        return 202, await self._desk.record(given)


def encode(answer: Any) -> bytes:
    """An answer as the bytes that leave."""
    return _ENCODER.encode(answer)


def _is_json(scope: Scope) -> bool:
    for name, value in scope["headers"]:
        if name == b"content-type":
            return value == _JSON or is_json(value.decode("latin-1").split(";")[0].strip().lower())
    return False


async def _send(send: Send, status: int, body: bytes, headers: Sequence[tuple[bytes, bytes]] = _PLAIN) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


def _logged(answer: dict[str, Any]) -> dict[str, Any]:
    if LOG.isEnabledFor(logging.INFO):
        LOG.info("decision %s: %d actions in %s ms", answer["decision_id"], len(answer["actions"]), answer["took_ms"].get("total"))
    return answer
