"""What leaves where somebody asks why: the explanation of a decision, and the funnel of the population."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

Number: TypeAlias = float | None

SAMPLE, MAX_SAMPLE = 2_000, 20_000
"""Contacts of a report over HTTP, unless it is asked for more, and at most."""


class _Out(BaseModel):
    model_config = ConfigDict(extra="allow")


class LeftOut(_Out):
    """A stage: how many candidates it took out, and how many were left."""

    stage: str
    filtered: int
    remaining: int


class PartOut(_Out):
    """One step of a sum in money."""

    name: str
    how: Annotated[str, Field(description="the arithmetic behind it")]
    amount: Number


class RunnerUpOut(_Out):
    """Who comes next, by how much it is behind, and what each factor contributes to that."""

    treatment_id: str
    lead: Number
    parts: Annotated[list[PartOut], Field(description="they sum to the lead")]


class RuleOut(_Out):
    """A rule that stands in the way, and what it saw of the contact."""

    stage: str
    rule: str
    saw: str


class ChangeOut(_Out):
    """One change that would change the choice: a rule lifted, or a factor beyond a number."""

    change: Annotated[
        str, Field(description="the rule's stage, or cost, uplift, propensity, value, opt_out_risk or limit (a shadow price)")
    ]
    what: Annotated[str, Field(description="the rule, or the treatment or limit whose factor it is")]
    now: str | Number
    to: Annotated[str | Number, Field(description="`lifted`, or the number at which the choice tips")]
    beyond: Annotated[str | None, Field(description="on which side of `to` the choice is another: above or below")]
    then: Annotated[str, Field(description="the treatment_id that would be chosen, or no_action")]
    by: Annotated[Number, Field(description="how far ahead of today's choice, money; null where a factor just tips the balance")]
    size: Annotated[Number, Field(description="a factor's change as a fraction of what it is, or the number of rules")]
    sentence: str
    rules: list[RuleOut]


class ExplanationOut(_Out):
    """Why one decision is as it is, and what would change it, the smallest change first."""

    available: Annotated[int, Field(description="candidates of the request's channel and placements")]
    funnel: list[LeftOut]
    treatment_id: Annotated[str | None, Field(description="the first choice; null: no_action")]
    waterfall: Annotated[list[PartOut], Field(description="they sum to the priority")]
    runner_up: RunnerUpOut | None
    next_action: Annotated[RunnerUpOut | None, Field(description="the next that is another action, where the runner-up is not")]
    changes: list[ChangeOut]


class RuleCount(_Out):
    """What a rule took out: candidates, each counted for the first rule that did, and the contacts who lost one."""

    rule: str
    filtered: int
    contacts: int


class StageCount(_Out):
    """A stage of the funnel, in candidates unless it says contacts."""

    stage: str
    available: int
    filtered: int
    passing: int
    remaining: Annotated[float, Field(description="what is left, as a fraction of all candidates")]
    contacts_available: int
    contacts_passing: int
    rules: list[RuleCount]


class FunnelReport(_Out):
    """What becomes of the candidates of a sample of contacts, and what their first choices hang on."""

    report: str
    as_of: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    contacts: Annotated[int, Field(description="the size of the sample, or of the population where that is smaller")]
    candidates: int
    stages: list[StageCount]
    actions: list[dict[str, Any]]
    channels: list[dict[str, Any]]
    without_action: dict[str, Any]
    control_groups: list[dict[str, Any]]
    optionality: Annotated[dict[str, Any], Field(description="contacts by how many actions and treatments are left to them")]
    sensitivity: Annotated[dict[str, Any], Field(description="contacts whose first choice changes when a factor is made neutral")]
