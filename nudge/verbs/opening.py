"""A service over a workspace, with all that it is handed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from nudge.ground.workspace import Workspace
from nudge.verbs.people import PeopleStores
from nudge.verbs.planning import read_population
from nudge.verbs.snapshot_source import WorkspaceSnapshots
from serving.plans.population import Population
from serving.realtime.snapshot import Snapshot, SnapshotHolder
from serving.service import Service


def open_service(workspace: Workspace, *, watch: bool = False, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Service:
    """Serving, ready to decide; with `watch`, as a server: new catalogues, models and prices are swapped in, errands are run.

    `clock` says what time it is, for whoever rehearses other days than today.
    """

    def sample(snapshot: Snapshot, contacts: int) -> Population:
        now = Workspace.open(workspace.folder, workspace.environment)  # with the feature store as it is now
        return read_population(now, snapshot, None, None, sample=contacts)

    ledger = workspace.open_ledger()
    try:
        holder = SnapshotHolder(WorkspaceSnapshots(workspace, ledger, adapts=watch))
    except Exception:
        ledger.close()
        raise
    if watch:
        holder.watch()
    service = Service(holder, ledger, clock=clock, sample=sample, plans=workspace.plan_archive, stores=PeopleStores(workspace))
    if watch:
        service.run_errands(workspace.webhook_secrets())
    return service
