"""The rules by which a version becomes champion.

Plain promotion: a person names a version (or takes the challenger) and it becomes champion. The off-policy gate comes with a later version;
until then the reason says that no gate was passed.
"""

from __future__ import annotations

from dataclasses import dataclass

from decisioning.errors import Conflict, NotFound, RequestError, nearest
from training.model_run import ModelVersion
from training.tracking import CHALLENGER, CHAMPION, Tracker

PREVIOUS_TAG = "previous_champion"
REASON_TAG = "nudge.promotion_reason"
WITHOUT_A_GATE = "promoted by a person, without a gate"


@dataclass(frozen=True)
class Promotion:
    """What a promotion did: `promoted` is False where the version was champion already."""

    model: str
    version: int
    previous: int | None
    promoted: bool
    reason: str


def promote(tracker: Tracker, model: str, *, version: int | None = None, force: bool = False, why: str | None = None) -> Promotion:
    """Make a version the champion; the former one is tagged `previous_champion`.

    Parameters
    ----------
    model : str
        `uplift`, or the registered name `demo-uplift`.
    version : int, optional
        Default: the challenger.
    force : bool
        Past the gate; needs `why`, which is kept on the version.

    Raises
    ------
    RequestError
        `force` without `why`.
    NotFound
        The model or the version is not registered; the message lists what is.
    Conflict
        No version was named and there is no challenger.
    """
    if force and not (why and why.strip()):
        raise RequestError("a forced promotion needs its reason", field="--why", hint='add --why "..."')
    name = tracker.registered_name(model)
    versions = _versions(tracker, name)
    target = _target(versions, name, version)
    champion = next((row for row in versions if CHAMPION in row.aliases), None)
    if champion is not None and champion.version == target.version:
        return Promotion(name, target.version, None, False, f"version {target.version} is the champion already")
    tracker.move_alias(name, CHAMPION, target.version)
    if CHALLENGER in target.aliases:
        tracker.move_alias(name, CHALLENGER, None)
    reason = f"forced: {why}" if force else why or WITHOUT_A_GATE
    tracker.tag_version(name, target.version, {REASON_TAG: reason})
    if champion is not None:
        tracker.tag_version(name, champion.version, {PREVIOUS_TAG: f"replaced by version {target.version}"})
    return Promotion(name, target.version, None if champion is None else champion.version, True, reason)


def _versions(tracker: Tracker, name: str) -> list[ModelVersion]:
    versions = tracker.versions(name)
    if not versions:
        known = tracker.names()
        listed = ", ".join(known) or "none is registered"
        raise NotFound(f"no registered model '{name}'", allowed=listed, hint=nearest(name, known) or "run nudge train")
    return versions


def _target(versions: list[ModelVersion], name: str, version: int | None) -> ModelVersion:
    listed = ", ".join(_described(row) for row in versions)
    if version is None:
        found = next((row for row in versions if CHALLENGER in row.aliases), None)
        if found is None:
            raise Conflict(f"'{name}' has no challenger to promote", got=listed, hint="name a version with --version, or run nudge train")
        return found
    found = next((row for row in versions if row.version == version), None)
    if found is None:
        raise NotFound(f"'{name}' has no version {version}", field="--version", allowed=listed)
    return found


def _described(row: ModelVersion) -> str:
    return f"{row.version} ({', '.join(row.aliases)})" if row.aliases else str(row.version)
