"""The examples of customers bound by nothing: on the real files their sources give exactly what was published."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from decisioning.catalog import Catalog, parse_catalog
from features.ingest import IngestReport, ingest
from tests.conftest import ROOT

PLACE = re.compile(r"\{\{data\|([^}]*)\}\}")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _config(example: str) -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "examples" / example / "nudge.yaml").read_text(encoding="utf-8")))


def _catalog(example: str) -> Catalog:
    return parse_catalog(yaml.safe_load((ROOT / "examples" / example / "catalog.yaml").read_text(encoding="utf-8")))


def _ingest(example: str, workspace: Path, data: Path) -> IngestReport:
    if not data.is_file():
        pytest.skip(f"{data} is not there: set NUDGE_DATA")
    catalog = _catalog(example)
    sources = {name: PLACE.sub(str(data), sql) for name, sql in _config(example)["sources"].items()}
    return ingest(workspace, sources, outcomes=catalog.outcomes, actions=set(catalog.action_by_id), now=NOW)


def _rows(sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as db:
        return db.execute(sql).fetchall()


@pytest.mark.parametrize(("example", "file"), [("cdnow", "raw.txt"), ("online_retail", "raw.parquet")])
def test_an_example_of_purchases_parses_asks_for_one_file_and_starts_cold(example: str, file: str) -> None:
    config = _config(example)
    assert (config["name"], set(config)) == (example, {"name", "seed", "sources"})
    assert {place for sql in config["sources"].values() for place in PLACE.findall(sql)} == {file}
    assert all(action.cold_start is not None for action in _catalog(example).actions)


def test_cdnow_gives_the_published_customers_purchases_and_dollars(data_dir: Path, tmp_path: Path) -> None:
    report = _ingest("cdnow", tmp_path, data_dir / "cdnow_master.txt")
    assert {name: table.rows for name, table in report.tables.items()} == {"contacts": 23_570, "events": 69_659}
    money, first, last = _rows(f"SELECT round(sum(value), 2), min(occurred_at), max(occurred_at) FROM '{tmp_path}/data/events.parquet'")[0]
    assert money == 2_500_315.63
    assert (str(first)[:10], str(last)[:10]) == ("1997-01-01", "1998-06-30")
    late = _rows(
        f"""SELECT count(*) FROM '{tmp_path}/data/contacts.parquet' c JOIN '{tmp_path}/data/events.parquet' e USING (contact_id)
        WHERE e.occurred_at < c.valid_from"""
    )[0][0]
    assert late == 0


def test_online_retail_keeps_cancellations_apart_and_leaves_out_lines_of_nobody(data_dir: Path, tmp_path: Path) -> None:
    report = _ingest("online_retail", tmp_path, data_dir / "online_retail.parquet")
    assert report.tables["contacts"].rows == 4_372
    kinds = _rows(
        f"""SELECT event_type, count(*), count(*) FILTER (value > 0), count(*) FILTER (value < 0)
        FROM '{tmp_path}/data/events.parquet' GROUP BY 1 ORDER BY 1"""
    )
    assert [kind[0] for kind in kinds] == ["cancellation", "purchase"]
    cancelled, bought = kinds
    assert (cancelled[2], bought[3]) == (0, 0)
    assert cancelled[1] + bought[1] == report.tables["events"].rows == 22_190
