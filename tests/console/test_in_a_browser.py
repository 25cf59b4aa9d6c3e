"""The console in a real browser, by day, by night and in a narrow window: nothing from outside, nothing broken, everything readable."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI

from nudge.workspace import Workspace
from tests.console.pages import PAGES
from tests.training.conftest import a_run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and "CI" not in os.environ, reason="there is no Chromium on this machine (Debian: apt-get install chromium)"
)

WINDOWS: dict[str, dict[str, Any]] = {
    "day": {"viewport": {"width": 1200, "height": 900}, "color_scheme": "light"},
    "night": {"viewport": {"width": 1200, "height": 900}, "color_scheme": "dark"},
    "narrow": {"viewport": {"width": 360, "height": 740}, "color_scheme": "light"},
}
LEAST_CONTRAST = 4.5
"""Of text against what is behind it: WCAG 2.1, level AA."""

EVERY_PAGE = (*PAGES, "/console/contact?id=c-44", "/console/contact?id=nobody", "/console/channels?drop=true", "/console/login")

CHECKS = """() => {
  const found = [];
  const named = (one) => one.labels?.length || one.getAttribute("aria-label") || one.textContent.trim();
  for (const one of document.querySelectorAll("input:not([type=hidden]), select, button, a[href], summary"))
    if (!named(one)) found.push("without a name: " + one.outerHTML.slice(0, 120));
  const seen = new Set();
  for (const one of document.querySelectorAll("[id]")) {
    if (seen.has(one.id)) found.push("an id twice: " + one.id);
    seen.add(one.id);
  }
  for (const one of document.querySelectorAll("label[for], [aria-labelledby]"))
    if (!seen.has(one.htmlFor || one.getAttribute("aria-labelledby"))) found.push("names nothing: " + one.outerHTML.slice(0, 120));
  let level = 0;
  for (const one of document.querySelectorAll("h1, h2, h3, h4")) {
    const own = Number(one.tagName[1]);
    if (own > level + 1) found.push("a heading skips a level: " + one.textContent);
    level = own;
  }
  for (const one of document.querySelectorAll("th")) if (!one.scope) found.push("a head cell without scope: " + one.textContent);
  for (const one of document.querySelectorAll("img")) if (!one.alt) found.push("a picture without words: " + one.src);
  if (!document.documentElement.lang || !document.title) found.push("no language or title");
  if (document.documentElement.scrollWidth > innerWidth) found.push("wider than the window: " + document.documentElement.scrollWidth);
  return found;
}"""

CONTRASTS = """(least) => {
  const numbers = (color) => (color.match(/[\\d.]+/g) || []).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((one) => one / 255).map((one) => one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const color = numbers(getComputedStyle(at).backgroundColor);
      if (color.length < 4 ? color.length === 3 : color[3] > 0.99) return color;
    }
    return matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18] : [255, 255, 255];
  };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const one = walk.currentNode.parentElement;
    if (!walk.currentNode.textContent.trim() || !one.checkVisibility() || one.closest("script, style, title, option")) continue;
    const style = getComputedStyle(one);
    const a = light(numbers(one.closest("svg") ? style.fill : style.color)), b = light(behind(one));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < least) found.push(ratio.toFixed(2) + ": " + walk.currentNode.textContent.trim().slice(0, 60));
  }
  return found;
}"""


@pytest.fixture(scope="module")
def address(app: FastAPI) -> Iterator[str]:
    """The console of the shop, served."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning"))
    running = threading.Thread(target=server.run, daemon=True)
    running.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    running.join(timeout=30)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


class Window:
    """A window of the browser that remembers what went wrong in it."""

    def __init__(self, browser: Any, address: str, kind: str) -> None:
        self.address, self.wrong = address, list[str]()
        self.context = browser.new_context(**WINDOWS[kind])
        self.page = self.context.new_page()
        self.page.on("console", lambda one: self.wrong.append(f"{one.type}: {one.text}") if one.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.wrong.append(f"script: {error}"))
        self.page.on("request", lambda one: None if one.url.startswith(address) else self.wrong.append(f"outside: {one.url}"))

    def look(self, path: str) -> Any:
        """The page once nothing on it is being worked out; with everything opened that can be."""
        for _ in range(200):
            self.page.goto(self.address + path, wait_until="load")
            if self.page.locator("[data-waiting]").count() == 0:
                break
            time.sleep(0.1)
        self.page.eval_on_selector_all("details", "all => all.forEach(one => one.open = true)")
        return self.page


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
