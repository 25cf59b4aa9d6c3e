"""One decision explained: what is left after each stage, the arithmetic of the winner, why not the runner-up, and what would change it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from decisioning.arbitration import ranking
from decisioning.compiled_catalog import CompiledCatalog
from decisioning.decide import Decision
from decisioning.explanation.funnel import STAGES
from decisioning.explanation.tipping import Tip, tips
from decisioning.explanation.what_if import Lift, Rule, WhatIf, lifts, what_if
from decisioning.explanation.worth_parts import Part, RunnerUp, against_runner_up, told_apart, waterfall
from decisioning.stages import Appraisal, House
from decisioning.vocabulary import NO_ACTION

_MONEY = ("cost", "value", "limit")
_VERB = {
    "contact_policy": "without the contact policy {rule} ({saw})",
    "consent": "with consent for {rule}",
    "control": "outside the control group {rule}",
    "allocation": "with room in the limit {rule} ({saw})",
    "suppression": "were it not {rule} ({saw})",
    "validity": "within its dates ({rule}; {saw})",
}


@dataclass(frozen=True)
class Left:
    """How many candidates a stage took out, and how many were left after it."""

    stage: str
    filtered: int
    remaining: int


@dataclass(frozen=True)
class Change:
    """One change that would change the choice.

    Attributes
    ----------
    change : str
        The stage of the rule that would be lifted, or the factor that would move: cost, uplift, propensity, value, opt_out_risk, limit (a
        shadow price). Two stages are joined by `and`.
    what : str
        The rule, or whose factor it is.
    now, to : text or float
        What it is, and what it would be: `holds` and `lifted` for a rule, for a factor the number beyond which the choice is another.
    beyond : `above`, `below` or None
        On which side of `to` a factor must lie; None for rules.
    then : str
        The treatment_id that would be chosen, or `no_action`.
    by : float or None
        How far `then` would be ahead of today's choice, money of priority; None where a factor only just tips the balance, or where worth
        does not decide between them.
    size : float or None
        How large the change is: that of a factor as a fraction of what it is (None from 0), that of rules their number.
    sentence : str
    rules : tuple of Rule
        What would be lifted, empty where a factor would move.
    """

    change: str
    what: str
    now: str | float
    to: str | float
    beyond: str | None
    then: str
    by: float | None
    size: float | None
    sentence: str
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class Explanation:
    """Why one decision is as it is.

    Attributes
    ----------
    available : int
        The candidates of the request's channel and placements.
    funnel : tuple of Left
        Every stage in its order.
    treatment_id : str or None
        What was chosen first, None for no_action.
    waterfall : tuple of Part
        Its gain, what is taken off, and so its priority: they sum to it.
    runner_up : RunnerUp or None
        The next of what was left.
    next_action : RunnerUp or None
        The next that is another action; None where the runner-up is, or where there is none.
    changes : tuple of Change
        What would change the choice, the smallest change first.
    """

    available: int
    funnel: tuple[Left, ...]
    treatment_id: str | None
    waterfall: tuple[Part, ...]
    runner_up: RunnerUp | None
    next_action: RunnerUp | None
    changes: tuple[Change, ...]


def explain_decision(house: House, decision: Decision) -> Explanation:
    """Explain `decision`, made by `house` for one contact; every candidate is scored once more for it.

    What would change it is about the first choice by rank: where a choice was drawn to learn, about the one it was drawn instead of.
    """
    appraisal, catalog = decision.appraisal, house.catalog
    available, funnel = _funnel(appraisal)
    chosen = decision.chosen[0] if decision.chosen else None
    seen = what_if(house, appraisal)
    changes = [_of_lift(seen, catalog, lift) for lift in lifts(seen)] + [_of_tip(catalog, tip) for tip in tips(seen, catalog, house.prices)]
    second, another = (None, None) if chosen is None else _next(appraisal, catalog, chosen)

    def behind(column: int | None) -> RunnerUp | None:
        return None if chosen is None or column is None else against_runner_up(appraisal, catalog, 0, chosen, column)

    return Explanation(
        available=available,
        funnel=funnel,
        treatment_id=None if chosen is None else catalog.treatments[chosen][1].id,
        waterfall=() if chosen is None else waterfall(appraisal, catalog, 0, chosen),
        runner_up=behind(second),
        next_action=behind(another),
        changes=tuple(sorted(changes, key=_smallest_first)),
    )


def _funnel(appraisal: Appraisal) -> tuple[int, tuple[Left, ...]]:
    taken = dict.fromkeys(STAGES, 0)
    for index in appraisal.candidates.removed_by[0].tolist():
        if index >= 0:
            taken[appraisal.candidates.removals[index].stage] += 1
    remaining = appraisal.candidates.removed_by.shape[1] - taken.pop("placement")
    available, funnel = remaining, []
    for stage, filtered in taken.items():
        remaining -= filtered
        funnel.append(Left(stage, filtered, remaining))
    return available, tuple(funnel)


def _next(appraisal: Appraisal, catalog: CompiledCatalog, chosen: int) -> tuple[int | None, int | None]:
    """The best of the living beside the choice, and, where that is the same action, the best of another one."""
    ranked = ranking(appraisal.candidates.alive[0], catalog.mandatory, appraisal.preference[0]).tolist()
    others = [column for column in ranked if column != chosen]
    own = catalog.treatments[chosen][0].id
    other_actions = [column for column in others if catalog.treatments[column][0].id != own]
    second = others[0] if others else None
    return second, other_actions[0] if other_actions and other_actions[0] != second else None


def _smallest_first(change: Change) -> tuple[float, float]:
    return (np.inf if change.size is None else change.size, -(change.by or 0.0))


def _of_lift(seen: WhatIf, catalog: CompiledCatalog, lift: Lift) -> Change:
    today = seen.leader()
    alike = not seen.mandatory[lift.winner] or (today is not None and seen.mandatory[today])
    by = float(seen.preference[lift.winner] - (0.0 if today is None else seen.preference[today])) if alike and seen.by_worth else None
    name = catalog.treatments[lift.winner][1].id
    ahead = "" if by is None else f" by {by:.2f} {catalog.catalog.currency}"
    return Change(
        change=" and ".join(_kind(rule, catalog) for rule in lift.rules),
        what=" and ".join(rule.rule for rule in lift.rules),
        now="holds",
        to="lifted",
        beyond=None,
        then=name,
        by=by,
        size=float(len(lift.rules)),
        sentence=f"{' and '.join(_lifted(rule, catalog) for rule in lift.rules)}, {name} would win{ahead}",
        rules=lift.rules,
    )


def _kind(rule: Rule, catalog: CompiledCatalog) -> str:
    """The stage; of contact policy, whether it is one of the catalogue's policies, a suppression or the action's dates."""
    policies = {policy.id for policy in catalog.catalog.contact_policy}
    if rule.stage != "contact_policy" or rule.rule in policies:
        return rule.stage
    return "suppression" if rule.rule.startswith("suppressed") else "validity"


def _lifted(rule: Rule, catalog: CompiledCatalog) -> str:
    return _VERB.get(_kind(rule, catalog), "if {rule} held ({saw})").format(rule=rule.rule, saw=rule.saw)


def _of_tip(catalog: CompiledCatalog, tip: Tip) -> Change:
    then = NO_ACTION if tip.then is None else catalog.treatments[tip.then][1].id
    digits, unit = (2, f" {catalog.catalog.currency}") if tip.change in _MONEY else (4, "")
    now, to = told_apart(tip.now, tip.to, digits)
    moves = "rose above" if tip.rises else "fell below"
    whose = (
        f"the worth of one more unit of {tip.what}"
        if tip.change == "limit"
        else f"the {tip.change.replace('opt_out', 'opt-out').replace('_', ' ')} of {tip.what}"
    )
    return Change(
        change=tip.change,
        what=tip.what,
        now=tip.now,
        to=tip.to,
        beyond="above" if tip.rises else "below",
        then=then,
        by=None,
        size=float(tip.size) if np.isfinite(tip.size) else None,
        sentence=f"if {whose} {moves} {to}{unit} (now {now}), {then} would be chosen",
    )
