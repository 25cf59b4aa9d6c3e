"""Who may call: keys, scopes, and what is open without any."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from decisioning.errors import RequestError, Unavailable
from ledger.keys import ApiKey
from serving.app import ROUTERS, create_app
from serving.http.access import ADMIN, DECIDE, EXPORT, LOGIN, OPEN, READ, RECORD, ROUTES, SCOPES, Table, is_console
from serving.http.api_keys import KeyRing, new_key
from serving.http.gate import COOKIE, may, names_this_machine
from tests.serving.fake_service import FakeService

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
HERE = "http://127.0.0.1:8000"
PAGE = "/console/nowhere"
"""A page that is not there: whoever may see pages is told so."""


class Cabinet:
    """Keys that a test hands out, and the time it is."""

    def __init__(self) -> None:
        self.kept: list[ApiKey] = []
        self.now = NOW
        self.ring = KeyRing(lambda: list(self.kept), lambda: self.now)

    def make(self, *scopes: str, days: float | None = None) -> dict[str, str]:
        """The header of a new key."""
        text, key = new_key("test", scopes, self.now, days)
        self.kept.append(key)
        self.ring.refresh()
        return {"Authorization": f"Bearer {text}"}


@pytest.fixture
def cabinet() -> Cabinet:
    return Cabinet()


@pytest.fixture
def guarded(service: FakeService, cabinet: Cabinet) -> Iterator[TestClient]:
    with TestClient(create_app(service, keys=cabinet.ring), base_url=HERE) as opened:
        yield opened


def _decide(client: TestClient, headers: dict[str, str] | None = None) -> Any:
    return client.post("/v1/decisions", json={"contact_id": "c-1"}, headers=headers or {})


def test_every_route_has_its_line_in_the_table_and_every_line_its_route(client: TestClient) -> None:
    routes = [route for router in ROUTERS for route in router.routes]
    assert len(routes) > 30
    there = {(method, route.path_format) for route in routes for method in route.methods if not is_console(route.path)}  # type: ignore[attr-defined]
    described = {(method.upper(), path) for path, methods in client.get("/openapi.json").json()["paths"].items() for method in methods}
    assert there == described == set(ROUTES) - {("GET", "/openapi.json")}


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/v1/decisions", DECIDE),
        ("POST", "/v1/outcomes", RECORD),
        ("GET", "/v1/decisions/d-1", READ),
        ("POST", "/v1/decisions/d-1:replay", READ),
        ("POST", "/v1/models/uplift:promote", ADMIN),
        ("GET", "/v1/contacts/c-1", READ),
        ("HEAD", "/v1/contacts/c-1", READ),
        ("GET", "/v1/contacts/c-1/export", EXPORT),
        ("GET", "/v1/contacts/a/b/export", EXPORT),
        ("GET", "/v1/contacts/../../etc", READ),
        ("GET", "/v1/contacts/export/b", READ),
        ("DELETE", "/v1/contacts/a/export", ADMIN),
        ("PUT", "/v1/contacts/a/b/consents/email", RECORD),
        ("GET", "/v1/plans/p-1/audiences/email", EXPORT),
        ("GET", "/health/ready", OPEN),
        ("GET", "/metrics", READ),
        ("GET", "/", READ),
        ("GET", "/console/audiences", READ),
        ("GET", "/console/audiences/p-1/email", EXPORT),
        ("HEAD", "/console/contact/export", EXPORT),
        ("POST", "/console/contact", ADMIN),
        ("GET", LOGIN, OPEN),
        ("GET", "/console/loginx", READ),
        ("GET", "/console/static/console.css", OPEN),
        ("GET", "/v1/nothing", ADMIN),
        ("PATCH", "/v1/decisions", ADMIN),
    ],
)
def test_each_request_needs_the_scope_of_its_route(method: str, path: str, scope: str) -> None:
    assert Table().scope(method, path) == scope


def test_without_any_key_this_machine_may_do_everything(guarded: TestClient) -> None:
    assert _decide(guarded).status_code == 200
    assert guarded.get("/v1/prices").status_code == 200


@pytest.mark.parametrize(
    "host", ["shop.example", "shop.example:8000", "192.168.1.5:8000", "127.0.0.1.shop.example", "localhost.shop.example", ""]
)
def test_without_keys_a_name_that_somebody_else_lets_point_here_is_refused(guarded: TestClient, host: str) -> None:
    answer = _decide(guarded, {"Host": host})
    assert answer.status_code == 403
    assert "Host" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("X-Forwarded-For", "203.0.113.5", 403),
        ("X-Forwarded-For", "127.0.0.1, 203.0.113.5", 403),
        ("X-Forwarded-For", "127.0.0.1, ::1", 200),
        ("X-Forwarded-Host", "shop.example", 403),
        ("X-Real-IP", "203.0.113.5", 403),
        ("Forwarded", "for=203.0.113.5", 403),
    ],
)
def test_without_keys_nobody_comes_in_through_a_proxy(guarded: TestClient, cabinet: Cabinet, name: str, value: str, status: int) -> None:
    assert _decide(guarded, {name: value}).status_code == status
    assert _decide(guarded, {name: value, **cabinet.make("decide")}).status_code == 200


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1", "127.8.9.1:99", "[::1]", "[::1]:8000", "::1"])
def test_this_machine_goes_by_its_own_names(host: str) -> None:
    assert names_this_machine(host)


def test_the_first_key_closes_the_door_and_a_revoked_one_does_not_open_it_again(guarded: TestClient, cabinet: Cabinet) -> None:
    mine = cabinet.make("decide")
    assert (_decide(guarded).status_code, _decide(guarded, mine).status_code) == (401, 200)
    assert _decide(guarded, {**mine, "Host": "shop.example"}).status_code == 200

    cabinet.kept = [ApiKey(**{**vars(key), "revoked_at": NOW}) for key in cabinet.kept]
    cabinet.ring.refresh()
    assert (_decide(guarded).status_code, _decide(guarded, mine).status_code) == (401, 401)


def test_a_server_that_others_can_reach_is_never_open(service: FakeService, cabinet: Cabinet) -> None:
    with TestClient(create_app(service, keys=cabinet.ring, may_be_open=False), base_url=HERE) as client:
        assert _decide(client).status_code == 401
        assert client.get("/health/live").status_code == 200
    assert service.asked == []


@pytest.mark.parametrize(("path", "scope"), [("/v1/decisions", "decide"), ("/v1/decisions:batch", "decide"), ("/v1/outcomes", "record")])
def test_the_hot_routes_ask_for_their_scope_too(guarded: TestClient, cabinet: Cabinet, service: FakeService, path: str, scope: str) -> None:
    headers = cabinet.make(*(other for other in SCOPES if other not in (scope, "admin")))
    body = {"/v1/decisions": {"contact_id": "c"}, "/v1/decisions:batch": [{"contact_id": "c"}]}.get(
        path, [{"event_id": "e", "contact_id": "c", "outcome": "sale"}]
    )
    refused = guarded.post(path, json=body, headers=headers)

    assert refused.status_code == 403
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["www-authenticate"] == f'Bearer realm="nudge", error="insufficient_scope", scope="{scope}"'
    assert refused.json()["errors"][0]["expected"] == f"a key with the scope {scope}"
    assert (service.asked, service.outcomes) == ([], {})
    assert guarded.post(path, json=body, headers=cabinet.make(scope)).status_code in (200, 202)
    assert guarded.post(path, json=body, headers=cabinet.make("admin")).status_code in (200, 202)


@pytest.mark.parametrize("path", sorted({path for (method, path), scope in ROUTES.items() if scope != OPEN}))
def test_nothing_but_health_and_the_api_document_answers_without_a_key(guarded: TestClient, cabinet: Cabinet, path: str) -> None:
    cabinet.make("decide")
    for method in {method for method, known in ROUTES if known == path}:
        answer = guarded.request(method, path.replace("{", "").replace("}", ""), json={})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == 'Bearer realm="nudge"'


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Basic bnVkZ2U6",
        "Bearer nudge",
        "Bearer nudge_x_y",
        "Bearer ___",
        "nudge_x_y",
        "Bearer \xff_a_b",
        "Bearer " + "x" * 5_000,
    ],
)
def test_what_is_no_key_is_refused_alike(guarded: TestClient, cabinet: Cabinet, header: str) -> None:
    cabinet.make("decide")
    answer = guarded.post("/v1/decisions", json={"contact_id": "c-1"}, headers=[("Authorization", header.encode("latin-1"))])  # type: ignore[arg-type]
    assert answer.status_code == 401


def test_a_key_with_one_letter_changed_opens_nothing(guarded: TestClient, cabinet: Cabinet) -> None:
    text = cabinet.make("admin")["Authorization"]
    wrong = text[:-1] + ("A" if text[-1] != "A" else "B")
    assert _decide(guarded, {"Authorization": wrong}).status_code == 401
    assert _decide(guarded, {"Authorization": text.replace("Bearer", "bEARER")}).status_code == 200


def test_a_key_ends_on_its_day(guarded: TestClient, cabinet: Cabinet) -> None:
    mine = cabinet.make("decide", days=1)
    assert _decide(guarded, mine).status_code == 200
    cabinet.now += timedelta(days=1)
    assert _decide(guarded, mine).status_code == 401


def test_keys_that_cannot_be_read_hold_on(cabinet: Cabinet) -> None:
    text = cabinet.make("decide")["Authorization"].removeprefix("Bearer ")

    def broken() -> list[ApiKey]:
        raise Unavailable("the ledger does not answer")

    ring = KeyRing(lambda: list(cabinet.kept), lambda: NOW, poll_seconds=0.001)
    ring._read = broken
    ring.watch()
    ring.close()
    assert may(ring.owner(text), "decide") and not may(ring.owner(text), "read")


def test_a_new_key_holds_within_a_moment(cabinet: Cabinet) -> None:
    ring = KeyRing(lambda: list(cabinet.kept), lambda: NOW, poll_seconds=0.001)
    ring.watch()
    text = cabinet.make("read")["Authorization"].removeprefix("Bearer ")
    for _ in range(1_000):
        if ring.owner(text) is not None:
            break
        ring._stop.wait(0.005)
    ring.close()
    assert ring.owner(text) is not None


def test_a_scope_that_is_none_is_refused_with_the_nearest() -> None:
    with pytest.raises(RequestError, match="did you mean 'record'"):
        new_key("x", ["recrod"], NOW)


def test_a_key_is_only_kept_as_its_digest() -> None:
    text, key = new_key("x", ["admin", "decide", "decide"], NOW)
    assert key.scopes == ("decide", "admin")
    assert text.startswith(f"nudge_{key.key_id}_")
    assert len(text.split("_", 2)[2]) == 43  # 256 bits
    assert text.split("_", 2)[2] not in repr(key)


# the console ---------------------------------------------------------------------------------------------------------


def test_a_browser_without_a_key_is_led_to_the_login_and_back(guarded: TestClient, cabinet: Cabinet) -> None:
    text = cabinet.make("read")["Authorization"].removeprefix("Bearer ")
    led = guarded.get(f"{PAGE}?a=1", follow_redirects=False)
    assert (led.status_code, led.headers["location"]) == (303, "/console/login?next=%2Fconsole%2Fnowhere%3Fa%3D1")
    assert f'value="{PAGE}?a=1"' in guarded.get(led.headers["location"]).text

    wrong = guarded.post(LOGIN, data={"key": "nudge_no_no", "next": "/"})
    assert (wrong.status_code, "unknown, revoked or expired" in wrong.text) == (401, True)
    right = guarded.post(LOGIN, data={"key": text, "next": f"{PAGE}?a=1"}, follow_redirects=False)
    assert (right.status_code, right.headers["location"]) == (303, f"{PAGE}?a=1")
    cookie = right.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Secure" not in cookie
    assert guarded.get(PAGE).status_code == 404
    assert guarded.post("/console/anything").status_code == 403  # reading is not changing
    guarded.post("/console/logout")
    assert guarded.get(PAGE, follow_redirects=False).status_code == 303


def test_a_cookie_opens_pages_and_not_the_api(guarded: TestClient, cabinet: Cabinet) -> None:
    text = cabinet.make("admin")["Authorization"].removeprefix("Bearer ")
    guarded.cookies.set(COOKIE, text)
    assert guarded.get(PAGE).status_code == 404
    assert _decide(guarded).status_code == 401


def test_over_tls_the_cookie_stays_on_it(service: FakeService, cabinet: Cabinet) -> None:
    text = cabinet.make("read")["Authorization"].removeprefix("Bearer ")
    with TestClient(create_app(service, keys=cabinet.ring), base_url="https://127.0.0.1") as client:
        assert "Secure" in client.post(LOGIN, data={"key": text}, follow_redirects=False).headers["set-cookie"]


@pytest.mark.parametrize("wanted", ["//elsewhere.example", "https://elsewhere.example", "/\\elsewhere.example", "javascript:alert(1)"])
def test_the_login_leads_nowhere_else(guarded: TestClient, cabinet: Cabinet, wanted: str) -> None:
    text = cabinet.make("read")["Authorization"].removeprefix("Bearer ")
    answer = guarded.post(LOGIN, data={"key": text, "next": wanted}, follow_redirects=False)
    assert answer.headers["location"] == "/"


def test_without_keys_nobody_has_to_log_in(guarded: TestClient) -> None:
    answer = guarded.post(LOGIN, data={"key": "anything", "next": "/"}, follow_redirects=False)
    assert (answer.status_code, "set-cookie" in answer.headers) == (303, False)


def test_the_api_document_says_which_scope_each_route_needs(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            scope = ROUTES[method.upper(), path]
            assert operation.get("x-scope", OPEN) == scope
            assert ({"401", "403"} <= set(operation["responses"])) == (scope != OPEN) == ("security" in operation)
