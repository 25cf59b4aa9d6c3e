"""`nudge report segments` and `value-finder`: counted by hand on a shop of 200 contacts."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from nudge.ground.workspace import Workspace
from nudge.reports.facts import open_facts
from nudge.reports.page import report_page
from nudge.reports.sections import sections
from nudge.reports.segments import names_of
from tests.nudge.shops import CATALOG, CONSENTS, Shared, Shop

CONTACTS = """
  SELECT 'c-' || i AS contact_id, 18 + i % 60 AS age, i % 3 = 0 AS "Has Loan", TIMESTAMP '2026-01-01' AS valid_from FROM range(200) r(i)
  UNION ALL SELECT 'c-' || i, 70, false, TIMESTAMP '2026-06-01' FROM range(10) r(i)"""
# One contact in two is touched: of the older ones a touch always sells, of the younger ones never.
INTERACTIONS = """
  SELECT 'i-' || i AS interaction_id, 'c-' || i AS contact_id, CASE WHEN i % 2 = 0 THEN 'loan' ELSE 'no_action' END AS action_id,
    'loan_email' AS treatment_id, 'email' AS channel, 0.5 AS selection_prob, TIMESTAMP '2026-03-01' AS occurred_at FROM range(200) r(i)"""
OUTCOMES = """
  SELECT 'o-' || i AS event_id, 'i-' || i AS interaction_id, 'sale' AS outcome, 100.0 AS value, TIMESTAMP '2026-03-02' AS occurred_at
  FROM range(200) r(i) WHERE i % 2 = 0 AND 18 + i % 60 >= 48
  UNION ALL SELECT 'late', 'i-0', 'sale', 1.0, TIMESTAMP '2026-08-01'"""
SEGMENTS = {"older": "age >= 48", "in_debt": "has_loan", "nobody": "age > 200"}


def filled(shop: Shop) -> Shop:
    catalog: dict[str, Any] = copy.deepcopy(CATALOG)
    catalog["segments"] = SEGMENTS
    catalog["actions"][0]["issue"] = "sales"
    sources = {"contacts": CONTACTS, "consents": CONSENTS, "interactions": INTERACTIONS, "outcomes": OUTCOMES}
    shop.write(catalog=catalog, sources=sources)
    answer = shop.run("ingest")
    assert answer.code == 0, answer.err
    return shop


@pytest.fixture
def bank(shop: Shop) -> Shop:
    return filled(shop)


@pytest.fixture
def shared_bank(shared: Shared) -> Shop:
    """A bank in which tests only look."""
    return shared(filled)


def older(i: int, *, later: bool) -> bool:
    return (later and i < 10) or 18 + i % 60 >= 48


def test_segments_are_counted_moved_and_compared(shared_bank: Shop) -> None:
    answer = shared_bank.run("report", "segments", "--from", "2026-05-01")
    assert answer.code == 0, answer.err
    found = {one["segment"]: one for one in answer.document["segments"]}
    assert {name: one["contacts"] for name, one in found.items()} == {
        "older": sum(older(i, later=True) for i in range(200)),
        "in_debt": sum(i % 3 == 0 for i in range(10, 200)),
        "nobody": 0,
    }
    came = sum(older(i, later=True) and not older(i, later=False) for i in range(200))
    assert found["older"]["moved"] == {
        "stayed": sum(older(i, later=False) for i in range(200)),
        "came": came,
        "went": 0,
        "new": 0,
        "gone": 0,
    }
    assert found["older"]["history"]["profit"]["per_contact"]["value"] == pytest.approx(99.5)  # a sale of 100, a mail of 0.50
    assert found["nobody"]["history"] is None
    (both,) = [one for one in answer.document["overlaps"] if {one["segment"], one["with"]} == {"older", "in_debt"}]
    assert both["contacts"] == sum(older(i, later=True) and i % 3 == 0 for i in range(10, 200))


def test_contacts_that_only_the_ledger_knows_keep_their_names(bank: Shop) -> None:
    assert bank.run("decide", "passer-by").code == bank.run("decide", "c-7").code == 0
    workspace = Workspace.open(bank.folder)
    with open_facts(workspace) as facts:
        decided = np.asarray(facts.db.execute("SELECT contact_id FROM decided").fetchnumpy()["contact_id"])
        assert sorted(names_of(workspace, facts, decided)) == ["c-7", "passer-by"]
        assert list(names_of(workspace, facts, np.array([1], dtype=np.uint64))) == [""]


def test_what_could_be_done_is_said_of_everybody_and_of_each_segment(shared_bank: Shop) -> None:
    offers = shared_bank.run("report", "segments").document["offers"]
    assert offers["everybody"]["contacts"] == 200
    assert offers["segments"]["older"]["best_profit"] > offers["everybody"]["best_profit"] > 0  # a sale is worth ten times the age
    assert sum(offers["everybody"]["uplift"].values()) == 200


def test_contacts_without_a_good_action_are_found_with_what_rules_it_out(shared_bank: Shop) -> None:
    found = shared_bank.run("report", "value-finder").document
    nothing = sum(i % 3 == 0 or 18 + i % 60 < 21 for i in range(10, 200))
    assert {one["class"]: one["contacts"] for one in found["classes"]}["no action"] == nothing
    assert found["contacts"] == 200 and found["underserved"] >= nothing
    (sales,) = found["missing"]["issue"]
    assert (sales["kind"], sales["no_candidate"]) == ("sales", nothing)
    rules = {one["rule"]: one["contacts"] for one in found["taken_out_by"]}
    assert rules["age >= 21"] == sum(18 + i % 60 < 21 for i in range(10, 200))


@pytest.mark.parametrize("name", ["segments", "value-finder"])
def test_people_get_tables_and_a_page(shared_bank: Shop, name: str) -> None:
    document = shared_bank.run("report", name).document
    assert len(sections(document)) >= 3
    assert "<table" in report_page(document)


def test_options_that_mean_nothing_are_refused(shared_bank: Shop) -> None:
    assert "--from: means nothing to the report roi" in shared_bank.run("report", "roi", "--from", "2026-05-01").err
    assert "--as-of: means nothing to the report segments" in shared_bank.run("report", "segments", "--as-of", "2026-05-01").err


def test_without_segments_the_refusal_says_what_to_do(shop: Shop) -> None:
    shop.run("ingest")
    assert "add `segments: {name: SQL condition}` to catalog.yaml" in shop.run("report", "segments").err


def test_a_segment_over_an_unknown_column_is_refused_with_its_name(bank: Shop) -> None:
    bank.write(catalog={**CATALOG, "segments": {"rich": "incme > 3"}}, sources={"contacts": CONTACTS})
    assert "segments.rich: unknown column 'incme'" in bank.run("plan").err
