"""Pages as a test reads them: their texts, links and forms."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from fastapi.testclient import TestClient

PAGES = (
    "/",
    "/console/audiences",
    "/console/contact",
    "/console/actions",
    "/console/models",
    "/console/channels",
    "/console/leads",
    "/console/health",
)


class Page(HTMLParser):
    """What a page says, and which fields its forms send: {action: {name: value}}."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.forms: dict[str, dict[str, str]] = {}
        self._form: dict[str, str] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given: dict[str, Any] = dict(attrs)
        self.tags.append(tag)
        self.addresses += [given[name] for name in ("href", "src", "action") if given.get(name)]
        if tag == "form":
            self._form = self.forms.setdefault(given["action"], {})
        if tag == "button" and given.get("formaction"):
            self.forms.setdefault(given["formaction"], {}).update({**self._form, given["name"]: given["value"]})
        elif tag in ("input", "select") and given.get("name"):
            self._form[given["name"]] = given.get("value") or ""

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def seen(client: TestClient, address: str, status: int = 200, **query: str) -> Page:
    answer = client.get(address, params=query)
    assert answer.status_code == status, answer.text
    return Page(answer.text)


def send(client: TestClient, page: Page, action: str, **fields: str) -> Page:
    """Send a form of a page as a browser would, and follow to what is shown then."""
    answer = client.post(action, data={**page.forms[action], **fields}, headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 200, answer.text
    return Page(answer.text)
