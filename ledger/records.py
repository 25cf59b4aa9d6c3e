"""What a decision is to the ledger: who, when, what was chosen, everything it came from, and what it claims of what others want too."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct


class Draw(Struct, frozen=True):
    """Units of the limit `name`, of which a period allows `most`; its meter begins at `used_at_first`.

    With `once_for` (contact_id, treatment_id) nothing is drawn where that was drawn in this period already.
    """

    name: str
    units: float
    most: float
    used_at_first: float = 0.0
    once_for: tuple[str, str] | None = None


class Claim(Struct, frozen=True):
    """What a decision counted on.

    Attributes
    ----------
    book : str
        The period whose meters are drawn from.
    draws : tuple of Draw
    seen_contact, seen_account : int or None
        How many outbound selections the contact and its account had when the past was read; None where no cap asks.
    together : bool
        The decisions of a plan know of each other: only what others have written in between counts against them.
    beside : bool
        An inbound choice under a cap, which touches nobody yet: it gives way to what the same call has sent its contact or account.
    """

    book: str
    draws: tuple[Draw, ...] = ()
    seen_contact: int | None = None
    seen_account: int | None = None
    together: bool = False
    beside: bool = False


class Selection(Struct, frozen=True):
    """One action chosen in a decision; money in the catalog's currency, times aware UTC.

    `reserved_until` holds a place under the contact policy for an outbound selection until its outcome or that time; None reserves nothing.
    `redeems` is the decision of the running plan that this one carries out: the two are one touch. `book` is the period of the price book
    whose meters it was counted in.
    """

    rank: int
    action_id: str
    treatment_id: str
    channel: str
    direction: Literal["inbound", "outbound"]
    placement: str | None
    selection_prob: float
    expected_profit: float
    cost: float
    reserved_until: datetime | None = None
    account_id: str | None = None
    redeems: str | None = None
    book: str | None = None


class DecisionRecord(Struct, frozen=True):
    """One answer: who, when, what was chosen and, in `trace`, everything it came from (request, features, versions, scores, response).

    `claim` is what it counted on, looked at once more when it is written; it is not kept.
    """

    decision_id: str
    contact_id: str
    decided_at: datetime
    control_group: str
    selections: tuple[Selection, ...] = ()
    request_id: str | None = None
    channel: str | None = None
    plan_id: str | None = None
    degraded: str | None = None
    trace: dict[str, Any] = {}
    claim: Claim | None = None
