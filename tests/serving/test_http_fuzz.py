"""Whatever JSON comes in, and whatever bytes: the answer is the caller's business, never a failure of ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.app import create_app
from serving.schemas.decisions import DecisionRequest, OutcomeIn
from serving.schemas.events import EventIn
from tests.serving.fake_service import FakeService

PATHS = ("/v1/decisions", "/v1/decisions:batch", "/v1/outcomes", "/v1/events")
ANY_TEXT = st.text(st.characters(codec=None), max_size=20)  # lone surrogates too: JSON can spell them
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats()
    | ANY_TEXT
    | st.sampled_from(["2026-11-22T10:00:00Z", "web", "c-1", ""])
)
ANY_JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4), max_leaves=12)
KEYS = sorted({*DecisionRequest.model_fields, *OutcomeIn.model_fields, *EventIn.model_fields})
NEARLY_REQUESTS = st.dictionaries(st.sampled_from(KEYS), ANY_JSON, max_size=8).map(
    lambda body: {"contact_id": "c", "event_id": "e", **body}
)


@pytest.fixture(scope="module")
def open_client() -> Iterator[TestClient]:
    with TestClient(create_app(FakeService()), raise_server_exceptions=True) as client:
        yield client


def _post(client: TestClient, path: str, content: bytes, kind: str = "application/json") -> None:
    answer = client.post(path, content=content, headers={"Content-Type": kind})
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
    json.loads(answer.content, parse_constant=_refuse)


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


@settings(max_examples=200)
@given(path=st.sampled_from(PATHS), body=ANY_JSON | NEARLY_REQUESTS | st.lists(NEARLY_REQUESTS, max_size=3))
def test_no_json_makes_the_server_fail(open_client: TestClient, path: str, body: Any) -> None:
    _post(open_client, path, json.dumps(body).encode())


CLOUDS = st.fixed_dictionaries(
    {"specversion": st.just("1.0") | ANY_JSON, "id": SCALARS, "source": SCALARS, "type": SCALARS},
    optional={"data": NEARLY_REQUESTS | ANY_JSON, "time": SCALARS, "subject": SCALARS, "x": ANY_JSON},
)


@settings(max_examples=100)
@given(batch=st.booleans(), body=ANY_JSON | CLOUDS | st.lists(CLOUDS, max_size=3))
def test_no_cloud_event_makes_the_server_fail(open_client: TestClient, batch: bool, body: Any) -> None:
    _post(open_client, "/v1/events", json.dumps(body).encode(), f"application/cloudevents{'-batch' * batch}+json")


@settings(max_examples=50)
@given(path=st.sampled_from(PATHS), content=st.binary(max_size=60))
def test_no_bytes_make_the_server_fail(open_client: TestClient, path: str, content: bytes) -> None:
    _post(open_client, path, content)


@settings(max_examples=50)
@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=30))
def test_no_id_in_a_path_makes_the_server_fail(open_client: TestClient, name: str) -> None:
    quoted = "".join(f"%{byte:02X}" for byte in name.encode())
    for path in ("/v1/contacts/", "/v1/decisions/"):
        assert open_client.get(path + quoted).status_code < 500
