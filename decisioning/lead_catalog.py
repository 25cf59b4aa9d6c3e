"""The key `lead:` of catalog.yaml as typed values: who is worth a salesperson's time, whose lead it is, and how soon it must be taken up.

Fit says who a contact and the firm are, behaviour what they did, and asked answers what nobody should guess. Fit makes the grade (A to D),
behaviour the score; an answer counts for either, and one that is not there is a question to ask.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from decisioning.catalog_values import Condition, Days, Number, Text

Grade: TypeAlias = Literal["A", "B", "C", "D"]
GRADES: tuple[Grade, ...] = ("A", "B", "C", "D")
"""Best first."""

Hours = Annotated[Number, Field(gt=0, le=24 * 3660)]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PointsRule(_Frozen):
    """Points where `when` is true; with `since`, an expression of days, they halve every `half_life_days` and are gone where it is NULL."""

    points: Number
    when: Condition | None = None
    since: Condition | None = None
    half_life_days: Days | None = None
    because: Text | None = None

    @model_validator(mode="after")
    def _says_when(self) -> PointsRule:
        if self.when is None and self.since is None:
            raise ValueError("a line of points needs `when` (a condition), or `since` with `half_life_days`, or both")
        if (self.since is None) != (self.half_life_days is None):
            raise ValueError("`since` and `half_life_days` go together")
        return self


class Question(_Frozen):
    """Something to ask: `answer` is the expression that holds it, NULL while nobody has asked; `points` say what an answer is worth."""

    id: Text
    ask: Text
    answer: Condition
    points: tuple[PointsRule, ...] = Field(min_length=1)
    counts_for: Literal["fit", "behaviour"] = "fit"


class Threshold(_Frozen):
    """A lead is qualified from this score on, with this grade or a better one."""

    score: Number
    grade: Grade = "D"


class OwnerRule(_Frozen):
    """Whose lead it is while `when` holds; the last may leave it out and takes the rest."""

    owner: Text
    when: Condition | None = None


class LeadDefinition(_Frozen):
    """What makes a lead.

    `who` may be a lead at all; `grades` are the fewest points of fit for A, B and C, and below them a lead is D. `goal` names the outcome
    that a learned score predicts; without it the score learns from leads that were won. A contact is handed over once, or again so many
    days after an earlier lead was rejected or lost.
    """

    who: Condition | None = None
    fit: tuple[PointsRule, ...] = ()
    behaviour: tuple[PointsRule, ...] = ()
    asked: tuple[Question, ...] = ()
    grades: dict[Literal["A", "B", "C"], Number] = {}
    threshold: Threshold
    owner: tuple[OwnerRule, ...] = ()
    accept_within_hours: Hours | None = None
    first_contact_within_hours: Hours | None = None
    again_after_days: Days | None = None
    goal: Text | None = None

    @field_validator("owner", mode="before")
    @classmethod
    def _one_for_all(cls, value: object) -> object:
        return [{"owner": value}] if isinstance(value, str) else value

    @field_validator("owner")
    @classmethod
    def _the_rest_comes_last(cls, value: tuple[OwnerRule, ...]) -> tuple[OwnerRule, ...]:
        if any(one.when is None for one in value[:-1]):
            raise ValueError("an owner without `when` takes every lead: it comes last")
        return value

    @model_validator(mode="after")
    def _can_qualify(self) -> LeadDefinition:
        if not self.fit and not self.behaviour and not self.asked:
            raise ValueError("nothing gives points: name `fit`, `behaviour` or `asked`")
        steps = [self.grades[name] for name in GRADES[:-1] if name in self.grades]
        if steps != sorted(steps, reverse=True):
            raise ValueError("a better grade needs more points: A above B above C")
        if self.threshold.grade != "D" and self.threshold.grade not in self.grades:
            raise ValueError(f"no lead can have grade {self.threshold.grade}: `grades` does not say from how many points")
        ids = [one.id for one in self.asked]
        if len(set(ids)) < len(ids):
            raise ValueError("two questions have the same id")
        return self
