"""The demo's catalogue and the simulated world say the same, and the truth stays out of every source."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
import yaml

from decisioning.catalog import Catalog, parse_catalog
from nudge.ground.config import parse_config
from simulation.actions import ACTIONS, CHANNELS, TREATMENTS, Action
from simulation.world import World


@pytest.fixture(scope="module")
def demo(project_root: Path) -> Path:
    return project_root / "examples" / "demo"


@pytest.fixture(scope="module")
def catalog(demo: Path) -> Catalog:
    return parse_catalog(yaml.safe_load((demo / "catalog.yaml").read_text(encoding="utf-8")))


def test_the_catalogue_is_a_catalogue_of_twelve_actions_or_more_in_three_issues(catalog: Catalog) -> None:
    assert len(catalog.actions) >= 12
    assert {action.issue for action in catalog.actions} == {"sales", "retention", "service"}
    assert set(catalog.channels) == {"web", "app", "email", "sms", "call"}
    assert [action.id for action in catalog.actions] == [action.id for action in ACTIONS]


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.id)
def test_an_action_has_the_same_rules_and_economics_in_both(catalog: Catalog, action: Action) -> None:
    said = catalog.action_by_id[action.id]
    assert (said.issue, said.group, said.goal, said.cost) == (action.issue, action.group, action.goal, action.cost)
    assert str(said.value) == action.value or float(said.value) == float(action.value)
    assert catalog.outcomes[action.goal].window_days == action.window_days
    for rule in ("eligibility", "applicability", "suitability"):
        condition = getattr(said, rule)
        assert str(condition).lower() == getattr(action, rule).lower() or (condition in (None, True) and getattr(action, rule) == "true"), (
            rule
        )
    assert (said.cold_start is not None) == (not action.in_pilot)


def test_treatments_and_channels_cost_the_same_in_both(catalog: Catalog) -> None:
    said = {treatment.id: (action.id, treatment.channel, catalog.cost_of(action, treatment)) for action, treatment in catalog.treatments}
    ours = {one.id: (ACTIONS[one.action].id, CHANNELS[one.channel].id, one.cost) for one in TREATMENTS}
    assert said == ours
    for channel in CHANNELS:
        other = catalog.channels[channel.id]
        assert (other.direction, other.cost, other.purpose) == (channel.direction, channel.cost, channel.purpose)


def test_no_source_reads_the_truth(demo: Path, world: World, tmp_path: Path) -> None:
    """The sources work in a folder that holds raw/ alone."""
    config = parse_config(yaml.safe_load((demo / "nudge.yaml").read_text(encoding="utf-8")))
    world.write(tmp_path / "raw", tmp_path / "elsewhere" / "truth")
    connection = duckdb.connect()
    connection.execute(f"SET file_search_path = '{tmp_path}'")
    for table, query in config.sources.model_dump(exclude_none=True).items():
        assert "truth" not in query.lower()
        rows = connection.execute(f"SELECT count(*) FROM ({query})").fetchone()
        assert rows is not None and rows[0] == world.counts[table]


def test_no_raw_column_gives_the_truth_away(world: World) -> None:
    columns = {name for table in world.tables.values() for name in table.column_names}
    for hidden in ("uplift", "baseline", "propensity", "clv", "opt_out_risk", "loyal", "irritable", "wealth", "credit", "deal", "digital"):
        assert hidden not in columns


def test_the_users_feature_query_answers_once_a_row_and_only_from_the_past(demo: Path, world: World) -> None:
    connection = duckdb.connect()
    connection.register("events", world.tables["events"])
    as_of = "TIMESTAMP '2026-10-01'"
    connection.execute(f"CREATE TABLE entities AS SELECT DISTINCT contact_id, {as_of} AS as_of FROM events ORDER BY contact_id LIMIT 500")
    for file in sorted((demo / "features").glob("*.sql")):
        query = file.read_text(encoding="utf-8").strip().rstrip(";")
        whole = connection.execute(f"SELECT * FROM ({query}) ORDER BY ALL").fetchall()
        assert len(whole) == len({row[0] for row in whole}) > 400
        connection.register("events", world.tables["events"].filter(duckdb_before(world)))
        assert connection.execute(f"SELECT * FROM ({query}) ORDER BY ALL").fetchall() == whole


def duckdb_before(world: World) -> object:
    import pyarrow.compute as pc

    return pc.less(world.tables["events"]["occurred_at"], pc.strptime("2026-10-01", format="%Y-%m-%d", unit="us"))
