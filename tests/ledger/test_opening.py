"""Opening a ledger: plain refusals, one schema, and SQL that both databases understand."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from decisioning.errors import ConfigError, Conflict, NudgeError, RequestError, Unavailable
from ledger import consents, database, decisions, history_queries
from ledger.database import Database
from ledger.schema import SCHEMA_VERSION, TABLES
from ledger.store import Ledger
from tests.ledger.conftest import NOW, decision, email, made_earlier


@pytest.mark.parametrize(
    ("url", "error", "message"),
    [
        ("no url at all", ConfigError, "not a database URL"),
        ("sqlite://", ConfigError, "a ledger in memory would lose every decision"),
        ("sqlite:///:memory:", ConfigError, "a ledger in memory would lose every decision"),
        ("mysql://user@host/db", ConfigError, "does not support this database"),
        ("sqlite:////no/such/folder/ledger.db", Unavailable, "the ledger cannot be opened; got unable to open database file"),
    ],
)
def test_a_url_that_leads_nowhere_is_refused_in_plain_words(url: str, error: type[NudgeError], message: str) -> None:
    with pytest.raises(error) as refusal:
        Ledger.open(url)
    assert message in str(refusal.value)
    assert str(refusal.value).startswith("stores.ledger: ")


def test_a_password_is_never_part_of_a_refusal() -> None:
    with pytest.raises(ConfigError, match="knows no such driver; got postgresql[+]nodriver") as refusal:
        Ledger.open("postgresql+nodriver://user:secret@127.0.0.1:1/db")
    assert "secret" not in str(refusal.value)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"contact_id,action_id\n" * 500)
    with pytest.raises(Conflict, match="not a readable ledger; got file is not a database"):
        Ledger.open(f"sqlite:///{tmp_path}/ledger.db")


def test_a_database_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "mlflow.db") as other:
        other.execute("CREATE TABLE runs (id TEXT)")
    with pytest.raises(Conflict, match="not a Nudge ledger; got tables runs"):
        Ledger.open(f"sqlite:///{tmp_path}/mlflow.db")
    assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("runs",)]
    other.close()


def test_a_ledger_of_another_version_is_refused(tmp_path: Path, sqlite_url: str) -> None:
    Ledger.open(sqlite_url).close()
    with sqlite3.connect(tmp_path / "ledger.db") as raw:
        raw.execute("UPDATE ledger_meta SET schema_version = 99")
    raw.close()
    with pytest.raises(Conflict, match=f"got schema version 99; allowed: schema version {SCHEMA_VERSION}. Hint: "):
        Ledger.open(sqlite_url)


def test_a_ledger_of_the_first_version_is_brought_up_to_date_and_keeps_what_it_holds(tmp_path: Path, sqlite_url: str) -> None:
    with Ledger.open(sqlite_url) as ledger:
        ledger.record_decisions([decision("d-1", email())])
    with sqlite3.connect(tmp_path / "ledger.db") as raw:
        made_earlier(raw, 1)
        for column in ("account_id", "redeems", "book"):
            raw.execute(f"ALTER TABLE selections DROP COLUMN {column}")
        for table in ("history_members", "suppressions", "meters", "catalogs"):
            raw.execute(f"DROP TABLE {table}")
    raw.close()
    with Ledger.open(sqlite_url) as ledger:
        assert ledger.decision("d-1") == decision("d-1", email())
        assert ledger.record_decisions([decision("d-2", email(account_id="f-1", redeems="d-1", book="p-1/0"))]) != [None]
        assert ledger.meters("p-1/0") == {}
    Ledger.open(sqlite_url).close()


def test_a_closed_ledger_says_so(url: str) -> None:
    ledger = Ledger.open(url)
    ledger.check()
    ledger.close()
    with pytest.raises(Unavailable, match="the ledger is closed"):
        ledger.check()


def test_a_write_that_another_process_blocks_is_unavailable_and_leaves_nothing(
    tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    with Ledger.open(sqlite_url) as ledger:
        blocker = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="cannot answer now; got database is locked"):
            ledger.record_decisions([decision("d-1")])
        blocker.execute("ROLLBACK")
        blocker.close()
        assert ledger.decision("d-1") is None
        ledger.record_decisions([decision("d-1")])
        assert ledger.decision("d-1") == decision("d-1")


def test_a_write_waits_for_another_process_and_then_goes_on(tmp_path: Path, sqlite_ledger: Ledger) -> None:
    tries: list[str] = []

    def watch(conn: sqlite3.Connection) -> None:
        conn.set_trace_callback(tries.append)

    with sqlite_ledger._database.writing() as conn:
        watch(cast("sqlite3.Connection", conn.connection.dbapi_connection))
    blocker = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None, check_same_thread=False)
    blocker.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(sqlite_ledger.record_decisions, [decision("d-1")])
        while tries.count("BEGIN IMMEDIATE") < 3:
            assert not written.done()
        blocker.execute("ROLLBACK")
        assert written.result() == [decision("d-1")]
    blocker.close()
    assert [one for one in tries if "busy_timeout" in one][-1] == "PRAGMA busy_timeout=15000", "other statements wait as ever"


def test_many_may_open_an_empty_ledger_at_once(url: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        for opened in list(pool.map(lambda _: Ledger.open(url), range(6))):
            opened.check()
            opened.close()


def test_a_commit_waits_for_the_disk(sqlite_ledger: Ledger) -> None:
    found = {}
    with sqlite_ledger._database.reading() as conn:
        for pragma in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout"):
            found[pragma] = conn.exec_driver_sql(f"PRAGMA {pragma}").scalar_one()
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 15_000}


def test_a_write_takes_its_lock_before_it_reads(sqlite_url: str) -> None:
    begun: list[str] = []

    def watch(driver: sqlite3.Connection, *_: object) -> None:
        driver.set_trace_callback(begun.append)

    event.listen(Engine, "connect", watch)
    try:
        with Ledger.open(sqlite_url) as ledger:
            begun.clear()
            ledger.record_decisions([decision("d-1")])
            ledger.decision_by_request("r-1", since=NOW)
    finally:
        event.remove(Engine, "connect", watch)
    assert [sql for sql in begun if sql.startswith("BEGIN")] == ["BEGIN IMMEDIATE", "BEGIN"]


def test_a_connection_on_which_something_went_wrong_is_never_used_again(sqlite_ledger: Ledger) -> None:
    database = sqlite_ledger._database
    with database.writing() as good:
        pass
    used = []

    def fail() -> None:
        with database.writing() as bad:
            used.append(bad)
            bad.exec_driver_sql("DELETE FROM ledger_meta")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    (bad,) = used
    assert bad is good, "a connection is kept from one transaction to the next"
    assert bad.closed
    sqlite_ledger.check()  # what it deleted was rolled back
    with database.writing() as other:
        assert other is not bad


def test_a_ledger_closed_while_it_is_read_lets_the_reader_finish(sqlite_url: str) -> None:
    ledger = Ledger.open(sqlite_url)
    with ledger._database.reading() as conn:
        ledger.close()
        assert conn.exec_driver_sql("SELECT count(*) FROM decisions").scalar_one() == 0
    assert conn.closed
    with pytest.raises(Unavailable, match="the ledger is closed"):
        ledger.check()


def test_every_statement_can_be_said_to_postgresql() -> None:
    dialect = postgresql.dialect()
    prepared = [statement for pair in history_queries.READ.values() for statement in pair]
    prepared += [*history_queries.RUNNING_SUPPRESSIONS, consents._OF_ALL, consents._OF]
    prepared += [decisions._BY_REQUEST, decisions._claim_statement("postgresql"), decisions._insert_selections("postgresql")]
    statements = [one.statement for one in prepared] + [decisions._OF_CONTACT, decisions._SELECTIONS, *map(CreateTable, TABLES)]
    said = "\n".join(str(statement.compile(dialect=dialect)) for statement in statements)
    assert "INSERT INTO selections" in said and "ON CONFLICT DO NOTHING" in said
    assert "WHERE request_claims.decided_at <= excluded.decided_at" in said


@pytest.mark.parametrize("kind", ["reading", "writing"])
def test_what_went_wrong_is_said_though_the_server_has_gone_away_meanwhile(new_postgres_database: Callable[[], str], kind: str) -> None:
    def fail(database: Database) -> None:
        with getattr(database, kind)() as conn:
            mine = conn.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            with database._engine.connect() as other:
                other.exec_driver_sql("SELECT pg_terminate_backend(%s)", (mine,))
            raise RequestError("ours")

    with Ledger.open(new_postgres_database()) as ledger:
        with pytest.raises(RequestError, match="ours"):
            fail(ledger._database)
        assert ledger.verify().intact
