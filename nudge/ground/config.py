"""nudge.yaml as typed, frozen values: where data, stores and models are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from decisioning.errors import ConfigError, NotSupportedYet
from decisioning.schema_errors import explain_validation_error

DEFAULT_TRACKING = "sqlite:///mlruns/mlflow.db"
_SQLITE = "sqlite:///"


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Sources(_Frozen):
    """Contract table -> DuckDB SQL that yields it."""

    contacts: str
    accounts: str | None = None
    events: str | None = None
    interactions: str | None = None
    outcomes: str | None = None
    consents: str | None = None

    def given(self) -> dict[str, str]:
        """The sources that are there."""
        return {name: sql for name, sql in self.model_dump().items() if sql is not None}


class OfflineStore(_Frozen):
    """Where features for training are kept."""

    type: Literal["duckdb"] = "duckdb"


class OnlineStore(_Frozen):
    """Where features for serving are kept, and how long ago they may have been known at most."""

    type: Literal["sqlite", "redis"] = "sqlite"
    connection_string: str | None = None
    max_age_days: Annotated[float, Field(gt=0.0, le=36500.0, allow_inf_nan=False)] | None = None


class Stores(_Frozen):
    """The stores; each default is embedded and needs no server."""

    offline: OfflineStore = OfflineStore()
    online: OnlineStore = OnlineStore()
    ledger: str = "sqlite:///state/ledger.db"
    tracking: str = DEFAULT_TRACKING


class Engine(_Frozen):
    """What runs the batch work."""

    type: str = "local"


class Training(_Frozen):
    """What may be set about learning; `training.context.TrainingSettings` says what each key means."""

    sensitive: tuple[str, ...] = ()
    tuning_minutes: Annotated[float, Field(ge=0.0, le=1440.0, allow_inf_nan=False)] = 0.0
    gate_standard_errors: Annotated[float, Field(ge=0.0, le=10.0, allow_inf_nan=False)] = 1.0
    decisions: Annotated[int, Field(ge=0, le=10_000_000)] = 200_000
    minimum_gain: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.0
    """Money a decision that a challenger must surely gain over the champion to be promoted."""


class OwnModel(_Frozen):
    """A class of the user's own in the place of one of our models."""

    class_name: Annotated[str, Field(alias="class", pattern=r"^[A-Za-z_][\w.]*\.[A-Za-z_]\w*$")]
    params: dict[str, Any] = {}
    trusted: tuple[str, ...] = ()
    """Further types that the fitted object holds, which serving may open."""


class OwnModels(_Frozen):
    """Models of the user's own, by the name of the model whose place they take."""

    propensity: OwnModel | None = None
    uplift: OwnModel | None = None
    clv: OwnModel | None = None


class Adaptive(_Frozen):
    """Whether and how the level of responses follows outcomes between trainings.

    `serving.realtime.levels.Adapting` says what each key means.
    """

    on: bool = False
    half_life_days: Annotated[float, Field(gt=0.0, le=3650.0, allow_inf_nan=False)] = 14.0
    most_shift: Annotated[float, Field(gt=0.0, le=3.0, allow_inf_nan=False)] = 0.7
    every_minutes: Annotated[float, Field(gt=0.0, le=10_080.0, allow_inf_nan=False)] = 15.0


class NudgeConfig(_Frozen):
    """The whole of nudge.yaml."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_-]+$")]
    seed: int = 7
    sources: Sources
    stores: Stores = Stores()
    engine: Engine = Engine()
    training: Training = Training()
    models: OwnModels = OwnModels()
    adaptive: Adaptive = Adaptive()


def parse_config(data: object) -> NudgeConfig:
    """The configuration in `data`, the plain mapping of a YAML reader.

    Raises
    ------
    ConfigError
        With the path of every wrong key.
    NotSupportedYet
        For a key of the contract that this version does not do.
    """
    if not isinstance(data, Mapping):
        raise ConfigError("is not a mapping of keys", field="nudge.yaml", got=type(data).__name__, hint="is the file empty?")
    try:
        config = NudgeConfig.model_validate(data)
    except ValidationError as error:
        raise ConfigError(explain_validation_error(error, NudgeConfig)) from None
    if config.engine.type != "local":
        raise NotSupportedYet("not supported yet", field="engine.type", got=config.engine.type, allowed="local")
    return config


def absolute_url(url: str, folder: Path) -> str:
    """A SQLite URL with a relative path, made absolute below `folder`; any other URL as it is.

    Examples
    --------
    >>> absolute_url("sqlite:///state/ledger.db", Path("/w"))
    'sqlite:////w/state/ledger.db'
    >>> absolute_url("postgresql://db/nudge", Path("/w"))
    'postgresql://db/nudge'
    """
    if not url.startswith(_SQLITE) or url.startswith(f"{_SQLITE}/") or url == _SQLITE:
        return url
    return f"{_SQLITE}{folder / url.removeprefix(_SQLITE)}"
