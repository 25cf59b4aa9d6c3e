"""Each action against no_action -> the served UpliftBundle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from decisioning.catalog import Action, Catalog
from decisioning.errors import ConfigError
from decisioning.vocabulary import NO_ACTION, IntArray
from estimators.action_uplifts import ActionUplifts, Chosen, UpliftSettings, fit_action_uplifts
from estimators.bundle import Arm, PropensityBundle, UpliftBundle
from estimators.effect_levels import Place
from estimators.effect_rows import NOTHING, LoggedActions
from estimators.effects import EffectModel
from estimators.own_score import OwnEffect, OwnEstimatorFailed
from training.money import Money
from training.own_models import OwnEstimator, refuse_untrusted
from training.prepared import Prepared
from training.splits import contact_share
from training.uplift_gate import Verdict, pass_the_gate

WORKERS = 2
SERVED_CV = 3
"""Folds inside a model that is served."""
MOST_JUDGED = 50_000
"""The gate compares policies on so many rows."""
ENOUGH = 0.9
"""A verdict on such a share of `MOST_JUDGED` rows stands when more rows are learned from."""
FEWEST_ROWS = 30
"""With fewer rows of either arm there is nothing to compare."""

NO_CONTROL = (
    "there are no `no_action` interactions, so what would have happened without contact is not known: uplift cannot be identified, "
    "and decisions rank by propensity"
)


@dataclass(frozen=True, eq=False)
class FittedUplift:
    """The bundle, what it was chosen by, and why an action has none.

    Attributes
    ----------
    verdict : Verdict or None
        Of the gate; None where no action could be fitted.
    refused : mapping of action_id to str
    start : EffectModel or None
        Where the effect model of other rows of the same log may start.
    chosen : mapping of action_id to Chosen
        What need not be chosen again on such rows. What it was chosen by, some numbers for each row, is not kept.
    judged_rows : int
        On which the gate compared policies.
    """

    bundle: UpliftBundle
    verdict: Verdict | None
    refused: dict[str, str]
    start: EffectModel | None = None
    chosen: Mapping[str, Chosen] = field(default_factory=dict)
    judged_rows: int = 0

    def settled(self, actions: tuple[Action, ...]) -> Verdict | None:
        """The verdict, where it is of the same actions and more rows would not be judged anyway."""
        same = self.start is not None and set(self.bundle.heads) == {action.id for action in actions}
        return self.verdict if same and self.judged_rows >= ENOUGH * MOST_JUDGED else None


@dataclass(frozen=True)
class UpliftTerms:
    """What the workspace wants of the fit, and what the gate needs to know.

    Parameters
    ----------
    propensity : PropensityBundle or None
        Knows observed values; without it the gate leaves actions with `value: observed` as they are.
    errors : float
        Standard errors by which personal differences must gain.
    own : OwnEstimator or None
        The user's own regressor of effects.
    """

    propensity: PropensityBundle | None = None
    errors: float = 1.0
    own: OwnEstimator | None = None


def fit_uplift(
    prepared: Prepared,
    catalog: Catalog,
    *,
    seed: int,
    cv: int = SERVED_CV,
    terms: UpliftTerms | None = None,
    tested: FittedUplift | None = None,
) -> FittedUplift:
    """One model of all actions with eligible controls, then the gate.

    Parameters
    ----------
    prepared : Prepared
    catalog : Catalog
    seed : int
    cv : int
        Folds of the cross-fitting; all rows of a contact are in one.
    terms : UpliftTerms, optional
    tested : FittedUplift, optional
        Fitted on some of these rows, for example those before the test rows: the search starts where it ended, and where it judged as many
        rows as the gate reads its choices (the weights of the learners, the verdict) stand.
    """
    terms = terms or UpliftTerms()
    refused: dict[str, str] = {}
    for action in catalog.actions:
        reason = _refusal(prepared, action, uplift_pair(prepared, action))
        if reason is not None:
            refused[action.id] = reason
    actions = tuple(action for action in catalog.actions if action.id not in refused)
    reason = None if prepared.controls.any() else NO_CONTROL
    if not actions:
        return FittedUplift(UpliftBundle(prepared.contract_hash, prepared.encoder, {}, reason=reason), None, refused)
    logged = logged_actions(prepared, actions)
    folds = (contact_share(prepared.data.rows.contact_id, salt=f"{seed}:uplift") * cv).astype(np.int64)
    verdict = None if tested is None else tested.settled(actions)
    own = None if terms.own is None else terms.own.estimator
    settings = UpliftSettings(prepared.encoder.categorical_indices, workers=WORKERS, random_state=seed, own=own)
    if tested is not None:
        settings = replace(settings, start=tested.start, chosen=tested.chosen if verdict is not None else {})
    weight = prepared.data.rows.sample_weight / prepared.selection.prob
    share = MOST_JUDGED / len(prepared) if verdict is None else 0.0
    judged = contact_share(prepared.data.rows.contact_id, salt=f"{seed}:gate") < share
    fitted = _fitted(lambda: fit_action_uplifts(prepared.encoded, logged, weight, folds, settings, judged), terms.own)
    names = tuple(action.id for action in actions)
    if verdict is None:
        money = Money.of(actions, prepared, catalog, terms.propensity)
        verdict = pass_the_gate(fitted, logged, money, prepared, np.flatnonzero(judged), errors=terms.errors)
    heads = {
        action.id: fitted.by_action[k].head.trusted(float(verdict.trust[k])) for k, action in enumerate(actions) if k in fitted.by_action
    }
    bundle = UpliftBundle(
        contract_hash=prepared.contract_hash,
        encoder=prepared.encoder,
        heads=heads,
        average_effects=_average_effects(logged, names, fitted),
        reason=reason,
    )
    chosen = {names[k]: of_action for k, of_action in fitted.chosen.items()}
    return FittedUplift(bundle, verdict, refused, fitted.effects, chosen, int(judged.sum()))


def logged_actions(prepared: Prepared, actions: tuple[Action, ...]) -> LoggedActions:
    """The rows as the effect model reads them; rows of other actions belong to no cell."""
    rows = prepared.data.rows
    goals = tuple(dict.fromkeys(str(action.goal) for action in actions))
    number = {NO_ACTION: NOTHING, **{action.id: k for k, action in enumerate(actions)}}
    other = len(actions)  # an index that no action has
    place = np.array([number.get(name, other) for name in rows.action_id.tolist()], dtype=np.int64)
    contacted = (place != NOTHING) & (place != other)
    channels = tuple(sorted({str(name) for name in rows.channel[contacted].tolist() if name is not None}))
    known = {name: k for k, name in enumerate(channels)}
    return LoggedActions(
        places=tuple(Place(action.id, action.group or "", action.issue or "") for action in actions),
        channels=channels,
        goal_of=np.array([goals.index(str(action.goal)) for action in actions], dtype=np.int64),
        action=place,
        channel=np.where(contacted, [known.get(name, NOTHING) for name in rows.channel.tolist()], NOTHING),
        labels=np.column_stack([prepared.data.labels.happened[goal] for goal in goals]),
        open=np.column_stack([prepared.open_to(action) for action in actions]),
        weight=rows.sample_weight,
    )


def uplift_pair(prepared: Prepared, action: Action) -> IntArray:
    """The rows of an action and of no_action with a known label, among those whom the action is for."""
    if action.goal is None:
        return np.empty(0, dtype=np.int64)
    known = ~np.isnan(prepared.data.labels.happened[action.goal])
    pair = known & (prepared.of_action(action.id) | prepared.controls)
    return np.flatnonzero(pair & prepared.open_to(action))


def _fitted(fit: Callable[[], ActionUplifts], own: OwnEstimator | None) -> ActionUplifts:
    """The fit; what a regressor of the user's own makes of it is said as a matter of nudge.yaml."""
    try:
        found = fit()
    except OwnEstimatorFailed as error:
        words = "" if own is None else own.words
        raise ConfigError("the estimator cannot be fitted", field="models.uplift", got=f"{words}: {error}") from error
    if own is not None:
        scores = [member.score for one in found.by_action.values() for member in one.head.members]
        refuse_untrusted([score.estimator for score in scores if isinstance(score, OwnEffect)], own, "models.uplift")
    return found


def _refusal(prepared: Prepared, action: Action, rows: IntArray) -> str | None:
    controls = int(prepared.controls[rows].sum())
    contacted = len(rows) - controls
    if action.goal is None:
        return "it has no goal"
    if contacted < FEWEST_ROWS:
        return f"{contacted} interactions with a known outcome; {FEWEST_ROWS} are needed"
    if controls < FEWEST_ROWS:
        return f"{controls} eligible no_action interactions to compare with; {FEWEST_ROWS} are needed"
    return None


def _average_effects(logged: LoggedActions, names: tuple[str, ...], fitted: ActionUplifts) -> dict[Arm, tuple[float, float]]:
    """(effect, standard error) of each action, and of each of its channels over the same contacts."""
    found: dict[Arm, tuple[float, float]] = {}
    for k, one in fitted.by_action.items():
        found[names[k], None] = (one.stack.average, one.stack.standard_error)
        for channel, share in logged.channel_shares(k).items():
            if channel != NOTHING:
                # A channel has its share of the contacts, and the error that comes with them.
                found[names[k], logged.channels[channel]] = (one.by_channel[channel], one.stack.standard_error / float(np.sqrt(share)))
    return found
