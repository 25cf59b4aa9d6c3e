"""What the routes need to know of registered models: which serve, and how that is changed."""

from __future__ import annotations

from typing import Any, Protocol

from decisioning.errors import Unavailable


class ModelDesk(Protocol):
    """The registry of the workspace's models, behind the promotion gate."""

    def listed(self) -> dict[str, Any]:
        """Every registered model (`schemas.models.ModelList`)."""

    def promote(self, name: str, *, version: int | None, force: bool, why: str | None) -> dict[str, Any]:
        """Ask the gate for a version, or pass it by force (`schemas.models.Promoted`)."""

    def rollback(self, name: str, *, why: str | None) -> dict[str, Any]:
        """The previous champion serves again (`schemas.models.Promoted`)."""


class NoModels:
    """Where no registry is known: every verb says so."""

    def listed(self) -> dict[str, Any]:
        """Refuse."""
        raise _unknown()

    def promote(self, name: str, *, version: int | None, force: bool, why: str | None) -> dict[str, Any]:
        """Refuse."""
        raise _unknown(name, version, force, why)

    def rollback(self, name: str, *, why: str | None) -> dict[str, Any]:
        """Refuse."""
        raise _unknown(name, why)


def _unknown(*_asked: object) -> Unavailable:
    return Unavailable("the registry of models is not known here")
