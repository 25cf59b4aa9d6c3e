"""The JSON of the routes about plans."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, model_validator
from pydantic_core import PydanticCustomError

from serving.schemas.decisions import Id, Moment, TimeText, _In, _Out

MOST_LIMITS = 200
"""Changed limits in one question."""

_Bound = Annotated[float | None, Field(ge=0.0, allow_inf_nan=False)]


class LimitIn(_In):
    """Other bounds for a constraint of the catalogue; one that is left out stays as it is."""

    id: Id
    max: _Bound = None
    min: _Bound = None

    @model_validator(mode="after")
    def _changes_something(self) -> LimitIn:
        if self.max is None and self.min is None:
            raise PydanticCustomError("limit", "max or min")
        return self


class PlanIn(_In):
    """What `nudge plan` takes. With `constraints` or `sample` it is a question: nothing is kept, published or written."""

    as_of: Annotated[Moment | None, Field(description="only what happened before this time counts; left out: the newest data")] = None
    dry_run: Annotated[StrictBool | None, Field(description="only compute; left out: true with constraints or a sample, else false")] = None
    prices_only: Annotated[StrictBool, Field(description="publish the shadow prices for real time and nothing else")] = False
    constraints: Annotated[list[LimitIn] | None, Field(max_length=MOST_LIMITS, description="limits to ask about")] = None
    sample: Annotated[int | None, Field(ge=1, description="estimate from so many contacts, always the same ones")] = None

    @model_validator(mode="after")
    def _keeps_no_question(self) -> PlanIn:
        if (self.constraints or self.sample is not None) and self.dry_run is False:
            raise PydanticCustomError(
                "dry_run", "dry_run true: other limits and samples are questions; change catalog.yaml to plan with them"
            )
        if (self.constraints or self.sample is not None) and self.prices_only:
            raise PydanticCustomError("prices_only", "prices_only false: questions about other limits and samples publish nothing")
        return self


class PlanJob(_Out):
    """A plan that is being made or was made; `result` is what `nudge plan --json` prints, once it is completed."""

    id: Annotated[str, Field(description="of the job, or of the plan where it was asked for by its plan_id")]
    status: Literal["queued", "running", "completed", "failed"]
    progress: Annotated[float, Field(ge=0.0, le=1.0)]
    created_at: TimeText
    plan_id: str | None
    message: Annotated[str | None, Field(description="what it is doing")] = None
    reason: Annotated[str | None, Field(description="why it failed")] = None
    request: dict[str, Any] | None = None
    result: dict[str, Any] | None = None


class PlanFiles(_Out):
    """A plan that was kept, with its files."""

    plan_id: str
    created_at: TimeText
    contacts: int
    selected: int
    expected_profit: float
    channels: Annotated[list[str], Field(description="those with an audience")]


class PlanList(_Out):
    """The newest jobs and the newest plans, newest first."""

    jobs: list[PlanJob]
    plans: list[PlanFiles]
