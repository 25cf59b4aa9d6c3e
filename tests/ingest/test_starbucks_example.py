"""The example of ten offers in six waves: on the real files its sources give exactly what was published."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
import yaml

from decisioning.catalog import parse_catalog
from features.ingest import ingest
from nudge.verbs.examples import init_workspace

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_starbucks_has_a_row_for_every_customer_and_wave_whether_there_was_an_offer_or_none(data_dir: Path, tmp_path: Path) -> None:
    if not (data_dir / "starbucks").is_dir():
        pytest.skip(f"{data_dir}/starbucks is not there: set NUDGE_DATA")
    init_workspace(tmp_path / "w", "starbucks", {"data": str(data_dir / "starbucks")})
    catalog = parse_catalog(yaml.safe_load((tmp_path / "w" / "catalog.yaml").read_text(encoding="utf-8")))
    sources = yaml.safe_load((tmp_path / "w" / "nudge.yaml").read_text(encoding="utf-8"))["sources"]
    report = ingest(tmp_path / "w", sources, outcomes=catalog.outcomes, actions=set(catalog.action_by_id), now=NOW)

    assert report.warnings == ()
    assert {name: table.rows for name, table in report.tables.items()} == {
        "contacts": 17_000, "interactions": 6 * 17_000, "outcomes": 138_953, "events": 138_953 + 57_725,
    }  # fmt: skip
    with duckdb.connect() as db:
        data = tmp_path / "w" / "data"
        offers = db.execute(
            f"SELECT action_id, count(*), any_value(selection_prob) FROM '{data}/interactions.parquet' GROUP BY 1"
        ).fetchall()
        shares = {action: (rows / 102_000, prob) for action, rows, prob in offers}
        early = db.execute(f"SELECT count(*) FROM '{data}/contacts.parquet' WHERE member_since >= '2018-08-01'").fetchall()[0][0]
    assert set(shares) == {*catalog.action_by_id, "no_action"}
    assert sum(share for action, (share, _) in shares.items() if action != "no_action") * 102_000 == pytest.approx(76_277)
    assert all(share == pytest.approx(prob, rel=0.02) for share, prob in shares.values())
    assert early == 0
