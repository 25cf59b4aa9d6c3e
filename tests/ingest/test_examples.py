"""The example workspaces: their catalogs parse, and on the real files their sources give exactly what was published."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from decisioning.catalog import Catalog, parse_catalog
from features.ingest import IngestReport, ingest
from tests.conftest import ROOT
from tests.ingest.workspaces import NOW, column

PLACE = re.compile(r"\{\{data\|([^}]*)\}\}")


def _config(example: str) -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "examples" / example / "nudge.yaml").read_text(encoding="utf-8")))


def _catalog(example: str) -> Catalog:
    return parse_catalog(yaml.safe_load((ROOT / "examples" / example / "catalog.yaml").read_text(encoding="utf-8")))


def _ingest(example: str, workspace: Path, data: Path) -> IngestReport:
    catalog = _catalog(example)
    sources = {name: PLACE.sub(str(data), sql) for name, sql in _config(example)["sources"].items()}
    return ingest(workspace, sources, outcomes=catalog.outcomes, actions=set(catalog.action_by_id), now=NOW)


@pytest.mark.parametrize("example", ["hillstrom", "bank_marketing"])
def test_an_example_parses_and_asks_for_one_file(example: str) -> None:
    assert _catalog(example).actions
    config = _config(example)
    assert (config["name"], set(config)) == (example, {"name", "seed", "sources"})
    assert {place for sql in config["sources"].values() for place in PLACE.findall(sql)} == {"raw.csv"}


def test_hillstrom_gives_the_published_arms_and_visits(data_dir: Path, tmp_path: Path) -> None:
    report = _ingest("hillstrom", tmp_path, data_dir / "hillstrom.csv")
    assert (report.tables["contacts"].rows, report.warnings, report.newest_at) == (64_000, (), None)
    arms = duckdb.sql(
        f"""SELECT action_id, count(*), round(100.0 * count(o.outcome) / count(*), 2) FROM '{tmp_path}/data/interactions.parquet' i
        LEFT JOIN (FROM '{tmp_path}/data/outcomes.parquet' WHERE outcome = 'visit') o USING (interaction_id) GROUP BY 1 ORDER BY 1"""
    ).fetchall()
    assert arms == [("mens_email", 21_307, 18.28), ("no_action", 21_306, 10.62), ("womens_email", 21_387, 15.14)]
    spend = [value for value in column(tmp_path, "outcomes", "value") if value is not None]
    assert (len(spend), round(sum(spend), 2)) == (578, 67_258.13)


def test_hillstroms_rows_keep_their_place_in_the_file(data_dir: Path, tmp_path: Path) -> None:
    _ingest("hillstrom", tmp_path, data_dir / "hillstrom.csv")
    with open(data_dir / "hillstrom.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert column(tmp_path, "contacts", "contact_id") == [str(place) for place in range(1, 64_001)]
    assert column(tmp_path, "contacts", "history") == [float(line["history"]) for line in lines]
    arms = {"Mens E-Mail": "mens_email", "Womens E-Mail": "womens_email", "No E-Mail": "no_action"}
    assert column(tmp_path, "interactions", "action_id") == [arms[line["segment"]] for line in lines]


def test_bank_marketing_gives_the_published_subscriptions_and_names_the_missing_control(data_dir: Path, tmp_path: Path) -> None:
    report = _ingest("bank_marketing", tmp_path, data_dir / "bank_marketing.csv")
    assert {name: table.rows for name, table in report.tables.items()} == {"contacts": 41_188, "interactions": 41_188, "outcomes": 4_640}
    assert [warning for warning in report.warnings if "uplift cannot be identified" in warning]
    names = [row[0] for row in duckdb.sql(f"DESCRIBE SELECT * FROM '{tmp_path}/data/contacts.parquet'").fetchall()]
    assert "duration" not in names
    assert [name for name in names if not re.fullmatch(r"[a-z][a-z0-9_]*", name)] == []
