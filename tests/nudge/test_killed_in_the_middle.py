"""`nudge serve` is killed in the middle of outcomes, of events and of webhook delivery: after a restart and a retry each counts once."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from ledger.store import Ledger
from nudge.ground.workspace import Workspace
from tests.nudge.shops import CATALOG, CONTACTS, Shop
from tests.nudge.test_live_server import serving

OUTCOMES, EVENTS = 10_000, 60
AT_ONCE = {"/v1/outcomes": 200, "/v1/events": 20}
PAST = """SELECT 'c-' || i % 50 AS contact_id, 'cart' AS event_type, 10.0 AS value, 'web' AS channel, 'in-' || i AS event_id,
  now()::TIMESTAMP - INTERVAL 20 DAY + INTERVAL 1 HOUR * i AS occurred_at FROM range(300) r(i)"""


class Receiver:
    """The other end of the webhook: every second attempt fails, and every message is remembered."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str]] = []
        self._tried: Counter[str] = Counter()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(receiver.answer(self.headers["webhook-id"], httpx.Response(200, content=body).json()))
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing on the test's screen."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/hook"

    def answer(self, message_id: str, body: dict[str, Any]) -> int:
        self._tried[message_id] += 1
        if len(self._tried) % 4 == 0 and self._tried[message_id] == 1:
            return 500
        self.got.append((body["subject"], message_id))
        return 200

    def first_arrivals(self) -> dict[str, list[str]]:
        """Message ids by contact, in the order in which they first came."""
        found: dict[str, list[str]] = {}
        for contact_id, message_id in dict.fromkeys(self.got):
            found.setdefault(contact_id, []).append(message_id)
        return found


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


def _outcomes() -> list[dict[str, Any]]:
    return [{"event_id": f"o-{n}", "contact_id": f"c-{n % 40}", "outcome": "sale", "value": 2.0} for n in range(OUTCOMES)]


def _events() -> list[dict[str, Any]]:
    return [{"event_id": f"e-{n}", "contact_id": f"c-{n % 6}", "event_type": "cart", "value": 1.0} for n in range(EVENTS)]


def _send(address: str, path: str, items: list[dict[str, Any]], done: threading.Event | None = None) -> Counter[str]:
    """Send everything in small calls, until the server is gone."""
    counted: Counter[str] = Counter()
    with httpx.Client(base_url=address, timeout=30) as client:
        for start in range(0, len(items), AT_ONCE[path]):
            try:
                answer = client.post(path, json=items[start : start + AT_ONCE[path]])
            except httpx.TransportError:
                break
            assert answer.status_code == 202, answer.text
            counted.update(accepted=answer.json()["accepted"], duplicates=answer.json()["duplicates"])
            if done is not None and counted["accepted"] >= len(items) // 3:
                done.set()
    return counted


def test_killed_in_the_middle_everything_counts_once_after_a_retry(shop: Shop, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUDGE_WEBHOOK_SECRET", "a-secret-for-this-test-alone")
    triggers = [{"id": "cart", "event_type": "cart", "actions": ["loan"]}]
    catalog = {**CATALOG, "triggers": triggers, "triggers_webhook": receiver.address}
    shop.write(catalog=catalog, sources={"contacts": CONTACTS, "events": PAST})
    assert shop.run("ingest").code == 0
    with serving(shop.folder) as (address, process):
        third = {path: threading.Event() for path in ("/v1/outcomes", "/v1/events")}
        items = {"/v1/outcomes": _outcomes(), "/v1/events": _events()}
        senders = [threading.Thread(target=_send, args=(address, path, items[path], third[path])) for path in items]
        for one in senders:
            one.start()
        assert all(event.wait(60) for event in third.values())
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)
        for one in senders:
            one.join()
    with serving(shop.folder) as (address, _):
        for path, some in items.items():
            counted = _send(address, path, some)
            assert counted["accepted"] + counted["duplicates"] == len(some)
            assert counted["duplicates"] >= len(some) // 3
        _await_delivery(shop, len(items["/v1/events"]))
    _everything_counts_once(shop, receiver)


def _await_delivery(shop: Shop, messages: int) -> None:
    with Workspace.open(shop.folder).open_ledger() as ledger:
        for _ in range(1_500):  # what the killed server had taken is free after a minute
            if ledger.outbox.counts()["delivered"] == messages:
                return
            threading.Event().wait(0.1)
        raise AssertionError(f"never delivered: {ledger.outbox.counts()}")


def _everything_counts_once(shop: Shop, receiver: Receiver) -> None:
    workspace = Workspace.open(shop.folder)
    with workspace.open_ledger() as ledger:
        assert sum(one.value or 0.0 for n in range(40) for one in ledger.outcomes_of(f"c-{n}", 1_000)) == 2.0 * OUTCOMES
        assert ledger.verify().intact
        _each_contacts_messages_came_in_order(ledger, receiver)
    columns, _ = workspace.open_door().online([f"c-{n}" for n in range(6)])
    assert columns["purchase_value_365d"].tolist() == [6 * 10.0 + EVENTS / 6] * 6


def _each_contacts_messages_came_in_order(ledger: Ledger, receiver: Receiver) -> None:
    sent: dict[str, list[str]] = {}
    for one in reversed(ledger.outbox.listed(limit=1_000)):
        sent.setdefault(one.message.contact_id, []).append(one.message.message_id)
    assert receiver.first_arrivals() == sent
    assert {len(some) for some in sent.values()} == {EVENTS // 6}
