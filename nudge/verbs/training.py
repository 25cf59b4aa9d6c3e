"""`nudge train`: builds the features if needed, trains, and says what was published."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from decisioning.errors import RequestError, nearest
from nudge.ground.terminal import Telling
from nudge.ground.workspace import Workspace
from nudge.verbs.features_ready import ensure_built, to_datetime64
from nudge.verbs.ledger_events import merge_ledger_events

if TYPE_CHECKING:
    from ledger.store import Ledger
    from training.context import ModelName, TrainedModel, TrainingContext


def train_workspace(workspace: Workspace, *, as_of: datetime | None, only: str | None, say: Telling, refit: bool = False) -> dict[str, Any]:
    """Train the models of a workspace.

    Returns
    -------
    dict
        {models: [{name, version, run_id, metrics, alias, cached, seconds, headline, warnings, findings}], warnings}; `headline` is None, or
        {metric, value, low, high, against, against_value}

    Raises
    ------
    RequestError
        `only` names no model.
    """
    from training.context import MODELS
    from training.run import train

    wanted: ModelName | None = next((model for model in MODELS if model == only), None)
    if only is not None and wanted is None:
        raise RequestError("unknown model", field="--only", got=only, allowed=", ".join(MODELS), hint=nearest(only, MODELS))
    merge_ledger_events(workspace)
    ensure_built(workspace, say)
    with workspace.open_ledger() as ledger:
        report = train(
            _context(workspace, ledger), as_of=None if as_of is None else to_datetime64(as_of), only=wanted, refit=refit, progress=say
        )
    return {"models": [_document(one) for one in report.models], "warnings": list(report.warnings)}


def _context(workspace: Workspace, ledger: Ledger) -> TrainingContext:
    from training.context import TrainingContext, TrainingSettings

    return TrainingContext(
        workspace_dir=workspace.folder,
        workspace=workspace.config.name,
        workspace_id=workspace.workspace_id,
        seed=workspace.config.seed,
        catalog=workspace.catalog,
        door=workspace.door,
        tracker=workspace.tracker,
        settings=TrainingSettings(**workspace.config.training.model_dump(exclude={"minimum_gain"})),
        ledger=ledger,
        own_propensity=workspace.own_propensity,
        own_uplift=workspace.own_uplift,
        own_clv=workspace.own_clv,
    )


def _document(model: TrainedModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "version": model.version,
        "run_id": model.run_id,
        "metrics": dict(model.metrics),
        "alias": model.alias,
        "cached": model.cached,
        "seconds": round(model.seconds, 1),
        "headline": None if model.headline is None else asdict(model.headline),
        "warnings": list(model.warnings),
        "findings": list(model.findings),
    }
