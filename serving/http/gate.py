"""ASGI middleware before everything else: whether whoever calls may do this.

Without any key, a server that only this machine can reach is open to it. Then a page in a browser of this machine must not be able to call
by a name of its own that it lets point here (DNS rebinding): what does not name this machine in `Host` is refused. So is what a proxy on
this machine says it hands on for somebody elsewhere.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import quote

from decisioning.errors import Forbidden, Unauthorized
from ledger.keys import ApiKey
from serving.http.access import ADMIN, LOGIN, OPEN, Table, is_console
from serving.http.api_keys import KeyRing
from serving.http.body_limit import ASGIApp, Receive, Scope, Send
from serving.http.http_errors import ProblemResponse, problem_of

COOKIE = "nudge_key"
"""The cookie that carries a key from page to page of the console; no other address takes it."""

_BEARER = "bearer"
_FORWARDED = frozenset({b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"forwarded"})
_MAKE_ONE = "make a key: nudge keys create --scope decide --name NAME"
_HINT = "send `Authorization: Bearer KEY`; nudge keys create makes one"


class Gate:
    """Passes on whom a key lets through.

    Parameters
    ----------
    keys : KeyRing
    may_be_open : bool
        Whether a workspace without any key is open: only where nobody but this machine can reach the server.
    """

    def __init__(self, app: ASGIApp, *, table: Table, keys: KeyRing, may_be_open: bool) -> None:
        self.app = app
        self._table = table
        self._keys = keys
        self._may_be_open = may_be_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        needed = self._table.scope(scope["method"], scope["path"])
        try:
            self._admit(scope, needed)
        except Unauthorized as error:
            if is_console(scope["path"]) and scope["method"] == "GET":
                await _to_login(scope, send)
            else:
                await ProblemResponse(problem_of(error), {"WWW-Authenticate": 'Bearer realm="nudge"'})(scope, receive, send)
        except Forbidden as error:
            known = {} if self._open else {"WWW-Authenticate": f'Bearer realm="nudge", error="insufficient_scope", scope="{needed}"'}
            await ProblemResponse(problem_of(error), known)(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def lets(self, scope: Scope) -> bool:
        """Whether this request passes."""
        try:
            self._admit(scope, self._table.scope(scope["method"], scope["path"]))
        except (Unauthorized, Forbidden):
            return False
        return True

    @property
    def _open(self) -> bool:
        return self._may_be_open and self._keys.empty

    def _admit(self, scope: Scope, needed: str) -> None:
        """Let pass, or raise.

        Raises
        ------
        Unauthorized, Forbidden
            No key that holds; one that does not open this, or another name than this machine's where there are no keys.
        """
        if self._open:
            _refuse_strangers(scope)
            return
        if needed == OPEN:
            return
        text = _presented(scope)
        if text is None:
            raise Unauthorized("a key is needed", hint=_HINT)
        key = self._keys.owner(text)
        if key is None:
            raise Unauthorized("this key is unknown, revoked or expired", hint=_HINT)
        if not may(key, needed):
            allowed = f"a key with the scope {needed}"
            raise Forbidden("this key does not open this", field="scope", got=", ".join(key.scopes), allowed=allowed)


def may(key: ApiKey | None, scope: str) -> bool:
    """Whether a key opens a scope."""
    return key is not None and (scope in key.scopes or ADMIN in key.scopes)


def _presented(scope: Scope) -> str | None:
    """The key that a request carries, None where it carries none."""
    cookies = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            kind, _, text = value.decode("latin-1").partition(" ")
            return text.strip() if kind.lower() == _BEARER and text.strip() else None
        if name == b"x-api-key":  # as OpenFeature's providers may send it
            return value.decode("latin-1").strip() or None
        if name == b"cookie":
            cookies = value
    return _of_cookie(cookies) if cookies is not None and is_console(scope["path"]) else None


def _of_cookie(header: bytes) -> str | None:
    try:
        found: Any = SimpleCookie(header.decode("latin-1")).get(COOKIE)
    except CookieError:
        return None
    return None if found is None or not found.value else str(found.value)


def _refuse_strangers(scope: Scope) -> None:
    """Refuse what does not name this machine, and what a proxy hands on for somebody elsewhere."""
    host = ""
    for name, value in scope["headers"]:
        if name == b"host":
            host = value.decode("latin-1")
        elif name in _FORWARDED and not all(names_this_machine(one.strip()) for one in value.decode("latin-1").split(",")):
            raise Forbidden("without keys this server answers nobody behind a proxy", field=name.decode(), hint=_MAKE_ONE)
    if not names_this_machine(host):
        allowed = "localhost or a loopback address"
        raise Forbidden(
            "without keys this server answers only to this machine's own names",
            field="Host",
            got=host or "none",
            allowed=allowed,
            hint=_MAKE_ONE,
        )


@lru_cache(maxsize=256)
def names_this_machine(host: str) -> bool:
    """Whether a `Host` header, or an address, names this machine for itself.

    Examples
    --------
    >>> names_this_machine("127.0.0.1:8000"), names_this_machine("[::1]:8000"), names_this_machine("shop.example:8000")
    (True, True, False)
    """
    name = host.rsplit(":", 1)[0] if host.count(":") == 1 or "]:" in host else host
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


async def _to_login(scope: Scope, send: Send) -> None:
    query = scope.get("query_string", b"").decode("latin-1")
    wanted = scope["path"] + (f"?{query}" if query else "")
    location = f"{LOGIN}?next={quote(wanted, safe='')}"
    await send({"type": "http.response.start", "status": 303, "headers": [(b"location", location.encode()), (b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
