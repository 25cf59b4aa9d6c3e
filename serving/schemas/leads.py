"""The JSON of the routes about leads."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from serving.schemas.decisions import Moment, Number, TimeText, _In, _Out

LeadStatus = Literal["handed_over", "accepted", "contacted", "rejected", "won", "lost"]


class LeadStatusIn(_In):
    """What became of a lead."""

    status: Literal["accepted", "contacted", "rejected", "won", "lost"]
    at: Annotated[Moment | None, Field(description="when; default: now")] = None
    revenue: Annotated[float | None, Field(ge=0, allow_inf_nan=False, description="money, of a lead that was won")] = None
    reason: Annotated[str | None, Field(max_length=2_000)] = None


class Reason(_Out):
    """A line of points, and what it gave."""

    part: Literal["fit", "behaviour", "asked"]
    because: str
    points: Number


class QuestionOut(_Out):
    """Something that is still to be asked."""

    id: str
    ask: str


class Lead(_Out):
    """A contact who was handed over to sales, with why, and where that stands."""

    lead_id: str
    contact_id: str
    status: LeadStatus
    handed_over_at: TimeText
    accepted_at: TimeText | None
    contacted_at: TimeText | None
    rejected_at: TimeText | None
    won_at: TimeText | None
    lost_at: TimeText | None
    grade: Literal["A", "B", "C", "D"]
    fit: Number
    score: Number
    probability: Number | None
    owner: str | None
    accept_by: TimeText | None
    contact_by: TimeText | None
    revenue: Number | None
    reason: str | None
    reasons: list[Reason]
    questions: list[QuestionOut]
    overdue: Annotated[Literal["accept", "first_contact"] | None, Field(description="what should have happened by now")] = None


class LeadStepped(Lead):
    """The lead as it stands now; `again` says that it was known already."""

    again: bool


class Overdue(_Out):
    """How many leads wait for longer than they should."""

    accept: int
    first_contact: int


class LeadList(_Out):
    """Leads, newest first, and how many stand where."""

    leads: int
    handed_over: int
    accepted: int
    contacted: int
    rejected: int
    won: int
    lost: int
    revenue: Number
    overdue: Overdue
    list: list[Lead]
