"""A workspace with its stores: reads the configuration, builds every adapter, hands them down. Nothing else constructs one."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from decisioning.catalog import Catalog, parse_catalog
from decisioning.errors import NotFound, Unavailable
from nudge.ground.config import DEFAULT_TRACKING, NudgeConfig, OwnModel, OwnModels, absolute_url, parse_config
from nudge.ground.data_state import DataState, read_data_state
from nudge.ground.yaml_files import read_yaml

if TYPE_CHECKING:  # these import Feast, MLflow and SQLAlchemy: only the commands that need them pay for it
    from features.store import FeatureDoor
    from ledger.store import Ledger
    from serving.feedback.webhooks import Secrets
    from serving.plans.archive import PlanArchive
    from serving.realtime.levels import Adapting
    from training.own_models import OwnEstimator
    from training.tracking import Tracker

WEBHOOK_SECRET = "NUDGE_WEBHOOK_SECRET"
"""The environment variable with the secret that webhook messages are signed with; never in a file, and never in the ledger."""

PROJECT = Path(__file__).resolve().parents[2]
"""The checkout: the embedded MLflow root lives here."""


@dataclass(frozen=True)
class Workspace:
    """A folder with nudge.yaml and catalog.yaml; stores are opened when they are asked for."""

    folder: Path
    config: NudgeConfig
    environment: Mapping[str, str]

    @classmethod
    def open(cls, folder: Path, environment: Mapping[str, str] | None = None) -> Workspace:
        """The workspace in `folder`.

        Raises
        ------
        NotFound
            There is no nudge.yaml.
        ConfigError
            It does not say what it must.
        """
        environment = os.environ if environment is None else environment
        resolved = folder.resolve()
        return cls(resolved, parse_config(read_yaml(resolved / "nudge.yaml", environment)), environment)

    @cached_property
    def catalog(self) -> Catalog:
        """The catalogue as it was when first asked for."""
        return self.read_catalog()

    def read_catalog(self) -> Catalog:
        """The catalogue as it is now."""
        return parse_catalog(read_yaml(self.folder / "catalog.yaml", self.environment))

    @property
    def data(self) -> DataState:
        """What was ingested.

        Raises
        ------
        NotFound
            Nothing was.
        """
        return read_data_state(self.folder)

    @cached_property
    def workspace_id(self) -> str:
        """Tells two workspaces of one name apart in the model registry; made once and kept in state/."""
        path = self._state() / "workspace_id"
        if not path.exists():
            temporary = path.with_suffix(f".{os.getpid()}")
            temporary.write_text(str(uuid.uuid4()), encoding="utf-8")
            temporary.replace(path)
        return path.read_text(encoding="utf-8").strip()

    @cached_property
    def door(self) -> FeatureDoor:
        """The feature store."""
        return self.open_door()

    def open_door(self) -> FeatureDoor:
        """The feature store as it is now: an open door keeps to the contract that it has read."""
        from features.store import FeatureDoor, OnlineConfig

        online = self.config.stores.online
        self._state()
        where = OnlineConfig(online.type, online.connection_string, online.max_age_days)
        return FeatureDoor(self.folder, project=self.config.name, online=where)

    @cached_property
    def tracker(self) -> Tracker:
        """MLflow: runs and registered models."""
        from training.tracking import Tracker

        embedded = self.config.stores.tracking == DEFAULT_TRACKING
        root = PROJECT if embedded and (PROJECT / "pyproject.toml").exists() else (Path.cwd() if embedded else self.folder)
        uri = absolute_url(self.config.stores.tracking, root)
        artifacts = root / "mlruns" / "artifacts" if uri.startswith("sqlite:") else None
        if artifacts is not None:
            artifacts.mkdir(parents=True, exist_ok=True)
        return Tracker(uri, self.config.name, artifacts, workspace_id=self.workspace_id)

    @cached_property
    def own_propensity(self) -> OwnEstimator | None:
        """The user's own classifier of responses, None where nudge.yaml names none.

        Raises
        ------
        ConfigError
            It cannot be imported, is not a classifier, or does not take its settings.
        """
        return self._own(self.config.models.propensity, "propensity", "classifier")

    @cached_property
    def own_uplift(self) -> OwnEstimator | None:
        """The user's own regressor of effects, None where nudge.yaml names none.

        Raises
        ------
        ConfigError
            It cannot be imported, is not a regressor, or does not take its settings.
        """
        return self._own(self.config.models.uplift, "uplift", "regressor")

    @cached_property
    def own_clv(self) -> OwnEstimator | None:
        """The user's own regressor of the money that contacts will spend, None where nudge.yaml names none.

        Raises
        ------
        ConfigError
            It cannot be imported, is not a regressor, or does not take its settings.
        """
        return self._own(self.config.models.clv, "clv", "regressor")

    def own_model(self, model: str) -> OwnEstimator | None:
        """The user's own estimator in a model."""
        return getattr(self, f"own_{model}") if model in OwnModels.model_fields else None

    def _own(self, told: OwnModel | None, model: str, kind: Literal["classifier", "regressor"]) -> OwnEstimator | None:
        if told is None:
            return None
        from training.own_models import Named, own_estimator

        named = Named(told.class_name, told.params, told.trusted, f"models.{model}")
        return own_estimator(named, kind, beside=self.folder, seed=self.config.seed)

    @property
    def adapting(self) -> Adapting | None:
        """How the level of responses follows outcomes between trainings, None where it does not."""
        from serving.realtime.levels import Adapting

        told = self.config.adaptive
        return Adapting(**told.model_dump(exclude={"on"})) if told.on else None

    @property
    def plan_archive(self) -> PlanArchive:
        """What plans were made from."""
        from serving.plans.archive import PlanArchive

        return PlanArchive(self._state() / "plans")

    def open_ledger(self) -> Ledger:
        """A new connection to the ledger; the caller closes it."""
        from ledger.store import Ledger

        self._state()
        return Ledger.open(absolute_url(self.config.stores.ledger, self.folder))

    def webhook_secrets(self) -> Secrets | None:
        """What webhook messages are signed with; None where the environment does not say.

        Raises
        ------
        ConfigError
            It says something that is no secret.
        """
        from serving.feedback.webhooks import read_secrets

        text = self.environment.get(WEBHOOK_SECRET)
        return None if text is None else read_secrets(text)

    @cached_property
    def feature_as_of(self) -> np.datetime64 | None:
        """The moment from which dates among the features are seen: fixed where the logged data has no times, else None."""
        from features.contract import TIMELESS

        return TIMELESS if self.data.timeless else None

    def _state(self) -> Path:
        folder = self.folder / "state"
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise Unavailable(f"{folder} cannot be made", got=error.strerror) from None
        return folder


def require_data(workspace: Workspace) -> DataState:
    """What was ingested, or the plain word that nothing was."""
    try:
        return workspace.data
    except NotFound as error:
        raise NotFound("there is no ingested data in this workspace", hint="run nudge ingest first") from error
