"""A contact is forgotten in the tables: the person goes, the sums stay."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from decisioning.errors import Conflict
from features import forgetting

PERSON, TOMB = "person-4711", "erased-abc"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Tables with whatever a contact may leave in them: integer extras, ids that spell the contact's out, nulls, and quarantined rows."""
    (tmp_path / "data" / "quarantine").mkdir(parents=True)
    (tmp_path / "state" / "features" / "b1").mkdir(parents=True)
    at = pa.array(np.array(["2026-01-01", "2026-01-02", "2026-01-03"], dtype="datetime64[us]"))
    who = pa.array([PERSON, "c-2", PERSON])
    tables = {
        "contacts": {
            "contact_id": pa.array([PERSON, "c-2", None]),
            "age": pa.array([41, 22, 1]),
            "email": pa.array([f"{PERSON}@x", "b", None]),
        },
        "consents": {"contact_id": who, "purpose": pa.array(["a", "b", "c"]), "status": pa.array(["granted"] * 3), "changed_at": at},
        "interactions": {
            "interaction_id": pa.array([f"i-{PERSON}-1", "i-2", "i-3"]),
            "contact_id": who,
            "action_id": pa.array(["loan", "card", "loan"]),
            "occurred_at": at,
            "cost": pa.array([1.5, 2.5, None]),
            "note": pa.array([f"{PERSON} was angry", "calm", None]),
            "agent": pa.array([7, 8, 9], pa.int16()),
        },
        "outcomes": {
            "interaction_id": pa.array([f"i-{PERSON}-1", "i-2", "i-3"]),
            "contact_id": who,
            "outcome": pa.array(["sale", "sale", "reject"]),
            "occurred_at": at,
            "value": pa.array([10.0, 20.0, None]),
            "event_id": pa.array([f"o-{PERSON}", "o-2", None]),
        },
        "events": {
            "contact_id": who,
            "event_type": pa.array(["visit"] * 3),
            "occurred_at": at,
            "value": pa.array([3.0, None, 4.0]),
            "anonymous_id": pa.array([f"cookie of {PERSON}", None, None]),
            "session_id": pa.array(["s1", "s2", "s3"]),
        },
        "accounts": {"account_id": pa.array(["f-1"]), "size": pa.array([9])},
    }
    manifest: dict[str, dict[str, object]] = {}
    for name, columns in tables.items():
        path = tmp_path / "data" / f"{name}.parquet"
        pq.write_table(pa.table(columns), path)
        manifest[name] = {"rows": len(next(iter(columns.values()))), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    pq.write_table(pa.table({"contact_id": [PERSON, "c-3"], "_reason": ["x", "y"]}), tmp_path / "data" / "quarantine" / "events.parquet")
    pq.write_table(pa.table({"contact_id": who, "age": [41.0, 22.0, 41.0]}), tmp_path / "state" / "features" / "b1" / "rows.parquet")
    (tmp_path / "data" / "manifest.json").write_text(
        json.dumps({"ingested_at": "2026-01-04T00:00:00Z", "tables": manifest, "newest_at": None})
    )
    return tmp_path


def ask(workspace: Path, query: str) -> list[tuple[object, ...]]:
    with duckdb.connect() as connection:
        return connection.execute(query.replace("DATA", str(workspace / "data"))).fetchall()


SUMS = """SELECT 'i', action_id, count(*), sum(cost) FROM 'DATA/interactions.parquet' GROUP BY ALL
  UNION ALL SELECT 'o', outcome, count(*), sum(value) FROM 'DATA/outcomes.parquet' GROUP BY ALL
  UNION ALL SELECT 'e', event_type, count(*), sum(value) FROM 'DATA/events.parquet' GROUP BY ALL
  UNION ALL SELECT 'j', i.action_id, count(*), sum(o.value) FROM 'DATA/interactions.parquet' i JOIN 'DATA/outcomes.parquet' o
    ON i.interaction_id = o.interaction_id AND i.contact_id = o.contact_id GROUP BY ALL ORDER BY ALL"""


def test_the_person_is_in_no_file_and_the_sums_and_joins_stay(workspace: Path) -> None:
    before = ask(workspace, SUMS)
    schemas = {path: pq.read_schema(path).names for path in workspace.rglob("*.parquet")}
    counts = forgetting.forget(workspace, {PERSON: TOMB})
    assert ask(workspace, SUMS) == before
    assert counts == {"contacts": 1, "consents": 2, "interactions": 2, "outcomes": 2, "events": 2, "quarantine/events": 1, "features": 2}
    for path in workspace.rglob("*.parquet"):
        assert PERSON not in str(pq.read_table(path).to_pylist()), path.name
        assert PERSON.encode() not in path.read_bytes(), path.name
        assert pq.read_schema(path).names == schemas[path]
    assert ask(workspace, "SELECT note, agent FROM 'DATA/interactions.parquet'") == [(None, None), ("calm", 8), (None, None)]
    assert ask(workspace, "SELECT contact_id, age FROM 'DATA/contacts.parquet'") == [("c-2", 22), (None, 1)]


def test_the_manifest_says_what_the_files_are_now(workspace: Path) -> None:
    before = json.loads((workspace / "data" / "manifest.json").read_text())["tables"]
    forgetting.forget(workspace, {PERSON: TOMB})
    after = json.loads((workspace / "data" / "manifest.json").read_text())["tables"]
    for name, said in after.items():
        assert said["sha256"] == hashlib.sha256((workspace / "data" / f"{name}.parquet").read_bytes()).hexdigest()
    assert after["accounts"] == before["accounts"]
    assert (after["contacts"]["rows"], after["outcomes"]["rows"]) == (2, 3)


def test_somebody_who_is_not_there_changes_nothing(workspace: Path) -> None:
    before = {path: path.read_bytes() for path in workspace.rglob("*.*") if path.is_file()}
    assert forgetting.forget(workspace, {"nobody": TOMB}) == {}
    assert forgetting.forget(workspace, {}) == {}
    assert {path: path.read_bytes() for path in before} == before
    assert forgetting.forget(workspace / "nowhere", {"nobody": TOMB}) == {}


def test_what_is_held_is_every_row_of_the_person(workspace: Path) -> None:
    held = forgetting.held(workspace, [PERSON])
    assert {name: len(rows) for name, rows in held.items()} == {
        "contacts": 1,
        "consents": 2,
        "interactions": 2,
        "outcomes": 2,
        "events": 2,
        "quarantine/events": 1,
    }
    assert held["contacts"] == [{"contact_id": PERSON, "age": 41, "email": f"{PERSON}@x"}]


def test_what_a_visitor_did_is_the_contacts_once_they_are_one(workspace: Path) -> None:
    counts = forgetting.join(workspace, {PERSON: "c-2"})
    assert counts == {"contacts": 1, "consents": 2, "interactions": 2, "outcomes": 2, "events": 2}
    for table in ("consents", "interactions", "outcomes", "events"):
        assert ask(workspace, f"SELECT contact_id, count(*) FROM 'DATA/{table}.parquet' GROUP BY ALL") == [("c-2", 3)]
    assert ask(workspace, "SELECT contact_id, age FROM 'DATA/contacts.parquet'") == [("c-2", 22), (None, 1)]
    assert ask(workspace, "SELECT note FROM 'DATA/interactions.parquet' WHERE note IS NOT NULL") == [(f"{PERSON} was angry",), ("calm",)]


def test_nobody_is_forgotten_while_an_ingest_runs(workspace: Path) -> None:
    import fcntl

    with (workspace / "data" / ".ingest.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Conflict, match="an ingest of this workspace is running"):
            forgetting.forget(workspace, {PERSON: TOMB})
