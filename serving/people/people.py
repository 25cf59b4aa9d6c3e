"""One person in every store, and visitors who became contacts: their requests and outcomes are the contact's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from time import monotonic
from typing import Any, Protocol, TypeVar, cast

from msgspec.structs import replace as replaced
from pydantic import BaseModel

from decisioning.errors import NudgeError, RequestError, Unavailable, nearest
from features.online_recent import Fact
from ledger.codec import micros
from ledger.consents import ConsentChange
from ledger.store import Ledger
from serving.realtime.answers import iso
from serving.realtime.feature_rows import to_datetime64
from serving.realtime.snapshot import SnapshotHolder
from serving.schemas.hot_requests import AnyDecision, AnyOutcome
from serving.schemas.people import ConsentIn, IdentityIn

LOG = logging.getLogger(__name__)
_LOOK_SECONDS = 1.0
_Item = TypeVar("_Item", bound="AnyDecision | AnyOutcome")


class Stores(Protocol):
    """Every store of a workspace, as far as one person is concerned."""

    def erase(self, contact_id: str) -> dict[str, Any]:
        """Erase a contact (`schemas.people.ErasureOut`)."""

    def export(self, contact_id: str) -> dict[str, Any]:
        """Everything held about a contact (`schemas.people.ExportOut`)."""

    def join(self, anonymous_id: str, contact_id: str) -> dict[str, Any]:
        """Make a visitor a contact (`schemas.people.IdentityOut`)."""


class People:
    """What concerns one person.

    Parameters
    ----------
    ledger : Ledger
    snapshots : SnapshotHolder
    clock : callable
        Returns the present as an aware datetime.
    stores : Stores, optional
        Every store of the workspace; without it nobody is erased, exported or joined here.
    """

    def __init__(self, ledger: Ledger, snapshots: SnapshotHolder, clock: Callable[[], datetime], stores: Stores | None = None) -> None:
        self._ledger = ledger
        self._snapshots = snapshots
        self._clock = clock
        self._stores = stores
        self._any_joined = False
        self._look_at = -1.0

    def erase(self, contact_id: str) -> dict[str, Any]:
        """Erase a contact from every store."""
        return self._every_store().erase(contact_id)

    def export(self, contact_id: str) -> dict[str, Any]:
        """Everything held about a contact.

        Raises
        ------
        NotFound
            Nothing is.
        """
        return self._every_store().export(contact_id)

    def join(self, request: IdentityIn) -> dict[str, Any]:
        """Make a visitor a contact.

        Raises
        ------
        RequestError, Conflict
            Both are the same; the visitor is another contact already; it would go round in a circle.
        """
        done = self._every_store().join(request.anonymous_id, request.contact_id)
        self._any_joined = True
        return done

    def consent(self, contact_id: str, purpose: str, request: ConsentIn) -> dict[str, Any]:
        """Keep what a contact says about a purpose of the catalogue's channels.

        Raises
        ------
        RequestError
            No channel asks for such a purpose.
        """
        channels = self._snapshots.current.catalog.catalog.channels.values()
        purposes = sorted({channel.purpose for channel in channels if channel.purpose is not None})
        if purpose not in purposes:
            hint = nearest(purpose, purposes)
            raise RequestError("no channel asks for this purpose", field="purpose", got=purpose, allowed=", ".join(purposes), hint=hint)
        now = self._clock()
        who = self._ledger.identities([contact_id]).get(contact_id, contact_id)
        change = ConsentChange(who, purpose, request.status, request.changed_at or now, request.source)
        self._ledger.put_consent(change, now)
        held = self._ledger.consents([who], now=now)
        self._make_known(change, now)
        newest = {name: bool(granted) for name, granted in zip(held["purpose"].tolist(), held["granted"].tolist(), strict=True)}
        counts = change.changed_at <= now and newest.get(purpose) == (request.status == "granted")
        return {"contact_id": who, "purpose": purpose, "status": request.status, "changed_at": iso(change.changed_at), "holds": counts}

    def _make_known(self, change: ConsentChange, now: datetime) -> None:
        """Let the contact's online features have a consent that holds by now; else the next build has it from the ledger."""
        if change.changed_at > now:
            return
        fact = Fact("granted" if change.status == "granted" else "refused", micros(change.changed_at), purpose=change.purpose)
        try:
            self._snapshots.current.online.apply_event(change.contact_id, fact, to_datetime64(now))
        except NudgeError as error:
            LOG.warning("a consent is kept, but the online features cannot have it before the next build: %s", error)

    def as_contacts(self, items: Sequence[_Item]) -> Sequence[_Item]:
        """The requests or outcomes, those of a joined visitor as the contact's.

        Whether anybody was ever joined is looked up once a second; from then on every call asks who is.
        """
        if not self._anybody_joined():
            return items
        names = self._ledger.identities({one.contact_id for one in items if one.contact_id is not None})
        return [_of_contact(one, names.get(one.contact_id or "")) for one in items] if names else items

    def contacts_of(self, ids: Sequence[str]) -> list[str]:
        """The ids, those of joined visitors as their contacts'."""
        names = self._ledger.identities(set(ids)) if self._anybody_joined() else {}
        return [names.get(one, one) for one in ids]

    def _anybody_joined(self) -> bool:
        if not self._any_joined and monotonic() >= self._look_at:
            self._any_joined = self._ledger.anybody_joined()
            self._look_at = monotonic() + _LOOK_SECONDS
        return self._any_joined

    def _every_store(self) -> Stores:
        if self._stores is None:
            raise Unavailable("the stores of the workspace cannot be reached from here", hint="use nudge erase or nudge export-contact")
        return self._stores


def _of_contact(item: _Item, contact_id: str | None) -> _Item:
    if contact_id is None:
        return item
    if isinstance(item, BaseModel):
        return cast(_Item, item.model_copy(update={"contact_id": contact_id}))
    return replaced(item, contact_id=contact_id)
