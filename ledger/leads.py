"""Leads: contacts handed over to sales, each once, and what became of them.

A lead's row says where it stands; each step is a deed too, so the chain vouches for who was handed over when, and with what result.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias, get_args

from sqlalchemy import Connection, Row, delete, or_, select, update

from decisioning.errors import Conflict, NotFound, RequestError, nearest
from ledger import codec, deeds, identities
from ledger.database import serialise
from ledger.schema import LEADS

Status: TypeAlias = Literal["accepted", "contacted", "rejected", "won", "lost"]
STATUSES: tuple[Status, ...] = get_args(Status)
HANDED_OVER = "handed_over"
ENDS = ("rejected", "won", "lost")
_NEXT: Mapping[str, tuple[str, ...]] = {
    HANDED_OVER: STATUSES,
    "accepted": ("contacted", "rejected", "won", "lost"),
    "contacted": ("rejected", "won", "lost"),
}
_READ = 1_000
_TIMES = ("handed_over_at", "accepted_at", "contacted_at", "rejected_at", "won_at", "lost_at", "accept_by", "contact_by")


@dataclass(frozen=True)
class NewLead:
    """A contact to hand over, with why; `accept_by` and `contact_by` are the times that sales has, if any."""

    contact_id: str
    grade: str
    fit: float
    score: float
    probability: float | None = None
    owner: str | None = None
    accept_by: datetime | None = None
    contact_by: datetime | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LeadStep:
    """What became of a lead at an aware UTC time; `revenue` only where it was won. `where` names the row of a file, for refusals."""

    lead_id: str
    status: str
    at: datetime
    revenue: float | None = None
    reason: str | None = None
    where: str | None = None


def hand_over(conn: Connection, leads: Sequence[NewLead], now: datetime, again_before: datetime | None = None) -> list[dict[str, Any]]:
    """Keep new leads; returns those that are new, as `listed` shows them.

    A contact with a lead is left out, unless every lead of theirs ended before `again_before`.
    """
    serialise(conn, ["leads"])
    names = identities.resolve(conn, [one.contact_id for one in leads])
    wanted = {names.get(one.contact_id, one.contact_id): one for one in reversed(leads)}
    taken = _taken(conn, wanted, None if again_before is None else codec.micros(again_before))
    rows = [_new_row(contact_id, one, now) for contact_id, one in reversed(wanted.items()) if contact_id not in taken]
    if not rows:
        return []
    conn.execute(LEADS.insert(), rows)
    deeds.add_all(conn, [_handed_over(row, now) for row in rows])
    return [_plain(row) for row in rows]


def _new_row(contact_id: str, lead: NewLead, now: datetime) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(LEADS.c.keys())
    return row | {
        "lead_id": f"lead-{uuid.uuid4().hex}",
        "contact_id": contact_id,
        "status": HANDED_OVER,
        "handed_over_at": codec.micros(now),
        "grade": lead.grade,
        "fit": codec.finite(lead.fit),
        "score": codec.finite(lead.score),
        "probability": codec.finite(lead.probability),
        "owner": lead.owner,
        "accept_by": None if lead.accept_by is None else codec.micros(lead.accept_by),
        "contact_by": None if lead.contact_by is None else codec.micros(lead.contact_by),
        "details": codec.to_json(lead.details),
    }


def _handed_over(row: Mapping[str, Any], now: datetime) -> deeds.Deed:
    about = {name: row[name] for name in ("lead_id", "status", "grade", "fit", "score")}
    return deeds.Deed("lead", now, about, (row["contact_id"], {"owner": row["owner"], "details": row["details"]}))


def _taken(conn: Connection, contact_ids: Collection[str], again_before: int | None) -> set[str]:
    found = set()
    for some in codec.chunks(contact_ids, _READ):
        for row in conn.execute(select(LEADS).where(LEADS.c.contact_id.in_(some))):
            ended = getattr(row, f"{row.status}_at") if row.status in ENDS else None
            if again_before is None or ended is None or ended >= again_before:
                found.add(row.contact_id)
    return found


def step(conn: Connection, steps: Sequence[LeadStep], now: datetime) -> list[dict[str, Any]]:
    """Keep what became of leads, all or none; returns the leads as they stand, with `again` where nothing was new.

    Raises
    ------
    RequestError
        No such status; a time before the lead or after `now`; a revenue of what was not won.
    NotFound
        No such lead.
    Conflict
        The lead has ended otherwise, or is past that step.
    """
    serialise(conn, ["leads"])
    rows = {row["lead_id"]: row for row in _rows(conn, {one.lead_id for one in steps})}
    done, told = [], []
    for one in steps:
        row = rows.get(one.lead_id)
        if row is None:
            raise NotFound("no such lead", field=_path(one, "lead_id"), got=one.lead_id)
        new = _after(row, one, now)
        done.append({**_plain({**row, **new}), "again": not new})
        if new:
            row |= new
            conn.execute(update(LEADS).where(LEADS.c.lead_id == one.lead_id).values(**new))
            about = {"lead_id": one.lead_id, "status": one.status, "at": codec.micros(one.at), "revenue": one.revenue}
            told.append(deeds.Deed("lead", now, about, (row["contact_id"], {"reason": one.reason})))
    deeds.add_all(conn, told)
    return done


def _after(row: Mapping[str, Any], one: LeadStep, now: datetime) -> dict[str, Any]:
    """What a step changes in the lead's row: nothing where it was known."""
    _check(row, one, now)
    at = codec.micros(one.at)
    if row[f"{one.status}_at"] is not None and (row["revenue"] == one.revenue or one.revenue is None):
        return {}
    if one.status not in _NEXT.get(row["status"], ()):
        allowed = ", ".join(_NEXT.get(row["status"], ())) or "nothing more"
        raise Conflict(f"the lead is {row['status'].replace('_', ' ')}", field=_path(one, "status"), got=one.status, allowed=allowed)
    new: dict[str, Any] = {"status": one.status, f"{one.status}_at": at, "reason": one.reason or row["reason"]}
    if one.status == "won":
        new["revenue"] = codec.finite(one.revenue)
    if one.status in ("contacted", "won", "lost") and row["accepted_at"] is None:  # who works on a lead has taken it on
        new["accepted_at"] = at
    return new


def _check(row: Mapping[str, Any], one: LeadStep, now: datetime) -> None:
    if one.status not in STATUSES:
        hint = nearest(one.status, STATUSES)
        raise RequestError("no such status", field=_path(one, "status"), got=one.status, allowed=", ".join(STATUSES), hint=hint)
    if one.revenue is not None and (one.status != "won" or codec.finite(one.revenue) is None or one.revenue < 0):
        raise RequestError("cannot be", field=_path(one, "revenue"), got=one.revenue, allowed="a number from 0 on, of a lead that was won")
    if not row["handed_over_at"] <= codec.micros(one.at) <= codec.micros(now):
        allowed = f"between {codec.moment(row['handed_over_at']).isoformat()} (it was handed over) and now"
        raise RequestError("cannot be", field=_path(one, "at"), got=one.at.isoformat(), allowed=allowed)


def _path(one: LeadStep, name: str) -> str:
    return name if one.where is None else f"{one.where}.{name}"


def listed(conn: Connection, statuses: Collection[str] | None, now: datetime, limit: int | None = None) -> list[dict[str, Any]]:
    """Leads, newest first, those with one of `statuses`; `overdue` names what should have happened by now."""
    asked = select(LEADS).order_by(LEADS.c.handed_over_at.desc(), LEADS.c.lead_id)
    if statuses is not None:
        asked = asked.where(LEADS.c.status.in_(statuses))
    rows = conn.execute(asked if limit is None else asked.limit(limit))
    return [{**_plain(_mapping(row)), "overdue": _overdue(row, codec.micros(now))} for row in rows]


def _overdue(row: Row[Any], now: int) -> str | None:
    if row.status in ENDS:
        return None
    if row.accepted_at is None and row.accept_by is not None and row.accept_by < now:
        return "accept"
    if row.contacted_at is None and row.contact_by is not None and row.contact_by < now:
        return "first_contact"
    return None


def _rows(conn: Connection, lead_ids: Collection[str]) -> list[dict[str, Any]]:
    return [_mapping(row) for some in codec.chunks(lead_ids, _READ) for row in conn.execute(select(LEADS).where(LEADS.c.lead_id.in_(some)))]


def _mapping(row: Row[Any]) -> dict[str, Any]:
    return dict(zip(row._fields, row, strict=True))


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row for people and JSON: times as ISO text, the details as they were handed in; an erased contact has none."""
    shown = {name: _iso(value) if name in _TIMES and value is not None else value for name, value in row.items()}
    details = shown.pop("details")
    return {"reasons": [], "questions": [], **shown, **(json.loads(details) if details else {})}


def _iso(count: int) -> str:
    return codec.moment(count).isoformat().replace("+00:00", "Z")


def remove_ended(conn: Connection, cut: int, at_most: int) -> int:
    """Remove some of the leads that ended before a time; returns how many."""
    row = LEADS.c
    ended = or_(*(row[f"{name}_at"] < cut for name in ENDS))
    gone = list(conn.execute(select(row.lead_id).where(row.status.in_(ENDS), ended).order_by(row.lead_id).limit(at_most)).scalars())
    if gone:
        conn.execute(delete(LEADS).where(row.lead_id.in_(gone)))
    return len(gone)
