"""What the serving champions say of rows that they have never seen, kept beside a challenger: what the two are compared on.

A challenger that is trained every night has seen the newest decisions of the ledger, and its test rows are later than what the champion
held out when it was tested. But most of those rows are decisions made after the champion was trained. So the champion's predictions of them
are made when the challenger is tested, on the same rows, and kept.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from decisioning.errors import NotFound
from estimators.bundle import PropensityBundle, UpliftBundle, load_bundle
from training.context import ModelName, TrainingContext
from training.held_out import HeldOut, held_out
from training.model_run import ChampionBundle
from training.prepared import Prepared
from training.version_tags import CONTRACT_TAG, WORKSPACE_TAG

CHAMPION_FILE = "held_out_champion.parquet"
_OF_DECISIONS: tuple[ModelName, ...] = ("propensity", "uplift")


def champion_said(context: TrainingContext, test: Prepared) -> HeldOut | None:
    """The champions' predictions of the test rows later than all that they learned from; None where there are none of either.

    A champion that cannot be opened any more (an own class that nudge.yaml no longer names, another version of the format, damage) says
    nothing: training is what puts another in its place.

    Raises
    ------
    Unavailable
        MLflow does not answer.
    """
    found = {model: champion for model in _OF_DECISIONS if (champion := _champion(context, model)) is not None}
    if "propensity" not in found:
        return None
    later = test.take(np.flatnonzero(test.data.rows.occurred_at >= _learned_until(found)))
    if not len(later):
        return None
    try:
        bundles = {model: load_bundle(champion.path, context.trusted(model)) for model, champion in found.items()}
    except ValueError:
        return None
    propensity, uplift = bundles["propensity"], bundles.get("uplift")
    assert isinstance(propensity, PropensityBundle)
    assert uplift is None or isinstance(uplift, UpliftBundle)
    versions = {str(model): champion.version for model, champion in found.items()}
    return held_out(propensity, uplift, later, context.catalog, salt=context.workspace_id, said_by=versions)


def _champion(context: TrainingContext, model: ModelName) -> ChampionBundle | None:
    """The champion that this workspace trained under its present feature contract."""
    try:
        found = context.tracker.champion_bundle(model)
    except NotFound:
        return None
    tags = found.tags
    ours = tags.get(WORKSPACE_TAG) == context.workspace_id and tags.get(CONTRACT_TAG) == context.door.contract.hash
    return found if ours else None


def _learned_until(found: Mapping[ModelName, ChampionBundle]) -> np.datetime64:
    """The exclusive cut in time of what they have learned from, all of them together."""
    return max(np.datetime64(champion.tags["nudge.as_of"], "us") for champion in found.values())
