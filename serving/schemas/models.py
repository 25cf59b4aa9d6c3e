"""The JSON of the routes about models."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StrictInt

from serving.schemas.decisions import TimeText, _In, _Out


class PromotionIn(_In):
    """Which version, and whether past the gate."""

    version: Annotated[StrictInt | None, Field(ge=1, description="default: the challenger")] = None
    force: Annotated[bool, Field(description="past the gate; needs `why`")] = False
    why: Annotated[str | None, Field(max_length=2_000, description="the reason, kept on the version")] = None


class RollbackIn(_In):
    """Why the champion steps down."""

    why: Annotated[str | None, Field(max_length=2_000, description="the reason, kept on the version that steps down")] = None


class Promoted(_Out):
    """What became of the version; `promoted` is false where the gate refused it, with the reason."""

    promoted: bool
    reason: str
    model: str
    version: int
    previous: int | None


class VersionOut(_Out):
    """A registered version."""

    version: int
    aliases: list[str]
    as_of: TimeText | None
    promoted_because: str | None
    forced: str | None
    rolled_back: str | None


class ModelOut(_Out):
    """A registered model with its versions, newest first."""

    name: str
    champion: int | None
    challenger: int | None
    versions: list[VersionOut]


class ModelList(_Out):
    """The workspace's registered models."""

    models: list[ModelOut]
