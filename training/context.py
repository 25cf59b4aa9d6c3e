"""What a training run needs, and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from decisioning.catalog import Catalog
from features.store import FeatureDoor
from training.tracking import Tracker

ModelName: TypeAlias = Literal["propensity", "uplift", "clv"]
MODELS: tuple[ModelName, ...] = get_args(ModelName)
Progress: TypeAlias = Callable[[str], None]


@dataclass(frozen=True)
class TrainingContext:
    """Everything that training reads, built by the composition root.

    Attributes
    ----------
    workspace_dir : Path
        The workspace's folder; contract tables are in its `data/`.
    workspace, workspace_id : str
        The name in nudge.yaml, and what tells two workspaces of one name apart.
    seed : int
        Every random draw derives from it.
    """

    workspace_dir: Path
    workspace: str
    workspace_id: str
    seed: int
    catalog: Catalog
    door: FeatureDoor
    tracker: Tracker


@dataclass(frozen=True)
class TrainedModel:
    """A model that was published: `alias` is champion or challenger."""

    name: str
    version: int
    run_id: str
    metrics: Mapping[str, float]
    alias: str


@dataclass(frozen=True)
class TrainingReport:
    """What a training run published, and what a person should know about it."""

    models: tuple[TrainedModel, ...]
    warnings: tuple[str, ...] = field(default=())
