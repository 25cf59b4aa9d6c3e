"""Past decisions made again by other models: what would they have done, and with what chance was it done?

A decision is made again from its own inputs, catalogue, prices and limits (`replay.py`), without exploring. So a challenger can be
watched on live traffic without acting and without a cost on the request path: shadow mode is this, afterwards.

The chance of a logged choice counts the control groups in: which of them a contact is in is a draw of its own, so that

    selection_prob = sum over groups g of share_g * P(the choice | group g)

and what the group of random actions tried speaks about every policy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np

from decisioning.candidates import Scores, Situation
from decisioning.catalog import Controls, parse_catalog
from decisioning.compiled_catalog import CompiledCatalog, compile_catalog
from decisioning.control import HOLDOUT, RANDOM, TREATED
from decisioning.decide import chance_of, decide
from decisioning.errors import NudgeError
from decisioning.history import History
from decisioning.stages import House, ScoreFunction, appraise_candidates
from decisioning.vocabulary import BoolArray, Columns, Dtype
from ledger.candidates import candidate_rows
from ledger.catalogs import catalog_key
from ledger.records import DecisionRecord
from ledger.store import Ledger
from serving.realtime.decision_inputs import inputs_from_json
from serving.realtime.scorer import Models, Scorer
from serving.realtime.situations import to_datetime64_or_none
from serving.replaying.replay import LoadModels

Choice = tuple[str, ...]
"""Treatment ids, best first; empty is no action."""


class LeftOut(Exception):
    """Why a decision cannot be made again by others."""


@dataclass(frozen=True)
class Rival:
    """Models that decide; with `by_response` they rank by propensity * value - cost, as if every response were theirs."""

    models: Models
    by_response: bool = False


@dataclass(frozen=True, eq=False)
class Remade:
    """One decision as it was, and as others would have made it.

    Attributes
    ----------
    logged : Choice
    selection_prob : float
        The probability of `logged`, above 0.
    does : mapping of policy to Choice
    at_random : float
        The probability of `logged` if a relevant action were drawn at random.
    open_at_random : Choice
        What would be drawn from.
    slots : int
        How many actions were asked for.
    profit, value, anyway : mapping of treatment_id to money
        As recorded then: the expected incremental profit, the worth of a response, and what is expected of responses without a contact.
    propensity : mapping of treatment_id to probability
    goal_of : mapping of treatment_id to its action's goal
    cost, clv : float
        Money spent on the contact, and its lifetime value (0 where it is not known).
    features : Columns
        What was known of the contact: one row.
    """

    decision_id: str
    contact_id: str
    decided_at: datetime
    logged: Choice
    selection_prob: float
    does: Mapping[str, Choice]
    at_random: float
    open_at_random: Choice
    slots: int
    profit: Mapping[str, float]
    value: Mapping[str, float]
    anyway: Mapping[str, float]
    propensity: Mapping[str, float]
    goal_of: Mapping[str, str]
    cost: float
    clv: float
    features: Columns


@dataclass(frozen=True)
class Then:
    """The catalogue of a decision, compiled as if every contact belonged to one control group, and what was served beside it."""

    catalog: CompiledCatalog
    dtypes: dict[str, Dtype]
    feature_as_of: np.datetime64 | None
    of_group: dict[str, CompiledCatalog]

    @property
    def owed(self) -> bool:
        """Whether anything goes also to contacts who are kept without contact."""
        return not self.catalog.bound_by_limits.all()

    @property
    def shares(self) -> dict[str, float]:
        """The share of each control group, `nudge` last."""
        shares = self.catalog.catalog.controls.shares
        return {**{name: share for name, share in shares.items() if share > 0}, TREATED: max(0.0, 1.0 - sum(shares.values()))}


@dataclass
class Remaking:
    """Makes decisions again; catalogues and models are read once each.

    Parameters
    ----------
    ledger : Ledger
    load_models : callable
        The models of given versions.
    rivals : mapping of policy to Rival
        The first of them says what is relevant, for the draw at random.
    """

    ledger: Ledger
    load_models: LoadModels
    rivals: Mapping[str, Rival]
    _then: dict[str, Then] = field(default_factory=dict)
    _models: dict[str, Models] = field(default_factory=dict)
    _scorers: dict[tuple[int, int], Scorer] = field(default_factory=dict)

    def remade(self, record: DecisionRecord) -> Remade:
        """A decision for one contact, made again by every rival.

        Raises
        ------
        LeftOut
            It cannot be; the message says why, in words that are equal for equal reasons.
        """
        trace = record.trace
        if "inputs" not in trace or "candidates" not in trace:
            raise LeftOut("kept without their inputs")
        if not trace["candidates"]:
            raise LeftOut("answered by the fallback")
        then = self.then(trace["versions"])
        self.refuse_other_contracts(trace["versions"])
        situation, history = inputs_from_json({**trace["inputs"], "features": trace["features"]}, then.dtypes)
        slots = trace["request"].get("limit") or max(1, len(trace["request"].get("placements") or ()))
        made = _Again(then, situation, history, trace, slots)
        scorers = {name: _Once(self._scorer(rival.models, then), by_response=rival.by_response) for name, rival in self.rivals.items()}
        first = next(iter(scorers.values()))
        logged = tuple(one.treatment_id for one in sorted(record.selections, key=lambda one: one.rank))
        does = {name: made.choice(scorer, TREATED) for name, scorer in scorers.items()} | {HOLDOUT: made.choice(first, HOLDOUT)}
        relevant, clv = made.relevant(first)
        at_random = made.at_random(first, relevant, logged)
        chance = self._chance(record, made, logged, at_random)
        if not chance > 0:
            raise LeftOut("cannot be made again")
        return Remade(
            decision_id=record.decision_id,
            contact_id=record.contact_id,
            decided_at=record.decided_at,
            logged=logged,
            selection_prob=chance,
            does=does,
            at_random=at_random,
            open_at_random=relevant,
            slots=slots,
            **recorded_scores(candidate_rows(trace["candidates"])),
            goal_of=goals_of(then.catalog),
            cost=sum(one.cost for one in record.selections),
            clv=clv,
            features=situation.columns,
        )

    def then(self, versions: Mapping[str, Any]) -> Then:
        """The catalogue of these versions."""
        key = catalog_key(versions["catalog"], versions["features"])
        if key not in self._then:
            kept = self.ledger.catalog(key)
            if kept is None:
                raise LeftOut("made with a catalogue that is gone")
            compiled = compile_catalog(parse_catalog(kept["catalog"]), kept["dtypes"])
            groups = {name: _as_of_group(compiled, name) for name in (*compiled.catalog.controls.shares, TREATED)}
            self._then[key] = Then(compiled, kept["dtypes"], to_datetime64_or_none(kept["feature_as_of"]), groups)
        return self._then[key]

    def models_of(self, versions: Mapping[str, int]) -> Models:
        """The models that decided."""
        key = repr(sorted(versions.items()))
        if key not in self._models:
            try:
                self._models[key] = self.load_models(versions)
            except NudgeError:
                raise LeftOut("made by a version that is gone") from None
        return self._models[key]

    def refuse_other_contracts(self, versions: Mapping[str, Any]) -> None:
        """Refuse a decision whose features the rivals cannot read."""
        for rival in self.rivals.values():
            for model in (rival.models.propensity, rival.models.uplift, rival.models.clv):
                if model is not None and model.contract_hash != versions["features"]:
                    raise LeftOut("made on another feature contract")

    def _chance(self, record: DecisionRecord, made: _Again, logged: Choice, at_random: float) -> float:
        """P(logged) over the draw of the control group, by the models that decided."""
        shares, versions = made.then.shares, record.trace["versions"]["models"]
        chances = {} if HOLDOUT not in shares or made.then.owed else {HOLDOUT: float(logged == ())}
        own = recorded_chance(record, made.slots) if record.control_group == TREATED else None
        if own is not None:
            chances[TREATED] = own
        if next(iter(self.rivals.values())).models.versions == versions:
            chances[RANDOM] = at_random
        missing = [group for group in shares if group not in chances]
        if missing:
            scorer = _Once(self._scorer(self.models_of(versions), made.then))
            chances |= {group: made.chance(scorer, group, logged) for group in missing}
        return sum(share * chances[group] for group, share in shares.items())

    def _scorer(self, models: Models, then: Then) -> Scorer:
        """One for all decisions: it compiles its models when it is made."""
        key = id(models), id(then)
        if key not in self._scorers:
            self._scorers[key] = Scorer(models, then.catalog, then.feature_as_of)
        return self._scorers[key]


@dataclass(frozen=True)
class _Again:
    """One decision's circumstances."""

    then: Then
    situation: Situation
    history: History
    trace: Mapping[str, Any]
    slots: int

    def _house(self, scorer: ScoreFunction, group: str, allowance: float) -> House:
        return House(self.then.of_group[group], scorer, self.trace["prices"], self.trace["room"], allowance)

    def choice(self, scorer: ScoreFunction, group: str) -> Choice:
        """What is done without exploring."""
        if group == HOLDOUT and not self.then.owed:
            return ()
        made = decide(self._house(scorer, group, 0.0), self.situation, self.history, limit=self.slots)
        return tuple(self.then.catalog.treatments[column][1].id for column in made.chosen)

    def chance(self, scorer: ScoreFunction, group: str, logged: Choice) -> float:
        """The probability of `logged`, exploring as then."""
        columns = [self.then.catalog.column_of[one] for one in logged]
        return chance_of(self._house(scorer, group, self.trace["allowance"]), self.situation, self.history, columns, limit=self.slots)

    def at_random(self, scorer: ScoreFunction, relevant: Choice, logged: Choice) -> float:
        """The probability of `logged` if what is `relevant` were drawn from."""
        if self.slots > 1:
            return self.chance(scorer, RANDOM, logged)
        if not logged:
            return float(not relevant)
        return 1.0 / len(relevant) if len(logged) == 1 and logged[0] in relevant else 0.0

    def relevant(self, scorer: ScoreFunction) -> tuple[Choice, float]:
        """What a draw at random takes from, and the contact's lifetime value."""
        appraisal = appraise_candidates(self._house(scorer, RANDOM, 0.0), self.situation, self.history)
        alive = np.flatnonzero(appraisal.candidates.alive[0])
        clv = float(appraisal.scores.clv[0])
        return tuple(self.then.catalog.treatments[column][1].id for column in alive), clv if np.isfinite(clv) else 0.0


class _Once:
    """A scorer that remembers what it said of one situation: its groups ask for the same candidates."""

    def __init__(self, scorer: ScoreFunction, *, by_response: bool = False) -> None:
        self._scorer = scorer
        self._by_response = by_response
        self._said: dict[bytes, Scores] = {}

    def __call__(self, situation: Situation, alive: BoolArray) -> Scores:
        key = alive.tobytes()
        if key not in self._said:
            scores = self._scorer(situation, alive)
            self._said[key] = by_response(scores) if self._by_response else scores
        return self._said[key]


def by_response(scores: Scores) -> Scores:
    """The scores as if every response were ours and nobody opted out: what ranking by propensity believes."""
    effect = np.where(np.isnan(scores.propensity), scores.uplift, scores.propensity)
    return replace(scores, uplift=effect, opt_out_risk=np.zeros_like(scores.opt_out_risk))


def recorded_chance(record: DecisionRecord, slots: int) -> float | None:
    """The probability that the decision carries; None where it ended before its slots were full, so that the last draw is not kept."""
    if not record.selections:
        nothing = record.trace["response"].get("no_action") or {}
        return float(nothing.get("selection_prob") or 1.0)
    if len(record.selections) < slots:
        return None
    return float(np.prod([one.selection_prob for one in record.selections]))


def recorded_scores(candidates: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """`profit`, `value`, `anyway` and `propensity` by treatment_id, of the candidates that were scored."""
    found: dict[str, dict[str, float]] = {"profit": {}, "value": {}, "anyway": {}, "propensity": {}}
    for one in candidates:
        name, value, propensity = one["treatment_id"], one["value"], one["propensity"]
        if value is not None:
            found["value"][name] = value
        if one["expected_profit"] is not None:
            found["profit"][name] = one["expected_profit"]
        if propensity is not None:
            found["propensity"][name] = propensity
            if value is not None and one["uplift"] is not None:
                found["anyway"][name] = max(0.0, propensity - one["uplift"]) * value
    return found


def goals_of(catalog: CompiledCatalog) -> dict[str, str]:
    """The goal of each treatment's action, of those that have one."""
    return {treatment.id: action.goal for action, treatment in catalog.treatments if action.goal is not None}


def _as_of_group(compiled: CompiledCatalog, group: str) -> CompiledCatalog:
    """The catalogue as if every contact belonged to this control group."""
    controls = Controls() if group == TREATED else Controls.model_validate({group: 1.0})
    return replace(compiled, catalog=compiled.catalog.model_copy(update={"controls": controls}))
