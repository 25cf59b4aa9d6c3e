"""What a decision takes of what others want too: its place under the caps, its units of the limits, its money to explore."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.records import Claim, Draw, Selection
from serving.realtime.decided import Decided
from serving.realtime.running_period import EXPLORATION


def claim_of(decided: Decided, selections: Sequence[Selection]) -> Claim | None:
    """The claim of a decision, None where it takes nothing that could be taken twice."""
    gathered = decided.gathered
    outbound = any(one.direction == "outbound" for one in selections)
    draws = [*(draw for one in selections for draw in draws_of(decided, one)), *_exploring(decided)]
    seen_contact = gathered.seen_contact if outbound else None
    seen_account = gathered.seen_account if outbound else None
    beside = bool(selections) and not outbound and gathered.seen_contact is not None
    if not draws and seen_contact is None and seen_account is None and not beside:
        return None
    return Claim(decided.period.key, tuple(draws), seen_contact, seen_account, beside=beside)


def draws_of(decided: Decided, chosen: Selection) -> list[Draw]:
    """What one selection uses of each constraint; nothing where the running plan has reserved it for this contact already.

    An outbound choice is paid for each time. An inbound one is counted once a contact and period: a page that is opened again shows the
    same banner to the same person.
    """
    if chosen.redeems is not None or not decided.catalog.catalog.constraints:
        return []
    once = (decided.request.contact_id, chosen.treatment_id) if chosen.direction == "inbound" else None
    lines, first = decided.snapshot.book.lines, decided.period.used_at_first
    used = uses_of(decided, decided.catalog.column_of[chosen.treatment_id])
    return [Draw(name, units, lines[name].most, first[name], once) for name, units in used]


def uses_of(decided: Decided, column: int) -> list[tuple[str, float]]:
    """The constraints that a treatment uses for this contact, and how much of each."""
    uses, found = decided.catalog.for_one.uses, list[tuple[str, float]]()
    for one in decided.catalog.catalog.constraints:
        units = uses[one.id][column]
        if units > 0 and (one.market is None or decided.gathered.situation.only["market"] == one.market):
            found.append((one.id, units))
    return found


def _exploring(decided: Decided) -> list[Draw]:
    cost = 0.0 if decided.decision is None else decided.decision.expected_cost
    return [Draw(EXPLORATION, cost, decided.catalog.catalog.exploration.budget)] if cost > 0 else []
