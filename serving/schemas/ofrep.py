"""The JSON of OpenFeature's Remote Evaluation Protocol."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field


class FlagRequest(BaseModel):
    """Whom a flag is evaluated for."""

    model_config = ConfigDict(extra="allow")

    context: Annotated[dict[str, Any], Field(description="`targetingKey` is the contact_id; the rest is `context.*` in conditions")]


class FlagEvaluated(BaseModel):
    """What a placement shows; the value is the content, empty where nothing is to be shown."""

    key: str
    value: str
    variant: Annotated[str, Field(description="the treatment_id, or no_action")]
    reason: Annotated[str, Field(description="TARGETING_MATCH, SPLIT (a control group), STALE (decided with less), DEFAULT (the fallback)")]
    metadata: Annotated[dict[str, bool | float | str], Field(description="decision_id, and why")]


class FlagsEvaluated(BaseModel):
    """Every placement."""

    flags: list[FlagEvaluated]


class FlagFailed(BaseModel):
    """Why a flag, or all of them, could not be evaluated."""

    key: str | None = None
    errorCode: str
    errorDetails: str
