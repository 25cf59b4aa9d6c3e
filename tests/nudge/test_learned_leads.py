"""`nudge train --only lead`: the learned score beside the points, on leads whose answer is known, and on real ones."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from benchmarks.leads import AFTERWARDS
from tests.nudge.shops import CATALOG, Shop

CONTACTS = """SELECT 'c-' || i AS contact_id, i % 10 AS visits, (i * 7919) % 101 AS noise, i % 3 = 0 AS in_debt FROM range(600) r(i)"""
# Of ten visits many are won, of none few; whoever is in debt cannot be a lead.
OUTCOMES = """SELECT 'o-' || i AS event_id, 'c-' || i AS contact_id, 'sale' AS outcome, NULL::TIMESTAMP AS occurred_at, 10.0 AS value
  FROM range(600) r(i) WHERE (i * 6151) % 997 < 997 * (0.03 + 0.06 * (i % 10))"""
LEAD: dict[str, Any] = {
    "who": "NOT in_debt",
    "fit": [{"when": "noise >= 50", "points": 10}],
    "threshold": {"score": 0},
    "goal": "sale",
}


def with_lead(shop: Shop, lead: dict[str, Any], sources: dict[str, str], **catalog: Any) -> Shop:
    whole = {**copy.deepcopy(CATALOG), "lead": lead, **catalog}
    whole["actions"][0] |= {"eligibility": "true", "value": 10}
    shop.write(catalog=whole, sources=sources)
    answer = shop.run("ingest")
    assert answer.code == 0, answer.err
    return shop


def test_the_score_is_learned_judged_beside_the_points_and_stands_beside_them(shop: Shop) -> None:
    sales = with_lead(shop, LEAD, {"contacts": CONTACTS, "outcomes": OUTCOMES})
    answer = sales.run("train", "--only", "lead")
    assert answer.code == 0, answer.err
    (model,) = answer.document["models"]
    assert model["metrics"]["auc"] > 0.65 > 0.6 > model["metrics"]["points_auc"]  # the points look at noise
    assert model["headline"]["against"] == "the catalogue's points"
    leads = sales.run("leads", "hand-over").document["leads"]
    visits = {one["contact_id"]: int(one["contact_id"].removeprefix("c-")) % 10 for one in leads}
    often = [one["probability"] for one in leads if visits[one["contact_id"]] >= 8]
    never = [one["probability"] for one in leads if visits[one["contact_id"]] <= 1]
    assert min(often) > max(never)
    assert all(int(name.removeprefix("c-")) % 3 for name in visits)


def test_without_enough_leads_that_ended_it_says_how_many_are_missing(shop: Shop) -> None:
    sales = with_lead(shop, {**LEAD, "goal": None}, {"contacts": CONTACTS, "outcomes": OUTCOMES})
    answer = sales.run("train", "--only", "lead")
    assert answer.code == 1
    assert "of 0 leads that have ended 0 were won; at least 30 of either kind are needed" in answer.err


def test_without_a_goal_it_learns_from_leads_that_were_won(shop: Shop, tmp_path: Path) -> None:
    lead = {**LEAD, "goal": None, "threshold": {"score": 0}}
    sales = with_lead(shop, lead, {"contacts": CONTACTS, "outcomes": OUTCOMES})
    handed = sales.run("leads", "hand-over").document["leads"]
    back = tmp_path / "back.csv"
    won = ["won" if int(one["contact_id"].removeprefix("c-")) % 10 >= 5 else "lost" for one in handed]
    rows = [f"{one['lead_id']},{status}" for one, status in zip(handed, won, strict=True)]
    back.write_text("\n".join(["lead_id,status", *rows]), encoding="utf-8")
    assert sales.run("leads", "status", str(back)).document["changed"] == len(handed)
    answer = sales.run("train", "--only", "lead")
    assert answer.code == 0, answer.err
    assert answer.document["models"][0]["metrics"]["auc"] > 0.95


def test_on_real_leads_the_score_ranks_as_in_the_benchmark(shop: Shop, data_dir: Path) -> None:
    raw = f"read_parquet('{data_dir / 'leads.parquet'}') WHERE \"Lead Number\" % 9 = 0"
    afterwards = ", ".join(f'"{name}"' for name in AFTERWARDS)
    contacts = f"""SELECT "Prospect ID" AS contact_id, * EXCLUDE ("Prospect ID", "Lead Number", "Converted", {afterwards}) FROM {raw}"""
    outcomes = f"""SELECT "Prospect ID" AS contact_id, 'sale' AS outcome, NULL::TIMESTAMP AS occurred_at FROM {raw} AND "Converted" = 1"""
    points = [{"when": "lead_origin = 'Lead Add Form'", "points": 30}, {"when": "total_time_spent_on_website > 600", "points": 20}]
    sales = with_lead(shop, {"fit": points, "threshold": {"score": 0}, "goal": "sale"}, {"contacts": contacts, "outcomes": outcomes})
    answer = sales.run("train", "--only", "lead")
    assert answer.code == 0, answer.err
    metrics = answer.document["models"][0]["metrics"]
    assert metrics["auc"] > 0.8
    assert metrics["auc"] >= metrics["card_auc"] - 0.05
    assert metrics["card_auc"] > metrics["points_auc"]
