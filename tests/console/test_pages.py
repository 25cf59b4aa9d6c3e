"""The console over a service that nothing was trained, planned or reported for: each page says what is missing, and forms are kept safe."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from ledger.outbox import Message
from serving.app import create_app
from serving.console.forms import TOKEN_COOKIE
from serving.http.api_keys import KeyRing, new_key
from tests.console.pages import PAGES, Page, seen, send
from tests.serving.small_house import House, small_house

EVIL = '<script>alert("x")</script>'


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with small_house(tmp_path) as made:
        yield made


@pytest.fixture
def client(house: House) -> Iterator[TestClient]:
    with TestClient(create_app(house.service)) as opened:
        yield opened


@pytest.mark.parametrize("address", PAGES)
def test_a_page_loads_nothing_from_elsewhere_and_lets_nothing_in(client: TestClient, address: str) -> None:
    answer = client.get(address)
    page = Page(answer.text)
    policy = answer.headers["content-security-policy"]
    assert answer.headers["content-type"].startswith("text/html")
    assert all(one.startswith(("/", "#")) and not one.startswith("//") for one in page.addresses)
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert answer.headers["cache-control"] == "no-store"
    assert page.tags.count("h1") == 1 and "style" not in page.tags


def settled(client: TestClient, address: str) -> Page:
    """The page once nothing on it is being worked out any more."""
    for _ in range(100):
        page = seen(client, address)
        if "being worked out" not in page.text:
            return page
        time.sleep(0.05)
    raise AssertionError(page.text)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("/", ["there is nothing to report on here", "use nudge report roi", "There are no limits", "No features are ready for real time"]),
        ("/console/audiences", ["no population can be planned for here", "use nudge plan", "write constraints: in catalog.yaml"]),
        ("/console/contact", ["Type a contact's id"]),
        ("/console/actions", ["no population can be read here", "loan_hero".replace("_", " "), "starts from 20.0"]),
        ("/console/models", ["the registry of models is not known here", "use nudge evaluate"]),
        ("/console/channels", ["use nudge report channels"]),
        ("/console/leads", ["lead: section in catalog.yaml"]),
        ("/console/health", ["Nothing was decided yet", "nudge features materialize"]),
    ],
)
def test_an_empty_workspace_is_told_in_plain_words_what_is_missing(client: TestClient, address: str, words: list[str]) -> None:
    text = settled(client, address).text.replace("\u00a0", " ")
    assert [one for one in words if one not in text] == []


def test_no_page_is_in_the_openapi_document(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert [path for path in paths if path == "/" or path.startswith("/console")] == []


def test_an_id_with_markup_is_shown_as_text(client: TestClient) -> None:
    answer = client.get("/console/contact", params={"id": EVIL})
    assert EVIL not in answer.text
    assert f"Nobody is known as {EVIL}" in Page(answer.text).text


def test_a_contact_who_was_named_with_markup_has_a_page_and_can_be_changed(client: TestClient, house: House) -> None:
    house.known.rows = {EVIL: {"age": 40.0}}
    page = seen(client, "/console/contact", id=EVIL)
    assert "script" not in page.tags[page.tags.index("body") :]
    done = send(client, page, "/console/contact/suppress", what="channel:web", until="2026-12-31", reason=EVIL)
    assert "Switched off until the end of 2026-12-31: web." in done.text
    assert "script" not in done.tags[done.tags.index("body") :]


def test_a_contact_shows_what_is_known_and_what_would_be_decided_without_logging_it(client: TestClient, house: House) -> None:
    page = seen(client, "/console/contact", id="adult")
    assert "city Łódź" in page.text
    assert "1. loan on web, home hero" in page.text
    assert "What would change it" in page.text
    decided = page.text.split("What would be decided now")[1].split("What was taken out")[0]
    changes = decided.split("What would change it")[1]
    assert "uplift 10.00 % x value" in decided.replace("\u00a0", " ") and "loan hero" in changes and "loan_hero" not in changes
    assert house.ledger.decisions_of("adult", 10) == []


def test_a_consent_is_changed_on_the_page_and_counts_at_once(client: TestClient) -> None:
    page = seen(client, "/console/contact", id="adult")
    assert "never asked" in page.text
    page = send(client, page, "/console/contact/consent")
    assert "Consent for email_marketing: granted." in page.text
    page = send(client, page, "/console/contact/consent")
    assert "Consent for email_marketing: revoked." in page.text
    assert "granted." not in seen(client, "/console/contact", id="adult").text.split("What happened")[0]


def test_a_suppression_takes_the_channel_out_of_the_next_decision(client: TestClient) -> None:
    page = seen(client, "/console/contact", id="adult")
    page = send(client, page, "/console/contact/suppress", what="action:loan", until="2026-12-31")
    assert "1. card on web" in page.text
    refused = send(client, page, "/console/contact/suppress", what="", until="someday")
    assert "is no day" in refused.text


def test_erasing_asks_for_the_id_once_more(client: TestClient) -> None:
    page = seen(client, "/console/contact", id="adult")
    kept = send(client, page, "/console/contact/erase", again="adul")
    assert "Nothing was erased" in kept.text


def test_a_form_of_another_site_changes_nothing(client: TestClient, house: House) -> None:
    page = seen(client, "/console/contact", id="adult")
    fields = {**page.forms["/console/contact/consent"]}
    attempts = [
        client.post("/console/contact/consent", data={**fields, "token": "guessed"}),
        client.post("/console/contact/consent", data={name: value for name, value in fields.items() if name != "token"}),
        client.post("/console/contact/consent", data=fields, headers={"Sec-Fetch-Site": "cross-site"}),
        client.post("/console/contact/consent", data=fields, headers={"Origin": "https://elsewhere.example"}),
        client.post("/console/contact/consent", json=fields),
    ]
    client.cookies.delete(TOKEN_COOKIE)
    attempts.append(client.post("/console/contact/consent", data=fields))
    assert [one.status_code for one in attempts] == [200] * 6  # each was sent back to a page
    held = house.ledger.consents(["adult"], now=house.clock())
    assert len(held["purpose"]) == 0


def test_the_token_cookie_is_of_no_use_to_scripts_or_other_sites(client: TestClient) -> None:
    kept = client.get("/").headers["set-cookie"].lower()
    assert "httponly" in kept and "samesite=strict" in kept


def test_only_the_files_of_the_console_are_served(client: TestClient) -> None:
    assert client.get("/console/static/console.css").headers["content-type"].startswith("text/css")
    assert client.get("/console/static/..%2froutes.py").status_code == 404
    assert client.get("/console/models/bank-uplift/1/..%2f..%2fsecret.png").status_code == 404


def test_what_cannot_be_shown_is_said_on_a_page(client: TestClient, house: House) -> None:
    house.known.broken = True
    page = seen(client, "/console/contact", id="adult")
    assert "the online store does not answer" in page.text
    assert "the online store does not answer" in seen(client, "/").text


def test_a_key_that_may_look_sees_no_forms_and_one_that_may_all_sees_them(house: House) -> None:
    now = house.clock()
    made = {scope: new_key(scope, [scope], now) for scope in ("read", "export", "admin")}
    ring = KeyRing(lambda: [key for _, key in made.values()], house.clock)
    with TestClient(create_app(house.service, keys=ring)) as client:
        assert client.get("/console/contact?id=adult").url.path == "/console/login"
        seen_by: dict[str, Page] = {}
        for scope, (text, _) in made.items():
            login = client.post("/console/login", data={"key": text, "next": "/console/contact?id=adult"})
            seen_by[scope] = Page(login.text)
        assert "/console/contact/erase" in seen_by["admin"].forms
        assert "/console/contact/erase" not in seen_by["read"].forms
        assert "needs one with the scope admin" in seen_by["read"].text
        exports = [any("export" in one for one in page.addresses) for page in seen_by.values()]
        assert exports[0] is False and exports[2] is True
        assert "/console/logout" in seen_by["admin"].forms


def test_a_failure_that_nobody_foresaw_is_a_page_without_a_stack_trace(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.console.routes.health", lambda console: 1 // 0)
    page = seen(client, "/console/health", status=500)
    assert "this page cannot be shown (the log has more under" in page.text
    assert "division" not in page.text


def test_dead_letters_are_seen_named_and_sent_again(client: TestClient, house: House) -> None:
    assert "Messages to the webhook" not in seen(client, "/console/health").text
    now = house.clock()
    house.ledger.events.settle([], [Message(f"m-{k}", f"c-{k} {EVIL}", "{}", now) for k in range(3)])
    for k in range(2):
        house.ledger.outbox.give_up(f"m-{k}", "HTTP 500", now)
    page = settled(client, "/console/health")
    assert "0 delivered, 1 waiting, 2 given up" in page.text and page.text.count("HTTP 500") == 2 and EVIL in page.text
    assert "2 messages were given up" in settled(client, "/").text
    one = send(client, page, "/console/messages/resend", message="m-1")
    assert "One message is on the way again." in one.text and "1 given up" in one.text
    everything = client.post(
        "/console/messages/resend",
        data={"token": one.forms["/console/messages/resend"]["token"]},
        headers={"Sec-Fetch-Site": "same-origin"},
    )
    assert "One message is on the way again." in Page(everything.text).text
    assert house.ledger.outbox.counts() == {"waiting": 3, "delivered": 0, "dead": 0}
    unknown = client.post(
        "/console/messages/resend",
        data={"token": one.forms["/console/messages/resend"]["token"], "message": "m-9"},
        headers={"Sec-Fetch-Site": "same-origin"},
    )
    assert "no such message was delivered or given up" in Page(unknown.text).text
