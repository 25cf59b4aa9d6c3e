"""What `nudge evaluate` watches beside money: drift against the champion's training set, kept promises, and starved learning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from decisioning.errors import NudgeError
from decisioning.vocabulary import Columns
from ledger.outcomes import OutcomeRecord
from nudge.ground.workspace import Workspace
from nudge.verbs.features_ready import to_datetime64
from nudge.verbs.ledger_evidence import Shadow, own_outcomes
from training.dataset import features_of, model_dtypes
from training.labels import read_labelled
from training.own_log import read_own_log
from training.watching import MOST_ROWS, Choices, Moved, calibrations, moved, starvation

Happened = Mapping[str, Sequence[OutcomeRecord]]


def watched(workspace: Workspace, shadow: Shadow, outcomes: Happened, learned_until: np.datetime64) -> dict[str, Any]:
    """{drift: {before, after, area, area_error, features} or None, calibration: [{action, choices, promised, came, drifted}], alarms}."""
    choices = _choices(workspace, shadow, outcomes)
    drift = _drift(workspace, shadow, learned_until)
    offered = [(action.id, treatment.channel) for action, treatment in workspace.catalog.treatments]
    kept = calibrations(choices)
    shares = [f"{one.action}: {one.came:.3f} responded, {one.promised:.3f} were promised: retrain" for one in kept if one.drifted]
    alarms = [*(drift.alarms if drift is not None else ()), *shares, *starvation(choices, offered)]
    return {"drift": None if drift is None else _as_json(drift), "calibration": [vars(one) for one in kept], "alarms": alarms}


def _choices(workspace: Workspace, shadow: Shadow, outcomes: Happened) -> Choices:
    catalog = workspace.catalog
    known = {treatment.id: (action, treatment.channel) for action, treatment in catalog.treatments}
    rows = []
    for one in shadow.made:
        own = own_outcomes(one, outcomes.get(one.contact_id, ()), catalog)
        happened = {each.outcome for each in own}
        for treatment_id in one.logged:
            if treatment_id in known:
                action, channel = known[treatment_id]
                promised = one.propensity.get(treatment_id, np.nan)
                rows.append((action.id, channel, promised, action.goal in happened, bool(own), one.selection_prob))
    columns = list(zip(*rows, strict=True)) if rows else [()] * 6
    texts = [np.array(column, dtype=np.str_) for column in columns[:2]]
    numbers = [np.array(columns[place], dtype=np.float64) for place in (2, 5)]
    flags = [np.array(columns[place], dtype=np.bool_) for place in (3, 4)]
    return Choices(texts[0], texts[1], numbers[0], flags[0], flags[1], numbers[1])


def _drift(workspace: Workspace, shadow: Shadow, learned_until: np.datetime64) -> Moved | None:
    """The decisions' features against those of the interactions that the champion learned from; None where one is missing."""
    made = shadow.made[:MOST_ROWS]
    if not made:
        return None
    dtypes = model_dtypes(workspace.door.contract)
    names = [name for name in dtypes if all(name in one.features for one in made)]
    after = {name: np.concatenate([one.features[name] for one in made]) for name in names}
    moments = np.array([to_datetime64(one.decided_at) for one in made])
    try:
        before = _learned_from(workspace, learned_until)
    except NudgeError:
        return None  # nothing was ingested that a model could have learned from
    return moved(before, (after, moments), dtypes, seed=workspace.config.seed)


def _learned_from(workspace: Workspace, until: np.datetime64) -> tuple[Columns, np.ndarray]:
    actions, most = [action.id for action in workspace.catalog.actions], workspace.config.training.decisions
    with workspace.open_ledger() as ledger:
        own = read_own_log(ledger, workspace.door.contract, actions, as_of=until, most=most) if most else None
    rows, _ = read_labelled(workspace.folder / "data", {}, until, own)
    drawn = np.random.default_rng(workspace.config.seed).permutation(len(rows))[:MOST_ROWS]
    some = rows.take(np.sort(drawn))
    return features_of(some, workspace.door, own), some.features_at


def _as_json(drift: Moved) -> dict[str, Any]:
    return {
        "before": drift.before,
        "after": drift.after,
        "area": drift.area,
        "area_error": drift.area_error,
        "features": dict(drift.indices),
    }
