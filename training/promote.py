"""The rules by which a version becomes champion: the gate decides, a person may pass it with a reason, and the last step can be undone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from decisioning.errors import Conflict, NotFound, RequestError, nearest
from training.gate_verdict import Verdict
from training.model_run import ModelVersion
from training.tracking import CHALLENGER, CHAMPION, Tracker
from training.version_tags import CONTRACT_TAG, PREVIOUS_TAG, REASON_TAG, REPLACED_TAG

FORCED_TAG = "nudge.forced"
ROLLED_BACK_TAG = "nudge.rolled_back"
FIRST = "the first of its kind: there is no champion to beat"

Gate = Callable[[ModelVersion, ModelVersion], Verdict]
"""Judges a challenger (first) against the champion (second)."""


@dataclass(frozen=True)
class Promotion:
    """What became of a version.

    Attributes
    ----------
    promoted : bool
        False where the gate refused it, and where it was champion already.
    previous : int or None
        The version that was champion before.
    verdict : Verdict or None
        The gate's; None where it was not asked.
    """

    model: str
    version: int
    previous: int | None
    promoted: bool
    reason: str
    verdict: Verdict | None = None


def promote(
    tracker: Tracker, model: str, gate: Gate, *, version: int | None = None, force: bool = False, why: str | None = None
) -> Promotion:
    """Make a version the champion if it passes the gate; the former one is tagged `previous_champion`.

    Parameters
    ----------
    model : str
        `uplift`, or the registered name `demo-uplift`.
    gate : callable
        Asked where there is a champion and nothing is forced.
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
        raise RequestError("a forced promotion needs its reason", field="--why", hint="say why in a few words; it is kept on the version")
    name = tracker.registered_name(model)
    versions = _versions(tracker, name)
    target, champion = _target(versions, name, version), _champion(versions)
    if champion is not None and champion.version == target.version:
        return Promotion(name, target.version, None, False, f"version {target.version} is the champion already")
    verdict = None if champion is None or force else gate(target, champion)
    previous = None if champion is None else champion.version
    if verdict is not None and not verdict.passed:
        return Promotion(name, target.version, previous, False, verdict.reason, verdict)
    reason = f"forced: {why}" if force else FIRST if verdict is None else verdict.reason
    _crown(tracker, name, target, champion)
    tracker.tag_version(name, target.version, {REASON_TAG: reason, FORCED_TAG: str(why) if force else ""})
    return Promotion(name, target.version, previous, True, reason, verdict)


def rollback(tracker: Tracker, model: str, *, why: str | None = None) -> Promotion:
    """Make the previous champion the champion again, without a gate; the reason is kept on the version that steps down.

    Raises
    ------
    NotFound
        The model is not registered, or its previous version is gone.
    Conflict
        The champion has replaced nobody, or one that reads other features than there are now.
    """
    name = tracker.registered_name(model)
    versions = _versions(tracker, name)
    champion = _champion(versions)
    if champion is None:
        raise Conflict(f"'{name}' has no champion to roll back", got=_listed(versions), hint="promote a version first")
    number = champion.tags.get(REPLACED_TAG, "")
    if not number.isdigit():
        hint = "name a version with nudge promote --version N --force --why ..."
        raise Conflict(f"version {champion.version} of '{name}' has replaced no champion", got=_listed(versions), hint=hint)
    target = _target(versions, name, int(number))
    if target.tags.get(CONTRACT_TAG) != champion.tags.get(CONTRACT_TAG):
        hint = "run nudge train for a version that reads the features of now"
        raise Conflict(
            f"version {target.version} of '{name}' was trained on other features and could not serve", got=_listed(versions), hint=hint
        )
    reason = f"rolled back from version {champion.version}: {why.strip() if why and why.strip() else 'no reason was given'}"
    tracker.move_alias(name, CHAMPION, target.version)
    tracker.tag_version(name, champion.version, {ROLLED_BACK_TAG: reason})
    tracker.tag_version(name, target.version, {REASON_TAG: reason, PREVIOUS_TAG: ""})
    return Promotion(name, target.version, champion.version, True, reason)


def _crown(tracker: Tracker, name: str, target: ModelVersion, champion: ModelVersion | None) -> None:
    tracker.move_alias(name, CHAMPION, target.version)
    if CHALLENGER in target.aliases:
        tracker.move_alias(name, CHALLENGER, None)
    if champion is not None:
        tracker.tag_version(name, champion.version, {PREVIOUS_TAG: f"replaced by version {target.version}"})
        tracker.tag_version(name, target.version, {REPLACED_TAG: str(champion.version), ROLLED_BACK_TAG: ""})


def _champion(versions: list[ModelVersion]) -> ModelVersion | None:
    return next((row for row in versions if CHAMPION in row.aliases), None)


def _versions(tracker: Tracker, name: str) -> list[ModelVersion]:
    versions = tracker.versions(name)
    if not versions:
        known = tracker.names()
        listed = ", ".join(known) or "none is registered"
        raise NotFound(f"no registered model '{name}'", allowed=listed, hint=nearest(name, known) or "run nudge train")
    return versions


def _target(versions: list[ModelVersion], name: str, version: int | None) -> ModelVersion:
    if version is None:
        found = next((row for row in versions if CHALLENGER in row.aliases), None)
        if found is None:
            hint = "name a version with --version, or run nudge train"
            raise Conflict(f"'{name}' has no challenger to promote", got=_listed(versions), hint=hint)
        return found
    found = next((row for row in versions if row.version == version), None)
    if found is None:
        raise NotFound(f"'{name}' has no version {version}", field="--version", allowed=_listed(versions))
    return found


def _listed(versions: list[ModelVersion]) -> str:
    return ", ".join(f"{row.version} ({', '.join(row.aliases)})" if row.aliases else str(row.version) for row in versions)
