"""Events and consents that were acknowledged over HTTP become part of the ingested past: features and models learn from them too."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from nudge.ground.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

    from ledger.store import Ledger

_AT_ONCE = 20_000


def merge_ledger_events(workspace: Workspace, ledger: Ledger | None = None) -> int:
    """Put the ledger's settled events, and the consents that hold by now, beside the ingested ones; returns how many were not there yet.

    What is not settled is left for the next time: until the online features have an event, the data must not claim to.
    """
    if ledger is not None:
        return _merge(workspace, ledger)
    with workspace.open_ledger() as opened:
        return _merge(workspace, opened)


def _merge(workspace: Workspace, ledger: Ledger) -> int:
    from features.merging import CONSENTS, EVENTS, merge_told

    events = merge_told(workspace.folder, EVENTS, event_tables(ledger))
    return events + merge_told(workspace.folder, CONSENTS, consent_tables(ledger))


def consent_tables(ledger: Ledger) -> Iterator[pa.Table]:
    """What contacts who were not erased said of their consents over HTTP and holds by now, as `features.merging.CONSENT_SCHEMA` has it."""
    import pyarrow as pa

    from features.merging import CONSENT_SCHEMA

    for page in ledger.told_consents(datetime.now(UTC), _AT_ONCE):
        erased = ledger.erased_among({one.contact_id for one in page})
        kept = [one for one in page if one.contact_id not in erased]
        columns: dict[str, list[object]] = {name: [getattr(one, name) for one in kept] for name in ("contact_id", "purpose", "status")}
        columns["changed_at"] = [one.changed_at.replace(tzinfo=None) for one in kept]
        yield pa.table({name: pa.array(columns[name], CONSENT_SCHEMA.field(name).type) for name in CONSENT_SCHEMA.names})


def event_tables(ledger: Ledger) -> Iterator[pa.Table]:
    """The ledger's settled events of contacts who were not erased, as `features.merging.EVENT_SCHEMA` has them."""
    import pyarrow as pa

    from features.merging import EVENT_SCHEMA

    for page in ledger.events.settled_pages(_AT_ONCE):
        erased = ledger.erased_among({one.contact_id for one in page})
        kept = [one for one in page if one.contact_id not in erased]
        columns = {name: [getattr(one, name) for one in kept] for name in EVENT_SCHEMA.names if name != "occurred_at"}
        columns["occurred_at"] = [one.occurred_at.replace(tzinfo=None) for one in kept]
        yield pa.table({name: pa.array(columns[name], EVENT_SCHEMA.field(name).type) for name in EVENT_SCHEMA.names})
