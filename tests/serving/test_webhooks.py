"""Webhook messages: signed, in order per contact, again with backoff under the same id, and at last a dead letter."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from decisioning.errors import ConfigError
from ledger.outbox import Message
from ledger.store import Ledger
from serving.feedback.errands import Errands
from serving.feedback.webhooks import MOST_ATTEMPTS, Sender, read_secrets, signature
from tests.serving.small_house import NOW, Clock

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()


class Receiver:
    """Somebody else's server: answers as it is told, and remembers what arrived."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.got: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.got.append(request)
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 0:
            raise httpx.ConnectTimeout("nobody answers")
        return httpx.Response(status)

    @property
    def ids(self) -> list[str]:
        return [one.headers["webhook-id"] for one in self.got]


class Post:
    """A ledger's outbox, a sender and a receiver."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.clock, self.receiver = ledger, Clock(), Receiver()
        self.address: str | None = "http://crm.example/hook"
        transport = httpx.MockTransport(self.receiver)
        self.sender = Sender(ledger.outbox, lambda: self.address, read_secrets(SECRET), self.clock, transport)

    def put(self, name: str, contact_id: str = "c-1") -> None:
        self.ledger.events.settle([], [Message(name, contact_id, json.dumps({"id": name}), self.clock.now)])

    def problems(self) -> dict[str, tuple[str, str | None]]:
        return {one.message.message_id: (one.state, one.problem) for one in self.ledger.outbox.listed()}


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        made = Post(ledger)
        yield made
        made.sender.close()


def test_a_message_is_signed_as_standard_webhooks_says(post: Post) -> None:
    post.put("d-1")
    assert post.sender.deliver() == 1
    (got,) = post.receiver.got
    signed = f"d-1.{int(NOW.timestamp())}.".encode() + got.content
    assert got.headers["webhook-signature"] == "v1," + base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert got.headers["content-type"] == "application/cloudevents+json"
    assert post.problems() == {"d-1": ("delivered", None)}
    assert post.sender.deliver() == 0


def test_with_two_secrets_a_message_carries_both_signatures() -> None:
    both = read_secrets(f"{SECRET} the-secret-of-last-year")
    assert both == [KEY, b"the-secret-of-last-year"]
    assert signature(both, "d-1", 7, b"{}").split() == [signature([one], "d-1", 7, b"{}") for one in both]


@pytest.mark.parametrize("text", ["", "short", "whsec_???", "whsec_" + base64.b64encode(b"short").decode()])
def test_what_protects_nothing_is_no_secret(text: str) -> None:
    with pytest.raises(ConfigError, match="NUDGE_WEBHOOK_SECRET"):
        read_secrets(text)


def test_a_receiver_that_fails_gets_the_same_message_again_later_and_the_contacts_next_one_after_it(post: Post) -> None:
    post.receiver.statuses = [500, 0, 200]
    post.put("d-1")
    post.put("d-2")
    assert (post.sender.deliver(), post.sender.deliver()) == (1, 0)
    assert post.problems()["d-1"] == ("waiting", "answered 500")
    for _ in range(3):
        post.clock.advance(seconds=10)
        post.sender.deliver()
    assert post.receiver.ids == ["d-1", "d-1", "d-1", "d-2"]


def test_one_contacts_trouble_does_not_hold_up_the_others(post: Post) -> None:
    post.receiver.statuses = [500]
    post.put("a-1", "a")
    post.sender.deliver()
    post.put("a-2", "a")
    for number in range(3):
        post.put(f"b-{number}", "b")
        post.sender.deliver()
    assert post.receiver.ids == ["a-1", "b-0", "b-1", "b-2"]


def test_after_its_last_attempt_a_message_is_a_dead_letter_and_can_be_sent_again(post: Post) -> None:
    post.receiver.statuses = [503] * MOST_ATTEMPTS
    post.put("d-1")
    for _ in range(MOST_ATTEMPTS):
        assert post.sender.deliver() == 1
        post.clock.advance(hours=2)
    assert post.problems() == {"d-1": ("dead", "answered 503")}
    assert post.ledger.outbox.resend(post.clock.now) == 1
    post.sender.deliver()
    assert post.problems() == {"d-1": ("delivered", None)}


def test_a_receiver_that_is_gone_for_good_is_not_asked_again(post: Post) -> None:
    post.receiver.statuses = [410]
    post.put("d-1")
    post.sender.deliver()
    assert post.problems() == {"d-1": ("dead", "answered 410")}


def test_a_redirect_is_no_delivery(post: Post) -> None:
    post.receiver.statuses = [302]
    post.put("d-1")
    post.sender.deliver()
    assert post.problems() == {"d-1": ("waiting", "answered 302")}


def test_without_a_webhook_everything_waits(post: Post) -> None:
    post.address = None
    post.put("d-1")
    assert post.sender.deliver() == 0
    assert post.problems() == {"d-1": ("waiting", None)}


def test_without_a_secret_nothing_is_sent_unsigned(post: Post) -> None:
    sender = Sender(post.ledger.outbox, lambda: post.address, (), post.clock, httpx.MockTransport(post.receiver))
    post.put("d-1")
    assert sender.deliver() == 0
    sender.close()
    assert post.receiver.got == []


def test_a_sender_that_was_killed_in_the_middle_delivers_again_under_the_same_id(post: Post) -> None:
    post.put("d-1")
    post.ledger.outbox.take(post.clock.now, lease=timedelta(minutes=1), limit=5)  # taken, and never heard of again
    assert post.sender.deliver() == 0
    post.clock.advance(minutes=2)
    post.sender.deliver()
    assert post.receiver.ids == ["d-1"]


def test_errands_go_on_after_one_that_fails_and_end_when_they_are_stopped() -> None:
    done: list[str] = []

    def catch_up(*, at_start: bool = False) -> int:
        done.append(f"caught up {at_start}")
        raise ValueError("one bad event")

    errands = Errands(catch_up, lambda: done.append("delivered") or 0)
    errands.start()
    while len(done) < 2:
        time.sleep(0.001)
    errands.stop()
    assert done[:2] == ["caught up True", "delivered"]
