"""ASGI middleware: a request larger than the limit is refused before it is read, or as soon as it has grown too large."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from decisioning.errors import TooLarge
from serving.http.http_errors import ProblemResponse, problem_of

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


class BodyLimit:
    """Holds at most `max_body_bytes` of a request's body, whatever its headers say; the app gets the body whole or not at all."""

    def __init__(self, app: ASGIApp, *, max_body_bytes: int) -> None:
        self.app = app
        self.max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self.max_body_bytes:
            await self._refuse(scope, receive, send)
            return
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":  # the caller has gone: there is nobody to answer
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self.max_body_bytes:
                await self._refuse(scope, receive, send)
                return
        await self.app(scope, replayed(bytes(body), receive), send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        error = TooLarge("the request is too large", field="body", allowed=f"at most {self.max_body_bytes} bytes", hint="send it in parts")
        await ProblemResponse(problem_of(error))(scope, receive, send)


def replayed(body: bytes, receive: Receive, *, more: bool = False) -> Receive:
    """A receive channel that gives what was read once, then what really comes; `more` says that this is not the whole body."""
    waiting = [body]

    async def replay() -> Message:
        return {"type": "http.request", "body": waiting.pop(), "more_body": more} if waiting else await receive()

    return replay
