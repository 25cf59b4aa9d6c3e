"""What a plan says to people: each limit with its unit, what one more is worth, what having it costs, and what was not done."""

from __future__ import annotations

from typing import Any

import pytest

from nudge.answers.plan import planned, sentences
from nudge.ground.terminal import Terminal

LIMIT: dict[str, Any] = {"measure": "contacts", "used": 64.0, "limit": 64.0, "min": None, "slack": 0.0, "excess": None, "cost": 0.0}
CALLS = {**LIMIT, "id": "calls", "shadow_price": 41.2, "cost": 3100.0}
PLAN: dict[str, Any] = {
    "plan_id": "plan-1",
    "contacts": 1000,
    "selected": 64,
    "treatments": 64,
    "expected_profit": 12345.6,
    "incremental": True,
    "by_action": {"loan": 64, "no_action": 936},
    "by_control_group": {"nudge": 1000},
    "constraints": [CALLS],
    "optimality_gap": 0.0,
    "exploration_cost": 0.0,
    "prices_valid_until": "2026-12-26T22:54:01Z",
    "files": ["out/plan-1/plan.parquet", "out/plan-1/manifest.json"],
    "dry_run": False,
}


def said(capsys: pytest.CaptureFixture[str], budget: float = 0.0, **changes: Any) -> tuple[str, str]:
    planned(Terminal(), {**PLAN, **changes}, "PLN", budget)
    answer = capsys.readouterr()
    return answer.out, answer.err


def test_a_binding_maximum_says_what_one_more_is_worth_and_what_it_costs() -> None:
    assert sentences(CALLS, "PLN") == ["calls: one more contact is worth 41.20 PLN; having this maximum costs 3,100.00 PLN"]


def test_a_binding_minimum_says_what_one_less_would_earn() -> None:
    minimum = {**LIMIT, "id": "floor", "limit": None, "min": 60.0, "shadow_price": -6.05, "cost": 188.02}
    assert sentences(minimum, "PLN") == [
        "floor: asking for one less contact would earn 6.05 PLN more; having this minimum costs 188.02 PLN"
    ]


def test_a_budget_is_counted_in_its_currency() -> None:
    budget = {**LIMIT, "id": "budget", "measure": "cost", "shadow_price": 2.5}
    assert sentences(budget, "EUR") == ["budget: one more EUR is worth 2.50 EUR"]


def test_a_limit_that_changes_nothing_has_no_sentence() -> None:
    assert sentences({**LIMIT, "id": "idle", "shadow_price": 0.0}, "PLN") == []


def test_contacts_are_counted_whole_and_money_to_the_cent(capsys: pytest.CaptureFixture[str]) -> None:
    budget = {**LIMIT, "id": "budget", "measure": "cost", "used": 7.0, "limit": 40.0, "slack": 33.0, "shadow_price": 0.0}
    out, _ = said(capsys, constraints=[CALLS, budget])
    calls, money = (next(line for line in out.splitlines() if f"│ {name} " in line).split("│") for name in ("calls", "budget"))
    assert [cell.strip() for cell in calls[1:7]] == ["calls", "contacts", "64", "-", "64", "0"]
    assert [cell.strip() for cell in money[1:7]] == ["budget", "PLN", "7.00", "-", "40.00", "33.00"]


def test_the_slack_of_a_minimum_is_what_lies_above_it(capsys: pytest.CaptureFixture[str]) -> None:
    minimum = {**LIMIT, "id": "floor", "limit": None, "min": 60.0, "slack": None, "excess": 4.0, "shadow_price": 0.0}
    out, _ = said(capsys, constraints=[minimum])
    floor = next(line for line in out.splitlines() if "│ floor " in line).split("│")
    assert [cell.strip() for cell in floor[4:7]] == ["60", "-", "4"]


def test_a_budget_for_learning_that_is_not_used_is_not_passed_over(capsys: pytest.CaptureFixture[str]) -> None:
    assert "nobody is explored" in said(capsys, budget=100.0)[0]
    assert "explor" not in said(capsys)[0]
    assert "exploration gives up 3.50 PLN of it to learn, of 100.00 PLN a period" in said(capsys, budget=100.0, exploration_cost=3.5)[0]


def test_the_files_are_one_line_and_a_dry_run_says_that_nothing_was_kept(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys)[1] == "2 files in out/plan-1; the shadow prices hold for real time until 2026-12-26 22:54 UTC.\n"
    assert said(capsys, dry_run=True, files=[])[1] == "Nothing was kept: a dry run.\n"
    assert "nothing is reserved" in said(capsys, prices_only=True, files=[])[1]


def test_a_profit_that_is_not_incremental_is_not_called_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert "expected incremental profit 12,345.60 PLN, the best possible" in said(capsys)[0]
    assert "expected profit (not incremental: some uplift is unknown)" in said(capsys, incremental=False)[0]
