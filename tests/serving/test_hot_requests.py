"""The structs of the hot routes say what the models say: never more, and with the same values."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from serving.schemas.decisions import DecisionRequest, OutcomeIn
from serving.schemas.hot_requests import NAMES, HotDecision, HotOutcome, as_json, components, many_decisions, one_decision, outcomes
from serving.schemas.validation import InvalidFields, read
from tests.serving.test_http_fuzz import ANY_JSON, NEARLY_REQUESTS

TEXTS = st.sampled_from(
    ["c-1", "", " ", "a\x00b", "żółw 🐢", "x" * 256, "x" * 257, "ż" * 256, "\u200b", "a\u0085b", "2026-11-22T10:00:00Z"]
)
NUMBERS = st.sampled_from([0, 1, 3, 3.0, 100, 101, -0.0, 2.5, 2**53, 2**63 - 1, 2**63, -(2**63), 2**80, 1e300, True, None])
TIMES = st.sampled_from(
    ["2026-11-22T10:00:00Z", "2026-11-22T10:00:00+01:00", "2026-11-22T10:00:00.123456-11:30", "2026-11-22T10:00:00", "2026-11-22",
     "0001-01-01T00:00:00+10:00", "9999-12-31T23:59:59-10:00", "2026-02-30T00:00Z", "2026-11-22T24:00:00Z", "2026-11-22T23:59:60Z", "now"]
)  # fmt: skip
VALUES = TEXTS | NUMBERS | TIMES | st.booleans() | ANY_JSON
FACTS = st.dictionaries(st.sampled_from(["a", "", "intent", "ż"]), VALUES, max_size=3)
LIKELY = {
    "contact_id": TEXTS, "session_id": TEXTS, "request_id": TEXTS, "channel": TEXTS, "placements": st.lists(TEXTS, max_size=3),
    "actions": st.lists(TEXTS, max_size=3),
    "limit": NUMBERS, "context": FACTS, "features": FACTS, "explain": st.booleans(), "dry_run": st.booleans() | NUMBERS,
    "deadline_ms": NUMBERS, "event_id": TEXTS, "decision_id": TEXTS, "treatment_id": TEXTS, "outcome": TEXTS, "value": NUMBERS,
    "occurred_at": TIMES,
}  # fmt: skip


def bodies(model: type[BaseModel]) -> st.SearchStrategy[dict[str, Any]]:
    """Requests that often fit: the keys of the model, with values that are likely, on the border or wrong."""
    of_model = {name: LIKELY[name] | st.none() | VALUES for name in model.model_fields}
    needed = [name for name, field in model.model_fields.items() if field.is_required()]
    good = st.just({"contact_id": "c-1", "event_id": "e-1", "outcome": "sale"})
    some = st.lists(st.sampled_from(sorted(of_model)), max_size=4, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: of_model[name] for name in names})
    )
    return st.tuples(good, some).map(lambda two: {name: two[0][name] for name in needed} | {"contact_id": "c-1"} | two[1])


def modelled(model: type[BaseModel], body: bytes) -> BaseModel | None:
    try:
        return read(model, json.loads(body))
    except InvalidFields:
        return None


@settings(max_examples=500)
@given(body=bodies(DecisionRequest) | NEARLY_REQUESTS)
def test_what_the_struct_of_a_decision_takes_the_model_takes_with_the_same_values(body: dict[str, Any]) -> None:
    text = json.dumps(body).encode()
    found = one_decision(text)
    if found is not None:
        model = modelled(DecisionRequest, text)
        assert model is not None
        assert repr(as_json(model)) == repr(json.loads(msgspec.json.encode(found[0]))), "a value or its type was changed"
        assert repr(model) == repr(found[0]).replace("HotDecision", "DecisionRequest")


@settings(max_examples=500)
@given(body=bodies(OutcomeIn) | NEARLY_REQUESTS)
def test_what_the_struct_of_an_outcome_takes_the_model_takes_with_the_same_values(body: dict[str, Any]) -> None:
    text = json.dumps(body).encode()
    found = outcomes(text)
    if found is not None:
        model = modelled(OutcomeIn, text)
        assert model is not None
        for name in OutcomeIn.model_fields:
            assert getattr(found[0], name) == getattr(model, name)


@pytest.mark.parametrize(
    "body",
    [
        {"contact_id": "c-17", "session_id": None, "request_id": "r-1", "channel": "web", "placements": ["home_hero"], "limit": 3,
         "context": {"intent": "borrow", "device": "mobile"}, "features": {"cart_value": 120.0}, "explain": True, "dry_run": False},
        {"contact_id": "c-17"},
    ],
)  # fmt: skip
def test_an_ordinary_request_needs_no_model(body: dict[str, Any]) -> None:
    assert one_decision(json.dumps(body).encode()) is not None
    assert many_decisions(json.dumps([body, body]).encode()) is not None


def test_an_ordinary_outcome_needs_no_model() -> None:
    outcome = {"event_id": "e-1", "decision_id": "d-1", "outcome": "sale", "value": 3, "occurred_at": "2026-11-22T10:00:00+01:00"}
    assert outcomes(json.dumps(outcome).encode()) is not None
    assert outcomes(json.dumps([outcome] * 1000).encode()) is not None
    assert outcomes(json.dumps([outcome] * 1001).encode()) is None


@pytest.mark.parametrize(("struct", "model"), [(HotDecision, DecisionRequest), (HotOutcome, OutcomeIn)])
def test_struct_and_model_have_one_schema(struct: type[msgspec.Struct], model: type[BaseModel]) -> None:
    described = components()[NAMES[struct.__name__]]
    expected = model.model_json_schema()
    for name, field in expected["properties"].items():
        assert _sense(described["properties"][name]) == _sense(field), name
    assert set(described["properties"]) == set(expected["properties"])
    assert sorted(described["required"]) == sorted(expected["required"])
    assert described["additionalProperties"] is expected["additionalProperties"] is False


def _sense(schema: Any) -> Any:
    """A schema without titles and words, the alternatives in one order."""
    if isinstance(schema, list):
        return sorted((_sense(one) for one in schema), key=lambda one: json.dumps(one, sort_keys=True))
    if not isinstance(schema, dict):
        return schema
    return {key: _sense(value) for key, value in schema.items() if key not in ("title", "description")}
