"""Contact events in the ledger: each counts once, stays open until it is settled, is a link of the chain, and goes with its contact."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from ledger.events import EventRecord
from ledger.outbox import Message
from ledger.store import Ledger
from tests.ledger.conftest import DAY, NOW, made_earlier

EVENT = EventRecord("e-1", "c-1", "cart_abandoned", NOW - DAY, NOW, 120.5, "web", "s-1", "page-7", "v-1", {"items": 3, "coupon": None})


def event(event_id: str = "e-1", **changes: Any) -> EventRecord:
    return replace(EVENT, event_id=event_id, **changes)


def message(name: str, contact_id: str = "c-1") -> Message:
    return Message(f"m-{name}", contact_id, f'{{"about":"{name}"}}', NOW)


def _open_ids(ledger: Ledger) -> list[str]:
    return [one.record.event_id for one in ledger.events.open_before(NOW + DAY, 10)]


def test_an_event_comes_back_as_it_was_written(ledger: Ledger) -> None:
    assert ledger.events.record([EVENT]) == ["accepted"]
    assert ledger.events.of_contact("c-1", 5) == [EVENT]
    assert ledger.verify().intact


def test_the_first_arrival_of_an_event_id_holds_and_the_others_are_duplicates(ledger: Ledger) -> None:
    words = ledger.events.record([event("e-1", value=1.0), event("e-2"), event("e-1", value=2.0)])
    assert words == ["accepted", "accepted", "duplicate"]
    assert ledger.events.record([event("e-1", contact_id="c-2")]) == ["duplicate"]
    assert {one.event_id: one.value for one in ledger.events.of_contact("c-1", 5)} == {"e-1": 1.0, "e-2": 120.5}


def test_an_event_sent_by_many_at_once_is_accepted_once(url: str, ledger: Ledger) -> None:
    with Ledger.open(url) as another, ThreadPoolExecutor(8) as pool:
        words = list(pool.map(lambda each: each.events.record([EVENT])[0], [ledger, another] * 8))
    assert words.count("accepted") == 1
    assert ledger.verify().intact


def test_an_accepted_event_is_open_until_it_is_settled_and_its_messages_go_with_it(ledger: Ledger) -> None:
    ledger.events.record([event("e-1"), event("e-2", received_at=NOW + DAY / 2)], {"c-1": {"near": False}})
    assert _open_ids(ledger) == ["e-1", "e-2"]
    assert [one.record.event_id for one in ledger.events.open_before(NOW + DAY / 4, 10)] == ["e-1"]
    assert ledger.events.open_among(["e-2", "e-9"])[0].before == {"near": False}
    ledger.events.settle(["e-1"], [message("a")])
    ledger.events.settle(["e-1"], [message("a")])
    assert _open_ids(ledger) == ["e-2"]
    assert ledger.outbox.counts() == {"waiting": 1, "delivered": 0, "dead": 0}
    assert [[one.event_id for one in page] for page in ledger.events.settled_pages(10)] == [["e-1"]]


def test_an_event_that_is_changed_behind_the_ledgers_back_shows(ledger: Ledger, url: str) -> None:
    ledger.events.record([event("e-1"), event("e-2")])
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as conn:
        conn.execute(text("UPDATE events SET extra = '{}' WHERE event_id = 'e-2'"))
    engine.dispose()
    verdict = ledger.verify()
    assert verdict.first_bad is not None
    assert (verdict.first_bad.key, verdict.first_bad.what) == ("e-2", "its contact, features or trace were changed")


def test_events_of_an_erased_contact_are_nobodys_and_the_sums_and_the_chain_stay(ledger: Ledger) -> None:
    ledger.events.record([event("e-1"), event("c-1/e-2"), event("e-3", contact_id="c-2")])
    ledger.events.settle([], [message("a"), message("b", "c-2")])
    done = ledger.erase("c-1", NOW)
    assert (done.counts["events"], done.counts["webhook_messages"]) == (2, 1)
    assert _open_ids(ledger) == ["e-3"]
    assert ledger.held("c-1") == {}
    ghosts = ledger.events.of_contact(done.tombstone, 5)
    assert [one.value for one in ghosts] == [120.5, 120.5]
    assert all(one.session_id is None and one.extra == {} and "c-1" not in one.event_id for one in ghosts)
    assert ledger.verify().intact
    assert ledger.events.record([event("e-1")]) == ["duplicate"]


def test_what_a_visitor_did_is_the_contacts_once_they_are_joined(ledger: Ledger) -> None:
    ledger.events.record([event("e-1", contact_id="v-1")])
    ledger.events.settle([], [message("a", "v-1")])
    ledger.join_identity("v-1", "c-1", NOW)
    assert [one.contact_id for one in ledger.events.of_contact("c-1", 5)] == ["c-1"]
    held = ledger.held("c-1")
    assert (held["events"][0]["extra"], held["webhook_messages"][0]["body"]) == ({"items": 3, "coupon": None}, {"about": "a"})
    assert ledger.verify().intact


def test_old_events_go_by_age_and_the_chain_still_holds(ledger: Ledger) -> None:
    ledger.events.record([event(f"e-{n}", occurred_at=NOW - n * DAY) for n in range(10)])
    assert ledger.remove_before(NOW - 4.5 * DAY, NOW) == {"decisions": 0, "outcomes": 0, "events": 5, "leads": 0}
    assert len(ledger.events.of_contact("c-1", 20)) == len(_open_ids(ledger)) == 5
    assert ledger.verify().intact


def test_a_ledger_of_before_events_gets_their_tables_and_their_streams(tmp_path: Path, sqlite_url: str) -> None:
    Ledger.open(sqlite_url).close()
    with sqlite3.connect(tmp_path / "ledger.db") as raw:
        for table in ("open_events", "events", "webhook_messages"):
            raw.execute(f"DROP TABLE {table}")
        raw.execute("DELETE FROM chain_heads WHERE stream LIKE 'events/%'")
        made_earlier(raw, 3)
    raw.close()
    with Ledger.open(sqlite_url) as ledger:
        assert ledger.events.record([EVENT]) == ["accepted"]
        assert ledger.verify().intact


MINUTE = timedelta(minutes=1)


def _taken(ledger: Ledger, at: int = 0) -> list[str]:
    return [one.message.message_id for one in ledger.outbox.take(NOW + at * MINUTE, lease=MINUTE, limit=10)]


def test_a_contacts_messages_go_one_after_another_and_others_do_not_wait(ledger: Ledger) -> None:
    ledger.events.settle([], [message("a1"), message("a2"), message("b1", "c-2")])
    assert _taken(ledger) == ["m-a1", "m-b1"]
    assert _taken(ledger) == []
    ledger.outbox.delivered("m-a1", NOW)
    assert _taken(ledger) == ["m-a2"]


def test_a_message_whose_sender_died_is_free_again_when_its_lease_is_over(ledger: Ledger) -> None:
    ledger.events.settle([], [message("a1"), message("a2")])
    assert _taken(ledger) == ["m-a1"]
    (again,) = ledger.outbox.take(NOW + 2 * MINUTE, lease=MINUTE, limit=10)
    assert (again.message.message_id, again.attempts) == ("m-a1", 2)


def test_a_message_that_failed_waits_and_its_contacts_next_one_waits_with_it(ledger: Ledger) -> None:
    ledger.events.settle([], [message("a1"), message("a2")])
    _taken(ledger)
    ledger.outbox.failed("m-a1", "answered 500", again_at=NOW + 5 * MINUTE)
    assert _taken(ledger, 4) == []
    assert _taken(ledger, 5) == ["m-a1"]


def test_a_dead_letter_lets_the_next_one_go_and_can_be_sent_again(ledger: Ledger) -> None:
    ledger.events.settle([], [message("a1"), message("a2")])
    _taken(ledger)
    ledger.outbox.give_up("m-a1", "answered 500", NOW)
    assert [(one.message.message_id, one.problem) for one in ledger.outbox.listed(state="dead")] == [("m-a1", "answered 500")]
    assert _taken(ledger) == ["m-a2"]
    assert ledger.outbox.resend(NOW, "m-a2") == 0  # on its way
    assert ledger.outbox.resend(NOW) == 1
    assert _taken(ledger, 2) == ["m-a1"]


def test_two_senders_never_take_the_same_message(url: str, ledger: Ledger) -> None:
    ledger.events.settle([], [message(str(n), f"c-{n}") for n in range(40)])
    with Ledger.open(url) as another, ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(_taken, [ledger, another] * 4))
    names = [name for some in taken for name in some]
    assert len(names) == len(set(names)) == 40
