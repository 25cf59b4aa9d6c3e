"""ASGI middleware: every call is noted with its route, its status and what it took."""

from __future__ import annotations

from time import perf_counter

from serving.http.body_limit import ASGIApp, Message, Receive, Scope, Send
from serving.watching.tally import Call, Tally

_KNOWN = frozenset({"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"})
_UNKNOWN = "other"
_HOT = frozenset({"/v1/decisions", "/v1/decisions:batch", "/v1/outcomes", "/v1/events"})


class Counting:
    """Notes each call; a caller's own words, such as a path that is no route, never become a label."""

    def __init__(self, app: ASGIApp, *, tally: Tally) -> None:
        self.app = app
        self._tally = tally

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, and note it when it is answered."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun, status = perf_counter(), 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            if status:  # else the caller has gone
                self._tally.called(Call(_method(scope), _route(scope), status, perf_counter() - begun))


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in _KNOWN else _UNKNOWN


def _route(scope: Scope) -> str:
    path: str = scope["path"]
    return path if path in _HOT else getattr(scope.get("route"), "path_format", _UNKNOWN)
