"""Some rows of a plan by themselves, and the decisions that they are: values that go to another process, which has little to import."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from ledger import bulk
from ledger.codec import finite
from ledger.records import Claim, DecisionRecord, Selection
from serving.realtime.decision_ids import derived_decision_ids


class Piece(NamedTuple):
    """The rows of some contacts, as lists.

    Attributes
    ----------
    starts : list of int
        Where the rows of each contact begin, and last where they end.
    contact_id, account_id, control_group : lists, one entry a contact
    seen_contact, seen_account : lists of int, one entry a contact
        How many outbound selections the contact, and its account, had when the past was read.
    treatment, rank, selection_prob, reason : lists, one entry a row
    factors : mapping name -> list, one entry a row
    """

    starts: list[int]
    contact_id: list[str]
    account_id: list[str | None]
    control_group: list[str]
    seen_contact: list[int]
    seen_account: list[int]
    treatment: list[int]
    rank: list[int]
    selection_prob: list[float]
    reason: list[str]
    factors: dict[str, list[float]]


@dataclass(frozen=True)
class Recording:
    """What all decisions of a plan have in common.

    Attributes
    ----------
    selections : tuple of Selection, one a treatment
        What each chosen treatment is kept as, but for what differs from contact to contact.
    claims, by_account : bool
        Whether a cap asks how often a contact, and how often an account, is touched.
    """

    plan_id: str
    moment: datetime
    created_at: datetime
    versions: Mapping[str, Any]
    selections: tuple[Selection, ...]
    claims: bool
    by_account: bool

    def records(self, piece: Piece) -> Iterator[DecisionRecord]:
        """One decision a contact, with a selection for each of its rows that is a treatment."""
        decision_id = derived_decision_ids(self.moment, (self.plan_id,), piece.contact_id)
        for place, (begin, end) in enumerate(itertools.pairwise(piece.starts)):
            chosen = [row for row in range(begin, end) if piece.treatment[row] >= 0]
            selections = tuple(self._selection(piece, row, piece.account_id[place]) for row in chosen)
            economics = [{name: finite(values[row]) for name, values in piece.factors.items()} for row in chosen]
            trace: dict[str, Any] = {"plan_id": self.plan_id, "versions": self.versions, "economics": economics}
            if not selections:
                trace |= {"no_action": piece.reason[begin], "selection_prob": piece.selection_prob[begin]}
            yield DecisionRecord(
                decision_id=decision_id[place],
                contact_id=piece.contact_id[place],
                decided_at=self.created_at,
                control_group=piece.control_group[place],
                selections=selections,
                plan_id=self.plan_id,
                trace=trace,
                claim=self._claim(piece, place) if selections and self.claims else None,
            )

    def made_ready(self, piece: Piece) -> bulk.Batch:
        """The decisions as the ledger writes them."""
        return bulk.made_ready(self.records(piece))

    def _selection(self, piece: Piece, row: int, account_id: str | None) -> Selection:
        kept = self.selections[piece.treatment[row]]
        return Selection(
            rank=piece.rank[row],
            action_id=kept.action_id,
            treatment_id=kept.treatment_id,
            channel=kept.channel,
            direction=kept.direction,
            placement=kept.placement,
            selection_prob=piece.selection_prob[row],
            expected_profit=piece.factors["profit"][row],
            cost=kept.cost,
            reserved_until=kept.reserved_until,
            account_id=account_id,
        )

    def _claim(self, piece: Piece, place: int) -> Claim:
        """That nobody else has touched the contact, or its account, since the plan read their past."""
        account = piece.seen_account[place] if self.by_account and piece.account_id[place] is not None else None
        return Claim(self.plan_id, (), piece.seen_contact[place], account, together=True)
