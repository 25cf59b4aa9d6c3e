"""What concerns one person: consents, and visitors who become contacts, over a real ledger; and the routes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from decisioning.errors import NudgeError, RequestError, Unavailable
from serving.people.people import People
from serving.schemas.decisions import DecisionRequest, OutcomeIn
from serving.schemas.hot_requests import HotDecision, HotOutcome
from serving.schemas.people import ConsentIn, ConsentOut, IdentityIn
from tests.serving.small_house import NOW, House, small_house


class LedgerAlone:
    """The stores of a workspace that has a ledger only."""

    def __init__(self, house: House) -> None:
        self._house = house

    def erase(self, contact_id: str) -> dict[str, Any]:
        return vars(self._house.ledger.erase(contact_id, NOW))

    def export(self, contact_id: str) -> dict[str, Any]:
        return dict(self._house.ledger.held(contact_id))

    def join(self, anonymous_id: str, contact_id: str) -> dict[str, Any]:
        return vars(self._house.ledger.join_identity(anonymous_id, contact_id, NOW))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with small_house(tmp_path) as made:
        snapshots, ledger = made.service._snapshots, made.ledger
        made.service.people = People(ledger, snapshots, lambda: NOW, LedgerAlone(made))
        yield made


def granted_at(time: str) -> ConsentIn:
    return ConsentIn.model_validate({"status": "granted", "changed_at": time})


def emailed(house: House, contact_id: str) -> list[str]:
    found = house.service.decide(DecisionRequest(contact_id=contact_id, channel="email"))
    return [action["treatment_id"] for action in found["actions"]]


def test_a_consent_counts_from_the_moment_it_is_given_to_the_moment_it_is_revoked(house: House) -> None:
    assert emailed(house, "adult") == []
    given = house.service.people.consent("adult", "email_marketing", ConsentIn(status="granted", source="form"))
    assert ConsentOut.model_validate(given).holds
    assert emailed(house, "adult") == ["loan_email"]
    house.service.people.consent("adult", "email_marketing", ConsentIn(status="revoked"))
    assert emailed(house, "adult") == []
    told = [(contact_id, fact.kind, fact.purpose) for contact_id, fact in house.known.consents]
    assert told == [("adult", "granted", "email_marketing"), ("adult", "refused", "email_marketing")]  # the online features know


def test_a_consent_is_kept_where_the_online_features_cannot_be_reached_or_where_it_holds_later(house: House) -> None:
    house.service.people.consent("adult", "email_marketing", granted_at("2027-01-01"))
    assert house.known.consents == []
    house.known.broken = True
    assert house.service.people.consent("adult", "email_marketing", ConsentIn(status="granted"))["holds"]


def test_an_older_statement_is_kept_but_does_not_hold(house: House) -> None:
    house.service.people.consent("adult", "email_marketing", ConsentIn(status="revoked"))
    older = house.service.people.consent("adult", "email_marketing", granted_at("2026-01-01"))
    assert not older["holds"]
    assert emailed(house, "adult") == []
    later = house.service.people.consent("adult", "email_marketing", granted_at("2027-01-01"))
    assert not later["holds"]


def test_a_purpose_that_no_channel_has_is_refused_by_name(house: House) -> None:
    with pytest.raises(RequestError, match="allowed: email_marketing. Hint: did you mean 'email_marketing'"):
        house.service.people.consent("adult", "email_marketin", ConsentIn(status="granted"))


@pytest.mark.parametrize("kind", [DecisionRequest, HotDecision])
def test_a_joined_visitors_next_request_is_the_contacts_and_its_cap_is_full(house: House, kind: Any) -> None:
    house.consent("visitor-1", "adult")
    for contact_id in ("visitor-1", "adult"):
        house.service.people.consent(contact_id, "email_marketing", ConsentIn(status="granted"))
    house.known.rows["visitor-1"] = house.known.rows["adult"]
    [first] = house.service.decide_many([kind(contact_id="visitor-1", channel="email")])
    assert not isinstance(first, NudgeError)
    assert first["actions"]
    house.service.people.join(IdentityIn(anonymous_id="visitor-1", contact_id="adult"))
    for contact_id in ("visitor-1", "adult"):
        [again] = house.service.decide_many([kind(contact_id=contact_id, channel="email")])
        assert not isinstance(again, NudgeError)
        assert (again["contact_id"], again["actions"]) == ("adult", [])


@pytest.mark.parametrize("kind", [OutcomeIn, HotOutcome])
def test_an_outcome_of_a_joined_visitor_finds_its_decision(house: House, kind: Any) -> None:
    decision_id = house.service.decide(DecisionRequest(contact_id="visitor-1", channel="web", placements=["home_hero"]))["decision_id"]
    house.service.people.join(IdentityIn(anonymous_id="visitor-1", contact_id="adult"))
    sale = kind(event_id="e-1", decision_id=decision_id, contact_id="visitor-1", outcome="sale")
    assert house.service.record_outcomes([sale]) == {"accepted": 1, "duplicates": 0, "rejected": []}
    assert [one.event_id for one in house.ledger.outcomes_of("adult", 9)] == ["e-1"]
    assert house.ledger.verify().intact


def test_an_erased_contacts_decision_can_be_shown_but_not_made_again(house: House) -> None:
    decision_id = house.service.decide(DecisionRequest(contact_id="adult", channel="web", placements=["home_hero"]))["decision_id"]
    house.service.people.erase("adult")
    shown = house.service.decision(decision_id)
    assert shown["erased"]
    assert shown["contact_id"].startswith("erased-")
    with pytest.raises(NudgeError, match="erased"):
        house.service.replay(decision_id)


def test_without_the_workspaces_stores_nobody_is_erased(tmp_path: Path) -> None:
    with small_house(tmp_path) as house, pytest.raises(Unavailable, match="nudge erase"):
        house.service.people.erase("adult")


def test_the_routes_about_one_person_answer_and_refuse(client: TestClient) -> None:
    assert client.put("/v1/contacts/c-1/consents/email", json={"status": "granted"}).json()["holds"]
    assert client.put("/v1/contacts/c-1/consents/email", json={"status": "yes"}).status_code == 422
    assert client.put("/v1/contacts/c-1/consents/email", json={"status": "granted", "sauce": "form"}).status_code == 422
    assert client.delete("/v1/contacts/c-1").json()["tombstone"] == "erased-1"
    assert client.get("/v1/contacts/c-1/export").json()["ids"] == ["c-1"]
    assert client.get("/v1/contacts/nobody/export").status_code == 404
    joined = client.post("/v1/identities", json={"anonymous_id": "a-1", "contact_id": "c-1"})
    assert joined.json() == {"anonymous_id": "a-1", "contact_id": "c-1", "joined": {"ledger": {"decisions": 2}}, "again": False}
    assert client.post("/v1/identities", json={"anonymous_id": "a-1"}).status_code == 422


@pytest.mark.parametrize("contact_id", ["a/b", "../../etc", "a/", "/", "a//b", "export/b", "consents/a", "żółw/🐢", "a b?c#/d"])
def test_a_contact_whose_id_has_slashes_is_reached_like_any_other(client: TestClient, contact_id: str) -> None:
    address = f"/v1/contacts/{quote(contact_id, safe='')}"
    assert client.get(address).json()["contact_id"] == contact_id
    assert client.get(f"{address}/export").json()["contact_id"] == contact_id
    assert client.delete(address).json()["contact_id"] == contact_id
    said = client.put(f"{address}/consents/email", json={"status": "granted"}).json()
    assert (said["contact_id"], said["purpose"]) == (contact_id, "email")
    assert client.put(f"{address}/suppressions", json={"until": "2027-03-01T00:00:00Z"}).json()["contact_id"] == contact_id
