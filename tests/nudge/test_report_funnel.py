"""`nudge report funnel` on a shop of 200 contacts: the figures, the tables, the page, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nudge.reports.funnel_page import funnel_page
from tests.nudge.shops import CATALOG, Shop


@pytest.fixture
def report(shared_shop: Shop) -> dict[str, Any]:
    return shared_shop.run("report", "funnel").document


def stage(report: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [one for one in report["stages"] if one["stage"] == name]
    return dict(found)


def test_every_stage_hands_on_what_it_leaves(report: dict[str, Any]) -> None:
    assert (report["report"], report["contacts"], report["candidates"]) == ("funnel", 200, 400)
    available = report["candidates"]
    for one in report["stages"]:
        assert one["available"] == available
        assert one["filtered"] == sum(rule["filtered"] for rule in one["rules"])
        assert one["passing"] == available - one["filtered"]
        available = one["passing"]
    assert sum(one["passing"] for one in report["actions"]) == sum(one["passing"] for one in report["channels"]) == available


def test_the_rules_are_named_with_whom_they_hold_back(report: dict[str, Any]) -> None:
    eligibility, consent = stage(report, "eligibility"), stage(report, "consent")
    too_young = sum(18 + i % 60 < 21 for i in range(200))
    assert {rule["rule"]: rule["contacts"] for rule in eligibility["rules"]}["age >= 21"] == too_young
    assert [rule["rule"] for rule in consent["rules"]] == ["email_marketing"]
    assert consent["contacts_passing"] == consent["contacts_available"]  # the banner asks for no consent


def test_everybody_has_a_first_choice_or_a_reason(report: dict[str, Any]) -> None:
    chosen = sum(one["first_choice"] for one in report["channels"])
    assert chosen + report["without_action"]["contacts"] == 200
    assert sum(one["contacts"] for one in report["without_action"]["reasons"]) == report["without_action"]["contacts"]
    assert sum(one["contacts"] for one in report["optionality"]["actions"]) == 200


def test_a_plan_does_not_change_the_funnel_that_the_next_plan_would_find(shop: Shop) -> None:
    shop.run("ingest")
    capped = {**CATALOG, "contact_policy": [{"id": "email_week", "channel": "email", "max": 1, "per_days": 7}]}
    shop.write(catalog=capped)
    before = shop.run("report", "funnel").document
    shop.run("plan")
    after = shop.run("report", "funnel").document
    assert stage(after, "contact_policy") == stage(before, "contact_policy")
    assert after["versions"]["prices"].startswith("plan-")


def test_the_listed_contacts_alone_are_counted(shared_shop: Shop, tmp_path: Path) -> None:
    pq.write_table(pa.table({"contact_id": ["c-3", "c-40", "somebody new"]}), tmp_path / "some.parquet")
    report = shared_shop.run("report", "funnel", "--contacts", str(tmp_path / "some.parquet")).document
    assert (report["contacts"], sum(one["contacts"] for one in report["control_groups"])) == (3, 3)


def test_people_get_tables(shared_shop: Shop) -> None:
    shown = shared_shop.run("report", "funnel", json_output=False).out
    assert "200 contacts x 2 treatments" in shown
    for word in ("eligibility", "age >= 21", "email_marketing", "By channel", "Without any action", "made neutral"):
        assert word in shown


def test_the_page_holds_all_that_it_shows(shared_shop: Shop, tmp_path: Path) -> None:
    assert shared_shop.run("report", "funnel", "--html", str(tmp_path / "funnel.html")).code == 0
    page = (tmp_path / "funnel.html").read_text(encoding="utf-8")
    assert page.count("<svg ") == 3 * 2
    assert re.findall(r'(?:src|href)="(?!#)[^"]*"|url\((?!#)', page) == []
    assert "prefers-color-scheme: dark" in page
    assert "currentColor" in page
    assert "age &gt;= 21" in page


def test_what_a_catalogue_says_cannot_become_markup(report: dict[str, Any]) -> None:
    report["stages"][0]["rules"] = [{"rule": "city = '<script>alert(1)</script>'", "filtered": 1, "contacts": 1}]
    assert "<script" not in funnel_page(report)


def test_a_page_that_cannot_be_written_is_a_refusal(shared_shop: Shop, tmp_path: Path) -> None:
    answer = shared_shop.run("report", "funnel", "--html", str(tmp_path / "nowhere" / "funnel.html"))
    assert answer.code == 1
    assert answer.err.startswith("nudge: --html: the page cannot be written")


def test_a_misspelt_report_is_refused_with_the_nearest_name(shared_shop: Shop) -> None:
    answer = shared_shop.run("report", "funel")
    assert answer.code == 2
    assert "did you mean 'funnel'?" in answer.err


def test_an_explained_decision_is_shown_as_one_would_read_it(shared_shop: Shop) -> None:
    shown = shared_shop.run("decide", "c-40", "--channel", "email", "--explain", "--dry-run", json_output=False).out
    assert "with consent for email_marketing, loan_email would win by 11.10 PLN" in shown
    shown = shared_shop.run("decide", "c-40", "--explain", "--dry-run", json_output=False).out
    assert re.search(r"gain +uplift 0\.0200 x value 580\.00 +\+11\.60", shown)
    assert re.search(r"consent .*email_marketing.*loan \(email\)", shown)
