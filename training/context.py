"""What a training run needs, and what it returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, get_args

from decisioning.catalog import Catalog
from features.store import FeatureDoor
from ledger.store import Ledger
from training.own_models import OwnEstimator
from training.tracking import Tracker

ModelName: TypeAlias = Literal["propensity", "uplift", "clv", "lead"]
MODELS: tuple[ModelName, ...] = get_args(ModelName)
DECIDING: tuple[ModelName, ...] = ("propensity", "uplift", "clv")
"""What a decision is made of: trained unless one is named. The lead score stands beside the points of `nudge leads`."""


class Progress(Protocol):
    """Told what begins, and how many of how many steps are behind; it may be told from several threads."""

    def __call__(self, stage: str, done: int = 0, total: int = 0, /) -> None:
        """Say it."""


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
    decisions : int
        So many of the newest decisions of the ledger are learned from, beside what was ingested; 0 leaves the ledger out.
    """

    sensitive: tuple[str, ...] = ()
    tuning_minutes: float = 0.0
    gate_standard_errors: float = 1.0
    decisions: int = 200_000


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
    ledger : Ledger or None
        Its own log is learned from, too.
    own_propensity : OwnEstimator or None
        The user's own classifier of responses.
    own_uplift : OwnEstimator or None
        The user's own regressor of effects.
    own_clv : OwnEstimator or None
        The user's own regressor of the money that contacts will spend.
    """

    workspace_dir: Path
    workspace: str
    workspace_id: str
    seed: int
    catalog: Catalog
    door: FeatureDoor
    tracker: Tracker
    settings: TrainingSettings = TrainingSettings()
    ledger: Ledger | None = None
    own_propensity: OwnEstimator | None = None
    own_uplift: OwnEstimator | None = None
    own_clv: OwnEstimator | None = None

    def trusted(self, model: ModelName) -> tuple[str, ...]:
        """The types of the user's own that a model's bundle may hold, as serving reads it."""
        own = {"propensity": self.own_propensity, "uplift": self.own_uplift, "clv": self.own_clv}.get(model)
        return () if own is None else tuple(own.trusted)


@dataclass(frozen=True)
class Headline:
    """The one figure of a model that a person reads first.

    `low` and `high` are None where there is no interval, `against_value` where nothing was measured to compare with."""

    metric: str
    value: float
    low: float | None
    high: float | None
    against: str
    against_value: float | None


@dataclass(frozen=True)
class TrainedModel:
    """A registered model: `alias` is champion or challenger.

    Attributes
    ----------
    warnings : tuple of str
        What limits it.
    cached : bool
        True where an earlier run's version was given back, since nothing that it is made of has changed.
    seconds : float
        From its first fit to its last; other models are fitted beside it.
    findings : tuple of str
        What was found that limits nothing.
    """

    name: str
    version: int
    run_id: str
    metrics: Mapping[str, float]
    alias: str
    warnings: tuple[str, ...] = ()
    cached: bool = False
    seconds: float = 0.0
    headline: Headline | None = None
    findings: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainingReport:
    """What a training run published, and what a person should know about it."""

    models: tuple[TrainedModel, ...]
    warnings: tuple[str, ...] = field(default=())
