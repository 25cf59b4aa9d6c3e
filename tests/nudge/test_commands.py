"""The commands on a workspace written from scratch: what they do, and how they refuse."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import ROOT
from tests.nudge.shops import CATALOG, CONTACTS, Shop


def test_help_waits_for_none_of_the_libraries_that_the_commands_need() -> None:
    code = "import sys, nudge.cli; print([name for name in ('numpy', 'scipy', 'duckdb', 'sqlalchemy', 'pydantic') if name in sys.modules])"
    fresh = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert fresh.stdout.strip() == "[]"


def test_a_workspace_plans_and_decides_before_anything_was_learned(shop: Shop) -> None:
    assert shop.run("ingest").document["tables"]["contacts"]["rows"] == 200
    decision = shop.run("decide", "c-41", "--channel", "email").document
    assert decision["actions"][0]["traffic"] == "cold_start"
    assert any("cold-start" in reason for reason in decision["actions"][0]["reasons"])
    plan = shop.run("plan").document
    assert plan["contacts"] == 200
    assert 0 < plan["selected"] < 200


def test_a_plan_names_everyone_obeys_every_limit_and_repeats_itself(shop: Shop) -> None:
    shop.run("ingest")
    first = shop.run("plan").document
    table = pq.read_table(Path(first["files"][0]).parent / "plan.parquet").to_pandas()
    assert table["contact_id"].is_unique
    assert len(table) == 200
    chosen = table[table["action_id"] != "no_action"]
    assert chosen["cost"].sum() <= 20
    assert (chosen["channel"] == "web").sum() <= 30
    consented = {f"c-{i}" for i in range(150) if i % 4}
    assert set(chosen.loc[chosen["channel"] == "email", "contact_id"]) <= consented
    assert table.loc[table["action_id"] == "no_action", "reason"].str.len().gt(0).all()
    before = {path: hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in first["files"]}
    second = shop.run("plan").document
    assert second["plan_id"] == first["plan_id"]
    assert {path: hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in second["files"]} == before


def test_an_audience_lists_its_channel_best_first_with_the_manifest_beside(shop: Shop) -> None:
    shop.run("ingest")
    folder = Path(shop.run("plan").document["files"][0]).parent
    audience = pq.read_table(folder / "audience_web.parquet").to_pandas()
    assert audience["rank"].tolist() == list(range(1, len(audience) + 1))
    assert audience["priority"].is_monotonic_decreasing
    manifest = json.loads((folder / "manifest.json").read_text())
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    prices = {one["id"]: one["shadow_price"] for one in manifest["constraints"]}
    assert prices["heroes"] > 0


def test_a_plan_for_listed_contacts_leaves_the_others_out(shop: Shop, tmp_path: Path) -> None:
    shop.run("ingest")
    pq.write_table(pa.table({"contact_id": ["c-5", "stranger"]}), tmp_path / "list.parquet")
    document = shop.run("plan", "--contacts", str(tmp_path / "list.parquet"), "--dry-run").document
    assert (document["contacts"], document["files"]) == (2, [])


def test_a_limit_on_a_market_of_nobody_is_pointed_out(shop: Shop) -> None:
    shop.run("ingest")
    abroad = {"id": "abroad", "measure": "contacts", "market": "Atlantis", "max": 5}
    shop.write(catalog={**CATALOG, "constraints": [*CATALOG["constraints"], abroad]})
    untrained, abroad = shop.run("plan", "--dry-run").document["warnings"]
    assert abroad == "constraint abroad counts nobody: no contact is of market 'Atlantis'"
    assert untrained.startswith("no model is trained yet: only actions with a `cold_start` can be chosen")
    shop.write(catalog=CATALOG)
    assert shop.run("plan", "--dry-run").document["warnings"] == [untrained]


def test_a_suppression_that_is_past_is_said_to_be_lifted(shop: Shop) -> None:
    shop.run("ingest")
    assert shop.run("decide", "c-41", "--dry-run").code == 0  # builds the features that serving reads
    off = shop.run("suppress", "c-41", "--channel", "email", "--until", "2199-01-01", json_output=False)
    assert off.out == "email is off for c-41 until 2199-01-01 00:00 UTC\n"
    on = shop.run("suppress", "c-41", "--channel", "email", "--until", "2020-01-01", json_output=False)
    assert on.out == "email is no longer off for c-41\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("suppress", "c-41", "--until", "tomorrow"), "--until: is not a time; got 'tomorrow'"),
        (
            ("train", "--only", "uplfit"),
            "--only: unknown model; got uplfit; allowed: propensity, uplift, clv, lead. Hint: did you mean 'uplift'?",
        ),
        (("report", "roi", "--period", "soon"), "--period: is not a period; got 'soon'"),
        (("report", "models", "--as-of", "2026-01-01"), "--as-of: means nothing to the report models"),
        (("plan", "--limit", "budget"), "--limit: is no changed limit; got 'budget'"),
        (("decide", "c-41", "--context", "intent"), "--context: is not KEY=VALUE; got 'intent'"),
    ],
)
def test_a_value_that_an_option_does_not_take_is_wrong_usage(shop: Shop, arguments: tuple[str, ...], words: str) -> None:
    shop.run("ingest")
    answer = shop.run(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(f"nudge: {words}") and answer.err.count("\n") == 1


def test_a_planned_contact_can_be_looked_up_by_its_decision(shop: Shop) -> None:
    from nudge.ground.workspace import Workspace

    shop.run("ingest")
    folder = Path(shop.run("plan").document["files"][0]).parent
    row = pq.read_table(folder / "audience_web.parquet").to_pylist()[0]
    with Workspace.open(shop.folder).open_ledger() as ledger:
        record = ledger.decision(row["decision_id"])
        assert record is not None
        assert (record.contact_id, record.selections[0].treatment_id) == (row["contact_id"], row["treatment_id"])
        book = ledger.prices()
        assert book is not None and set(book["prices"]) == {"budget", "heroes"}


AT = "TIMESTAMP '2026-01-01' AS occurred_at"
NAN_MONEY = f"SELECT 'c-1' AS contact_id, 'buy' AS event_type, {AT}, 'NaN'::DOUBLE AS value"
UNKNOWN_ACTION = f"SELECT '1' AS interaction_id, 'c-1' AS contact_id, 'laon' AS action_id, {AT}"


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        ({"contacts": "SELECT 1 AS id"}, ["contacts", "contact_id"]),
        ({"contacts": "SELECT 'a' AS contact_id FROM range(2)"}, ["contacts.contact_id", "2"]),
        ({"contacts": CONTACTS, "events": NAN_MONEY}, ["events.value"]),
        ({"contacts": CONTACTS, "interactions": UNKNOWN_ACTION}, ["interactions.action_id", "laon", "did you mean 'loan'"]),
        ({"contacts": "SELECT * FROM 'nowhere.csv'"}, ["nowhere.csv"]),
        ({"contacts": "SELECT * FROM read_csv('empty.csv')"}, ["empty"]),
    ],
)
def test_bad_data_is_refused_in_one_line_and_leaves_the_earlier_tables(shop: Shop, sources: dict[str, str], words: list[str]) -> None:
    assert shop.run("ingest").code == 0
    before = shop.tables()
    (shop.folder / "empty.csv").write_text("")
    shop.write(sources=sources)
    answer = shop.run("ingest")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("nudge: ")
    assert "Traceback" not in answer.err
    for word in words:
        assert word in answer.err
    assert shop.tables() == before


@pytest.mark.parametrize(
    ("catalog", "words"),
    [
        ({**CATALOG, "chanels": {}}, ["chanels: unknown key", "did you mean 'channels'"]),
        (
            {**CATALOG, "controls": {"holdout": 0.6, "random": 0.5}},
            ["controls: the shares of the control groups add up"],
        ),
        (
            {**CATALOG, "triggers": [{"id": "t", "event_type": "cart", "actions": ["laon"]}]},
            ["triggers[0].actions[0]", "did you mean 'loan'"],
        ),
        ({**CATALOG, "constraints": [{"id": "a", "measure": "contacts", "min": 5, "max": 4}]}, ["constraints[0]", "`min` is above `max`"]),
        ([], ["catalog.yaml: is not a mapping"]),
    ],
)
def test_a_bad_catalogue_is_refused_with_the_path_of_its_key(shop: Shop, catalog: Any, words: list[str]) -> None:
    shop.write(catalog=catalog)
    answer = shop.run("ingest")
    assert answer.code == 1
    for word in words:
        assert word in answer.err


def test_a_rule_over_an_unknown_column_is_refused_with_a_caret(shop: Shop) -> None:
    shop.run("ingest")
    shop.write(catalog={**CATALOG, "actions": [{**CATALOG["actions"][0], "eligibility": "agee >= 21"}]})
    answer = shop.run("plan")
    assert answer.code == 1
    assert "actions[0].eligibility: unknown column 'agee'" in answer.err
    assert "^^^^" in answer.err
    assert "did you mean 'age'?" in answer.err


def test_training_without_interactions_says_what_is_missing(shop: Shop) -> None:
    shop.run("ingest")
    answer = shop.run("train")
    assert answer.code == 1
    assert "interactions" in answer.err
    assert "Traceback" not in answer.err


def test_wrong_usage_has_its_own_exit_code(shop: Shop) -> None:
    assert shop.run("ingest", "--no-such-option").code == 2


def test_serving_to_other_machines_is_refused_until_there_is_a_key(shop: Shop) -> None:
    shop.run("ingest")
    answer = shop.run("serve", "--host", "0.0.0.0")
    assert answer.code == 1
    assert "keys" in answer.err


@pytest.mark.parametrize("moment", ["0001-01-01", "9999-12-31", "yesterday"])
def test_a_time_that_cannot_be_is_refused(shop: Shop, moment: str) -> None:
    shop.run("ingest")
    answer = shop.run("plan", "--as-of", moment)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("nudge: --as-of: is not a time")


def test_ingest_already_says_what_is_wrong_with_a_condition(shop: Shop) -> None:
    shop.write(catalog={**CATALOG, "actions": [{**CATALOG["actions"][0], "eligibility": "agee >= 21"}]})
    warnings = shop.run("ingest").document["warnings"]
    assert any("actions[0].eligibility: unknown column 'agee'" in warning for warning in warnings)


def test_a_damaged_registry_is_named_with_what_to_do(shop: Shop) -> None:
    shop.run("ingest")
    shop.run("features", "build")
    (shop.folder / "state" / "registry.db").write_bytes(b"no database" * 300)
    answer = shop.run("plan")
    assert answer.code == 1
    assert answer.err.startswith("nudge: state/registry.db: ")
    assert "Traceback" not in answer.err


def test_a_list_of_contacts_holds_ids(shop: Shop, tmp_path: Path) -> None:
    shop.run("ingest")
    pq.write_table(pa.table({"contact_id": [[1, 2]]}), tmp_path / "list.parquet")
    answer = shop.run("plan", "--contacts", str(tmp_path / "list.parquet"))
    assert answer.code == 1
    assert "--contacts contact_id: is not an id" in answer.err
