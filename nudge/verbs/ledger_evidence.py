"""The newest decisions of the ledger, made again by other models, with the money that came of them: the evidence that no model has seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby

import numpy as np

from decisioning.catalog import Catalog
from decisioning.control import HOLDOUT
from decisioning.errors import NudgeError
from decisioning.vocabulary import FloatArray
from ledger.codec import chunks
from ledger.outcomes import OutcomeRecord
from ledger.records import DecisionRecord
from ledger.store import Ledger
from nudge.ground.terminal import Telling
from nudge.ground.workspace import Workspace
from nudge.verbs.evidence import Versions
from nudge.verbs.snapshot_source import load_versions
from serving.replaying.would_have import Choice, LeftOut, Remade, Remaking, Rival
from serving.replaying.would_have_planned import remade_of_plan
from training.comparison import BY_CHANCE, CHAMPION, NO_ACTION, NOTHING, PROPENSITY_GREEDY, RANDOM, Doing, Evidence

SOURCE = "ledger"
_AT_ONCE = 500
"""Decisions read at once: a trace is some kilobytes."""


@dataclass(frozen=True)
class Span:
    """Which decisions count: later than what the models learned from, and old enough for every outcome to have come."""

    since: datetime
    until: datetime
    most: int


@dataclass(frozen=True)
class Shadow:
    """The decisions that could be made again, the records behind them, and how many could not, by reason."""

    made: list[Remade]
    left_out: Counter[str]

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out, in words."""
        return tuple(f"{count:,} decisions left out: {reason}" for reason, count in sorted(self.left_out.items()))


def span_of(workspace: Workspace, systems: Mapping[str, Versions], now: datetime, most: int) -> Span:
    """The span of the decisions that no version of the systems has learned from."""
    seen = [learned_until(workspace, versions) for versions in systems.values()]
    since = max(seen).astype("datetime64[us]").item().replace(tzinfo=UTC)
    return Span(since, now - timedelta(days=longest_window(workspace.catalog)), most)


def learned_until(workspace: Workspace, versions: Versions) -> np.datetime64:
    """The exclusive cut in time of what these versions have learned from, all of them together."""
    tags = [row.tags for model, number in versions.items() for row in workspace.tracker.versions(model) if row.version == number]
    moments = [np.datetime64(one["nudge.as_of"], "us") for one in tags if one.get("nudge.as_of")]
    return max(moments, default=np.datetime64("1970-01-01", "us"))


def longest_window(catalog: Catalog) -> float:
    """Days until everything that counts has come: the goals of actions, and opt-outs."""
    return max(_windows(catalog).values(), default=0.0)


def shadow_of(workspace: Workspace, ledger: Ledger, systems: Mapping[str, Versions], span: Span, say: Telling) -> Shadow:
    """Make the decisions of the span again with the models of every system, the champion's first."""
    models = {name: load_versions(workspace, versions) for name, versions in systems.items()}
    rivals = {name: Rival(one) for name, one in models.items()} | {PROPENSITY_GREEDY: Rival(models[CHAMPION], by_response=True)}
    remaking = Remaking(ledger, lambda versions: load_versions(workspace, versions), rivals)
    ids = ledger.newest_between(span.since, span.until, span.most) if span.since < span.until else []
    made: list[Remade] = []
    left_out: Counter[str] = Counter()
    for done, chunk in enumerate(chunks(ids, _AT_ONCE)):
        say("making decisions again", done * _AT_ONCE, len(ids))
        for one in _again(list(ledger.decisions_by_id(chunk).values()), remaking, workspace):
            if isinstance(one, LeftOut):
                left_out[str(one)] += 1
            else:
                made.append(one)
    return Shadow(made, left_out)


def _again(records: Sequence[DecisionRecord], remaking: Remaking, workspace: Workspace) -> Iterator[Remade | LeftOut]:
    for plan_id, of_plan in groupby(sorted(records, key=lambda one: one.plan_id or ""), key=lambda one: one.plan_id):
        if plan_id is not None:
            yield from remade_of_plan(plan_id, list(of_plan), remaking, workspace.plan_archive)
            continue
        for record in of_plan:
            try:
                yield remaking.remade(record)
            except LeftOut as reason:
                yield reason
            except NudgeError as error:
                yield LeftOut(str(error))


def outcomes_of(made: Sequence[Remade], ledger: Ledger, catalog: Catalog) -> dict[str, list[OutcomeRecord]]:
    """What happened to the contacts of these decisions in their windows, by contact."""
    found: dict[str, list[OutcomeRecord]] = {}
    if made:
        first, last = min(one.decided_at for one in made), max(one.decided_at for one in made)
        until = last + timedelta(days=longest_window(catalog), microseconds=1)
        for one in ledger.outcomes_between(sorted({each.contact_id for each in made}), first, until):
            found.setdefault(one.contact_id, []).append(one)
    return found


def ledger_evidence(shadow: Shadow, outcomes: Mapping[str, Sequence[OutcomeRecord]], catalog: Catalog) -> Evidence:
    """The decisions as evidence: money that came within the windows, the scores of then as the reward model."""
    made = shadow.made
    goals = tuple(sorted({goal for one in made for goal in one.goal_of.values()}))
    place = {goal: g for g, goal in enumerate(goals)}
    came, anyway, spent = np.zeros((len(made), len(goals))), np.zeros((len(made), len(goals))), np.zeros(len(made))
    for i, one in enumerate(made):
        worth = _of_goals(one, one.value)
        for goal, money in _of_goals(one, one.anyway).items():
            anyway[i, place[goal]] = money
        spent[i] = one.cost
        for happened in own_outcomes(one, outcomes.get(one.contact_id, ()), catalog):
            if happened.outcome in place:
                came[i, place[happened.outcome]] += worth.get(happened.outcome, 0.0) if happened.value is None else happened.value
        if any(catalog.outcomes[each.outcome].kind == "opt_out" for each in own_outcomes(one, outcomes.get(one.contact_id, ()), catalog)):
            spent[i] += one.clv
    numbers: dict[Choice, int] = {(): NOTHING}
    policies = {NO_ACTION if name == HOLDOUT else name: _doing(made, name, place, numbers) for name in (made[0].does if made else ())}
    policies[RANDOM] = _by_chance(made, place, numbers)
    return Evidence(
        source=SOURCE,
        contact=np.array([one.contact_id for one in made], dtype=np.str_),
        came=came,
        spent=spent,
        selection_prob=np.array([one.selection_prob for one in made]),
        baseline=anyway,
        logged_profit=np.array([_profit(one, one.logged) for one in made]),
        policies=policies,
        notes=shadow.notes,
    )


def own_outcomes(one: Remade, outcomes: Sequence[OutcomeRecord], catalog: Catalog) -> list[OutcomeRecord]:
    """The outcomes of a decision: those that name it, and those that name only its contact, within their windows."""
    windows = _windows(catalog)
    return [
        each
        for each in outcomes
        if each.outcome in windows
        and each.decision_id in (None, one.decision_id)
        and timedelta(0) <= each.occurred_at - one.decided_at <= timedelta(days=windows[each.outcome])
    ]


def _windows(catalog: Catalog) -> dict[str, float]:
    goals = {action.goal for action in catalog.actions}
    return {name: one.window_days for name, one in catalog.outcomes.items() if name in goals or one.kind == "opt_out"}


def _of_goals(one: Remade, money: Mapping[str, float]) -> dict[str, float]:
    """Money of treatments as money of goals: that of what was done, else of the first treatment with the goal."""
    found: dict[str, float] = {}
    for treatment_id in (*one.logged, *one.goal_of):
        if treatment_id in money and treatment_id in one.goal_of:
            found.setdefault(one.goal_of[treatment_id], money[treatment_id])
    return found


def _profit(one: Remade, choice: Choice) -> float:
    """The recorded profit; a treatment that was not scored then counts as much as nothing."""
    return sum(one.profit.get(treatment_id, 0.0) for treatment_id in choice)


def _moves(one: Remade, choice: Choice, place: Mapping[str, int]) -> list[int]:
    return [place[one.goal_of[treatment_id]] for treatment_id in choice if treatment_id in one.goal_of]


def _doing(made: Sequence[Remade], name: str, place: Mapping[str, int], numbers: dict[Choice, int]) -> Doing:
    does = [one.does[name] for one in made]
    goals = np.zeros((len(made), len(place)), dtype=np.bool_)
    for i, (one, choice) in enumerate(zip(made, does, strict=True)):
        goals[i, _moves(one, choice, place)] = True
    return Doing(
        does=np.array([numbers.setdefault(choice, len(numbers)) for choice in does], dtype=np.int64),
        agrees=np.array([float(choice == one.logged) for one, choice in zip(made, does, strict=True)]),
        profit=np.array([_profit(one, choice) for one, choice in zip(made, does, strict=True)]),
        goals=goals,
    )


def _by_chance(made: Sequence[Remade], place: Mapping[str, int], numbers: dict[Choice, int]) -> Doing:
    """A relevant action at random. Of several slots the mean of what is drawn has no short form: there the log alone speaks."""
    goals = np.zeros((len(made), len(place)), dtype=np.bool_)
    for i, one in enumerate(made):
        goals[i, _moves(one, one.open_at_random, place)] = True
    single = np.array([one.slots == 1 for one in made], dtype=np.bool_)

    def where_single(numbers: Sequence[float]) -> FloatArray:
        return np.where(single, np.array(numbers, dtype=np.float64), 0.0)

    def does(open_at_random: Choice) -> int:
        return BY_CHANCE if len(open_at_random) > 1 else numbers.setdefault(open_at_random, len(numbers))  # of one there is nothing to draw

    return Doing(
        does=np.array([does(one.open_at_random) for one in made], dtype=np.int64),
        agrees=np.array([one.at_random for one in made]),
        profit=where_single([_profit(one, one.open_at_random) / max(len(one.open_at_random), 1) for one in made]),
        goals=goals,
        logged_profit=where_single([_profit(one, one.logged) for one in made]),
    )
