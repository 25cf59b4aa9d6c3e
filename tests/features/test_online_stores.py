"""Packed vectors in SQLite and in Redis: the same laws for both, on real servers."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from decisioning.errors import ConfigError, Conflict, Unavailable
from features.online import Change, Kept, Materialised, OnlineVectors, Stored, contact_of, key_of
from features.online_redis_client import redis_settings
from features.online_sqlite import SqliteVectors
from tests.redis_server import RedisServer

Open = Callable[[], OnlineVectors]
NUMBERS = itertools.count()


@pytest.fixture(params=["sqlite", "redis"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens one and the same empty store, again and again, as another process would."""
    if request.param == "sqlite":
        return lambda: SqliteVectors(tmp_path / "online.db", "shop_contact_features")
    server: RedisServer = request.getfixturevalue("redis")
    return redis_opener(server)


def redis_opener(server: RedisServer) -> Open:
    from features.online_redis import RedisVectors

    project = f"shop*[{next(NUMBERS)}]"  # with signs that mean something in a pattern of keys
    return lambda: RedisVectors(server.address, project)


def about(version: int) -> Materialised:
    return Materialised(as_of=version, contract_hash="abc", contacts=3, materialized_at=version + 1)


def everybody(store: OnlineVectors, size: int) -> tuple[dict[str, tuple[bytes, bytes | None]], int]:
    """Everybody in pages of `size`, and how long the longest page was."""
    pages = list(store.pages(size))
    return {contact_of(key): (vector, recent) for page in pages for key, vector, recent in page}, max(map(len, pages), default=0)


def rows(text: str, contacts: int = 3) -> list[list[Stored]]:
    return [[(b"c%d" % number, f"{text}{number}".encode(), b"0") for number in range(contacts)]]


def nothing(note: bytes) -> None:
    """Every noted event is known to the data."""


def count(kept: Kept) -> Kept:
    """One more."""
    return Kept(kept.vector or b"new", b"%d" % (int(kept.recent or b"0") + 1))


def counts_of(store: OnlineVectors, contact_id: str) -> int:
    """What `count` has counted."""
    found: list[bytes] = []

    def look(kept: Kept) -> None:
        found.append(kept.recent or b"0")

    store.change(contact_id, look, b"")
    return int(found[-1])


def test_contacts_come_back_in_the_order_asked_and_nobody_is_none(opened: Open) -> None:
    store = opened()
    assert store.replace(rows("a"), about(1), nothing) == 3
    assert opened().read(["c2", "nobody", "c0", "c2", ""]) == [b"a2", None, b"a0", b"a2", None]
    assert opened().read(["c1"]) == [b"a1"]
    assert opened().read([]) == []
    assert opened().current() == about(1)


def test_an_id_of_any_text_is_found_again(opened: Open) -> None:
    names = ["", "zażółć 🤝", "a\x00b", "a", "'; DROP TABLE", "*", "\ud800", "x" * 5000]
    store = opened()
    store.replace([[(key_of(name), name.encode("utf-8", "replace") + b"!", None) for name in names]], about(1), nothing)
    assert store.read(names) == [name.encode("utf-8", "replace") + b"!" for name in names]


def test_a_store_that_was_never_filled_holds_nothing(opened: Open) -> None:
    store = opened()
    assert store.current() is None
    store.replace([], about(1), nothing)
    assert store.read(["c0"]) == [None]
    store.clear()
    assert store.current() is None
    assert store.read(["c0"]) == [None]


def test_a_reader_of_many_sees_one_version_whole(opened: Open) -> None:
    contacts, store, reading = 2500, opened(), opened()
    asked, seen, done = [f"c{number}" for number in range(contacts)], set[bytes | None](), threading.Event()
    store.replace(rows("a", contacts), about(1), nothing)

    def read_on() -> None:
        while not done.is_set():
            vectors = reading.read(asked)
            assert len({None if vector is None else vector[:1] for vector in vectors}) == 1
            seen.add(vectors[0])

    with ThreadPoolExecutor() as pool:
        reader = pool.submit(read_on)
        for text in "bcd":
            store.replace(rows(text, contacts), about(2), nothing)
        done.set()
        reader.result()
    assert seen <= {b"a0", b"b0", b"c0", b"d0"}
    assert reading.read(["c7"]) == [b"d7"]


def test_a_version_that_is_not_finished_is_never_seen_and_swept_away_by_the_next(opened: Open) -> None:
    store = opened()
    store.replace(rows("a"), about(1), nothing)

    def half() -> Iterator[list[Stored]]:
        yield [(b"c0", b"half", None), (b"only half", b"half", None)]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.replace(half(), about(2), nothing)
    assert (opened().read(["c0", "only half"]), opened().current()) == ([b"a0", None], about(1))
    opened().replace(rows("b"), about(3), nothing)
    assert opened().read(["c0", "only half"]) == [b"b0", None]


def test_of_two_who_write_a_version_the_one_that_began_last_counts(opened: Open) -> None:
    store = opened()

    def overtaken() -> Iterator[list[Stored]]:
        yield rows("slow")[0]
        opened().replace(rows("fast"), about(2), nothing)
        yield [(b"late", b"slow", None)]

    with pytest.raises(Conflict, match="another process"):
        store.replace(overtaken(), about(1), nothing)
    assert opened().read(["c0", "late"]) == [b"fast0", None]
    assert opened().current() == about(2)


def test_a_contact_who_is_no_longer_given_is_gone(opened: Open) -> None:
    store = opened()
    store.replace(rows("a", 3), about(1), nothing)
    store.replace(rows("b", 2), about(2), nothing)
    assert store.read(["c0", "c2"]) == [b"b0", None]


def test_changes_at_once_to_one_contact_lose_none(opened: Open) -> None:
    store = opened()
    store.replace(rows("a"), about(1), nothing)

    def change_on(_: int) -> None:
        own = opened()
        for _ in range(25):
            assert own.change("c0", count, b"note")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(change_on, range(4)))
    assert counts_of(opened(), "c0") == 100


def test_a_change_of_a_contact_nobody_knows_makes_one_and_no_change_makes_nothing(opened: Open) -> None:
    store = opened()
    store.replace(rows("a"), about(1), nothing)
    assert not store.change("new", lambda kept: None, b"")
    assert store.read(["new"]) == [None]
    assert store.change("new", count, b"")
    assert store.read(["new", "c0"]) == [b"new", b"a0"]


def test_a_change_that_fails_changes_nothing_and_blocks_nobody(opened: Open) -> None:
    store = opened()
    store.replace(rows("a"), about(1), nothing)

    def fail(kept: Kept) -> Kept:
        raise ValueError

    with pytest.raises(ValueError):
        store.change("c0", fail, b"")
    assert store.change("c0", count, b"")
    assert counts_of(opened(), "c0") == 1


def test_before_the_first_version_there_is_nothing_to_change(opened: Open) -> None:
    with pytest.raises(Unavailable, match="run nudge features materialize"):
        opened().change("c0", count, b"")


def test_what_was_noted_comes_along_into_a_new_version_even_while_it_is_written(opened: Open) -> None:
    store, events = opened(), opened()
    store.replace(rows("a"), about(1), nothing)
    for note in (b"known", b"c1", b"c1"):
        events.change("c1", count, note)

    def meanwhile() -> Iterator[list[Stored]]:
        yield rows("b")[0]
        events.change("c2", count, b"c2")

    taken: list[bytes] = []

    def carried(note: bytes) -> tuple[str, Change] | None:
        taken.append(note)
        if len(taken) == 2:
            events_arrive_while_notes_are_taken()
        return None if note == b"known" else (note.decode(), count)

    def events_arrive_while_notes_are_taken() -> None:
        if not isinstance(store, SqliteVectors):  # SQLite has one writer at a time: they wait
            events.change("c0", count, b"c0")

    store.replace(meanwhile(), about(2), carried)
    assert opened().read(["c0", "c1", "c2"]) == [b"b0", b"b1", b"b2"]
    expected = 0 if isinstance(store, SqliteVectors) else 1
    assert [counts_of(opened(), contact) for contact in ("c0", "c1", "c2")] == [expected, 2, 1]
    again: list[bytes] = []
    store.replace(rows("c"), about(3), again.append)
    assert again == [b"c1", b"c1", b"c2", *[b"c0"] * expected]


def test_feasts_own_writing_fills_an_empty_store_and_keeps_what_happened(opened: Open) -> None:
    store = opened()
    store.write([("c0", b"first")], about(1))
    assert (store.read(["c0"]), store.current()) == ([b"first"], about(1))
    store.replace(rows("a"), about(2), nothing)
    store.change("c0", count, b"")
    store.write([("c0", b"second"), ("new", b"second")], about(3))
    assert (store.read(["c0", "new", "c1"]), store.current()) == ([b"second", b"second", b"a1"], about(2))
    assert counts_of(store, "c0") == 1


# --- a server that goes away ----------------------------------------------------------------------------------------------------------


def test_a_server_that_is_gone_is_said_at_once_and_found_again_by_itself(redis: RedisServer) -> None:
    store = redis_opener(redis)()
    store.replace(rows("a"), about(1), nothing)
    redis.stop()
    begun = time.monotonic()
    with pytest.raises(Unavailable, match="cannot be read"):
        store.read(["c0"])
    assert time.monotonic() - begun < 4.0  # the client by itself would try again for eight seconds, and hold everybody up
    with pytest.raises(Unavailable, match="a moment ago"):
        store.read(["c0"])
    redis.start()
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            assert store.read(["c0"]) == [b"a0"]
            break
        except Unavailable:
            time.sleep(0.05)
    assert store.read(["c0"]) == [b"a0"]
    assert store.change("c0", count, b"")


def test_a_server_that_was_started_again_is_not_noticed_by_a_reader_who_did_not_ask_meanwhile(redis: RedisServer) -> None:
    store = redis_opener(redis)()
    store.replace(rows("a"), about(1), nothing)
    redis.stop()
    redis.start()
    assert store.read(["c0"]) == [b"a0"]


def test_a_server_that_never_answers_costs_a_bounded_wait(redis: RedisServer) -> None:
    store = redis_opener(redis)()
    store.replace(rows("a"), about(1), nothing)
    redis.stop(frozen=True)
    try:
        with pytest.raises(Unavailable, match="TimeoutError"):
            store.read(["c0"])
    finally:
        redis.thaw()


def test_a_connection_string_is_a_url_or_feasts_own() -> None:
    pytest.importorskip("redis")
    wait = {"socket_timeout": 0.25, "socket_connect_timeout": 0.25}
    assert redis_settings("h:1,db=2,password=x=y,ssl=true") == wait | {"host": "h", "port": 1, "db": 2, "password": "x=y", "ssl": True}
    assert redis_settings("redis://u:p@h:1/2?socket_timeout=3") == wait | {
        "host": "h",
        "port": 1,
        "db": 2,
        "username": "u",
        "password": "p",
        "socket_timeout": 3.0,
    }
    assert redis_settings("rediss://h")["ssl"] is True
    assert redis_settings("unix:///run/redis.sock?db=1") == wait | {"unix_socket_path": "/run/redis.sock", "db": 1}
    for wrong in ("", "localhost", "h:port", "http://h", "h:1,secret"):
        with pytest.raises(ConfigError) as caught:
            redis_settings(wrong)
        assert "secret" not in str(caught.value)


def test_a_forgotten_contact_is_in_no_version_and_in_no_note(opened: Open) -> None:
    store = opened()
    assert store.forget(["c1"], lambda note: True) == 0
    store.replace(rows("a"), about(1), nothing)
    for contact in ("c1", "c2"):
        store.change(contact, count, contact.encode())
    assert store.forget(["c1", "nobody"], lambda note: note == b"c1") == 1
    assert opened().read(["c0", "c1", "c2"]) == [b"a0", None, b"a2"]
    carried: list[bytes] = []
    store.replace(rows("b", 1), about(2), carried.append)
    assert carried == [b"c2"]


def test_a_forgotten_contact_is_not_left_in_the_file(tmp_path: Path) -> None:
    store = SqliteVectors(tmp_path / "online.db", "shop_contact_features")
    store.replace([[(b"somebody", b"of somebody" * 50, None), (b"else", b"x", None)]], about(1), nothing)
    store.forget(["somebody"], lambda note: False)
    assert not [path.name for path in tmp_path.iterdir() if b"somebody" in path.read_bytes()]


def test_everybody_of_the_current_version_comes_some_at_a_time(opened: Open) -> None:
    store = opened()
    store.replace(rows("a", 7), about(1), nothing)
    store.replace(rows("b", 5), about(2), nothing)
    assert store.change(chr(0xD800) + "ż", count, b"a visitor")
    found, longest = everybody(opened(), 2)
    assert found == {**{f"c{number}": (f"b{number}".encode(), b"0") for number in range(5)}, chr(0xD800) + "ż": (b"new", b"1")}
    assert longest <= 2
