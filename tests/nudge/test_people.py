"""One person in every store of a workspace: exported, erased, kept out; and the ledger checked from the command line."""

from __future__ import annotations

import json
import shutil
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ledger.consents import ConsentChange
from ledger.store import Ledger
from tests.nudge.shops import CONSENTS, CONTACTS, Shop

PERSON = "person-4711"
SOURCES = {
    "contacts": f"{CONTACTS} UNION ALL SELECT '{PERSON}', 44, false, 'city of {PERSON}'",
    "consents": f"{CONSENTS} UNION ALL SELECT '{PERSON}', 'email_marketing', 'granted', TIMESTAMP '2026-10-01'",
    "events": f"""SELECT CASE WHEN i = 3 THEN '{PERSON}' ELSE 'c-' || i END AS contact_id, 'visit' AS event_type,
      TIMESTAMP '2026-10-02' + INTERVAL (i) MINUTE AS occurred_at, 1.0 * i AS value FROM range(50) r(i)""",
    "interactions": f"""SELECT 'i-' || i AS interaction_id, CASE WHEN i = 3 THEN '{PERSON}' ELSE 'c-' || i END AS contact_id,
      'loan' AS action_id, TIMESTAMP '2026-10-03' + INTERVAL (i) MINUTE AS occurred_at, 'email' AS channel FROM range(50) r(i)""",
}


_LIVED: list[Path] = []


@pytest.fixture
def lived(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop with a plan and a decision, in which PERSON is everywhere; made once, copied for each test."""
    shop.write(sources=SOURCES)
    if _LIVED:
        shutil.copytree(_LIVED[0], shop.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("nudge.yaml"))
        return shop
    assert shop.run("ingest").code == 0
    planned = shop.run("plan")
    assert planned.code == 0, planned.err
    assert shop.run("decide", PERSON, "--channel", "web").document["contact_known"]
    assert shop.run("export-ledger").document["tables"]["decisions"]["rows"] > 0
    _LIVED.append(tmp_path_factory.mktemp("lived") / "shop")
    shutil.copytree(shop.folder, _LIVED[0])
    return shop


def files_that_name(folder: Path, text: str) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes())


def sums(shop: Shop) -> list[object]:
    with sqlite3.connect(shop.folder / "state" / "ledger.db") as raw:
        found = raw.execute("SELECT count(*), count(DISTINCT contact_id), sum(cost), sum(expected_profit) FROM selections").fetchall()
    raw.close()
    plans = [pq.read_table(path).to_pydict()["expected_profit"] for path in shop.folder.glob("exports/*/plan.parquet")]
    return [*found, [(len(plan), sum(plan)) for plan in plans], pq.read_metadata(shop.folder / "data" / "events.parquet").num_rows]


def test_an_erased_contact_is_in_no_file_of_the_workspace_but_the_sources(lived: Shop) -> None:
    held = lived.run("export-contact", PERSON).document
    assert set(held) >= {"ledger", "data", "online_features", "plans"}
    assert set(held["data"]) == {"contacts", "consents", "events", "interactions"}
    before = sums(lived)
    assert len(files_that_name(lived.folder, PERSON)) > 8
    done = lived.run("erase", PERSON)
    assert done.code == 0, done.err
    assert set(done.document["erased"]) == {"ledger", "data", "online_features", "plan_archive", "exports", "ledger_export"}
    assert files_that_name(lived.folder, PERSON) == ["nudge.yaml"]
    assert sums(lived) == before
    assert lived.run("verify-ledger").document["intact"]
    again = lived.run("export-contact", PERSON)
    assert (again.code, again.out) == (1, "")
    assert "nothing is held about this contact" in again.err


def test_what_a_killed_plan_has_left_half_written_hinders_nobodys_erasure_and_names_nobody(lived: Shop) -> None:
    for place, name in (("exports", "plan.parquet"), ("state/plans", "population.parquet")):
        [whole] = lived.folder.glob(f"{place}/plan-*/{name}")
        half = whole.parents[1] / f".{whole.parent.name}.{'0' * 32}"
        half.mkdir()
        (half / name).write_bytes(whole.read_bytes()[:-100])
        (half / "audience_email.csv").write_text(f"contact_id\n{PERSON}\n")
    assert len(lived.run("export-contact", PERSON).document["plans"]) > 0
    done = lived.run("erase", PERSON)
    assert done.code == 0, done.err
    assert files_that_name(lived.folder, PERSON) == ["nudge.yaml"]


def test_erasing_whom_nobody_knows_does_not_claim_that_somebody_was_erased(lived: Shop) -> None:
    assert lived.run("erase", "no-such-person").document["erased"] == {}
    said = lived.run("erase", "no-such-person", json_output=False)
    assert "Nothing is held about no-such-person" in said.out and "Erased" not in said.out


def test_the_manifests_say_what_the_files_are_after_an_erasure(lived: Shop) -> None:
    import hashlib

    lived.run("erase", PERSON)
    [manifest] = lived.folder.glob("exports/*/manifest.json")
    files = json.loads(manifest.read_text())["files"]
    assert files == {name: hashlib.sha256((manifest.parent / name).read_bytes()).hexdigest() for name in files}


def test_features_are_not_built_anew_because_somebody_was_erased(lived: Shop) -> None:
    built = (lived.folder / "state" / "feature_contract.json").read_bytes()
    lived.run("erase", PERSON)
    assert not lived.run("decide", PERSON, "--channel", "web", "--dry-run").document["contact_known"]
    assert (lived.folder / "state" / "feature_contract.json").read_bytes() == built


def test_an_erased_contact_stays_away_when_the_sources_are_ingested_again(lived: Shop) -> None:
    lived.run("erase", PERSON)
    assert lived.run("ingest").code == 0
    assert files_that_name(lived.folder, PERSON) == ["nudge.yaml"]
    assert lived.run("plan").document["contacts"] == 200


def test_what_an_erased_contact_says_later_of_a_consent_does_not_bring_them_back_into_the_data(lived: Shop) -> None:
    assert lived.run("erase", PERSON).code == 0
    now = datetime.now(UTC)
    with Ledger.open(f"sqlite:///{lived.folder}/state/ledger.db") as ledger:
        for contact_id in (PERSON, "c-1"):
            ledger.put_consent(ConsentChange(contact_id, "email_marketing", "revoked", now), now)
    assert lived.run("ingest").code == 0
    consents = pq.read_table(lived.folder / "data" / "consents.parquet").to_pylist()
    at = now.replace(tzinfo=None)
    assert [one["contact_id"] for one in consents if one["changed_at"].replace(tzinfo=None) == at] == ["c-1"]
    assert PERSON not in {one["contact_id"] for one in consents}


def test_the_decision_log_is_exported_for_analysts(lived: Shop, tmp_path: Path) -> None:
    done = lived.run("export-decisions", str(tmp_path / "log.parquet"))
    assert (done.code, done.document["rows"]) == (0, pq.read_metadata(tmp_path / "log.parquet").num_rows)
    assert lived.run("export-decisions", "--partitioned", str(tmp_path / "lake")).document["rows"] == done.document["rows"]
    assert lived.run("export-decisions").code == 2


def test_a_ledger_that_was_edited_is_named_and_ends_with_one(lived: Shop, tmp_path: Path) -> None:
    whole = lived.run("verify-ledger")
    assert (whole.code, whole.document["intact"], whole.document["first_bad"]) == (0, True, None)
    (tmp_path / "heads.json").write_text(whole.out)
    assert lived.run("verify-ledger", "--known", str(tmp_path / "heads.json")).code == 0
    with sqlite3.connect(lived.folder / "state" / "ledger.db") as raw:
        raw.execute("UPDATE selections SET cost = cost + 1 WHERE decision_id = (SELECT min(decision_id) FROM selections)")
    raw.close()
    bad = lived.run("verify-ledger")
    assert (bad.code, bad.document["intact"]) == (1, False)
    assert bad.document["first_bad"]["stream"] == "decisions/0"
    assert "the ledger is not what it was" in bad.err
    assert lived.run("verify-ledger", "--known", str(tmp_path / "nothing.json")).code == 2
