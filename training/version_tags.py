"""What is written on a registered version, and what it says of two of them."""

from __future__ import annotations

from collections.abc import Mapping

WORKSPACE_TAG = "nudge.workspace_id"
KEY_TAG = "nudge.model_key"
CONTRACT_TAG = "nudge.contract_hash"
PREVIOUS_TAG = "previous_champion"
REPLACED_TAG = "nudge.replaced_version"
REASON_TAG = "nudge.promotion_reason"


def unfit(champion: Mapping[str, str], number: int, new: Mapping[str, str]) -> str | None:
    """Why a champion cannot serve where a new version was trained, by the tags of both; None where it can.

    >>> unfit({WORKSPACE_TAG: "a", CONTRACT_TAG: "x"}, 1, {WORKSPACE_TAG: "b", CONTRACT_TAG: "x"})
    'version 1 was trained by another workspace'
    >>> unfit({WORKSPACE_TAG: "a", CONTRACT_TAG: "x"}, 1, {WORKSPACE_TAG: "a", CONTRACT_TAG: "x"})
    """
    if champion.get(WORKSPACE_TAG) != new.get(WORKSPACE_TAG):
        return f"version {number} was trained by another workspace"
    before, now = champion.get(CONTRACT_TAG), new.get(CONTRACT_TAG)
    if before != now:
        return f"version {number} cannot read the features of now: it was trained on contract {before}, this one on {now}"
    return None
