"""Placements as feature flags, in the shapes of OpenFeature's Remote Evaluation Protocol (OFREP).

A flag is a placement; its value is the content to show there, its variant the treatment. Where nothing is to be shown, as to a contact of
the holdout, the value is empty and the variant `no_action`: that is a decision as well, and no code's default must take its place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from decisioning.control import TREATED
from decisioning.errors import NudgeError, nearest
from decisioning.vocabulary import NO_ACTION
from serving.schemas.decisions import DecisionRequest
from serving.schemas.validation import InvalidFields, read

TARGETING_KEY = "targetingKey"

PARSE_ERROR, TARGETING_KEY_MISSING, INVALID_CONTEXT = "PARSE_ERROR", "TARGETING_KEY_MISSING", "INVALID_CONTEXT"
FLAG_NOT_FOUND, GENERAL = "FLAG_NOT_FOUND", "GENERAL"

TARGETING_MATCH, SPLIT, DEFAULT, STALE = "TARGETING_MATCH", "SPLIT", "DEFAULT", "STALE"
"""OpenFeature's reasons: chosen for this contact; by the draw of a control group; the fallback; with less than is usually known."""

_SHOWN = ("action_id", "channel", "selection_prob", "expected_profit", "traffic")


class FlagError(Exception):
    """A flag that cannot be evaluated: OFREP's error code, and why."""

    def __init__(self, code: str, details: str, status: int = 400) -> None:
        super().__init__(details)
        self.code = code
        self.details = details
        self.status = status

    def body(self, key: str | None) -> dict[str, Any]:
        """As OFREP has it; without `key` for all flags at once."""
        return {**({} if key is None else {"key": key}), "errorCode": self.code, "errorDetails": self.details}


def context_of(body: bytes) -> dict[str, Any]:
    """The context of a request.

    Raises
    ------
    FlagError
        The body is no JSON object, has no object `context`, or no `targetingKey` in it.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise FlagError(PARSE_ERROR, "the body is not JSON") from None
    context = document.get("context") if isinstance(document, Mapping) else None
    if not isinstance(context, Mapping):
        raise FlagError(INVALID_CONTEXT, "the body must be an object with an object `context`")
    if context.get(TARGETING_KEY) in (None, ""):
        raise FlagError(TARGETING_KEY_MISSING, f"context.{TARGETING_KEY} is missing: the contact_id to decide for")
    return dict(context)


def request_of(context: Mapping[str, Any], channel: str | None, placements: list[str]) -> DecisionRequest:
    """The decision that a context asks for; what else it holds are the request's own facts.

    Raises
    ------
    FlagError
        Something in the context is no text, number, true, false or null.
    """
    facts = {name: value for name, value in context.items() if name != TARGETING_KEY}
    asked = {"contact_id": context[TARGETING_KEY], "channel": channel, "placements": placements, "limit": len(placements), "context": facts}
    try:
        return read(DecisionRequest, asked)
    except InvalidFields as error:
        raise FlagError(INVALID_CONTEXT, str(error).replace("contact_id", f"context.{TARGETING_KEY}")) from None


def channel_of(key: str, placements: Mapping[str, str | None]) -> str | None:
    """The channel of a flag, None where several have a placement of this name.

    Raises
    ------
    FlagError
        There is no such placement.
    """
    if key not in placements:
        hint = nearest(key, placements)
        raise FlagError(FLAG_NOT_FOUND, f"there is no placement '{key}' in the catalogue" + (f". Hint: {hint}" if hint else ""), status=404)
    return placements[key]


def flag(key: str, answer: Mapping[str, Any]) -> dict[str, Any]:
    """The evaluation of one flag out of a decision."""
    shown = next((action for action in answer["actions"] if action["placement"] == key), None)
    said = {"decision_id": answer["decision_id"], "control_group": answer["control_group"]}
    said |= {} if answer["degraded"] is None else {"degraded": answer["degraded"]}
    if shown is None:
        reason = answer["no_action"]["reason"] if answer["no_action"] else "nothing is worth more here"
        return {"key": key, "value": "", "variant": NO_ACTION, "reason": _reason(answer), "metadata": {**said, "no_action": reason}}
    said |= {name: shown[name] for name in _SHOWN if shown[name] is not None}
    value = shown["content_id"] or shown["treatment_id"]
    return {"key": key, "value": value, "variant": shown["treatment_id"], "reason": _reason(answer), "metadata": said}


def failed(error: NudgeError, status: int) -> FlagError:
    """Why a flag could not be evaluated, in OFREP's words."""
    return FlagError(GENERAL, error.what, status if status >= 500 else 400)


def _reason(answer: Mapping[str, Any]) -> str:
    if answer["degraded"] is not None:
        fallback = any(action["traffic"] == "fallback" for action in answer["actions"])
        return DEFAULT if fallback else STALE
    return TARGETING_MATCH if answer["control_group"] == TREATED else SPLIT
