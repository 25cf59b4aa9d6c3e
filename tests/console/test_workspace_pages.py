"""The console over a real workspace: questions about other limits, a plan from the page, audiences, leads, figures."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow.parquet as pq
from fastapi.testclient import TestClient

from nudge.ground.workspace import Workspace
from nudge.verbs.features_ready import default_as_of
from nudge.verbs.leads import hand_over
from tests.console.conftest import silent
from tests.console.pages import PAGES, Page, seen, send

WAITING = "being worked out"


def settled(shown: TestClient, address: str, **query: str) -> Page:
    """The page once nothing on it is being worked out any more."""
    for _ in range(400):
        page = seen(shown, address, **query)
        if WAITING not in page.text.lower() and "is being made" not in page.text:
            return page
        time.sleep(0.05)
    raise AssertionError(page.text)


def said(page: Page) -> str:
    return page.text.replace("\u00a0", " ")


def asked(shown: TestClient, budget: float) -> str:
    return said(settled(shown, "/console/audiences", **{"limit:budget": f"{budget:g}", "limit:heroes": "30"}))


def budget_of(workspace: Workspace) -> float:
    [most] = [one.max for one in workspace.read_catalog().constraints if one.id == "budget"]
    assert most is not None
    return most


def test_a_question_about_the_budget_is_answered_and_changes_nothing(shown: TestClient, workspace: Workspace) -> None:
    path, exports = workspace.folder / "catalog.yaml", workspace.folder / "exports"
    before, plans = path.read_bytes(), sorted(exports.glob("plan-*"))
    less, more = asked(shown, budget_of(workspace) / 4), asked(shown, budget_of(workspace) * 2)
    assert "less profit" in less and f"{budget_of(workspace) / 4:.2f} PLN" in less
    assert "more profit" in more
    assert (path.read_bytes(), sorted(exports.glob("plan-*"))) == (before, plans)


def test_a_question_that_is_none_is_answered_in_words(shown: TestClient, workspace: Workspace) -> None:
    assert "every limit is as it is now: change one first" in asked(shown, budget_of(workspace))
    nonsense = said(seen(shown, "/console/audiences", **{"limit:budget": "<b>much</b>", "limit:heroes": "30"}))
    assert "is not an amount" in nonsense and "<b>much</b>" in nonsense
    assert "is no limit of the catalogue" in said(seen(shown, "/console/audiences", **{"limit:bugdet": "20"}))


def test_limits_made_the_plan_are_in_the_catalogue_and_in_the_plan(shown: TestClient, workspace: Workspace) -> None:
    page = seen(shown, "/console/audiences")
    made = send(shown, page, "/console/audiences/make", **{"limit:budget": "9.5", "limit:heroes": "30"})
    assert "The plan is being made." in made.text and "is made, and real time pays its prices" in made.text
    assert budget_of(workspace) == 9.5
    newest = shown.get("/v1/plans").json()["plans"][0]["plan_id"]
    [budget, _] = shown.get(f"/v1/plans/{newest}").json()["result"]["constraints"]
    assert budget["limit"] == 9.5 and budget["used"] <= 9.5
    page = settled(shown, "/console/audiences")
    assert f"{budget['used']:.2f} PLN 9.50 PLN" in said(page)


def test_a_downloaded_audience_is_the_plan_s_file(shown: TestClient, workspace: Workspace) -> None:
    page = seen(shown, "/console/audiences")
    links = [one for one in page.addresses if "?form=" in one]
    assert len(links) == 2 * 3
    for link in links:
        plan_id, channel, form = re.fullmatch(r"/console/audiences/(.+)/(.+)\?form=(.+)", link).groups()  # type: ignore[union-attr]
        folder = workspace.folder / "exports" / plan_id
        answer = shown.get(link)
        assert answer.status_code == 200
        if form == "ndjson":
            assert len(answer.text.splitlines()) == pq.read_metadata(folder / f"audience_{channel}.parquet").num_rows
        else:
            assert answer.content == (folder / f"audience_{channel}.{form}").read_bytes()


def test_the_four_segments_are_drawn_and_add_up(shown: TestClient) -> None:
    page = settled(shown, "/console/audiences")
    text = said(page)
    assert all(one in text for one in ("persuadable", "sure thing", "lost cause", "do not disturb", "Each of 200 sampled contacts"))
    assert page.tags.count("svg") >= 1
    assert [one for one in ("young age < 30", "For whom nothing good is on offer", "well served") if one not in text] == [], text


def test_every_page_says_what_is_known_and_no_page_fails(shown: TestClient) -> None:
    texts = {address: said(settled(shown, address)) for address in PAGES}
    assert "Spent against the limits" in texts["/"]
    assert "run nudge train" in texts["/console/models"]
    assert "loan 2 treatments, towards sale" in texts["/console/actions"] and "starts from 5.0 % response" in texts["/console/actions"]
    assert "contacts 200 0 0" in texts["/console/health"]
    assert "nudge leads hand-over" in texts["/console/leads"] and "old enough to decide" in texts["/console/leads"]


def test_no_page_keeps_the_server_busy_for_a_second(shown: TestClient) -> None:
    pages = [*PAGES, "/console/contact?id=c-44"]
    for address in pages:  # what takes long is worked out beside the page, once
        settled(shown, address)
    took = {}
    for address in pages:
        began = time.process_time()
        seen(shown, address)
        took[address] = time.process_time() - began
    assert {address: seconds for address, seconds in took.items() if seconds >= 1.0} == {}


def test_a_search_finds_contacts_by_a_part_of_their_id(shown: TestClient) -> None:
    page = seen(shown, "/console/contact", id="C-19")
    assert [one for one in page.addresses if one.startswith("/console/contact?id=")] == [
        f"/console/contact?id=c-{number}" for number in (19, *range(190, 200))
    ]


def test_a_lead_is_followed_from_hand_over_to_its_end(shown: TestClient, workspace: Workspace) -> None:
    handed_over = hand_over(workspace, None, silent)
    page = seen(shown, "/console/leads")
    assert "old enough to decide (+20)" in page.text
    lead = handed_over[0]["lead_id"]
    page = send(shown, page, "/console/leads/step", lead=lead, status="accepted")
    assert f"The lead of {handed_over[0]['contact_id']} is accepted now." in page.text
    refused = send(shown, page, "/console/leads/step", lead=lead, status="won", revenue="a lot")
    assert "is not an amount" in refused.text
    won = send(shown, page, "/console/leads/step", lead=lead, status="won", revenue="1,200.50")
    assert "is won now." in won.text and "1,200 PLN" in said(won)


def test_figures_are_worked_out_anew_when_somebody_asks(shown: TestClient) -> None:
    page = settled(shown, "/console/health")
    assert "Figures worked out" in page.text
    again = send(shown, page, "/console/figures/again")
    assert "Does everything answer?" in again.text


def test_features_are_read_by_several_threads_at_once(workspace: Workspace) -> None:
    as_of = default_as_of(workspace)
    ids = [f"c-{number}" for number in range(200)]

    def ages(_: int) -> list[float]:
        door = Workspace.open(workspace.folder).open_door()
        return [float(one) for one in door.historical(np.array(ids, dtype=object), np.full(len(ids), as_of))["age"]]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ages, range(16)))
    assert found == [[18.0 + number % 60 for number in range(200)]] * 16


def test_a_truth_about_a_contact_is_one_over_http_and_yes_or_no_on_the_page(shown: TestClient) -> None:
    for contact_id, truth in (("c-45", True), ("c-44", False)):
        assert shown.get(f"/v1/contacts/{contact_id}").json()["attributes"]["has_loan"] is truth
        assert f"has loan {'yes' if truth else 'no'}" in said(seen(shown, "/console/contact", id=contact_id))
