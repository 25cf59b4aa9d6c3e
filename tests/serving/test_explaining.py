"""An answer that was asked to explain itself, as a caller reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from serving.realtime import answers
from serving.schemas.decisions import DecisionRequest
from serving.schemas.explained import ExplanationOut
from serving.schemas.hot_answers import DecisionAnswer
from tests.serving.small_house import House, small_house


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with small_house(tmp_path) as made:
        yield made


def ask(house: House, contact_id: str, **more: Any) -> dict[str, Any]:
    return house.service.decide(DecisionRequest(contact_id=contact_id, explain=True, **more))


def test_the_explanation_is_plain_json_of_the_declared_form(house: House) -> None:
    answer = ask(house, "adult", channel="web")
    plain = json.loads(json.dumps(answer, allow_nan=False))
    msgspec.convert(plain, DecisionAnswer)
    ExplanationOut.model_validate(plain["explanation"])
    explanation = answer["explanation"]
    assert explanation["treatment_id"] == answer["actions"][0]["treatment_id"] == "loan_hero"
    assert sum(part["amount"] for part in explanation["waterfall"]) == pytest.approx(answer["actions"][0]["priority"])
    assert explanation["runner_up"]["lead"] == pytest.approx(5.0)
    assert explanation["funnel"][-1]["remaining"] == 3


def test_a_consent_that_is_missing_is_named_and_granting_it_does_what_was_said(house: House) -> None:
    (consent,) = [one for one in ask(house, "adult", channel="email")["explanation"]["changes"] if one["change"] == "consent"]
    assert (consent["what"], consent["then"], consent["rules"][0]["rule"]) == ("email_marketing", "loan_email", "email_marketing")
    house.consent("adult")
    (action,) = ask(house, "adult", channel="email")["actions"]
    assert (action["treatment_id"], action["priority"]) == (consent["then"], pytest.approx(consent["by"]))


def test_who_does_not_ask_gets_no_explanation(house: House) -> None:
    assert house.service.decide(DecisionRequest(contact_id="adult", channel="web"))["explanation"] is None


def test_a_decision_that_cannot_be_explained_is_made_all_the_same(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise np.linalg.LinAlgError("a model that only a removed candidate would have asked")

    monkeypatch.setattr(answers, "explain_decision", fails)
    answer = ask(house, "adult", channel="web")
    assert (answer["explanation"], answer["actions"][0]["treatment_id"]) == (None, "loan_hero")
