"""A plan's decisions made again by other models, each contact for itself at the prices that the plan published.

The plan chose under budgets; its shadow prices say what the budgets' units were worth, so that a contact's own best at those prices is what
the plan would have given it, but for ties and minimum volumes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from msgspec import structs

from decisioning.candidates import Situation
from decisioning.control import HOLDOUT, RANDOM, TREATED
from decisioning.errors import NotFound
from decisioning.history import History
from decisioning.stages import Appraisal, House, appraise_candidates
from decisioning.vocabulary import FloatArray, IntArray
from ledger.records import DecisionRecord
from serving.plans.archive import PlanArchive
from serving.realtime.price_books import from_json
from serving.realtime.scorer import Scorer
from serving.replaying.would_have import Choice, LeftOut, Remade, Remaking, Then, by_response, goals_of

CHANCE_KEPT = "selection_prob"
"""Where the trace of a planned no_action keeps its probability."""


def remade_of_plan(plan_id: str, records: Sequence[DecisionRecord], remaking: Remaking, archive: PlanArchive) -> Iterator[Remade | LeftOut]:
    """The decisions of one plan, each made again by every rival, or why it cannot be.

    Contacts of control groups are left out: what chance they had under the plan is not kept.
    """
    try:
        appraised = _Appraised.of(plan_id, records, remaking, archive)
    except LeftOut as reason:
        yield from (reason for _ in records)
        return
    for record in records:
        try:
            yield appraised.remade(record)
        except LeftOut as reason:
            yield reason


class _Appraised:
    """What every rival, and the models that planned, say of the contacts of a plan's decisions."""

    def __init__(self, then: Then, rows: Mapping[str, int], planned: Appraisal, policies: Mapping[str, Appraisal]) -> None:
        self._then = then
        self._rows = rows
        self._planned = planned
        self._best = {name: _best(one) for name, one in policies.items() if name != RANDOM}
        self._at_random = policies[RANDOM].candidates.alive
        self._clv = next(iter(policies.values())).scores.clv

    @classmethod
    def of(cls, plan_id: str, records: Sequence[DecisionRecord], remaking: Remaking, archive: PlanArchive) -> _Appraised:
        versions = records[0].trace["versions"]
        remaking.refuse_other_contracts(versions)
        then = remaking.then(versions)
        if then.catalog.catalog.treatments_per_contact != 1:
            raise LeftOut("of plans with several treatments a contact")
        book = remaking.ledger.book_of(plan_id)
        if book is None:
            raise LeftOut("of plans that published no prices")
        try:
            population, found = archive.load(plan_id, then.dtypes)
        except NotFound:
            raise LeftOut("of plans whose inputs are gone") from None
        wanted = {record.contact_id for record in records}
        places = np.array([row for row, one in enumerate(population.contact_ids.tolist()) if str(one) in wanted], dtype=np.int64)
        situation, history = part_of(found.situation, found.history, places)
        prices = {name: line.price for name, line in from_json(book).lines.items()}

        def appraisal(scorer: Scorer, group: str, *, respond: bool = False) -> Appraisal:
            house = House(then.of_group[group], (lambda s, alive: by_response(scorer(s, alive))) if respond else scorer, prices)
            return appraise_candidates(house, situation, history)

        scorers = {name: Scorer(rival.models, then.catalog, then.feature_as_of) for name, rival in remaking.rivals.items()}
        first = next(iter(scorers.values()))
        policies = {name: appraisal(scorer, TREATED, respond=remaking.rivals[name].by_response) for name, scorer in scorers.items()}
        policies |= {HOLDOUT: appraisal(first, HOLDOUT), RANDOM: appraisal(first, RANDOM)}
        own = Scorer(remaking.models_of(versions["models"]), then.catalog, then.feature_as_of)
        rows = {str(one): row for row, one in enumerate(situation.contact_ids.tolist())}
        return cls(then, rows, appraisal(own, TREATED), policies)

    def remade(self, record: DecisionRecord) -> Remade:
        """One decision of the plan."""
        if record.control_group != TREATED:
            raise LeftOut("of control groups in a plan")
        chance = self._chance(record)
        row = self._rows.get(record.contact_id)
        if row is None or "raced" in record.trace:
            raise LeftOut("of plans, overtaken by another decision")
        names = [treatment.id for _, treatment in self._then.catalog.treatments]
        open_at_random = tuple(names[column] for column in np.flatnonzero(self._at_random[row]))
        logged: Choice = tuple(one.treatment_id for one in record.selections)
        by_chance = (logged[0] in open_at_random) / len(open_at_random) if logged and open_at_random else float(logged == open_at_random)
        clv = float(self._clv[row])
        return Remade(
            decision_id=record.decision_id,
            contact_id=record.contact_id,
            decided_at=record.decided_at,
            logged=logged,
            selection_prob=chance,
            does={name: () if best[row] < 0 else (names[best[row]],) for name, best in self._best.items()},
            at_random=by_chance,
            open_at_random=open_at_random,
            slots=1,
            **self._scores(row, names),
            goal_of=goals_of(self._then.catalog),
            cost=sum(one.cost for one in record.selections),
            clv=clv if np.isfinite(clv) else 0.0,
            features={name: column[row : row + 1] for name, column in self._planned.situation.columns.items()},
        )

    def _chance(self, record: DecisionRecord) -> float:
        if record.selections:
            return record.selections[0].selection_prob
        if CHANCE_KEPT not in record.trace and self._then.catalog.catalog.exploration.budget > 0:
            raise LeftOut("of plans that did not keep the chance of no action")
        return float(record.trace.get(CHANCE_KEPT) or 1.0)

    def _scores(self, row: int, names: Sequence[str]) -> dict[str, dict[str, float]]:
        scores, economics = self._planned.scores, self._planned.economics
        columns = {"profit": economics.profit, "value": scores.value, "propensity": scores.propensity}
        return {**{kind: _known(names, matrix[row]) for kind, matrix in columns.items()}, "anyway": self._anyway(row, names)}

    def _anyway(self, row: int, names: Sequence[str]) -> dict[str, float]:
        scores = self._planned.scores
        return _known(names, scores.baseline[row] * scores.value[row])


def part_of(everyone: Situation, history: History, rows: IntArray) -> tuple[Situation, History]:
    """Some of the contacts with their past; the firms' past stays whole."""
    situation = structs.replace(
        everyone,
        contact_ids=everyone.contact_ids[rows],
        columns={name: column[rows] for name, column in everyone.columns.items()},
        granted={purpose: yes[rows] for purpose, yes in everyone.granted.items()},
        seeds=everyone.seeds_or_ids[rows],
    )
    place = np.full(len(everyone.contact_ids), -1, dtype=np.int64)
    place[rows] = np.arange(len(rows))
    touched, happened = place[history.touch_row], place[history.outcome_row]
    part = History(
        touched[touched >= 0],
        {name: column[touched >= 0] for name, column in history.touches.items()},
        happened[happened >= 0],
        {name: column[happened >= 0] for name, column in history.outcomes.items()},
        firms=None if history.firms is None else replace(history.firms, unit=history.firms.unit[rows]),
        suppressions=tuple(one._replace(row=int(place[one.row])) for one in history.suppressions if place[one.row] >= 0),
    )
    return situation, part


def _best(appraisal: Appraisal) -> IntArray:
    """The column of the best living candidate of each contact, -1 where there is none."""
    alive = appraisal.candidates.alive
    ranked = np.where(alive, np.nan_to_num(appraisal.preference, nan=-np.inf), -np.inf)
    best = np.argmax(ranked, axis=1)
    return np.where(alive.any(axis=1), best, -1).astype(np.int64)


def _known(names: Sequence[str], numbers: FloatArray) -> dict[str, float]:
    return {name: float(number) for name, number in zip(names, numbers, strict=True) if np.isfinite(number)}
