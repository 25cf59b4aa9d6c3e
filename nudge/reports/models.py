"""`nudge report models`: every registered model of this workspace, its versions, figures, findings and warnings."""

from __future__ import annotations

from typing import Any

from decisioning.errors import NotFound
from nudge.ground.workspace import Workspace
from nudge.verbs.snapshot_source import MODEL_KINDS

VERSIONS = 5
"""The newest versions of a model that the report shows."""


def models_report(workspace: Workspace) -> dict[str, Any]:
    """Models by kind: versions with their aliases, and of the champion its figures, findings and warnings."""
    tracker, models = workspace.tracker, []
    for name in MODEL_KINDS:
        versions = tracker.versions(name)
        champion = tracker.champion_version(name)
        models.append(
            {
                "name": name,
                "registered_as": tracker.registered_name(name),
                "champion": champion,
                "versions": [{"version": one.version, "aliases": list(one.aliases), "run_id": one.run_id} for one in versions[:VERSIONS]],
                "number_of_versions": len(versions),
                **_of_champion(workspace, name, champion),
            }
        )
    return {"report": "models", "models": models, "missing": [one["name"] for one in models if one["champion"] is None]}


def _of_champion(workspace: Workspace, name: str, champion: int | None) -> dict[str, Any]:
    if champion is None:
        return {"metrics": {}, "findings": [], "warnings": ["not trained yet: run nudge train"]}
    try:
        found = workspace.tracker.report(name, champion)
    except NotFound as error:
        return {"metrics": {}, "findings": [], "warnings": [str(error)]}
    return {"metrics": dict(found["metrics"]), "findings": list(found["findings"]), "warnings": list(found["warnings"])}
