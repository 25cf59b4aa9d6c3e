"""What one training run shows, and what the registry knows about a version: plain values, no MLflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np

from decisioning.vocabulary import Columns

Arm: TypeAlias = tuple[str, str | None]
"""(action_id, channel): what a served model answers for; channel is None where the log knew none."""


class Bundle(Protocol):
    """A served bundle, as far as publishing it goes."""

    @property
    def contract_hash(self) -> str:
        """The feature contract it was trained on."""

    @property
    def feature_dtypes(self) -> Mapping[str, str]:
        """The features it reads."""

    def save(self, directory: Path) -> None:
        """Write bundle.json and the LightGBM texts."""


@dataclass(frozen=True)
class ModelRun:
    """Everything that one run shows.

    Attributes
    ----------
    model : str
        propensity, uplift, clv or lead.
    arms : sequence of (action_id, channel)
        The columns that `predict` answers.
    example : Columns
        A few rows of features for MLflow's input example.
    plots : mapping
        PNG bytes by file name.
    as_of : numpy.datetime64
        The cut in time of what was learned, exclusive.
    warnings : sequence of str
        What limits the model, as it is told again where the version is given back.
    key : str
        Hash of what the model is made of.
    tables : mapping
        More files beside the model, bytes by file name.
    findings : sequence of str
        What was found that limits nothing, told again like the warnings.
    """

    model: str
    bundle: Bundle
    arms: Sequence[Arm]
    example: Columns
    as_of: np.datetime64
    params: Mapping[str, object]
    metrics: Mapping[str, float]
    plots: Mapping[str, bytes]
    data_hashes: Mapping[str, str]
    model_card: str
    warnings: Sequence[str] = ()
    key: str = ""
    tables: Mapping[str, bytes] = field(default_factory=dict)
    findings: Sequence[str] = ()


class Published(NamedTuple):
    """A registered version and the alias it got."""

    name: str
    version: int
    run_id: str
    alias: str


class ChampionBundle(NamedTuple):
    """Where the served bundle lies, and what is known about it."""

    path: Path
    version: int
    run_id: str
    tags: dict[str, str]


class ModelVersion(NamedTuple):
    """A registered version with its aliases."""

    version: int
    run_id: str
    aliases: tuple[str, ...]
    tags: dict[str, str]
