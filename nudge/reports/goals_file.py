"""goals.yaml as typed, frozen values: what the business wants to reach, by when, and who answers for it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from decisioning.errors import ConfigError, NotFound, nearest
from decisioning.schema_errors import explain_validation_error
from measurement.roi import KPI_BY_ID
from nudge.ground.yaml_files import read_yaml

FILE = "goals.yaml"

_Name = Annotated[str, Field(min_length=1)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]


class Goal(BaseModel):
    """One SMART goal. `kpi` is a figure of the report roi, or a name that nothing measures yet.

    `baseline` and `target` of a figure that adds up (money, counts) are its sums from `start` to the deadline; rates are fractions.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: _Name
    kpi: _Name
    baseline: _Finite
    target: _Finite
    deadline: date
    owner: _Name
    market: str | None = None
    trade_offs: tuple[str, ...] = ()
    start: date | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_trade_off_may_stand_alone(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and isinstance(data.get("trade_offs"), str):
            return {**data, "trade_offs": (data["trade_offs"],)}
        return {**data, "trade_offs": ()} if isinstance(data, Mapping) and data.get("trade_offs", ()) is None else data

    @model_validator(mode="after")
    def _has_something_to_reach(self) -> Goal:
        if self.target == self.baseline:
            raise ValueError(f"`target` is the `baseline`, {self.target:g}: there is nothing to reach")
        if self.start is not None and self.start >= self.deadline:
            raise ValueError(f"`start` is not before the `deadline`: {self.start} and {self.deadline}")
        return self


class Goals(BaseModel):
    """The whole of goals.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    goals: tuple[Goal, ...]

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Goals:
        seen: set[str] = set()
        for goal in self.goals:
            if goal.id in seen:
                raise ValueError(f"the id '{goal.id}' is given twice")
            seen.add(goal.id)
        return self


def parse_goals(data: object) -> tuple[Goal, ...]:
    """The goals in `data`, the plain value of a YAML reader: a list, or a mapping with the key `goals`.

    Raises
    ------
    ConfigError
        With the path of every wrong key.

    Examples
    --------
    >>> parse_goals([{"id": "g", "kpi": "cac", "baseline": 120, "target": 90, "deadline": "2026-12-31", "owner": "Ada"}])[0].target
    90.0
    """
    content = {"goals": data} if isinstance(data, list) else {"goals": []} if data is None else data
    if not isinstance(content, Mapping):
        raise ConfigError("is neither a list of goals nor a mapping with the key goals", field=FILE, got=type(data).__name__)
    try:
        return Goals.model_validate(dict(content)).goals
    except ValidationError as error:
        raise ConfigError(explain_validation_error(error, Goals)) from None


def read_goals(folder: Path, environment: Mapping[str, str]) -> tuple[Goal, ...]:
    """The goals of a workspace; none where there is no such file."""
    try:
        return parse_goals(read_yaml(folder / FILE, environment))
    except NotFound:
        return ()


def known_as(kpi: str) -> str | None:
    """Which figure was perhaps meant, where none has this name."""
    return None if kpi in KPI_BY_ID else nearest(kpi, KPI_BY_ID)
