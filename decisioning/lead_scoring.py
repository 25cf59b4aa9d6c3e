"""Which contacts are leads worth handing over? Points by the catalogue's rules, and every point with its reason.

::

    fit   = points of `fit` + answers that count for it        -> grade A to D
    score = points of `behaviour` + answers that count for it
    qualified: `who` holds, score >= threshold and grade at least the threshold's
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from decisioning.lead_catalog import GRADES, Grade, LeadDefinition, PointsRule, Question
from decisioning.rules import Expression, Rows
from decisioning.rules.findings import RuleFindings
from decisioning.vocabulary import BoolArray, FloatArray

_IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Line:
    """One line of points, ready to evaluate; `part` is fit, behaviour, or asked, `counts_for` fit or behaviour."""

    part: str
    counts_for: str
    rule: PointsRule
    when: tuple[Expression, ...]
    since: Expression | float | None
    text: str

    def points(self, rows: Rows) -> FloatArray:
        """Points of each row, shape (rows.length,)."""
        given = np.full(rows.length, float(self.rule.points))
        for condition in self.when:
            given[~condition.holds(rows)] = 0.0
        if isinstance(self.since, Expression) and self.rule.half_life_days is not None:
            days = np.maximum(self.since.numbers(rows), 0.0)
            given *= np.nan_to_num(np.exp2(-days / self.rule.half_life_days), nan=0.0)
        return given


@dataclass(frozen=True, eq=False)
class ScoredLeads:
    """The contacts of `rows` as leads: arrays of shape (n,).

    Attributes
    ----------
    fit, score : array
        Points.
    grade : array of int
        An index into `GRADES`.
    may_be, qualified : array of bool
        Whom `who` leaves, and of them those over the threshold.
    owner : array of int
        An index into the definition's owners, -1 where none takes the lead.
    points : array, shape (n, n_lines)
    unanswered : array of bool, shape (n, n_questions)
        What is still to be asked.
    """

    fit: FloatArray
    score: FloatArray
    grade: _IntArray
    may_be: BoolArray
    qualified: BoolArray
    owner: _IntArray
    points: FloatArray
    unanswered: BoolArray


@dataclass(frozen=True)
class LeadRules:
    """A lead definition compiled against a feature contract."""

    definition: LeadDefinition
    who: tuple[Expression, ...]
    lines: tuple[Line, ...]
    answers: tuple[tuple[Question, tuple[Expression, ...]], ...]
    owners: tuple[tuple[str, tuple[Expression, ...]], ...]

    def score(self, rows: Rows) -> ScoredLeads:
        """Score the contacts in `rows`."""
        n = rows.length
        points = np.column_stack([line.points(rows) for line in self.lines]) if self.lines else np.zeros((n, 0))
        counts_for_fit = np.array([line.counts_for == "fit" for line in self.lines], dtype=np.bool_)
        fit, score = points[:, counts_for_fit].sum(axis=1), points[:, ~counts_for_fit].sum(axis=1)
        grade = grades(fit, self.definition)
        may_be = _all_hold(self.who, rows)
        threshold = self.definition.threshold
        qualified = may_be & (score >= threshold.score) & (grade <= GRADES.index(threshold.grade))
        return ScoredLeads(fit, score, grade, may_be, qualified, self._owner(rows), points, self._unanswered(rows))

    def reasons(self, scored: ScoredLeads, row: int) -> list[dict[str, object]]:
        """The lines that gave a contact points, most first: {part, because, points}."""
        given = scored.points[row]
        order = sorted(np.flatnonzero(np.abs(given) > 1e-9).tolist(), key=lambda place: (-abs(given[place]), place))
        return [
            {"part": self.lines[place].part, "because": self.lines[place].text, "points": round(float(given[place]), 2)} for place in order
        ]

    def questions(self, scored: ScoredLeads, row: int) -> list[dict[str, str]]:
        """What is still to be asked of a contact: {id, ask}."""
        return [
            {"id": question.id, "ask": question.ask}
            for (question, _), open_ in zip(self.answers, scored.unanswered[row].tolist(), strict=True)
            if open_
        ]

    def owner_of(self, scored: ScoredLeads, row: int) -> str | None:
        """Whose lead a contact is."""
        place = int(scored.owner[row])
        return None if place < 0 else self.owners[place][0]

    def _owner(self, rows: Rows) -> _IntArray:
        found = np.full(rows.length, -1, dtype=np.int64)
        for place, (_, when) in enumerate(self.owners):
            found[(found < 0) & _all_hold(when, rows)] = place
        return found

    def _unanswered(self, rows: Rows) -> BoolArray:
        columns = [~_all_hold(given, rows) for _, given in self.answers]
        return np.column_stack(columns) if columns else np.zeros((rows.length, 0), dtype=np.bool_)


def grade_of(scored: ScoredLeads, row: int) -> Grade:
    """The grade of a contact."""
    return GRADES[int(scored.grade[row])]


def grades(fit: FloatArray, definition: LeadDefinition) -> _IntArray:
    """Indices into `GRADES`: the best grade whose points are reached.

    Examples
    --------
    >>> lead = LeadDefinition(fit=[{"when": "age > 3", "points": 1}], grades={"A": 50, "C": 10}, threshold={"score": 0})
    >>> [GRADES[k] for k in grades(np.array([60.0, 49.0, 3.0]), lead)]
    ['A', 'C', 'D']
    """
    found = np.full(fit.shape, len(GRADES) - 1, dtype=np.int64)
    for name, least in sorted(definition.grades.items(), reverse=True):
        found[fit >= least] = GRADES.index(name)
    return found


def compile_lead(definition: LeadDefinition, findings: RuleFindings) -> LeadRules:
    """The definition's expressions, with what does not fit the contract left to `findings.refuse`."""
    lines = [
        *_lines("fit", definition.fit, findings, "lead.fit"),
        *_lines("behaviour", definition.behaviour, findings, "lead.behaviour"),
    ]
    answers = []
    for k, question in enumerate(definition.asked):
        path = f"lead.asked[{k}]"
        lines += _lines("asked", question.points, findings, f"{path}.points", question)
        # A column of any type may hold the answer, so what is compiled is whether there is one.
        answers.append((question, findings.condition(f"({question.answer}) IS NOT NULL", path=f"{path}.answer")))
    return LeadRules(
        definition,
        findings.condition(definition.who, path="lead.who") if definition.who is not None else (),
        tuple(lines),
        tuple(answers),
        tuple(
            (one.owner, () if one.when is None else findings.condition(one.when, path=f"lead.owner[{k}].when"))
            for k, one in enumerate(definition.owner)
        ),
    )


def _lines(part: str, rules: Sequence[PointsRule], findings: RuleFindings, path: str, question: Question | None = None) -> list[Line]:
    return [
        Line(
            part,
            part if question is None else question.counts_for,
            rule,
            () if rule.when is None else findings.condition(rule.when, path=f"{path}[{k}].when"),
            None if rule.since is None else findings.value(rule.since, path=f"{path}[{k}].since"),
            _said(rule, question),
        )
        for k, rule in enumerate(rules)
    ]


def _said(rule: PointsRule, question: Question | None) -> str:
    if rule.because is not None:
        return rule.because
    parts = [] if rule.when is None else [rule.when]
    if rule.since is not None:
        parts.append(f"{rule.since}, halved every {rule.half_life_days:g} days")
    text = "; ".join(parts)
    return text if question is None else f"{question.ask} {text}"


def _all_hold(conditions: Sequence[Expression], rows: Rows) -> BoolArray:
    held = np.ones(rows.length, dtype=np.bool_)
    for one in conditions:
        held &= one.holds(rows)
    return held
