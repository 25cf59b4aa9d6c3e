"""A ledger in a temporary folder, and short ways to write what goes into it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from ledger.outcomes import OutcomeRecord
from ledger.records import DecisionRecord, Selection
from ledger.schema import SELECTIONS
from ledger.store import Ledger

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/ledger.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, sqlite_url: str) -> str:
    """An empty database of each kind that a ledger may live in."""
    if request.param == "sqlite":
        return sqlite_url
    made: str = request.getfixturevalue("new_postgres_database")()
    return made


@pytest.fixture
def sqlite_ledger(sqlite_url: str) -> Iterator[Ledger]:
    with Ledger.open(sqlite_url) as opened:
        yield opened


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    with Ledger.open(url) as opened:
        yield opened


def made_earlier(conn: Any, version: int) -> None:
    """Give a ledger the selections of before version 9, and say that it is of `version`; `conn` is a driver's own connection."""
    for index in SELECTIONS.indexes:
        conn.execute(f"DROP INDEX {index.name}")
    conn.execute("ALTER TABLE selections DROP COLUMN answered")
    if version == 8:
        conn.execute("CREATE INDEX selections_of_contact ON selections (contact_id, decided_at)")
        conn.execute("CREATE INDEX selections_of_account ON selections (account_id, decided_at)")
        conn.execute("CREATE INDEX selections_that_redeem ON selections (redeems)")
    conn.execute(f"UPDATE ledger_meta SET schema_version = {version}")


def email(**changes: Any) -> Selection:
    """An outbound selection that holds its place for a week."""
    chosen = Selection(1, "loan", "loan_email", "email", "outbound", None, 0.9, 12.5, 0.02, reserved_until=NOW + 7 * DAY)
    return structs.replace(chosen, **changes)


def banner(**changes: Any) -> Selection:
    """An inbound selection: shown, perhaps seen."""
    return structs.replace(Selection(1, "loan", "loan_hero", "web", "inbound", "home_hero", 0.8, 9.0, 0.0), **changes)


def decision(decision_id: str = "d-1", *selections: Selection, **changes: Any) -> DecisionRecord:
    """A decision for contact c-1, now."""
    made = DecisionRecord(decision_id, "c-1", NOW, "nudge", selections, trace={"features": {"age": 41}})
    return structs.replace(made, **changes)


def outcome(event_id: str = "e-1", **changes: Any) -> OutcomeRecord:
    """A click of contact c-1 on decision d-1, now."""
    happened = OutcomeRecord(event_id, "c-1", "click", "positive", NOW, NOW, decision_id="d-1", treatment_id="loan_email", action_id="loan")
    return replace(happened, **changes)
