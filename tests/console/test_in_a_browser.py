"""The console in a real browser, by day, by night and in a narrow window: nothing from outside, nothing broken, everything readable."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI

from nudge.ground.workspace import Workspace
from tests.console.browsing import CHECKS, CONTRASTS, LEAST_CONTRAST, WINDOWS, Window, browser, needs_chromium, served
from tests.console.pages import PAGES
from tests.training.conftest import a_run

__all__ = ["browser"]

pytestmark = needs_chromium

EVERY_PAGE = (*PAGES, "/console/contact?id=c-44", "/console/contact?id=nobody", "/console/channels?drop=true", "/console/login")


@pytest.fixture(scope="module")
def address(app: FastAPI) -> Iterator[str]:
    """The console of the shop, served."""
    with served(app) as found:
        yield found


@pytest.mark.parametrize("kind", WINDOWS)
def test_every_page_is_whole_and_readable(browser: Any, address: str, kind: str) -> None:
    window = Window(browser, address, kind)
    found: dict[str, list[str]] = {}
    for path in EVERY_PAGE:
        page = window.look(path)
        found[path] = [*page.evaluate(CHECKS), *page.evaluate(CONTRASTS, LEAST_CONTRAST), *window.wrong]
        window.wrong.clear()
    window.context.close()
    assert {path: problems for path, problems in found.items() if problems} == {}


def test_a_check_would_see_a_faint_text_and_a_field_without_a_name(browser: Any) -> None:
    page = browser.new_page()
    page.set_content("<p style='color: #999; background: #fff'>faint</p><input><h3>skipped</h3>")
    assert page.evaluate(CONTRASTS, LEAST_CONTRAST) == ["2.85: faint", *page.evaluate(CONTRASTS, LEAST_CONTRAST)[1:]]
    assert {one.split(":")[0] for one in page.evaluate(CHECKS)} >= {"without a name", "a heading skips a level", "no language or title"}
    page.close()


def test_limits_are_asked_about_and_made_the_plan_with_the_keyboard_alone(browser: Any, address: str, workspace: Workspace) -> None:
    window = Window(browser, address, "day")
    page = window.look("/console/audiences")
    now = page.get_by_label("budget").input_value()
    page.get_by_label("budget").focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("6")
    page.keyboard.press("Enter")
    page.wait_for_selector(".answer")
    assert "less profit" in page.inner_text(".answer") and page.get_by_label("budget").input_value() == "6"
    page.get_by_label("heroes").focus()
    for _ in range(2):  # over the first button to the second
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector(".said.good")
    [budget, *_] = workspace.read_catalog().constraints
    assert (now, budget.max) != ("6", float(now)) and budget.max == 6.0
    assert window.wrong == []
    window.context.close()


def test_a_downloaded_audience_has_the_bytes_of_the_plan_s_file(browser: Any, address: str, workspace: Workspace) -> None:
    window = Window(browser, address, "day")
    page = window.look("/console/audiences")
    link = page.get_by_role("link", name="email as csv")
    plan_id = link.get_attribute("href").split("/")[3]
    with page.expect_download() as download:
        link.click()
    [received, kept] = [download.value.path().read_bytes(), (workspace.folder / "exports" / plan_id / "audience_email.csv").read_bytes()]
    assert received == kept and b"contact_id" in kept
    window.context.close()


def test_the_first_tab_leads_past_the_menu(browser: Any, address: str) -> None:
    window = Window(browser, address, "day")
    page = window.look("/console/contact")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "id"
    window.context.close()


def test_a_challenger_is_refused_by_the_gate_forced_and_taken_back_through_the_pages(
    browser: Any, address: str, workspace: Workspace
) -> None:
    for area in (0.7, 0.6):
        workspace.tracker.publish(a_run("lead", metrics={"auc": area}, plots={}))
    window = Window(browser, address, "day")

    def champion() -> list[int]:
        return [one.version for one in workspace.tracker.versions("lead") if "champion" in one.aliases]

    def said(tone: str) -> str:
        page.wait_for_selector(f".said.{tone}")
        text: str = page.inner_text(f".said.{tone}")
        return text

    page = window.look("/console/models")
    page.get_by_role("button", name="Work out anew").click()
    page = window.look("/console/models")
    page.get_by_role("button", name="Ask the gate to promote version 2").click()
    assert "Not promoted" in said("warn") and "its AUC is 0.6, the champion has 0.7" in said("warn") and champion() == [1]
    page = window.look("/console/models")
    page.get_by_label("Reason").fill("sales asked for it")
    page.get_by_label("Past the gate, by force").check()
    page.get_by_role("button", name="Ask the gate to promote version 2").click()
    assert "forced: sales asked for it" in said("good") and champion() == [2]
    page = window.look("/console/models")
    assert page.locator(".tag.warn", has_text="forced").count() == 1
    page.get_by_label("Why the champion steps down").fill("it was a mistake")
    page.get_by_role("button", name="Go back to the version before").click()
    assert "version 1 serves again" in said("good") and champion() == [1]
    assert window.wrong == []
    window.context.close()
