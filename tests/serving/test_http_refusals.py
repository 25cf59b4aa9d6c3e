"""Every refusal is one problem document: the status, the field, what was got and what is allowed; never a stack trace."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from decisioning.errors import ConfigError, Conflict, ContractMismatch, DataError, NotFound, NudgeError, RequestError, TooLarge, Unavailable
from serving.http.http_errors import problem_of, status_of
from tests.serving.fake_service import FakeService

JSON = {"Content-Type": "application/json"}


def refused(answer: Any, status: int) -> dict[str, Any]:
    """The problem document of a refusal, checked for its form."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "detail", "errors"} <= set(problem)
    assert problem["status"] == status
    assert problem["type"].startswith("urn:nudge:problem:")
    assert "Traceback" not in answer.text
    return problem


@pytest.mark.parametrize(
    ("body", "field", "got", "expected"),
    [
        ({}, "contact_id", "nothing", "a value"),
        ({"contact_id": ""}, "contact_id", '""', "String should have at least 1 character"),
        ({"contact_id": "   "}, "contact_id", '"   "', "text without control characters, not blank"),
        ({"contact_id": "a\x00b"}, "contact_id", '"a\\u0000b"', "text without control characters, not blank"),
        ({"contact_id": "x" * 257}, "contact_id", '"' + "x" * 79 + "...", "String should have at most 256 characters"),
        ({"contact_id": 17.5}, "contact_id", "17.5", "a valid string"),
        ({"contact_id": True}, "contact_id", "true", "a valid string"),
        ({"contact_id": "c", "chanel": "web"}, "chanel", "an unknown key", "another key: did you mean 'channel'?"),
        ({"contact_id": "c", "limit": 0}, "limit", "0", "greater than or equal to 1"),
        ({"contact_id": "c", "limit": 101}, "limit", "101", "less than or equal to 100"),
        ({"contact_id": "c", "limit": "3"}, "limit", '"3"', "a valid integer"),
        ({"contact_id": "c", "limit": True}, "limit", "true", "a valid integer"),
        ({"contact_id": "c", "explain": 1}, "explain", "1", "a valid boolean"),
        ({"contact_id": "c", "placements": ["a", 2]}, "placements[1]", "2", "a valid string"),
        (
            {"contact_id": "c", "context": {"a": {"b": 1}}},
            "context.a",
            "an object with 1 keys",
            "text, a finite number, true, false or null",
        ),
        ({"contact_id": "c", "features": {"a": [1]}}, "features.a", "a list of 1", "text, a finite number, true, false or null"),
        ({"contact_id": "c", "features": {"a": 2**63}}, "features.a", str(2**63), "text, a finite number, true, false or null"),
        ({"contact_id": "c", "features": [1]}, "features", "a list of 1", "an object"),
        ([], "body", "a list of 0", "an object"),
        ("c-1", "body", '"c-1"', "an object"),
    ],
)
def test_a_request_that_does_not_fit_is_refused_by_its_field(client: TestClient, body: Any, field: str, got: str, expected: str) -> None:
    problem = refused(client.post("/v1/decisions", json=body), 422)
    assert problem["errors"] == [{"field": field, "got": got, "expected": expected}]
    assert f"{field}: got {got}" in problem["detail"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_not_finite_is_refused(client: TestClient, number: str) -> None:
    decision = client.post("/v1/decisions", content=f'{{"contact_id": "c", "features": {{"a": {number}}}}}', headers=JSON)
    assert refused(decision, 422)["errors"][0]["field"] == "features.a"
    outcome = client.post(
        "/v1/outcomes", content=f'{{"event_id": "e", "contact_id": "c", "outcome": "o", "value": {number}}}', headers=JSON
    )
    assert outcome.json()["rejected"][0]["reason"].endswith("a finite number")


def test_every_misfit_of_a_request_is_named_at_once(client: TestClient) -> None:
    problem = refused(client.post("/v1/decisions", json={"contact": "c", "limit": 0, "explain": "yes"}), 422)
    assert [error["field"] for error in problem["errors"]] == ["contact_id", "limit", "explain", "contact"]


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"", "the body is missing; expected JSON"),
        (b'{"contact_id": ', "the body is not JSON: Expecting value at character 15"),
        (b'\xff\xfe{"contact_id": 1}', "the body is not JSON: not UTF-8, too deep, or a number too long"),
        (b"[" * 90_000, "the body is not JSON: not UTF-8, too deep, or a number too long"),
        (b'{"contact_id": ' + b"9" * 5_000 + b"}", "the body is not JSON: not UTF-8, too deep, or a number too long"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/decisions", "/v1/decisions:batch", "/v1/outcomes"])
def test_a_body_that_is_no_json_is_refused(client: TestClient, path: str, content: bytes, detail: str) -> None:
    assert refused(client.post(path, content=content, headers=JSON), 400)["detail"] == detail


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data", None])
def test_a_body_of_another_kind_is_refused(client: TestClient, kind: str | None) -> None:
    headers = {"Content-Type": kind} if kind else {}
    assert "must be JSON" in refused(client.post("/v1/decisions", content=b'{"contact_id": "c"}', headers=headers), 415)["detail"]


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.shop+json"])
def test_any_kind_of_json_is_read(client: TestClient, kind: str) -> None:
    assert client.post("/v1/decisions", content=b'{"contact_id": "c"}', headers={"Content-Type": kind}).status_code == 200


@pytest.mark.parametrize("path", ["/v1/decisions:batch", "/v1/outcomes"])
def test_more_than_a_thousand_in_one_call_are_refused_whole(client: TestClient, service: FakeService, path: str) -> None:
    problem = refused(client.post(path, json=[{}] * 1001), 422)
    assert problem["errors"] == [{"field": "body", "got": "1001", "expected": "a list of up to 1000"}]
    assert service.asked == []
    assert client.post(path, json=[{}] * 1000).status_code in (200, 202)


@pytest.mark.parametrize(("path", "body"), [("/v1/decisions:batch", {"contact_id": "c"}), ("/v1/outcomes", 7), ("/v1/outcomes", "e-1")])
def test_a_call_for_many_that_brings_no_list_is_refused(client: TestClient, path: str, body: Any) -> None:
    assert refused(client.post(path, json=body), 422)["errors"][0]["field"] == "body"


def test_what_the_service_refuses_is_the_callers_to_read(client: TestClient) -> None:
    problem = refused(client.post("/v1/decisions", json={"contact_id": "c", "channel": "fax"}), 422)
    assert problem["detail"] == "channel: unknown channel; got fax; allowed: web, email"
    assert problem["errors"] == [{"field": "channel", "got": "fax", "expected": "web, email"}]


def test_what_is_not_there_is_not_found(client: TestClient) -> None:
    assert refused(client.get("/v1/decisions/d-9"), 404)["errors"][0] == {"field": "decision_id", "got": "d-9", "expected": None}
    assert refused(client.get("/v1/contacts/nobody"), 404)["title"] == "Not found"
    assert refused(client.get("/v1/nothing"), 404)["detail"] == "Not Found"
    assert refused(client.get("/docs"), 404)
    assert refused(client.get("/v1/contacts/" + "x" * 257), 422)["errors"][0]["field"] == "contact_id"
    assert refused(client.get("/v1/contacts/%00"), 422)["errors"][0]["field"] == "contact_id"


def test_a_wrong_method_names_the_right_ones(client: TestClient) -> None:
    answer = client.put("/v1/outcomes", json={})
    refused(answer, 405)
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NudgeError("x"), 500),
        (ConfigError("x"), 500),
        (DataError("x"), 500),
        (TooLarge("x"), 413),
        (NotFound("x"), 404),
        (Conflict("x"), 409),
        (ContractMismatch("x"), 409),
        (Unavailable("x"), 503),
    ],
)
def test_every_error_has_one_status(error: NudgeError, status: int) -> None:
    assert status_of(error) == status


def test_an_option_of_the_command_line_is_the_key_of_a_request() -> None:
    found = problem_of(RequestError("a forced promotion needs its reason", field="--why"))
    assert found["errors"][0]["field"] == "why"
    assert found["detail"] == "why: a forced promotion needs its reason"


def test_an_unavailable_store_asks_to_try_again_and_keeps_its_address_to_itself(client: TestClient, service: FakeService) -> None:
    service.broken = Unavailable("the ledger cannot answer now", got="database is locked", hint="check sqlite:////srv/state/ledger.db")
    answer = client.post("/v1/decisions", json={"contact_id": "c"})
    problem = refused(answer, 503)
    assert answer.headers["retry-after"] == "1"
    assert problem["detail"].startswith("the ledger cannot answer now (")
    assert "sqlite" not in answer.text


def test_a_failure_nobody_foresaw_is_logged_under_the_id_that_the_caller_gets(
    client: TestClient, service: FakeService, caplog: pytest.LogCaptureFixture
) -> None:
    service.broken = ZeroDivisionError("secret detail")
    answer = client.post("/v1/decisions", json={"contact_id": "c"})
    problem = refused(answer, 500)
    assert "secret" not in answer.text
    name = problem["instance"].rsplit(":", 1)[1]
    logged = next(record for record in caplog.records if name in record.getMessage())
    assert logged.levelno == logging.ERROR
    assert logged.exc_info is not None


def test_an_answer_that_breaks_the_contract_is_a_failure_of_ours(
    client: TestClient, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "contact", lambda _: {"contact": "c-1"})
    refused(client.get("/v1/contacts/c-1"), 500)


def test_a_body_larger_than_the_limit_is_refused_before_it_is_read(client: TestClient) -> None:
    problem = refused(client.post("/v1/outcomes", content=b" " * 100_001, headers=JSON), 413)
    assert problem["detail"] == "body: the request is too large; allowed: at most 100000 bytes. Hint: send it in parts"
    just_fits = json.dumps({"contact_id": "c"}).encode().ljust(100_000)
    assert client.post("/v1/decisions", content=just_fits, headers=JSON).status_code == 200


def test_a_body_of_unknown_length_is_refused_as_soon_as_it_is_too_large(client: TestClient) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(50):
            yield b" " * 10_000

    refused(client.post("/v1/outcomes", content=chunks(), headers=JSON), 413)
