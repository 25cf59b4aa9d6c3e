"""The application behind a real server: large uploads, memory and headers."""

from __future__ import annotations

import gc
import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator

import httpx
import pytest
import uvicorn

from serving.app import SERVER_OPTIONS, create_app, settle
from tests.serving.fake_service import FakeService

MEGABYTE = 1_000_000
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(FakeService()), log_level="warning", **SERVER_OPTIONS))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join()


def _upload() -> Iterator[bytes]:
    for _ in range(50):
        yield b" " * MEGABYTE


@pytest.mark.parametrize("announced", [True, False])
def test_fifty_megabytes_are_refused_and_never_held(address: str, announced: bool) -> None:
    headers = {**JSON, "Content-Length": str(50 * MEGABYTE)} if announced else JSON
    tracemalloc.start()
    answer = httpx.post(f"{address}/v1/outcomes", content=_upload(), headers=headers, timeout=30)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert peak < 15 * MEGABYTE


def test_a_caller_that_hangs_up_midway_harms_nobody(address: str) -> None:
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as caller:
        caller.sendall(b"POST /v1/outcomes HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n[")
    assert httpx.get(f"{address}/health/live").status_code == 200


def test_an_answer_does_not_say_which_server_it_comes_from(address: str) -> None:
    answer = httpx.post(f"{address}/v1/decisions", json={"contact_id": "c-1"})
    assert answer.status_code == 200
    assert "server" not in answer.headers


def test_what_is_loaded_when_a_server_starts_is_spared_all_later_collections(address: str) -> None:
    assert httpx.get(f"{address}/health/live").status_code == 200
    spared = gc.get_freeze_count()
    assert spared > 50_000
    newcomer: list[object] = []
    settle()
    assert any(one is newcomer for one in gc.get_objects()), "what comes later must be collected as ever"
    assert gc.get_freeze_count() <= spared
