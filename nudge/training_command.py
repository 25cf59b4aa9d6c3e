"""`nudge train`: builds the features if needed, trains, and says what was published."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from decisioning.errors import RequestError, nearest
from nudge.features_ready import Say, ensure_built, to_datetime64
from nudge.workspace import Workspace


def train_workspace(workspace: Workspace, *, as_of: datetime | None, only: str | None, say: Say) -> dict[str, Any]:
    """Train the models of a workspace: {models: [{name, version, run_id, metrics, alias}], warnings}.

    Raises
    ------
    RequestError
        `only` names no model.
    """
    from training.context import MODELS, TrainingContext, TrainingSettings
    from training.run import train

    if only is not None and only not in MODELS:
        raise RequestError("unknown model", field="--only", got=only, allowed=", ".join(MODELS), hint=nearest(only, MODELS))
    ensure_built(workspace, say)
    context = TrainingContext(
        workspace_dir=workspace.folder,
        workspace=workspace.config.name,
        workspace_id=workspace.workspace_id,
        seed=workspace.config.seed,
        catalog=workspace.catalog,
        door=workspace.door,
        tracker=workspace.tracker,
        settings=TrainingSettings(**workspace.config.training.model_dump()),
    )
    report = train(context, as_of=None if as_of is None else to_datetime64(as_of), only=only, progress=say)
    models = [
        {"name": one.name, "version": one.version, "run_id": one.run_id, "metrics": dict(one.metrics), "alias": one.alias}
        for one in report.models
    ]
    return {"models": models, "warnings": list(report.warnings)}
