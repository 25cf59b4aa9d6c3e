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
class TrainingSettings:
    """What a workspace may set about training: the key `training:` of nudge.yaml.

    Attributes
    ----------
    sensitive : tuple of str
        Features by whose groups the model card compares models; each must be in the feature contract.
    tuning_minutes : float
        Time to search for better settings of the trees; 0 keeps the defaults, and keeps training reproducible.
    gate_standard_errors : float
        A personalised policy must gain so many standard errors over the best constant action to be called better.
    """

    sensitive: tuple[str, ...] = ()
    tuning_minutes: float = 0.0
    gate_standard_errors: float = 1.0


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
    settings : TrainingSettings
    """

    workspace_dir: Path
    workspace: str
    workspace_id: str
    seed: int
    catalog: Catalog
    door: FeatureDoor
    tracker: Tracker
    settings: TrainingSettings = TrainingSettings()


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
