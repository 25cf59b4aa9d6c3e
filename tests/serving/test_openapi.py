"""The OpenAPI document says what the API does: no more, no less."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient
from msgspec import Struct

from serving.schemas import hot_answers
from serving.schemas.hot_requests import HotDecision, HotOutcome, components


@pytest.fixture
def document(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def test_every_route_that_works_is_in_it_and_no_other(document: dict[str, Any]) -> None:
    assert {(method.upper(), path) for path, operations in document["paths"].items() for method in operations} == {
        ("POST", "/v1/decisions"), ("POST", "/v1/decisions:batch"), ("POST", "/v1/outcomes"), ("POST", "/v1/events"),
        ("GET", "/v1/decisions/{decision_id}"),
        ("GET", "/v1/contacts/{contact_id}"), ("PUT", "/v1/contacts/{contact_id}/suppressions"), ("GET", "/v1/prices"),
        ("POST", "/v1/decisions/{decision_id}:replay"), ("GET", "/metrics"),
        ("POST", "/ofrep/v1/evaluate/flags"), ("POST", "/ofrep/v1/evaluate/flags/{placement}"),
        ("GET", "/health/live"), ("GET", "/health/ready"),
        ("GET", "/v1/models"), ("POST", "/v1/models/{name}:promote"), ("POST", "/v1/models/{name}:rollback"),
        *(("GET", f"/v1/reports/{name}") for name in ("funnel", "roi", "channels", "goals", "segments", "value-finder", "models", "data")),
        ("PUT", "/v1/contacts/{contact_id}/consents/{purpose}"), ("POST", "/v1/identities"),
        ("POST", "/v1/plans"), ("GET", "/v1/plans"), ("GET", "/v1/plans/{plan_id}"), ("GET", "/v1/plans/{plan_id}/audiences/{channel}"),
        ("GET", "/v1/leads"), ("POST", "/v1/leads/{lead_id}:status"),
        ("DELETE", "/v1/contacts/{contact_id}"), ("GET", "/v1/contacts/{contact_id}/export"),
    }  # fmt: skip


@pytest.mark.parametrize(("name", "struct"), [("DecisionRequest", HotDecision), ("OutcomeIn", HotOutcome)])
def test_a_hot_request_is_described_by_the_struct_that_reads_it(document: dict[str, Any], name: str, struct: type[Struct]) -> None:
    described = document["components"]["schemas"][name]
    assert described == json.loads(json.dumps(components()[name]))
    assert list(described["properties"]) == list(struct.__struct_fields__)
    assert described["description"] == struct.__doc__
    assert described["additionalProperties"] is False


@pytest.mark.parametrize("struct", hot_answers.NAMES)
def test_a_hot_answer_is_described_by_its_struct_and_may_grow(document: dict[str, Any], struct: type[Struct]) -> None:
    described = document["components"]["schemas"][hot_answers.NAMES[struct]]
    assert list(described["properties"]) == list(struct.__struct_fields__)
    assert (described["description"], described["additionalProperties"]) == (struct.__doc__, True)


def test_what_a_hot_route_answers_is_as_the_document_says_hot_or_not(client: TestClient, document: dict[str, Any]) -> None:
    validator: Any = pytest.importorskip("jsonschema").Draft202012Validator
    said: dict[str, Any] = {"components": document["components"]}
    asked = {"contact_id": "c-1", "explain": True}
    one, many = (client.post(path, json=body) for path, body in [("/v1/decisions", asked), ("/v1/decisions:batch", [asked, {}])])
    cold = client.post("/v1/decisions", json=asked | {"contact_id": 17})  # cast to text, which the struct leaves to the model
    kept = client.post("/v1/outcomes", json={"event_id": "e-1", "contact_id": "c-1", "outcome": "click"})
    for path, answer in [("/v1/decisions", one), ("/v1/decisions", cold), ("/v1/decisions:batch", many), ("/v1/outcomes", kept)]:
        described = document["paths"][path]["post"]["responses"][str(answer.status_code)]["content"]["application/json"]["schema"]
        validator({**said, **described}).validate(answer.json())


def test_ids_of_the_data_may_be_whole_numbers_and_the_document_says_so(client: TestClient, document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    ids = [schemas["DecisionRequest"]["properties"]["contact_id"], schemas["OutcomeIn"]["properties"]["event_id"]]
    identity = document["paths"]["/v1/identities"]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
    ids += [identity[name] for name in ("anonymous_id", "contact_id")]
    assert all(one["type"] == ["string", "integer"] and one["maxLength"] == 256 for one in ids)
    assert schemas["DecisionRequest"]["properties"]["request_id"]["anyOf"][0]["type"] == "string"
    assert client.post("/v1/decisions", json={"contact_id": 17}).json()["contact_id"] == "17"
    assert client.post("/v1/decisions", json={"contact_id": "17", "request_id": 17}).status_code == 422


def test_every_schema_of_the_document_is_one(document: dict[str, Any]) -> None:
    validator: Any = pytest.importorskip("jsonschema").Draft202012Validator
    for schema in document["components"]["schemas"].values():
        validator.check_schema(schema)


def test_bodies_and_answers_name_their_schemas(document: dict[str, Any]) -> None:
    body = document["paths"]["/v1/outcomes"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["anyOf"][0] == {"$ref": "#/components/schemas/OutcomeIn"}
    assert body["anyOf"][1]["maxItems"] == 1000
    batch = document["paths"]["/v1/decisions:batch"]["post"]
    assert batch["requestBody"]["content"]["application/json"]["schema"]["items"] == {"$ref": "#/components/schemas/DecisionRequest"}
    answered = document["paths"]["/v1/decisions"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert answered == {"$ref": "#/components/schemas/DecisionResponse"}


def test_every_refusal_is_described_as_a_problem_document(document: dict[str, Any]) -> None:
    operations = {(path, method): operation for path, methods in document["paths"].items() for method, operation in methods.items()}
    for (path, _), operation in operations.items():
        for status, response in operation["responses"].items():
            own = (path, status) == ("/health/ready", "503") or (path.startswith("/ofrep/") and status in ("400", "404"))
            if int(status) >= 400 and not own:
                assert list(response["content"]) == ["application/problem+json"]
    assert {"400", "413", "415", "422", "500", "503"} <= set(operations["/v1/decisions", "post"]["responses"])
    assert "404" in operations["/v1/contacts/{contact_id}", "get"]["responses"]


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found: list[str] = []

    def walk(node: Any) -> None:
        for item in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            walk(item)
        if isinstance(node, dict) and "$ref" in node:
            found.append(node["$ref"].removeprefix("#/components/schemas/"))

    walk(document)
    assert set(found) <= set(document["components"]["schemas"])


def test_the_document_is_the_same_every_time(client: TestClient) -> None:
    assert client.get("/openapi.json").content == client.get("/openapi.json").content
