"""How some contacts stand now: all that a batch of decisions asks the ledger, in one read transaction.

The rows stay as they come, grouped by whom they are about: a decision looks at a handful of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from ledger import claims, codec, consents, history
from ledger.history_queries import OUTCOME_NAMES, TOUCH_NAMES

Rows = list[tuple[Any, ...]]
TOUCH_COLUMNS = (*TOUCH_NAMES, "at")
OUTCOME_COLUMNS = (*OUTCOME_NAMES, "at")


@dataclass(frozen=True)
class Wanted:
    """What is asked for.

    Attributes
    ----------
    contact_ids, account_ids : sequences of str
        Whose past; the accounts only where a policy counts by account.
    since, now : datetime
        From when the past is asked for, and the present.
    consents : bool
        Whether any channel asks for a consent.
    counts : bool
        Whether a cap or a reservation counts what each has been sent.
    book : str or None
        The period whose meters are asked for.
    """

    contact_ids: Sequence[str]
    account_ids: Sequence[str]
    since: datetime
    now: datetime
    consents: bool = True
    counts: bool = True
    book: str | None = None


@dataclass(frozen=True)
class Standing:
    """How contacts and accounts stand: rows by id, oldest first; whoever has none is left out.

    Attributes
    ----------
    touches, outcomes : mapping contact_id -> rows of `TOUCH_COLUMNS` and `OUTCOME_COLUMNS`, `at` in microseconds
    account_touches, account_outcomes : the same by account_id
    suppressions : mapping contact_id -> rows (action_id, channel, until in microseconds)
    granted : mapping contact_id -> the purposes that stand granted
    seen_contacts, seen_accounts : mapping id -> outbound selections so far
    meters : mapping constraint id -> units used in the period
    """

    touches: Mapping[str, Rows] = field(default_factory=dict)
    outcomes: Mapping[str, Rows] = field(default_factory=dict)
    account_touches: Mapping[str, Rows] = field(default_factory=dict)
    account_outcomes: Mapping[str, Rows] = field(default_factory=dict)
    suppressions: Mapping[str, Rows] = field(default_factory=dict)
    granted: Mapping[str, frozenset[str]] = field(default_factory=dict)
    seen_contacts: Mapping[str, int] = field(default_factory=dict)
    seen_accounts: Mapping[str, int] = field(default_factory=dict)
    meters: Mapping[str, float] = field(default_factory=dict)


def standing(conn: Connection, of: Wanted) -> Standing:
    """How those that `of` names stand.

    The counts are read first: what comes between them and the rest is then noticed when a decision is written.
    """
    span = {"since": codec.micros(of.since), "now": codec.micros(of.now), "plan": ""}
    seen_contacts = claims.counts_of_contacts(conn, of.contact_ids) if of.counts else {}
    seen_accounts = claims.counts_of_accounts(conn, of.account_ids) if of.account_ids else {}
    return Standing(
        touches=_grouped(history.past_rows(conn, ("contact_id", "touches"), of.contact_ids, span)),
        outcomes=_grouped(history.past_rows(conn, ("contact_id", "outcomes"), of.contact_ids, span)),
        account_touches=_grouped(history.past_rows(conn, ("account_id", "touches"), of.account_ids, span)),
        account_outcomes=_grouped(history.past_rows(conn, ("account_id", "outcomes"), of.account_ids, span)),
        suppressions=_grouped(history.suppression_rows(conn, of.contact_ids, span)),
        granted=consents.granted_purposes(conn, of.contact_ids, now=of.now) if of.consents else {},
        seen_contacts=seen_contacts,
        seen_accounts=seen_accounts,
        meters={} if of.book is None else claims.meters(conn, of.book),
    )


def _grouped(rows: Rows) -> dict[str, Rows]:
    """Rows by their first value, without it."""
    found: defaultdict[str, Rows] = defaultdict(list)
    for row in rows:
        found[row[0]].append(row[1:])
    return found
