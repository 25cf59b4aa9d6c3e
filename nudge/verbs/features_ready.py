"""Features built and materialised when they are needed, and not again while nothing has changed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from nudge.ground.data_state import Built, read_built, write_built
from nudge.ground.workspace import Workspace, require_data

if TYPE_CHECKING:
    from features.store import BuildReport

Say = Callable[[str], None]


def default_as_of(workspace: Workspace) -> np.datetime64:
    """The features' as_of unless it is told: just after the newest row, or TIMELESS where nothing has a time."""
    from features.contract import TIMELESS

    as_of = require_data(workspace).as_of
    return TIMELESS if as_of is None else to_datetime64(as_of)


def to_datetime64(moment: datetime) -> np.datetime64:
    """An aware datetime as UTC datetime64[us]."""
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")


def build(workspace: Workspace, as_of: np.datetime64, progress: Say) -> BuildReport:
    """Build the features of everyone at `as_of` and of every interaction at its own time."""
    fingerprint = require_data(workspace).fingerprint
    report = workspace.door.build(as_of, progress=progress)
    write_built(workspace.folder, Built(fingerprint, str(as_of), online=""))
    return report


def ensure_built(workspace: Workspace, progress: Say) -> None:
    """Build the features if the data or a features/*.sql changed since they were built."""
    if read_built(workspace.folder).fingerprint != require_data(workspace).fingerprint:
        build(workspace, default_as_of(workspace), progress)


def materialize(workspace: Workspace) -> int:
    """Put the built features into the online store; returns the contacts."""
    with workspace.open_ledger() as ledger:
        names = ledger.identities()
    rows = workspace.door.materialize(names)
    built = read_built(workspace.folder)
    write_built(workspace.folder, Built(built.fingerprint, built.as_of, online=_online_key(workspace, built)))
    return rows


def ensure_online(workspace: Workspace, progress: Say) -> None:
    """Build and materialise what serving reads, if that is not what the online store holds."""
    ensure_built(workspace, progress)
    built = read_built(workspace.folder)
    if built.online != _online_key(workspace, built):
        progress("materialising the features for serving")
        materialize(workspace)


def _online_key(workspace: Workspace, built: Built) -> str:
    from features import online_recent, packing

    store = workspace.config.stores.online
    return f"{built.fingerprint} {built.as_of} {store.type} {store.connection_string} {packing.FORMAT} {online_recent.FORMAT}"
