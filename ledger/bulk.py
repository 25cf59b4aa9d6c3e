"""Decisions that were made together, a plan's, written many at once.

What takes the interpreter's time (rows, JSON, digests of what is personal) is made ready anywhere, in another process too; what is left to
the transaction is to look whether somebody came between, to insert and to link. Rows and links are those of `decisions.record` and `chain`,
to which tests hold them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain as flattened
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, select

from ledger import chain, codec, consents
from ledger.claims import account_of, counts_of_accounts, counts_of_contacts
from ledger.database import Database, driver_run, serialise
from ledger.prepared import Prepared
from ledger.records import Claim, DecisionRecord, Selection
from ledger.schema import DECISIONS, SELECTIONS

_CHUNK = 5_000  # ids in one IN list: below the parameter limits of both databases
_ROWS_AT_ONCE = 64
_CACHE_KB = 65_536
"""Of SQLite's pages while much is written: ids come in no order, so that each batch touches pages from all over the tables."""

_DECISIONS = tuple(column.name for column in DECISIONS.columns)
_SELECTIONS = tuple(column.name for column in SELECTIONS.columns if column.name != "answered")


class Batch(NamedTuple):
    """Decisions made ready.

    Attributes
    ----------
    decisions, selections : lists of tuples
        Rows in the order of the tables' columns, without `answered`; a decision's own are those whose first value is its id.
    links : list of chain.Sealed
        One a decision, in the same order.
    contacts : mapping contact_id -> count
        How many outbound selections each contact had when the past was read, of those who claim that it is so still.
    accounts : mapping account_id -> count
        The same of the accounts that decisions count on.
    account_of : mapping decision_id -> account_id
        Which of them each decision counts on.
    """

    decisions: list[tuple[Any, ...]]
    selections: list[tuple[Any, ...]]
    links: list[chain.Sealed]
    contacts: dict[str, int]
    accounts: dict[str, int]
    account_of: dict[str, str]


@dataclass
class Written:
    """What was written so far of decisions that know of each other: outbound selections by account, which count against none of them."""

    accounts: dict[str, int] = field(default_factory=dict)


class Bulk:
    """What a plan reads of everybody, and what it writes, a batch in one transaction; `ledger.bulk`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, batch: Batch, so_far: Written) -> set[str]:
        """Write a batch; returns the ids of the decisions that were not: others have written for their contact or account in between.

        A decision_id that is already there stays as it was. `so_far` is what the plan's earlier batches wrote; it is brought up to date.
        """
        with self._database.writing() as conn:
            return _record(conn, batch, so_far)

    def consents(self) -> Iterator[consents.ConsentRows]:
        """Everybody's consents as they stand now, in no order, some at a time."""
        with self._database.reading() as conn:
            yield from consents.of_everyone(conn)


def made_ready(records: Iterable[DecisionRecord]) -> Batch:
    """The decisions as they are written.

    Raises
    ------
    ValueError
        One has a request_id, draws from meters, or does not know of the others.
    """
    made = Batch([], [], [], {}, {}, {})
    count: dict[datetime | None, int | None] = {None: None}
    records = list(records)
    salts = os.urandom(chain.SALT_BYTES * len(records))
    for place, record in enumerate(records):
        row, chosen = _decision_row(record, count), [_selection_row(record, one, count) for one in record.selections]
        chosen.sort(key=lambda one: int(one[1]))
        made.decisions.append(row)
        made.selections.extend(chosen)
        salt = salts[place * chain.SALT_BYTES : (place + 1) * chain.SALT_BYTES]
        made.links.append(chain.seal(_content(row, chosen), salt))
        if record.claim is not None or record.request_id is not None:
            _note_claim(made, record, record.claim)
    return made


def _note_claim(made: Batch, record: DecisionRecord, claim: Claim | None) -> None:
    if record.request_id is not None or claim is None or claim.draws or claim.beside or not claim.together:
        raise ValueError(f"decision {record.decision_id} is not one of many that were made together")
    if claim.seen_contact is not None:
        made.contacts[record.contact_id] = claim.seen_contact
    account_id = account_of(record)
    if claim.seen_account is not None and account_id is not None:
        made.accounts[account_id] = claim.seen_account
        made.account_of[record.decision_id] = account_id


def _record(conn: Connection, batch: Batch, so_far: Written) -> set[str]:
    if conn.dialect.name == "sqlite":
        driver_run(conn, f"PRAGMA cache_size=-{_CACHE_KB}", ()).close()
    refused, twins = _looked_at(conn, batch, so_far)
    rows = [row for row in batch.decisions if row[0] not in refused] if refused else batch.decisions
    new = _insert_new(conn, rows)
    everything = len(new) == len(batch.decisions)
    selections = batch.selections if everything else [row for row in batch.selections if row[0] in new]
    if selections:
        driver_run(conn, _inserted(conn), [(*row, row[0]) for row in selections], many=True).close()
    chain.extend_sealed(conn, "decisions", batch.links if everything else [link for link in batch.links if link.key in new])
    if batch.account_of:
        _count_accounts(batch, [*selections, *(row for row in batch.selections if row[0] in twins)], so_far)
    return refused


def _looked_at(conn: Connection, batch: Batch, so_far: Written) -> tuple[set[str], set[str]]:
    """The decisions that others came before; and those that were written meanwhile by whoever makes the same plan at the same time."""
    serialise(conn, flattened((f"contact {one}" for one in batch.contacts), (f"account {one}" for one in batch.accounts)))
    contacts = _changed(batch.contacts, counts_of_contacts(conn, batch.contacts), {})
    accounts = _changed(batch.accounts, counts_of_accounts(conn, batch.accounts), so_far.accounts)
    if not contacts and not accounts:
        return set(), set()
    suspects = {row[0]: row[1] for row in batch.decisions if row[1] in contacts or batch.account_of.get(row[0]) in accounts}
    known = _known(conn, list(suspects))
    return suspects.keys() - known, {one for one in known if suspects[one] in contacts}


def _changed(seen: Mapping[str, int], now: Mapping[str, int], ours: Mapping[str, int]) -> set[str]:
    return {one for one, count in seen.items() if now.get(one, 0) != count + ours.get(one, 0)}


def _known(conn: Connection, decision_ids: Sequence[str]) -> set[str]:
    """Those that are in the ledger already: they took what they claim when they were written."""
    return {row[0] for some in codec.chunks(decision_ids, _CHUNK) for row in _KNOWN.rows(conn, {"ids": some})}


def _count_accounts(batch: Batch, selections: Sequence[tuple[Any, ...]], so_far: Written) -> None:
    direction = _SELECTIONS.index("direction")
    for row in selections:
        account_id = batch.account_of.get(row[0]) if row[direction] == "outbound" else None
        if account_id is not None:
            so_far.accounts[account_id] = so_far.accounts.get(account_id, 0) + 1


def _insert_new(conn: Connection, rows: Sequence[tuple[Any, ...]]) -> set[str]:
    """Insert the decisions that are not there yet, in the order of their ids as all writers do; returns the ids of those that were not."""
    ordered, new, texts = sorted(rows, key=lambda row: str(row[0])), set[str](), dict[int, str]()
    for start in range(0, len(ordered), _ROWS_AT_ONCE):
        some = ordered[start : start + _ROWS_AT_ONCE]
        if len(some) not in texts:
            marks = ", ".join([f"({', '.join([_mark(conn)] * len(_DECISIONS))})"] * len(some))
            texts[len(some)] = f"INSERT INTO decisions ({_quoted(_DECISIONS)}) VALUES {marks} ON CONFLICT DO NOTHING RETURNING decision_id"
        cursor = driver_run(conn, texts[len(some)], tuple(flattened.from_iterable(some)))
        new.update(flattened.from_iterable(cursor.fetchall()))
        cursor.close()
    return new


def _inserted(conn: Connection) -> str:
    """What inserts a row of `_SELECTIONS` followed by its decision_id once more: whether outcomes of it are here already, see `answers`."""
    marks, last = ", ".join([_mark(conn)] * len(_SELECTIONS)), _mark(conn)
    answered = f"EXISTS (SELECT 1 FROM outcomes WHERE decision_id = {last})"
    return f"INSERT INTO selections ({_quoted((*_SELECTIONS, 'answered'))}) VALUES ({marks}, {answered})"


def _decision_row(item: DecisionRecord, count: dict[datetime | None, int | None]) -> tuple[Any, ...]:
    at, trace = _micros(item.decided_at, count), codec.to_json(item.trace)
    return (
        item.decision_id,
        item.contact_id,
        item.request_id,
        at,
        item.channel,
        item.plan_id,
        item.control_group,
        item.degraded,
        trace,
    )


def _selection_row(item: DecisionRecord, one: Selection, count: dict[datetime | None, int | None]) -> tuple[Any, ...]:
    own = _CHOSEN(one)
    numbers = (codec.finite(one.selection_prob), codec.finite(one.expected_profit), codec.finite(one.cost))
    until = _micros(one.reserved_until, count)
    rest = (one.account_id, one.redeems, one.book)
    return (item.decision_id, one.rank, item.contact_id, _micros(item.decided_at, count), item.plan_id, *own, *numbers, until, *rest)


def _content(row: tuple[Any, ...], chosen: Sequence[tuple[Any, ...]]) -> chain.Content:
    """`chain.decision_content` of rows that are tuples."""
    public = [row[0], *row[3:8], [(one[1], *one[5:14], *one[15:]) for one in chosen]]
    return chain.Content(row[0], public, [row[1], row[2], [one[14] for one in chosen]], row[8].encode())


def _micros(time: datetime | None, known: dict[datetime | None, int | None]) -> int | None:
    """Its count of microseconds: many decisions share few times."""
    if time not in known and time is not None:
        known[time] = codec.micros(time)
    return known[time]


def _mark(conn: Connection) -> str:
    return "?" if conn.dialect.name == "sqlite" else "%s"


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


_CHOSEN = attrgetter("action_id", "treatment_id", "channel", "direction", "placement")
_KNOWN = Prepared(select(DECISIONS.c.decision_id).where(DECISIONS.c.decision_id.in_(bindparam("ids", expanding=True))))
