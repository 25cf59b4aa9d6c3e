"""`nudge erase` and `nudge export-contact`: one person, in every store of the workspace (RODO/GDPR articles 17 and 15)."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from decisioning.errors import NotFound, NudgeError
from ledger.erasure import Erased
from ledger.store import Ledger
from nudge.ground.data_state import read_built, read_data_state, write_built
from nudge.ground.workspace import Workspace
from nudge.verbs.features_ready import to_datetime64

LOG = logging.getLogger(__name__)


def erase_contact(workspace: Workspace, contact_id: str, *, now: datetime | None = None) -> dict[str, Any]:
    """Erase a contact, and the visitors that were joined to it, from every store; whichever of their ids is named.

    Returns
    -------
    dict
        `contact_id` of the contact; `erased`: what was removed or is nobody's now, by store; `tombstone`: what stands in the contact's
        place; `left`: what Nudge cannot reach.
    """
    with workspace.open_ledger() as ledger:
        done = ledger.erase(contact_id, now or datetime.now(UTC))
    stores: dict[str, Any] = {"ledger": {name: rows for name, rows in done.counts.items() if rows}}
    stores |= _in_files(workspace, done)
    return {
        "contact_id": done.ids[0],
        "erased": {name: what for name, what in stores.items() if what},
        "tombstone": done.tombstone,
        "left": ["the sources of nudge.yaml, backups, and files that were exported outside the workspace are yours to clear"],
    }


def export_contact(workspace: Workspace, contact_id: str) -> dict[str, Any]:
    """Everything held about a contact, by store; a joined visitor is the contact that it became.

    Raises
    ------
    NotFound
        Nothing is.
    """
    from features import forgetting
    from serving.people.forgetting import held_in_exports

    with workspace.open_ledger() as ledger:
        contact_id = ledger.identities([contact_id]).get(contact_id, contact_id)
        kept = ledger.held(contact_id)
        ids = [contact_id, *(row["anonymous_id"] for row in kept.get("identities", []))]
    found: dict[str, Any] = {
        "ledger": kept,
        "data": forgetting.held(workspace.folder, ids),
        "online_features": _online(workspace, contact_id),
        "plans": held_in_exports(workspace.folder / "exports", ids),
    }
    held = {name: what for name, what in found.items() if what}
    if not held:
        raise NotFound("nothing is held about this contact", field="contact_id", got=contact_id)
    return {"contact_id": contact_id, "ids": ids, "exported_at": datetime.now(UTC).isoformat().replace("+00:00", "Z"), **held}


def join_identity(workspace: Workspace, anonymous_id: str, contact_id: str, *, now: datetime | None = None) -> dict[str, Any]:
    """Make a visitor a contact: {anonymous_id, contact_id, joined: rows by store, again}.

    Raises
    ------
    RequestError, Conflict
        See `ledger.identities`.
    """
    from features import forgetting

    at = now or datetime.now(UTC)
    with workspace.open_ledger() as ledger:
        done = ledger.join_identity(anonymous_id, contact_id, at)
    if not done.again:
        _join_online(workspace, anonymous_id, contact_id, at)
    rows = {"decisions": done.decisions, "outcomes": done.outcomes}
    data = forgetting.join(workspace.folder, {anonymous_id: contact_id})
    return {"anonymous_id": anonymous_id, "contact_id": contact_id, "joined": {"ledger": rows, "data": data}, "again": done.again}


def _join_online(workspace: Workspace, anonymous_id: str, contact_id: str, now: datetime) -> None:
    """Let the contact's online features have what the visitor did; where they cannot, the next build has it."""
    try:
        workspace.open_door().join(anonymous_id, contact_id, to_datetime64(now))
    except NudgeError as error:
        LOG.warning("the visitor is joined, but the online features cannot know it before the next build: %s", error)


class PeopleStores:
    """`serving.people.people.Stores` of a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def erase(self, contact_id: str) -> dict[str, Any]:
        """`erase_contact`."""
        return erase_contact(self._workspace, contact_id)

    def export(self, contact_id: str) -> dict[str, Any]:
        """`export_contact`."""
        return export_contact(self._workspace, contact_id)

    def join(self, anonymous_id: str, contact_id: str) -> dict[str, Any]:
        """`join_identity`."""
        return join_identity(self._workspace, anonymous_id, contact_id)


def keep_apart(workspace: Workspace, ledger: Ledger) -> int:
    """In freshly ingested tables: visitors are the contacts that they became, and whoever was erased is forgotten again.

    Returns how many of the erased came back with the sources.
    """
    import duckdb

    from features import forgetting

    path = workspace.folder / "data" / "contacts.parquet"
    known: set[str] = set()
    for file in sorted(path.parent.glob("*.parquet")):
        with duckdb.connect() as connection:
            names = [row[0] for row in connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(file)]).fetchall()]
            if "contact_id" in names:
                rows = connection.execute("SELECT DISTINCT contact_id FROM read_parquet(?) WHERE contact_id IS NOT NULL", [str(file)])
                known |= {str(one) for (one,) in rows.fetchall()}
    forgetting.join(workspace.folder, ledger.identities(known))
    back = ledger.erased_among(known)
    forgetting.forget(workspace.folder, back)
    return len(back)


def _in_files(workspace: Workspace, done: Erased) -> dict[str, Any]:
    """Erase from the tables, the built features, the online store, the archive of plans, the exports and the ledger's export."""
    from features import forgetting
    from nudge.verbs.ledger_export import forget_in_ledger_export
    from serving.people.forgetting import forget_in_archive, forget_in_exports
    from serving.plans.staging import clear_left

    archive, exports = workspace.plan_archive.folder, workspace.folder / "exports"
    for folder in (archive, exports):
        clear_left(folder)
    names = dict.fromkeys(done.ids, done.tombstone)
    before = _fingerprint(workspace)
    tables = forgetting.forget(workspace.folder, names)
    _still_built(workspace, before)
    return {
        "data": tables,
        "online_features": workspace.open_door().forget(done.ids),
        "plan_archive": forget_in_archive(archive, names),
        "exports": forget_in_exports(exports, names),
        "ledger_export": forget_in_ledger_export(workspace),
    }


def _fingerprint(workspace: Workspace) -> str | None:
    try:
        return read_data_state(workspace.folder).fingerprint
    except NotFound:
        return None


def _still_built(workspace: Workspace, before: str | None) -> None:
    """What was built of the data as it was is built of the data as it is: without the contact, both."""
    built, after = read_built(workspace.folder), _fingerprint(workspace)
    if before is not None and after is not None and built.fingerprint == before != after:
        write_built(workspace.folder, replace(built, fingerprint=after, online=built.online.replace(before, after)))


def _online(workspace: Workspace, contact_id: str) -> dict[str, Any]:
    """The contact's online features; nothing where there are none, or no features were built yet."""
    try:
        columns, found = workspace.open_door().online([contact_id])
    except NotFound:
        return {}
    return {name: _plain(column[0]) for name, column in columns.items()} if found[0] else {}


def _plain(value: Any) -> Any:
    item = value.item() if hasattr(value, "item") else value
    return None if item is None or item != item else item
