"""A real browser for tests: what must hold of every page, and a window that remembers what went wrong in it."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import TimeoutError as PlaywrightTimeout
from playwright.sync_api import sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None and "CI" not in os.environ, reason="there is no Chromium on this machine (Debian: apt-get install chromium)"
)

WINDOWS: dict[str, dict[str, Any]] = {
    "day": {"viewport": {"width": 1200, "height": 900}, "color_scheme": "light"},
    "night": {"viewport": {"width": 1200, "height": 900}, "color_scheme": "dark"},
    "narrow": {"viewport": {"width": 360, "height": 740}, "color_scheme": "light"},
}
WAIT_MS = 20_000
"""For figures that are made in the background; they are there within seconds on a machine that is not busy."""

LEAST_CONTRAST = 4.5
"""Of text against what is behind it: WCAG 2.1, level AA."""

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


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The address at which an application is served meanwhile."""
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
    with sync_playwright() as playwright:
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

    def _go(self, path: str) -> None:
        """A page that waits looks again by itself, which may break off the journey to another: then it is begun anew."""
        for _ in range(5):
            try:
                self.page.goto(self.address + path, wait_until="load")
            except PlaywrightError as error:
                if "ERR_ABORTED" not in str(error):
                    raise
            else:
                return
        raise AssertionError(f"{path} was never reached")

    def look(self, path: str) -> Any:
        """The page once nothing on it is being worked out; with everything opened that can be."""
        self._go(path)
        with suppress(PlaywrightTimeout):  # what takes longer is shown as being worked out, and that must be readable too
            self.page.wait_for_selector("body:not([data-waiting]):not(:has([data-waiting]))", timeout=WAIT_MS)
        self.page.eval_on_selector_all("details", "all => all.forEach(one => one.open = true)")
        return self.page
