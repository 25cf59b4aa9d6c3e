"""`nudge evaluate`, `nudge promote` and `nudge rollback`: what the models are worth, and which of them decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from decisioning.errors import NotFound
from ledger.outcomes import OutcomeRecord
from measurement.intervals import Interval
from nudge.ground.terminal import Telling
from nudge.ground.workspace import Workspace
from nudge.verbs.evidence import DECIDING, Registered, champion_first, held_out_of
from nudge.verbs.ledger_evidence import Shadow, learned_until, ledger_evidence, outcomes_of, shadow_of, span_of
from nudge.verbs.watching import watched
from training.clv_gate import judged_by_error
from training.comparison import CHALLENGER, Evidence, PolicyLine, compared
from training.gate_verdict import Verdict, judged
from training.lead_gate import judged_by_ranking
from training.model_run import ModelVersion
from training.promote import Gate, Promotion, promote, rollback

DECISIONS = 5_000
"""So many of the newest decisions are judged unless another number is asked for."""

FEWEST_DECISIONS = 1_000
"""With fewer in the ledger, held-out interactions say more."""


@dataclass(frozen=True)
class Bench:
    """Where versions of a workspace are compared.

    Attributes
    ----------
    now : datetime
    decisions : int
        So many of the ledger's newest decisions at most.
    """

    workspace: Workspace
    say: Telling
    now: datetime
    decisions: int = DECISIONS

    def evidence(self, champions: Mapping[str, int], systems: Mapping[str, Mapping[str, int]]) -> Evidence:
        """What is known about the champions and the systems beside them.

        Raises
        ------
        NotFound
            Nothing is.
        """
        return self.judge(champion_first(systems, champions), *self.look(champion_first(systems, champions)))

    def look(self, systems: Mapping[str, Mapping[str, int]]) -> tuple[Shadow, dict[str, list[OutcomeRecord]]]:
        """The ledger's decisions that no system has learned from, made again by all of them, and what followed."""
        span = span_of(self.workspace, systems, self.now, self.decisions)
        with self.workspace.open_ledger() as ledger:
            shadow = shadow_of(self.workspace, ledger, systems, span, self.say)
            return shadow, outcomes_of(shadow.made, ledger, self.workspace.catalog)

    def judge(self, systems: Mapping[str, Mapping[str, int]], shadow: Shadow, outcomes: Mapping[str, list[OutcomeRecord]]) -> Evidence:
        """The ledger's evidence, or that of held-out interactions where it holds too little.

        Raises
        ------
        NotFound
            There is neither.
        """
        if len(shadow.made) >= FEWEST_DECISIONS:
            return ledger_evidence(shadow, outcomes, self.workspace.catalog)
        few = f"the ledger holds {len(shadow.made):,} decisions later than the models' data whose outcomes are known"
        self.say("reading held-out predictions")
        held_out = held_out_of(self.workspace, systems)
        why = (*shadow.notes, f"{few}; {FEWEST_DECISIONS:,} are needed to judge by it")
        return replace(held_out, notes=(*why, *held_out.notes))

    def verdict(self, model: str, version: int, registered: Registered) -> Verdict:
        """The gate's word on a version of a model in the champion's place."""
        if model == "clv":
            return self.of_clv(version, registered)
        try:
            evidence = self.evidence(registered.champions, {CHALLENGER: registered.with_swapped({model: version})})
        except NotFound as error:
            return Verdict(False, f"there is nothing to judge it by: {error}")
        return self.of_money(evidence, CHALLENGER)

    def of_money(self, evidence: Evidence, name: str) -> Verdict:
        """Judged by what it gains."""
        settings = self.workspace.config.training
        return judged(evidence, name=name, minimum=settings.minimum_gain, currency=self.workspace.catalog.currency)

    def of_clv(self, version: int, registered: Registered) -> Verdict:
        """Judged by the error of its back-test."""
        return judged_by_error(*(self.workspace.tracker.metrics("clv", one) for one in (version, registered.champions["clv"])))


def evaluate_workspace(workspace: Workspace, *, say: Telling, decisions: int = DECISIONS) -> dict[str, Any]:
    """The champions, the challengers and simple policies by off-policy value.

    Returns
    -------
    dict
        {source, rows, currency, policies: [{name, value, low, high, ess, gain, gain_low, gain_high, agreement, warnings}], champions,
        challengers: [{model, version, passes, reason, gain, gain_low, gain_high, rows_needed}], watch (`nudge.watching.watched`), notes};
        the policy `challenger` has every challenger in it, `challenger MODEL` that one alone where there are several

    Raises
    ------
    NotFound
        There is no champion, or nothing to judge it by.
    """
    registered, bench = Registered.of(workspace), Bench(workspace, say, datetime.now(UTC), decisions)
    rivals = {f"{CHALLENGER} {model}": registered.with_swapped({model: version}) for model, version in registered.challengers.items()}
    if len(rivals) != 1:
        rivals = ({CHALLENGER: registered.with_swapped(registered.challengers)} if rivals else {}) | rivals
    else:
        rivals = {CHALLENGER: next(iter(rivals.values()))}
    systems = champion_first(rivals, registered.champions)
    shadow, outcomes = bench.look(systems)
    evidence = bench.judge(systems, shadow, outcomes)

    def verdict(model: str, version: int) -> Verdict:
        name = f"{CHALLENGER} {model}"
        return bench.of_clv(version, registered) if model == "clv" else bench.of_money(evidence, name if name in rivals else CHALLENGER)

    return {
        "source": evidence.source,
        "rows": len(evidence),
        "currency": workspace.catalog.currency,
        "policies": [_policy(line) for line in compared(evidence)],
        "champions": registered.champions,
        "challengers": [
            {"model": model, "version": version, **_verdict(verdict(model, version))} for model, version in registered.challengers.items()
        ],
        "watch": watched(workspace, shadow, outcomes, learned_until(workspace, registered.champions)),
        "notes": list(evidence.notes),
    }


def promote_workspace(
    workspace: Workspace,
    model: str,
    *,
    say: Telling,
    version: int | None = None,
    force: bool = False,
    why: str | None = None,
) -> dict[str, Any]:
    """Ask the gate, or force; {promoted, reason, model, version, previous, gain, gain_low, gain_high, source, rows, rows_needed}.

    Raises
    ------
    RequestError, NotFound, Conflict
        See `training.promote.promote`.
    """

    full_name = workspace.tracker.registered_name(model)
    if full_name == workspace.tracker.registered_name("lead"):
        return _promotion(promote(workspace.tracker, model, _ranks_no_worse(workspace), version=version, force=force, why=why))
    kind = next((one for one in DECIDING if workspace.tracker.registered_name(one) == full_name), model)

    def gate(target: ModelVersion, _: ModelVersion) -> Verdict:
        return Bench(workspace, say, datetime.now(UTC)).verdict(kind, target.version, Registered.of(workspace))

    return _promotion(promote(workspace.tracker, model, gate, version=version, force=force, why=why))


def _ranks_no_worse(workspace: Workspace) -> Gate:
    """The gate of the lead score, which decides nothing alone."""
    return lambda target, champion: judged_by_ranking(*(workspace.tracker.metrics("lead", one.version) for one in (target, champion)))


def rollback_workspace(workspace: Workspace, model: str, *, why: str | None = None) -> dict[str, Any]:
    """The previous champion serves again; {promoted, reason, model, version, previous}."""
    done = rollback(workspace.tracker, model, why=why)
    return {name: value for name, value in _promotion(done).items() if name in ("promoted", "reason", "model", "version", "previous")}


def _promotion(done: Promotion) -> dict[str, Any]:
    found = done.verdict or Verdict(done.promoted, done.reason)
    about = {"promoted": done.promoted, "reason": done.reason, "model": done.model, "version": done.version, "previous": done.previous}
    judgement = _verdict(found)
    return about | {"source": found.source, "rows": found.rows} | {name: judgement[name] for name in judgement if name not in about}


def _verdict(found: Verdict) -> dict[str, Any]:
    return {"passes": found.passed, "reason": found.reason, **_gain(found.gain), "rows_needed": found.rows_needed}


def _gain(gain: Interval | None) -> dict[str, float | None]:
    return {"gain": None, "gain_low": None, "gain_high": None} if gain is None else _interval(gain)


def _interval(gain: Interval) -> dict[str, float | None]:
    return {"gain": gain.value, "gain_low": gain.low, "gain_high": gain.high}


def _policy(line: PolicyLine) -> dict[str, Any]:
    plain = {name: value for name, value in asdict(line).items() if name not in ("gain", "effective_sample_size", "warnings")}
    return {**plain, "ess": line.effective_sample_size, **_interval(line.gain), "warnings": list(line.warnings)}
