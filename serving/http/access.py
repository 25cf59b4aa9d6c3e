"""Who may call what: the one table from route to scope."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeAlias

DECIDE, RECORD, EXPORT, READ, ADMIN = "decide", "record", "export", "read", "admin"

SCOPES = (DECIDE, RECORD, EXPORT, READ, ADMIN)
"""What a key may be for; `admin` opens everything."""

OPEN = ""
"""In the place of a scope: no key is needed."""

Route: TypeAlias = tuple[str, str]

ROUTES: Mapping[Route, str] = {
    ("POST", "/v1/decisions"): DECIDE,
    ("POST", "/v1/decisions:batch"): DECIDE,
    ("GET", "/v1/decisions/{decision_id}"): READ,
    ("POST", "/v1/decisions/{decision_id}:replay"): READ,
    ("POST", "/ofrep/v1/evaluate/flags"): DECIDE,
    ("POST", "/ofrep/v1/evaluate/flags/{placement}"): DECIDE,
    ("POST", "/v1/outcomes"): RECORD,
    ("POST", "/v1/events"): RECORD,
    ("GET", "/v1/contacts/{contact_id}"): READ,
    ("DELETE", "/v1/contacts/{contact_id}"): ADMIN,
    ("GET", "/v1/contacts/{contact_id}/export"): EXPORT,
    ("PUT", "/v1/contacts/{contact_id}/consents/{purpose}"): RECORD,
    ("PUT", "/v1/contacts/{contact_id}/suppressions"): RECORD,
    ("POST", "/v1/identities"): RECORD,
    ("POST", "/v1/plans"): DECIDE,
    ("GET", "/v1/plans"): READ,
    ("GET", "/v1/plans/{plan_id}"): READ,
    ("GET", "/v1/plans/{plan_id}/audiences/{channel}"): EXPORT,
    ("GET", "/v1/prices"): READ,
    **{
        ("GET", f"/v1/reports/{name}"): READ
        for name in ("funnel", "roi", "channels", "goals", "segments", "value-finder", "models", "data")
    },
    ("GET", "/v1/models"): READ,
    ("POST", "/v1/models/{name}:promote"): ADMIN,
    ("POST", "/v1/models/{name}:rollback"): ADMIN,
    ("GET", "/v1/leads"): READ,
    ("POST", "/v1/leads/{lead_id}:status"): RECORD,
    ("GET", "/metrics"): READ,
    ("GET", "/health/live"): OPEN,
    ("GET", "/health/ready"): OPEN,
    ("GET", "/openapi.json"): OPEN,
}
"""Method and path -> scope; a route that is not here needs `admin`."""

CONSOLE = "/console"
LOGIN, LOGOUT = f"{CONSOLE}/login", f"{CONSOLE}/logout"
_STATIC = f"{CONSOLE}/static/"
_FILES = (f"{CONSOLE}/contact/export", f"{CONSOLE}/audiences/")
"""Pages of the console that hand out lists of people, or everything about one."""
_OF_ANY_FORM = "{contact_id}"
"""The part of an address that may have slashes: an id of the data. The other names are ours or the catalog's."""


def is_console(path: str) -> bool:
    """Whether an address is a page of the console, or what a page loads."""
    return path == "/" or path == CONSOLE or path.startswith(f"{CONSOLE}/")


class Table:
    """The scope of every request, as `ROUTES` and the console have it; `admin` for everything else, be it there or not.

    Examples
    --------
    >>> table = Table()
    >>> table.scope("POST", "/v1/decisions"), table.scope("DELETE", "/v1/contacts/c-1"), table.scope("POST", "/console/erase")
    ('decide', 'admin', 'admin')
    >>> table.scope("GET", "/console/static/console.css"), table.scope("GET", "/v1/nonsense")
    ('', 'admin')
    """

    def __init__(self) -> None:
        self._plain = {route: scope for route, scope in ROUTES.items() if "{" not in route[1]}
        patterns = [(method, _pattern(path), scope) for (method, path), scope in ROUTES.items() if "{" in path]
        self._patterns = sorted(patterns, key=lambda one: -len(one[1].pattern))  # `{id}:replay` before `{id}`

    def scope(self, method: str, path: str) -> str:
        """What a request needs."""
        method = "GET" if method == "HEAD" else method
        scope = self._plain.get((method, path))
        if scope is not None:
            return scope
        if is_console(path):
            return _of_page(method, path)
        return next((scope for verb, pattern, scope in self._patterns if verb == method and pattern.fullmatch(path)), ADMIN)


def _of_page(method: str, path: str) -> str:
    if path in (LOGIN, LOGOUT) or path.startswith(_STATIC):
        return OPEN
    if method != "GET":
        return ADMIN
    return EXPORT if path.startswith(_FILES) else READ


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"(\{\w+\})", path)
    return re.compile("".join(".*" if part == _OF_ANY_FORM else "[^/]+" if part.startswith("{") else re.escape(part) for part in parts))
