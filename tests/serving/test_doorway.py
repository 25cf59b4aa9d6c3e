"""Whoever comes to a crowded desk is turned away by the protocol of the server, with the very answer that the application gives."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import uvicorn

from ledger.keys import ApiKey
from serving.app import SERVER_OPTIONS, create_app
from serving.http.api_keys import KeyRing, new_key
from serving.http.desk import Desk, Patience
from serving.http.doorway import LARGEST_BODY
from tests.serving.fake_service import FakeService

NOW = datetime(2026, 11, 27, tzinfo=UTC)
SHOP, SHOP_KEY = new_key("shop", ["decide"], NOW)
READER, READER_KEY = new_key("reader", ["read"], NOW)
BODY = b'{"contact_id": "c-1"}'
HEAD = b"POST /v1/decisions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


@dataclass
class House:
    """A server, and what of its requests has come to the application."""

    server: uvicorn.Server
    port: int
    desk: Desk
    service: FakeService
    came: list[str] = field(default_factory=list)

    def crowd(self) -> None:
        self.desk._waiting = 100
        self.desk._pace.note(10, 0.1)

    def post(self, body: dict[str, Any], path: str = "/v1/decisions", **more: Any) -> httpx.Response:
        return httpx.post(f"http://127.0.0.1:{self.port}{path}", json=body, timeout=30, **more)

    def call(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)


@contextmanager
def serving(keys: Sequence[ApiKey] = (), **options: Any) -> Iterator[House]:
    service = FakeService()
    app = create_app(service, patience=Patience(seconds=0.0001), keys=KeyRing(lambda: keys, lambda: NOW))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", **{**SERVER_OPTIONS, **options}))
    front = app.front
    assert front is not None
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        house = House(server, listening.getsockname()[1], app.state.desk, service)

        async def watched(scope: Any, receive: Any, send: Any) -> None:
            house.came += [scope["path"]] if scope["type"] == "http" else []
            await front(scope, receive, send)

        app.front = watched
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        wait_for(lambda: server.started)
        try:
            yield house
        finally:
            house.desk._waiting = 0
            server.should_exit = True
            thread.join()


def wait_for(true: Callable[[], bool]) -> None:
    last = time.monotonic() + 30
    while not true():
        assert time.monotonic() < last
        time.sleep(0.01)


def answers(caller: socket.socket, count: int) -> list[tuple[bytes, bytes]]:
    """Head and body of so many answers on one connection."""
    came, found = b"", []
    while len(found) < count:
        head, end, rest = came.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]) if end else 0
        if end and len(rest) >= length:
            found.append((head, rest[:length]))
            came = rest[length:]
        else:
            data = caller.recv(65_536)
            assert data, f"the server hung up after {came!r}"
            came += data
    return found


def test_a_refusal_at_the_door_is_the_one_of_the_application_which_hears_nothing_of_it() -> None:
    with serving() as house:
        house.crowd()
        at_the_door = house.post({"contact_id": "c-1"})
        assert house.came == []
    with serving(http="httptools") as house:  # uvicorn's own protocol
        house.crowd()
        within = house.post({"contact_id": "c-1"})
        assert house.came == ["/v1/decisions"]
    assert at_the_door.status_code == within.status_code == 429
    assert at_the_door.json() == within.json()
    ours, theirs = ({**one.headers, "date": ""} for one in (at_the_door, within))
    assert ours == theirs and ours["retry-after"] == "1"


def test_who_is_turned_away_is_counted() -> None:
    with serving() as house:
        house.crowd()
        house.service.tally.take_calls()
        house.post({"contact_id": "c-1"})
        (call,) = house.service.tally.take_calls()
    assert (call.method, call.route, call.status) == ("POST", "/v1/decisions", 429) and 0.0 < call.seconds < 30.0


def test_who_says_how_long_he_waits_and_who_asks_for_something_else_comes_in() -> None:
    with serving() as house:
        house.crowd()
        assert house.post({"contact_id": "c-1", "deadline_ms": 60_000}).status_code == 200
        assert house.post({"contact_id": "c-1"}, headers={"Content-Type": "text/plain"}).status_code == 415
        house.post([{"contact_id": "c-1"}], path="/v1/decisions:batch")  # type: ignore[arg-type]
        assert httpx.get(f"http://127.0.0.1:{house.port}/health/live").status_code == 200
        assert house.came == ["/v1/decisions", "/v1/decisions", "/v1/decisions:batch", "/health/live"]


def test_at_a_desk_that_is_not_crowded_everybody_comes_in() -> None:
    with serving() as house:
        assert house.post({"contact_id": "c-1"}).status_code == 200
        assert house.came == ["/v1/decisions"]


@pytest.mark.parametrize(
    ("key", "status"), [("", 401), ("nudge_00_wrong", 401), (READER, 403), (SHOP, 429)], ids=["none", "unknown", "reader's", "shop's"]
)
def test_who_has_no_key_that_opens_it_does_not_learn_that_the_desk_is_crowded(key: str, status: int) -> None:
    with serving([SHOP_KEY, READER_KEY]) as house:
        house.crowd()
        assert house.post({"contact_id": "c-1"}, headers={"Authorization": f"Bearer {key}"} if key else {}).status_code == status


def test_without_keys_a_name_that_is_not_this_machines_is_refused_as_ever() -> None:
    with serving() as house:
        house.crowd()
        assert house.post({"contact_id": "c-1"}, headers={"Host": "shop.example"}).status_code == 403


def test_a_connection_lives_through_refusals_and_ends_where_its_caller_says_so() -> None:
    length = b"Content-Length: %d\r\n" % len(BODY)
    with serving(timeout_keep_alive=90) as house:
        house.crowd()
        with house.call() as caller:
            caller.sendall(2 * (HEAD + length + b"\r\n" + BODY))
            for head, body in answers(caller, 2):
                assert head.startswith(b"HTTP/1.1 429 ") and b"connection:" not in head and json.loads(body)["status"] == 429
            caller.sendall(HEAD + length + b"Connection: close\r\n\r\n" + BODY)
            ((head, _),) = answers(caller, 1)
            assert b"\r\nconnection: close" in head and caller.recv(1) == b""
        assert house.came == []
        with house.call() as caller:
            caller.sendall(HEAD + length + b"\r\n" + BODY)
            answers(caller, 1)
            house.desk._waiting = 0
            caller.sendall(HEAD + length + b"\r\n" + BODY)
            ((head, _),) = answers(caller, 1)
            assert head.startswith(b"HTTP/1.1 200 ")


def test_what_comes_in_pieces_is_refused_when_it_is_whole() -> None:
    with serving() as house:
        house.crowd()
        with house.call() as caller:
            caller.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY[:5])
            caller.settimeout(0.1)
            with pytest.raises(TimeoutError):
                caller.recv(1)
            caller.settimeout(30)
            caller.sendall(BODY[5:])
            assert answers(caller, 1)[0][0].startswith(b"HTTP/1.1 429 ")
        assert house.came == []


@pytest.mark.parametrize("header", [b"Content-Length: %d\r\n" % (LARGEST_BODY + 1), b"Transfer-Encoding: chunked\r\n"])
def test_what_may_be_large_is_not_held(header: bytes) -> None:
    with serving() as house:
        house.crowd()
        with house.call() as caller:
            caller.sendall(HEAD + header + b"\r\n")
            wait_for(lambda: house.came == ["/v1/decisions"])


def test_what_is_held_when_the_server_stops_is_answered() -> None:
    with serving() as house:
        house.crowd()
        with house.call() as caller:
            caller.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY[:5])
            wait_for(lambda: any(getattr(one, "_held", None) for one in house.server.server_state.connections))
            house.server.should_exit = True
            wait_for(lambda: house.came == ["/v1/decisions"])
            caller.sendall(BODY[5:])
            assert answers(caller, 1)[0][0].startswith(b"HTTP/1.1 429 ")


def request(body: bytes = BODY, *more: bytes, version: bytes = b"1.1") -> bytes:
    return HEAD.replace(b"1.1", version) + b"".join(more) + b"Content-Length: %d\r\n\r\n" % len(body) + body


def test_a_connection_of_the_first_http_ends_with_the_answer() -> None:
    with serving(timeout_keep_alive=90) as house:
        house.crowd()
        with house.call() as caller:
            caller.sendall(request(BODY, b"Connection: keep-alive\r\n", version=b"1.0"))
            ((head, _),) = answers(caller, 1)
            assert head.startswith(b"HTTP/1.1 429 ") and b"\r\nconnection: close" in head and caller.recv(1) == b""


def test_whose_request_is_whole_when_the_desk_is_free_again_is_decided() -> None:
    with serving() as house:
        house.crowd()
        with house.call() as caller:
            caller.sendall(request()[:-5])
            wait_for(lambda: any(getattr(one, "_held", None) for one in house.server.server_state.connections))
            house.desk._waiting = 0
            caller.sendall(request()[-5:])
            assert answers(caller, 1)[0][0].startswith(b"HTTP/1.1 200 ")


def test_who_came_after_a_refusal_keeps_his_connection_until_he_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    decide_many = FakeService.decide_many

    def slow(service: FakeService, *args: Any, **options: Any) -> Any:
        time.sleep(0.5)
        return decide_many(service, *args, **options)

    monkeypatch.setattr(FakeService, "decide_many", slow)
    with serving(timeout_keep_alive=0.05) as house:
        house.crowd()
        with house.call() as caller:
            caller.sendall(request() + request(b'{"contact_id": "c-1", "deadline_ms": 60000}'))
            (first, _), (second, _) = answers(caller, 2)
        assert first.startswith(b"HTTP/1.1 429 ") and second.startswith(b"HTTP/1.1 200 ")


def test_who_reads_no_answers_is_not_read_either() -> None:
    with serving() as house:
        house.crowd()
        with house.call() as caller:
            caller.settimeout(1.0)
            with pytest.raises(TimeoutError):
                caller.sendall(100_000 * request())
            (waiting,) = house.server.server_state.connections
            assert waiting.transport.get_write_buffer_size() < 1_000_000
