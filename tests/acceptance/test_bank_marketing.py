"""A workspace written from scratch, on data without a control arm: what is not known is said, in every output."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import yaml

from tests.acceptance.conftest import Run

TIMELESS = "NULL AS occurred_at"


def write_workspace(folder: Path, raw: Path) -> None:
    """A marketer's first workspace: other names than the example's, numbers as ids, the wish for one call campaign."""
    folder.mkdir()
    read = f"SELECT row_number() OVER () AS id, * EXCLUDE (duration) FROM read_csv('{raw}', delim=';', header=true)"
    config = {
        "name": "calls",
        "seed": 3,
        "sources": {
            "contacts": f"SELECT id AS contact_id, * EXCLUDE (id, y) FROM ({read})",
            "interactions": f"SELECT id AS interaction_id, id AS contact_id, 'deposit' AS action_id, {TIMELESS} FROM ({read})",
            "outcomes": f"SELECT id AS interaction_id, 'opened' AS outcome, {TIMELESS} FROM ({read}) WHERE y::VARCHAR IN ('yes', 'true')",
        },
        "stores": {"tracking": f"sqlite:///{folder}/mlflow.db"},
    }  # fmt: skip
    catalog = {
        "version": "1",
        "currency": "EUR",
        "time_zone": "Europe/Lisbon",
        "channels": {"phone": {"direction": "outbound", "cost": 4.0}},
        "outcomes": {"opened": {"kind": "conversion", "behaviour": "positive", "window_days": 30}},
        "actions": [
            {
                "id": "deposit",
                "issue": "sales",
                "group": "savings",
                "goal": "opened",
                "value": 60,
                "eligibility": "age >= 18 AND loan <> 'yes'",
                "treatments": [{"id": "deposit_call", "channel": "phone"}],
            }
        ],
        "constraints": [{"id": "agents", "channel": "phone", "measure": "contacts", "max": 2000}],
    }
    (folder / "nudge.yaml").write_text(yaml.safe_dump(config))
    (folder / "catalog.yaml").write_text(yaml.safe_dump(catalog))


def test_without_a_control_arm_every_output_says_that_uplift_is_not_known(tmp_path: Path, data_dir: Path, run: Run) -> None:
    folder = tmp_path / "calls"
    write_workspace(folder, data_dir / "bank_marketing.csv")
    assert any("no_action" in warning for warning in run("ingest", "-w", folder)["warnings"])
    trained = run("train", "-w", folder)
    assert [model["name"] for model in trained["models"]] == ["calls-propensity"]
    assert any("no_action" in warning and "uplift" in warning for warning in trained["warnings"])
    planned = run("plan", "-w", folder)
    assert planned["incremental"] is False
    assert planned["contacts"] == 41_188
    assert 0 < planned["selected"] <= 2000
    table = pq.read_table(Path(planned["files"][0]).parent / "plan.parquet").to_pandas()
    chosen = table[table["action_id"] == "deposit"]
    assert chosen["uplift"].isna().all()
    assert chosen["propensity"].between(0, 1).all()
    assert chosen["reason"].str.contains("uplift unknown").all()
    decision = run("decide", chosen["contact_id"].iloc[0], "-w", folder)
    assert decision["actions"][0]["traffic"] == "propensity"
    assert any("not incremental" in reason for reason in decision["actions"][0]["reasons"])


def test_the_example_looks_forward_in_time_and_names_the_economy_that_drifts(tmp_path: Path, data_dir: Path, run: Run) -> None:
    folder = tmp_path / "bank"
    run("init", folder, "--example", "bank_marketing", "--set", f"data={data_dir / 'bank_marketing.csv'}")
    config = yaml.safe_load((folder / "nudge.yaml").read_text())
    (folder / "nudge.yaml").write_text(yaml.safe_dump({**config, "stores": {"tracking": f"sqlite:///{folder}/mlflow.db"}}))
    run("ingest", "-w", folder)
    called = pq.read_table(folder / "data" / "interactions.parquet").to_pandas()["occurred_at"]
    assert (str(called.min())[:7], str(called.max())[:7]) == ("2008-05", "2010-11")

    trained = run("train", "-w", folder)

    drift = next(warning for warning in trained["warnings"] if "features that drift in time" in warning)
    economy = ("employment_variation_rate", "consumer_price_index", "consumer_confidence_index", "euribor_3m", "people_employed")
    assert all(name in drift for name in (*economy, "call_month"))
    assert any("without all of these, later rows are predicted" in warning for warning in trained["warnings"])
    metrics = trained["models"][0]["metrics"]
    assert metrics["drift.two_sample_auc"] > 0.9
    assert metrics["auc"] > 0.65
