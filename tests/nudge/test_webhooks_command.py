"""`nudge webhooks`: what waits and what was given up, and sending again; and that nothing is served unsigned."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from decisioning.errors import ConfigError
from ledger.outbox import Message
from nudge.ground.workspace import Workspace
from nudge.server import serve
from tests.nudge.shops import CATALOG, Shop

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


@pytest.fixture
def posted(shop: Shop) -> Shop:
    """A shop with one message that waits and one that was given up."""
    with Workspace.open(shop.folder).open_ledger() as ledger:
        ledger.events.settle([], [Message("d-1", "c-1", "{}", NOW), Message("d-2", "c-2", "{}", NOW)])
        ledger.outbox.take(NOW, lease=timedelta(minutes=1), limit=1)
        ledger.outbox.give_up("d-1", "answered 500", NOW)
    return shop


def test_messages_are_listed_with_what_the_last_attempt_met(posted: Shop) -> None:
    document = posted.run("webhooks", "list").document
    assert document["counts"] == {"waiting": 1, "delivered": 0, "dead": 1}
    (dead,) = posted.run("webhooks", "list", "--dead").document["messages"]
    assert (dead["message_id"], dead["attempts"], dead["problem"]) == ("d-1", 1, "answered 500")
    assert "answered 500" in posted.run("webhooks", "list", json_output=False).out


def test_dead_letters_are_put_back_one_or_all(posted: Shop) -> None:
    assert posted.run("webhooks", "resend", "--all-dead").document == {"resent": 1}
    assert posted.run("webhooks", "list").document["counts"]["waiting"] == 2
    again = posted.run("webhooks", "resend", "d-1")
    assert (again.code, "no such message was delivered or given up" in again.err) == (1, True)
    assert posted.run("webhooks", "resend").code == 2


def test_a_webhook_without_a_secret_is_not_served(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUDGE_WEBHOOK_SECRET", raising=False)
    shop.write(catalog={**CATALOG, "triggers_webhook": "https://crm.example/nudge"})
    with pytest.raises(ConfigError, match="triggers_webhook: .*NUDGE_WEBHOOK_SECRET is not set"):
        serve(Workspace.open(shop.folder), host="127.0.0.1", port=0, workers=1)
