"""The measured reports: by hand on a few rows, against the truth on simulated ones, and what they do where there is little to measure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from decisioning.errors import RequestError, Unavailable
from ledger.outcomes import OutcomeRecord
from ledger.records import DecisionRecord, Selection
from nudge.desks.reports import WorkspaceReports
from nudge.ground.workspace import Workspace
from nudge.reports.channels import measured_channels
from nudge.reports.data import data_report
from nudge.reports.facts import Facts, Span, as_naive, open_facts
from nudge.reports.goals import goals_report
from nudge.reports.goals_file import parse_goals
from nudge.reports.page import report_page
from nudge.reports.roi import roi_report
from nudge.reports.sections import sections
from nudge.reports.tallies import prepare, tally
from nudge.reports.worth import read_logged
from nudge.verbs.ingesting import ingest_workspace

CATALOG: dict[str, Any] = {
    "version": "1",
    "currency": "PLN",
    "time_zone": "Europe/Warsaw",
    "channels": {"web": {"direction": "inbound"}, "email": {"direction": "outbound", "cost": 0.5}},
    "outcomes": {
        "sale": {"kind": "conversion", "window_days": 30},
        "card_sale": {"kind": "conversion", "window_days": 30},
        "click": {"kind": "response", "window_days": 7},
        "unsubscribe": {"kind": "opt_out", "window_days": 30},
    },
    "actions": [
        {"id": "loan", "issue": "sales", "goal": "sale", "value": 80, "treatments": [{"id": "loan_email", "channel": "email"}]},
        {"id": "card", "issue": "cards", "goal": "card_sale", "value": 30, "treatments": [{"id": "card_web", "channel": "web"}]},
    ],
    "controls": {"holdout": 0.2, "salt": "s"},
}
HAND = {
    "contacts": """SELECT * FROM (VALUES ('c1', 'a1', 'PL'), ('c2', 'a1', 'PL'), ('c3', NULL, 'DE'), ('c4', NULL, 'DE'))
        t(contact_id, account_id, market)""",
    "interactions": """SELECT * FROM (VALUES
        ('i1', 'c1', 'loan', 'email', TIMESTAMP '2026-01-01'), ('i2', 'c1', 'loan', 'web', TIMESTAMP '2026-01-05'),
        ('i3', 'c2', 'loan', 'email', TIMESTAMP '2026-01-02'), ('i4', 'c3', 'no_action', NULL, TIMESTAMP '2026-01-01'),
        ('i5', 'c3', 'card', 'web', TIMESTAMP '2026-02-01')) t(interaction_id, contact_id, action_id, channel, occurred_at)""",
    "outcomes": """SELECT * FROM (VALUES
        (NULL, 'c1', 'sale', TIMESTAMP '2026-01-10', 100.0), (NULL, 'c1', 'sale', TIMESTAMP '2026-03-01', 50.0),
        ('i1', 'c1', 'click', TIMESTAMP '2026-01-02', NULL), (NULL, 'c2', 'unsubscribe', TIMESTAMP '2026-01-03', NULL),
        ('i5', 'c3', 'card_sale', TIMESTAMP '2026-02-03', NULL), (NULL, 'c4', 'sale', TIMESTAMP '2026-02-03', 9.0))
        t(interaction_id, contact_id, outcome, occurred_at, value)""",
}


def workspace(folder: Path, sources: dict[str, str], catalog: dict[str, Any] | None = None) -> Workspace:
    folder.mkdir()
    (folder / "nudge.yaml").write_text(yaml.safe_dump({"name": "shop", "sources": sources}), encoding="utf-8")
    (folder / "catalog.yaml").write_text(yaml.safe_dump(catalog or CATALOG), encoding="utf-8")
    made = Workspace.open(folder)
    ingest_workspace(made, quarantine=False, progress=lambda text: None)
    return made


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Facts]:
    with open_facts(workspace(tmp_path_factory.mktemp("hand") / "shop", HAND)) as facts:
        yield facts


def sums(facts: Facts, dimension: str, name: str, span: Span | None = None) -> dict[str, float]:
    asked = span or Span()
    prepare(facts, asked)
    found = tally(facts, dimension)
    place = list(found.names).index(name)
    return {key: float(values[place]) for key, values in found.sums.items()}


def test_a_sale_belongs_to_the_newest_touch_of_its_goal_within_the_window(by_hand: Facts) -> None:
    web, email = sums(by_hand, "channel", "web"), sums(by_hand, "channel", "email")
    assert (web["attributed_revenue"], web["conversions"], email["conversions"]) == (130.0, 2.0, 0.0)  # a card sale is worth 30
    assert (email["clicks"], email["unsubscribes"], email["sends"], email["marketing_cost"]) == (1.0, 1.0, 2.0, 1.0)
    assert (web["impressions"], web["new_customers"], web["converters"]) == (2.0, 2.0, 2.0)


def test_the_whole_counts_sales_that_nobody_was_touched_for(by_hand: Facts) -> None:
    whole = sums(by_hand, "all", "all")
    assert (whole["revenue"], whole["attributed_revenue"]) == (189.0, 130.0)
    assert (whole["contacts"], whole["touches"]) == (3.0, 4.0)
    assert whole["cycle_days"] / whole["cycles"] == pytest.approx((9 + 2) / 2)  # from the first touch: 1 to 10 January, 1 to 3 February


def planned(folder: Path, plan_id: str, as_of: str, worth: dict[str | None, float | None]) -> None:
    (folder / "exports" / plan_id).mkdir(parents=True)
    manifest = {"plan_id": plan_id, "as_of": as_of, "created_at": as_of, "files": {}}
    (folder / "exports" / plan_id / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    table = pa.table({"contact_id": pa.array(worth, pa.string()), "clv": pa.array(worth.values(), pa.float64())})
    pq.write_table(table, folder / "exports" / plan_id / "plan.parquet")


def test_lifetime_values_of_the_last_plan_are_compared_with_those_of_the_first(tmp_path: Path) -> None:
    made = workspace(tmp_path / "shop", HAND)
    planned(made.folder, "plan-b", "2026-02-10T00:00:00Z", {"c1": 999.0})
    planned(made.folder, "plan-d", "2026-02-10T00:00:00Z", {"c1": 999.0})
    with open_facts(made) as facts:  # one plan says nothing about a change
        assert "clv_change" in roi_report(facts, Span())["unmeasured"]
    planned(made.folder, "plan-a", "2026-01-01T00:00:00Z", {"c1": 100.0, "c2": 50.0, "c3": 10.0, None: 7.0, "c4": None})
    planned(made.folder, "plan-c", "2026-03-01T00:00:00Z", {"c1": 130.0, "c3": 20.0, "c4": 5.0, None: 9.0})
    (made.folder / "exports" / "plan-b" / "manifest.json").write_text("{", encoding="utf-8")  # a damaged plan is left out
    with open_facts(made) as facts:
        whole = sums(facts, "all", "all")
        assert (whole["clv_before"], whole["clv_after"], whole["clv_contacts"]) == (110.0, 150.0, 2.0)
        assert sums(facts, "market", "PL")["clv_after"] == 130.0
        assert "clv_after" not in sums(facts, "period", "2026-01")
        value = next(one for one in roi_report(facts, Span())["heads"]["value"] if one["kpi"] == "clv_change")["value"]
        assert value == 20.0
        assert sums(facts, "all", "all", Span(end=as_naive(datetime(2026, 2, 15, tzinfo=UTC))))["clv_after"] == 999.0


def test_slices_by_action_issue_market_stage_and_month(by_hand: Facts) -> None:
    assert sums(by_hand, "issue", "cards")["attributed_revenue"] == 30.0
    assert sums(by_hand, "action", "loan")["touches"] == 3.0
    assert sums(by_hand, "market", "DE")["revenue"] == 39.0
    assert sums(by_hand, "stage", "engaged")["touches"] == 1.0  # c1 had clicked before the second touch
    assert sums(by_hand, "period", "2026-01")["revenue"] == 100.0


def test_a_span_leaves_out_what_was_before_and_after(by_hand: Facts) -> None:
    february = sums(by_hand, "all", "all", Span(datetime(2026, 2, 1), datetime(2026, 3, 1)))  # noqa: DTZ001
    assert (february["touches"], february["revenue"]) == (1.0, 39.0)


def test_what_the_catalogue_has_no_word_for_is_not_zero_but_unmeasured(by_hand: Facts) -> None:
    document = roi_report(by_hand, Span())
    assert {"opens", "complaints", "rejections", "triggers", "clv_change", "leads_qualified"} <= set(document["unmeasured"])
    assert "clicks" not in document["unmeasured"]


def test_a_sale_to_a_firm_counts_once_for_all_who_were_touched_there(by_hand: Facts) -> None:
    firms = roi_report(by_hand, Span())["firms"]
    assert (firms["sales"], firms["attributed_revenue"], firms["marketing_cost"]) == (1, 100.0, 1.0)
    # Half to each person; of c1, half to each touch: email 25 + 50, web 25.
    assert {one["channel"]: one["attributed_revenue"] for one in firms["channels"]} == {"email": 75.0, "web": 25.0}


def test_every_attribution_model_shares_out_the_same_sales(by_hand: Facts) -> None:
    found = roi_report(by_hand, Span())["attribution"]
    for model in found["models"]:
        assert sum(one["conversions"][model] for one in found["channels"]) == pytest.approx(2.0)
        assert sum(one["value"][model] for one in found["channels"]) == pytest.approx(130.0)
    first = {one["channel"]: one["value"]["first"] for one in found["channels"]}
    assert first == {"email": 100.0, "web": 30.0}


def test_goals_and_figures_that_miss_each_other_are_named(by_hand: Facts) -> None:
    goals = [
        {"id": "more", "kpi": "attributed_revenue", "baseline": 0, "target": 100, "deadline": "2026-12-31", "owner": "Ada"},
        {"id": "love", "kpi": "open_rates", "baseline": 1, "target": 2, "deadline": "2026-12-31", "owner": "Ada"},
    ]
    document = goals_report(by_hand, parse_goals(goals))
    assert [one["status"] for one in document["goals"]] == ["reached", "unmeasured"]
    assert document["unmeasured"] == [{"goal": "love", "kpi": "open_rates", "hint": "did you mean 'open_rate'?"}]
    assert "clicks" in document["unneeded"]
    assert "attributed_revenue" not in document["unneeded"]


TOUCHED, BASE, LIFT = 0.6, 0.3, 0.15


def simulated(folder: Path, *, timeless: bool) -> Workspace:
    """A log of 6,000 contacts: a share touched at random; a sale of 100 with a chance of BASE, and LIFT more where touched."""
    rng, n = np.random.default_rng(7), 6_000
    folder.mkdir()
    treated = rng.random(n) < TOUCHED
    sold = rng.random(n) < BASE + LIFT * treated
    at = (
        np.full(n, np.datetime64("NaT"), "datetime64[us]") if timeless else np.datetime64("2026-01-01", "us") + np.arange(n).astype("m8[m]")
    )
    ids = np.array([f"i{k}" for k in range(n)])
    contacts = np.array([f"c{k}" for k in range(n)])
    action, channel = np.where(treated, "loan", "no_action"), np.array([{True: "email"}.get(one) for one in treated.tolist()], dtype=object)
    prob = np.where(treated, TOUCHED, 1 - TOUCHED)
    log = {
        "interaction_id": ids,
        "contact_id": contacts,
        "action_id": action,
        "channel": channel,
        "occurred_at": at,
        "selection_prob": prob,
    }
    pq.write_table(pa.table({"contact_id": contacts}), folder / "contacts.parquet")
    pq.write_table(pa.table(log), folder / "interactions.parquet")
    outcomes = {
        "outcome": np.full(int(sold.sum()), "sale"),
        "occurred_at": at[sold] + np.timedelta64(1, "D"),
        "value": np.full(sold.sum(), 100.0),
    }
    # Everybody's windows have to close: one more outcome, of somebody else, long after.
    pq.write_table(pa.table({"interaction_id": ids[sold], **outcomes}), folder / "outcomes.parquet")
    late = "NULL::TIMESTAMP" if timeless else "TIMESTAMP '2026-06-01'"
    return workspace(
        folder / "shop",
        {
            "contacts": f"SELECT * FROM '{folder}/contacts.parquet'",
            "interactions": f"SELECT * FROM '{folder}/interactions.parquet'",
            "outcomes": f"SELECT *, NULL AS contact_id FROM '{folder}/outcomes.parquet' UNION ALL BY NAME "
            f"SELECT 'c0' AS contact_id, 'click' AS outcome, {late} AS occurred_at",
        },
    )


@pytest.fixture(scope="module", params=[False, True], ids=["timed", "timeless"])
def logged(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[tuple[Workspace, Facts]]:
    made = simulated(tmp_path_factory.mktemp("log") / "raw", timeless=request.param)
    with open_facts(made) as facts:
        yield made, facts


def test_the_incremental_profit_of_a_randomised_log_holds_the_truth_and_the_attributed_return_does_not(
    logged: tuple[Workspace, Facts],
) -> None:
    document = roi_report(logged[1], Span())
    found, truth = document["incremental"]["history"], 100 * LIFT - 0.5
    assert found["randomised"]
    assert found["treated"] + found["control"] == 6_000
    assert found["profit"]["per_contact"]["low"] < truth < found["profit"]["per_contact"]["high"]
    assert found["roi"]["low"] < truth / 0.5 < found["roi"]["high"]
    figures = {one["kpi"]: one for head in document["heads"].values() for one in head}
    assert figures["incremental_roi"]["value"] == pytest.approx(found["roi"]["value"], rel=1e-6)
    attributed = (100 * (BASE + LIFT) - 0.5) / 0.5
    assert figures["attributed_roi"]["value"] == pytest.approx(attributed, rel=0.05)
    assert figures["attributed_roi"]["value"] > found["roi"]["high"]
    assert document["incremental"]["attributed_beyond"] == pytest.approx(figures["attributed_roi"]["value"] - found["roi"]["value"])


def test_a_goal_of_the_incremental_return_stands_where_the_report_says_it_does(logged: tuple[Workspace, Facts]) -> None:
    document = roi_report(logged[1], Span())
    figures = {one["kpi"]: one["value"] for head in document["heads"].values() for one in head}
    goal = {"id": "pays", "kpi": "incremental_roi", "baseline": 0, "target": 1, "deadline": "2026-12-31", "owner": "Ada"}
    (stands,) = goals_report(logged[1], parse_goals([goal]))["goals"]
    assert stands["current"] == pytest.approx(figures["incremental_roi"])


def test_a_report_is_shown_as_tables_and_as_a_page_that_loads_nothing(logged: tuple[Workspace, Facts]) -> None:
    made, facts = logged
    for document in (roi_report(facts, Span()), measured_channels(facts, Span()), data_report(made, facts), goals_report(facts, ())):
        assert all(len(row) == len(one.header) for one in sections(document) for row in one.rows)
        page = report_page(document)
        assert re.findall(r'(?:src|href)="(?!#)[^"]*"|url\((?!#)', page) == []
        assert "<h2>" in page


def record(ledger: Any, contacts: int, rng: np.random.Generator) -> dict[str, float]:
    """Decisions of three groups and what came of them; returns the true profit a contact of each group."""
    rate = {"nudge": 0.5, "holdout": 0.2, "random": 0.3}
    groups = rng.choice([*rate], contacts, p=[0.7, 0.2, 0.1]).tolist()
    start = datetime(2026, 7, 1, tzinfo=UTC)
    decisions, outcomes = [], []
    for k, group in enumerate(groups):
        chosen = () if group == "holdout" else (Selection(1, "loan", "loan_email", "email", "outbound", None, 1.0, 9.0, 0.5),)
        decisions.append(DecisionRecord(f"d{k}", f"c{k}", start, group, chosen))
        if rng.random() < rate[group]:
            sold = start + timedelta(days=3 + 40 * (k % 2))
            outcomes.append(OutcomeRecord(f"e{k}", f"c{k}", "sale", "positive", sold, sold, value=100.0))
    ledger.record_decisions(decisions)
    ledger.record_outcomes(outcomes)
    return {group: 100 * rate[group] - (0 if group == "holdout" else 0.5) for group in rate}


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, float]]:
    """The report on 4,000 decided contacts, and the true profit a contact of each group."""
    folder = tmp_path_factory.mktemp("decided")
    made = workspace(
        folder / "shop",
        {"contacts": "SELECT 'c' || i AS contact_id FROM range(4000) r(i)"},
        CATALOG | {"controls": {"holdout": 0.2, "random": 0.1}},
    )
    with made.open_ledger() as ledger:
        truth = record(ledger, 4_000, np.random.default_rng(3))
    with open_facts(made) as facts:
        return roi_report(facts, Span()), truth


def test_the_programme_and_each_layer_hold_the_truth(decided: tuple[dict[str, Any], dict[str, float]]) -> None:
    document, truth = decided
    layers = {one["control_group"]: one for one in document["incremental"]["programme"]["layers"]}
    for group in ("holdout", "random"):
        profit = layers[group]["profit"]["per_contact"]
        assert profit["low"] < truth["nudge"] - truth[group] < profit["high"]
    assert layers["holdout"]["roi"]["low"] < (truth["nudge"] - truth["holdout"]) / 0.5 < layers["holdout"]["roi"]["high"]


def test_the_months_of_what_was_decided_here_add_up_to_the_whole(decided: tuple[dict[str, Any], dict[str, float]]) -> None:
    made = decided[0]["incremental"]
    (holdout,) = [one for one in made["programme"]["layers"] if one["control_group"] == "holdout"]
    months = made["programme_by_month"]
    assert [(one["month"], one["treated"], one["control"]) for one in months] == [
        (month, holdout["treated"], holdout["control"]) for month in ("2026-07", "2026-08")
    ]
    assert sum(one["profit"]["value"] for one in months) == pytest.approx(holdout["profit"]["per_contact"]["value"])
    assert all(one["profit"]["low"] < 15 < one["profit"]["high"] for one in months)  # half of the sales each: .3 * 100 / 2
    assert report_page(decided[0]).count("Month by month: decided here") == 2


def test_groups_as_large_as_they_should_be_raise_no_alarm(decided: tuple[dict[str, Any], dict[str, float]]) -> None:
    launch = decided[0]["launch"]
    assert not launch["sample_ratio"]["alarm"]
    assert [one["always_valid"] for one in launch["holdout"]] == [False, True]
    assert launch["holdout"][0]["minimum_detectable_effect"] < launch["holdout"][1]["minimum_detectable_effect"]


def test_before_anything_came_of_a_decision_nothing_is_said_about_its_worth(tmp_path: Path) -> None:
    made = workspace(tmp_path / "shop", HAND)
    with made.open_ledger() as ledger:
        ledger.record_decisions(
            [DecisionRecord(f"d{k}", f"c{k}", datetime(2026, 9, 1, tzinfo=UTC), g) for k, g in enumerate(("nudge", "holdout") * 5)]
        )
    with open_facts(made) as facts:
        document = roi_report(facts, Span())
    assert document["incremental"]["programme"] is None


def test_an_outcome_that_was_reported_and_ingested_is_one(tmp_path: Path) -> None:
    outcome = "SELECT 'c1' AS contact_id, 'sale' AS outcome, TIMESTAMP '2026-01-10' AS occurred_at, 100.0 AS value, 'e1' AS event_id"
    made = workspace(tmp_path / "shop", {**HAND, "outcomes": outcome})
    when = datetime(2026, 1, 10, tzinfo=UTC)
    with made.open_ledger() as ledger:
        ledger.record_outcomes([OutcomeRecord("e1", "c1", "sale", "positive", when, when, value=100.0)])
    with open_facts(made) as facts:
        assert sums(facts, "all", "all")["revenue"] == 100.0


def test_an_outcome_dated_in_the_future_closes_no_window_and_moves_no_report(tmp_path: Path, by_hand: Facts) -> None:
    received, dated = datetime(2026, 2, 20, tzinfo=UTC), datetime(2027, 12, 1, tzinfo=UTC)
    made = workspace(tmp_path / "shop", {**HAND, "outcomes": HAND["outcomes"].replace("2026-03-01", "2026-02-02")})
    with made.open_ledger() as ledger:
        ledger.record_outcomes([OutcomeRecord("e1", "c3", "sale", "positive", dated, received, value=7.0)])
    with open_facts(made) as facts:
        document, data = roi_report(facts, Span()), data_report(made, facts)
        assert sums(facts, "all", "all")["revenue"] == sums(by_hand, "all", "all")["revenue"] + 7.0
        logged = read_logged(facts, Span())
    assert document["as_of"] == data["as_of"] == "2026-02-20T00:00:00Z"
    assert data["ingested_at"].endswith("Z")
    assert logged is not None
    assert (logged.rows.contact.size, logged.open_rows) == (4, 1)  # the touch of 1 February has 11 days to go


def test_a_workspace_with_contacts_alone_has_every_report(tmp_path: Path) -> None:
    made = workspace(tmp_path / "shop", {"contacts": "SELECT 'c1' AS contact_id, 40 AS age"}, {**CATALOG, "controls": None})
    with open_facts(made) as facts:
        for document in (roi_report(facts, Span()), measured_channels(facts, Span()), goals_report(facts, ()), data_report(made, facts)):
            assert sections(document)
            report_page(document)


def test_the_api_makes_the_same_report_one_at_a_time(tmp_path: Path) -> None:
    made = workspace(tmp_path / "shop", HAND)
    desk = WorkspaceReports(made)
    with open_facts(made) as facts:
        assert desk.report("roi", period=None, drop=False) == roi_report(facts, Span())
    assert desk._reporting.acquire(blocking=False)
    with pytest.raises(Unavailable, match="another report"):
        desk.report("roi", period=None, drop=False)
    desk._reporting.release()
    with pytest.raises(RequestError, match="period"):
        desk.report("roi", period="someday", drop=False)
    assert desk.report("goals", period=None, drop=False)["goals"] == []


def test_the_channel_that_earns_nothing_is_the_one_to_drop(tmp_path: Path) -> None:
    prior = {"propensity": 0.2, "uplift": 0.1}
    both = [{"id": "loan_email", "channel": "email"}, {"id": "loan_web", "channel": "web"}]
    catalog = {
        **CATALOG,
        "actions": [{"id": "loan", "goal": "sale", "value": 80, "cold_start": prior, "treatments": both}],
        "controls": None,
    }
    catalog["constraints"] = [{"id": "few", "channel": "web", "measure": "contacts", "max": 2}]
    desk = WorkspaceReports(workspace(tmp_path / "shop", {"contacts": HAND["contacts"]}, catalog))
    drop = desk.report("channels", period=None, drop=True)["drop"]
    web, email = drop["drops"]
    # Web, free, reaches two of four at 8.00 each, e-mail the others at 7.50. Without web all four get an e-mail; without it two nothing.
    assert (web["channel"], email["channel"]) == ("web", "email")
    assert drop["whole"] == {"profit": pytest.approx(31.0), "cost": 1.0, "contacts": 4}
    assert (web["loss"], web["earned_elsewhere"]) == (pytest.approx(1.0), pytest.approx(15.0))
    assert (email["loss"], email["earned_elsewhere"]) == (pytest.approx(15.0), pytest.approx(0.0))
