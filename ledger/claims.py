"""What a decision takes that others want too: a place under a cap, and units of the period's limits. Granted all at once, or not at all.

A decision is made upon what was read; between that and its writing others may have taken the last slot. So it says what it counted on,
and inside the write transaction, where nobody else can interleave, that is looked at again: how many outbound selections its contact and
account have had (their number only grows, so the same number means that nothing came between), and what the meters show. A decision that
is not granted is not written: its caller decides again upon what holds now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from ledger import codec
from ledger.database import insert_missing, serialise, upsert
from ledger.prepared import Prepared, named_values
from ledger.records import Claim, DecisionRecord, Draw
from ledger.schema import METERS, SELECTIONS, SENT

_CHUNK = 5_000  # ids in one IN list: below the parameter limits of both databases
_ROUNDING = 1e-12


@dataclass
class Grants:
    """The state of one write transaction: what is counted and metered so far."""

    contacts: dict[str, int] = field(default_factory=dict)
    accounts: dict[str, int] = field(default_factory=dict)
    meters: dict[tuple[str, str], float] = field(default_factory=dict)
    drawn: set[tuple[str, str, str]] = field(default_factory=set)
    before: dict[str, dict[str, int]] = field(default_factory=lambda: {"contacts": {}, "accounts": {}})
    sent: set[tuple[str, str]] = field(default_factory=set)

    def grant(self, item: DecisionRecord) -> bool:
        """Whether the decision's claim still holds; if so it is taken at once, so that the next one sees it."""
        if item.claim is None:
            return True
        due = [draw for draw in item.claim.draws if draw.once_for is None or (item.claim.book, *draw.once_for) not in self.drawn]
        if not self._nothing_came_between(item, item.claim) or not self._fits(item.claim.book, due):
            return False
        self.drawn.update((item.claim.book, *draw.once_for) for draw in due if draw.once_for is not None)
        outbound = sum(one.direction == "outbound" for one in item.selections)
        self.contacts[item.contact_id] = self.contacts.get(item.contact_id, 0) + outbound
        account_id = account_of(item)
        if account_id is not None:
            self.accounts[account_id] = self.accounts.get(account_id, 0) + outbound
        if outbound:
            self.sent.update(_of(item))
        return True

    def _nothing_came_between(self, item: DecisionRecord, claim: Claim) -> bool:
        if claim.beside and not self.sent.isdisjoint(_of(item)):
            return False
        contacts, accounts = (self.before["contacts"], self.before["accounts"]) if claim.together else (self.contacts, self.accounts)
        of_contact, of_account = contacts.get(item.contact_id, 0), accounts.get(account_of(item) or "", 0)
        return claim.seen_contact in (None, of_contact) and claim.seen_account in (None, of_account)

    def _fits(self, book: str, due: Sequence[Draw]) -> bool:
        """Draw from the meters, unless one of them would exceed its limit."""
        after: dict[tuple[str, str], float] = {}
        for draw in due:
            key = (book, draw.name)
            after[key] = after.get(key, self.meters.get(key, draw.used_at_first)) + draw.units
            if after[key] > draw.most * (1 + _ROUNDING):
                return False
        self.meters.update(after)
        return True


def account_of(item: DecisionRecord) -> str | None:
    """The account of a decision's selections, None where they have none."""
    return next((one.account_id for one in item.selections if one.account_id is not None), None)


def _of(item: DecisionRecord) -> set[tuple[str, str]]:
    return {("contact", item.contact_id), ("account", account_of(item) or "")} - {("account", "")}


def open_grants(conn: Connection, items: Sequence[DecisionRecord]) -> Grants:
    """What holds now for the claims of `items`; nobody else can change it before this transaction ends."""
    claims = [(item, item.claim) for item in items if item.claim is not None]
    contacts = {item.contact_id for item, claim in claims if claim.seen_contact is not None}
    accounts = {account_of(item) or "" for item, claim in claims if claim.seen_account is not None}
    books = {claim.book for _, claim in claims if claim.draws}
    once = {(claim.book, *draw.once_for) for _, claim in claims for draw in claim.draws if draw.once_for is not None}
    named = {"contact": contacts, "account": accounts, "meters": books}
    serialise(conn, [f"{kind} {key}" for kind, keys in named.items() for key in keys])
    of_contacts, of_accounts = counts_of_contacts(conn, sorted(contacts)), counts_of_accounts(conn, sorted(accounts))
    return Grants(
        contacts=dict(of_contacts),
        accounts=dict(of_accounts),
        before={"contacts": of_contacts, "accounts": of_accounts},
        meters={(book, name): used for book in sorted(books) for name, used in meters(conn, book).items()},
        drawn=_drawn(conn, once),
    )


def keep_meters(conn: Connection, grants: Grants) -> None:
    """Write what the granted claims have drawn."""
    rows = [{"book": book, "name": name, "used": used} for (book, name), used in sorted(grants.meters.items())]
    if rows:
        _keep_meters(conn.dialect.name).execute_many(conn, rows)


def start_meters(conn: Connection, book: str, used: Mapping[str, float]) -> None:
    """Let the meters of a period begin with what was used before it; those that run already stay as they are."""
    insert_missing(conn, METERS, [{"book": book, "name": name, "used": units} for name, units in sorted(used.items())])


def meters(conn: Connection, book: str) -> dict[str, float]:
    """What was used of each limit in a period; a limit of which nothing was used is left out."""
    return dict(_METERS.rows(conn, {"book": book}))


def counts_of_contacts(conn: Connection, contact_ids: Iterable[str]) -> dict[str, int]:
    """How many outbound selections each of these contacts has had; those without any are left out."""
    return _counted(conn, _COUNTS_OF_CONTACTS, contact_ids)


def counts_of_accounts(conn: Connection, account_ids: Iterable[str]) -> dict[str, int]:
    """How many outbound selections the contacts of each of these accounts have had; those without any are left out."""
    return _counted(conn, _COUNTS_OF_ACCOUNTS, account_ids)


def _counted(conn: Connection, statement: Prepared, keys: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for chunk in codec.chunks(keys, _CHUNK):
        found.update(statement.rows(conn, {"keys": chunk}))
    return found


def counts_of_everyone(conn: Connection) -> tuple[dict[str, int], dict[str, int]]:
    """How many outbound selections every contact, and every account, has had; those without any are left out."""
    of_contacts, of_accounts = (dict(statement.rows(conn, {})) for statement in _COUNTS_OF_EVERYONE)
    return of_contacts, of_accounts


def _drawn(conn: Connection, once: set[tuple[str, str, str]]) -> set[tuple[str, str, str]]:
    """Which of these (book, contact_id, treatment_id) were drawn already."""
    found: set[tuple[str, str, str]] = set()
    for book, contact_id, treatment_id in sorted(once):
        known = {"book": book, "contact": contact_id, "treatment": treatment_id}
        if _DRAWN.rows(conn, known):
            found.add((book, contact_id, treatment_id))
    return found


def _counts(key: Any, *, everyone: bool) -> Prepared:
    which = key.is_not(None) if everyone else key.in_(bindparam("keys", expanding=True))
    return Prepared(select(key, func.count()).where(SENT, which).group_by(key))


@cache
def _keep_meters(dialect: str) -> Prepared:
    statement = upsert(dialect, METERS)
    return Prepared(
        statement.values(named_values(METERS)).on_conflict_do_update(
            index_elements=[METERS.c.book, METERS.c.name], set_={"used": statement.excluded.used}
        )
    )


# Built once: composing a statement costs more than running it.
_COUNTS_OF_CONTACTS, _COUNTS_OF_ACCOUNTS = (_counts(key, everyone=False) for key in (SELECTIONS.c.contact_id, SELECTIONS.c.account_id))
_COUNTS_OF_EVERYONE = tuple(_counts(key, everyone=True) for key in (SELECTIONS.c.contact_id, SELECTIONS.c.account_id))
_METERS = Prepared(select(METERS.c.name, METERS.c.used).where(METERS.c.book == bindparam("book")))
_DRAWN = Prepared(
    select(SELECTIONS.c.treatment_id)
    .where(
        SELECTIONS.c.contact_id == bindparam("contact"),
        SELECTIONS.c.treatment_id == bindparam("treatment"),
        SELECTIONS.c.book == bindparam("book"),
    )
    .limit(1)
)
