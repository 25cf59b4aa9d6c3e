"""The registered models as the API shows and changes them: the same gate as `nudge promote`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from nudge.ground.workspace import Workspace
from nudge.reports.facts import as_naive
from nudge.reports.roi import iso
from nudge.verbs.evaluating import promote_workspace, rollback_workspace
from training.model_run import ModelVersion
from training.promote import FORCED_TAG, ROLLED_BACK_TAG
from training.tracking import CHALLENGER, CHAMPION
from training.version_tags import REASON_TAG


class WorkspaceModels:
    """`serving.ports.models.ModelDesk` of one workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def listed(self) -> dict[str, Any]:
        """{models: [{name, champion, challenger, versions: [{version, aliases, as_of, promoted_because, forced, rolled_back}]}]}."""
        tracker = self._workspace.tracker
        return {"models": [_model(name, tracker.versions(name)) for name in tracker.names()]}

    def promote(self, name: str, *, version: int | None, force: bool, why: str | None) -> dict[str, Any]:
        """See `promote_workspace`."""
        return promote_workspace(self._workspace, name, say=_silent, version=version, force=force, why=why)

    def rollback(self, name: str, *, why: str | None) -> dict[str, Any]:
        """See `rollback_workspace`."""
        return rollback_workspace(self._workspace, name, why=why)


def _model(name: str, versions: list[ModelVersion]) -> dict[str, Any]:
    holder = {alias: row.version for row in versions for alias in row.aliases}
    return {
        "name": name,
        "champion": holder.get(CHAMPION),
        "challenger": holder.get(CHALLENGER),
        "versions": [_version(row) for row in versions],
    }


def _version(row: ModelVersion) -> dict[str, Any]:
    as_of = row.tags.get("nudge.as_of")
    tags = {name: row.tags.get(tag) or None for name, tag in _TAGS.items()}
    return {
        "version": row.version,
        "aliases": list(row.aliases),
        "as_of": iso(as_naive(datetime.fromisoformat(as_of))) if as_of else None,
        **tags,
    }


_TAGS = {"promoted_because": REASON_TAG, "forced": FORCED_TAG, "rolled_back": ROLLED_BACK_TAG}


def _silent(message: str, done: int = 0, total: int = 0, /) -> None:
    """Nobody watches."""
