"""`nudge leads`: scored, handed over once with reasons, told what became of them, counted in the report."""

from __future__ import annotations

import copy
import csv
import json
from pathlib import Path
from typing import Any

import pytest

from nudge.desks.leads import WorkspaceLeads
from nudge.ground.workspace import Workspace
from tests.nudge.shops import CATALOG, Shared, Shop

LEAD: dict[str, Any] = {
    "who": "NOT has_loan",
    "fit": [{"when": "age >= 60", "points": 50, "because": "sixty or older"}],
    "asked": [{"id": "city", "ask": "Where do you live?", "answer": "nullif_city", "points": [{"when": "age > 70", "points": 5}]}],
    "grades": {"A": 50},
    "threshold": {"score": 0, "grade": "A"},
    "owner": [{"owner": "anna", "when": "age >= 70"}, {"owner": "tom"}],
    "accept_within_hours": 24,
}


def with_leads(shop: Shop) -> Shop:
    catalog = copy.deepcopy(CATALOG)
    catalog["lead"] = copy.deepcopy(LEAD)
    catalog["lead"]["asked"][0]["answer"] = "city"
    shop.write(catalog=catalog)
    assert shop.run("ingest").code == 0
    return shop


@pytest.fixture
def sales(shop: Shop) -> Shop:
    return with_leads(shop)


@pytest.fixture
def shared_sales(shared: Shared) -> Shop:
    """A shop from which no lead is handed over."""
    return shared(with_leads)


def test_everybody_is_scored_and_nobody_is_handed_over_by_that(shared_sales: Shop) -> None:
    found = shared_sales.run("leads", "score").document
    older = [i for i in range(200) if 18 + i % 60 >= 60 and i % 3 != 0]
    assert (found["contacts"], found["qualified"]) == (200, len(older))
    assert found["grades"][0] == {"grade": "A", "contacts": len(older), "qualified": len(older)}
    assert found["lines"][0]["because"] == "sixty or older"
    assert shared_sales.run("leads", "list").document["leads"] == 0


def test_a_lead_is_handed_over_once_with_its_reasons(sales: Shop, tmp_path: Path) -> None:
    file = tmp_path / "leads.ndjson"
    document = sales.run("leads", "hand-over", "--out", str(file)).document
    events = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert document["handed_over"] == len(events) > 0
    assert {one["type"] for one in events} == {"com.nudge.lead.qualified.v1"}
    assert events[0]["data"]["reasons"][0] == {"part": "fit", "because": "sixty or older", "points": 50.0}
    assert sales.run("leads", "hand-over").document["handed_over"] == 0
    again = tmp_path / "again.csv"
    assert sales.run("leads", "hand-over", "--again", "--out", str(again)).document["written"] == len(events)
    with again.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert {row["lead_id"] for row in rows} == {one["id"] for one in events}
    assert "sixty or older (+50)" in rows[0]["reasons"]


def test_a_file_name_of_no_format_is_refused_before_anything_is_handed_over(shared_sales: Shop, tmp_path: Path) -> None:
    answer = shared_sales.run("leads", "hand-over", "--out", str(tmp_path / "leads.xlsx"))
    assert answer.code == 2 and "--out: cannot be written in this format" in answer.err
    assert shared_sales.run("leads", "list").document["leads"] == 0


def test_what_sales_sends_back_is_kept_and_counted_in_the_report(sales: Shop, tmp_path: Path) -> None:
    leads = sales.run("leads", "hand-over").document["leads"]
    back = tmp_path / "back.csv"
    rows = [f"{leads[0]['lead_id']},won,900,", f"{leads[1]['lead_id']},rejected,,wrong number", f"{leads[2]['lead_id']},accepted,,"]
    back.write_text("\n".join(["lead_id,status,revenue,reason", *rows]), encoding="utf-8")
    assert sales.run("leads", "status", str(back)).document["changed"] == 3
    assert sales.run("leads", "status", str(back)).document["changed"] == 0
    assert sales.run("leads", "list", "--status", "rejected").document["list"][0]["reason"] == "wrong number"
    figures = {one["kpi"]: one["value"] for head in sales.run("report", "roi").document["heads"].values() for one in head}
    assert [figures[name] for name in ("leads_qualified", "leads_accepted", "leads_rejected", "leads_won", "lead_revenue")] == [
        len(leads), 2, 1, 1, 900,
    ]  # fmt: skip
    assert figures["lead_win_rate"] == 0.5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lead_id,status\nlead-x,won", "row 1.lead_id: no such lead"),
        ("lead_id,status,revenue\nlead-x,won,much", "row 1.revenue: is not a number"),
        ("lead_id,status,at\nlead-x,won,soon", "row 1.at: is not a time"),
        ("lead,state\nlead-x,won", "lacks the columns"),
    ],
)
def test_a_file_of_statuses_that_cannot_be_is_refused_by_its_row(shared_sales: Shop, tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "back.csv"
    file.write_text(text, encoding="utf-8")
    answer = shared_sales.run("leads", "status", str(file))
    assert answer.code == 1 and words in answer.err


def test_without_a_definition_the_refusal_says_what_to_do(shop: Shop) -> None:
    shop.run("ingest")
    answer = shop.run("leads", "score")
    assert answer.code == 1 and "add `lead:` to catalog.yaml" in answer.err


def test_over_http_they_are_the_same(sales: Shop) -> None:
    handed = sales.run("leads", "hand-over").document["leads"]
    desk = WorkspaceLeads(Workspace.open(sales.folder))
    assert len(desk.listed(status=None, limit=10_000)["list"]) == len(handed)
    assert desk.step(handed[0]["lead_id"], "accepted", at=None, revenue=None, reason=None)["status"] == "accepted"
    assert [one["lead_id"] for one in desk.listed(status="accepted", limit=10)["list"]] == [handed[0]["lead_id"]]
