"""`nudge leads`: contacts scored as leads, handed over to sales once each, and what became of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from decisioning.compiled_catalog import compile_catalog
from decisioning.errors import ConfigError, ContractMismatch, NotFound, RequestError
from decisioning.lead_catalog import GRADES, LeadDefinition
from decisioning.lead_scoring import LeadRules, ScoredLeads, grade_of
from decisioning.rules import Rows
from decisioning.vocabulary import FloatArray
from estimators.bundle import LeadBundle, load_bundle
from features.stored_columns import ROWS_AT_ONCE
from ledger.leads import ENDS, HANDED_OVER, STATUSES, LeadStep, NewLead
from nudge.ground.workspace import Workspace
from nudge.verbs.features_ready import Say, default_as_of, ensure_built, to_datetime64

OPEN = (HANDED_OVER, "accepted", "contacted")
SHOWN = 20
"""Leads that `nudge leads score` shows; all of them are in the file of a hand-over."""


@dataclass(frozen=True, eq=False)
class _Part:
    """Some contacts with their scores; `probability` is NaN where no score was learned."""

    contact_ids: np.ndarray
    scored: ScoredLeads
    probability: FloatArray


def rules_of(workspace: Workspace) -> LeadRules:
    """The compiled `lead:` of the catalogue.

    Raises
    ------
    ConfigError
        The catalogue says nothing about leads.
    """
    ensure_lead(workspace)
    rules = compile_catalog(workspace.catalog, workspace.door.contract.dtypes).lead
    assert rules is not None  # ensured above
    return rules


def ensure_lead(workspace: Workspace) -> LeadDefinition:
    """The catalogue's `lead:`, or the plain word that there is none."""
    if workspace.catalog.lead is None:
        raise ConfigError("the catalogue does not say what a lead is", field="lead", hint="add `lead:` to catalog.yaml")
    return workspace.catalog.lead


def score_workspace(workspace: Workspace, as_of: datetime | None, say: Say) -> dict[str, Any]:
    """Everybody as a lead: how many are qualified, by grade; the best with their reasons; what gives points; what is to be asked.

    Raises
    ------
    ConfigError
        The catalogue says nothing about leads.
    """
    ensure_lead(workspace)
    ensure_built(workspace, say)
    rules = rules_of(workspace)
    counts: Counter[str] = Counter()
    grades = np.zeros((len(GRADES), 2), dtype=np.int64)
    lines, open_questions = np.zeros((len(rules.lines), 2)), np.zeros(len(rules.answers), dtype=np.int64)
    best: list[dict[str, Any]] = []
    for part in _parts(workspace, rules, as_of, say):
        scored, may_be = part.scored, part.scored.may_be
        counts.update(contacts=len(part.contact_ids), may_be_leads=int(may_be.sum()), qualified=int(scored.qualified.sum()))
        grades += np.column_stack([np.bincount(scored.grade[one], minlength=len(GRADES)) for one in (may_be, scored.qualified)])
        given = scored.points[may_be]
        lines += np.column_stack([(given != 0).sum(axis=0), given.sum(axis=0)])
        open_questions += scored.unanswered[may_be].sum(axis=0)
        best = sorted([*best, *_best_of(rules, part)], key=_first)[:SHOWN]
    return {
        "as_of": str(_moment(workspace, as_of)),
        **{name: counts[name] for name in ("contacts", "may_be_leads", "qualified")},
        "grades": [
            {"grade": name, "contacts": contacts, "qualified": qualified}
            for name, (contacts, qualified) in zip(GRADES, grades.tolist(), strict=True)
        ],
        "lines": [
            {"part": line.part, "because": line.text, "contacts": int(lines[k, 0]), "points": float(lines[k, 1])}
            for k, line in enumerate(rules.lines)
        ],
        "questions": [{"id": one.id, "ask": one.ask, "unanswered": int(open_questions[k])} for k, (one, _) in enumerate(rules.answers)],
        "leads": best,
    }


def hand_over(workspace: Workspace, as_of: datetime | None, say: Say) -> list[dict[str, Any]]:
    """Hand over who is qualified and has not been handed over; returns the new leads, best first."""
    definition = ensure_lead(workspace)
    ensure_built(workspace, say)
    rules, now = rules_of(workspace), datetime.now(UTC)
    found = [
        _new_lead(rules, part, row, now)
        for part in _parts(workspace, rules, as_of, say)
        for row in np.flatnonzero(part.scored.qualified).tolist()
    ]
    again = None if definition.again_after_days is None else now - timedelta(days=definition.again_after_days)
    with workspace.open_ledger() as ledger:
        gone = ledger.erased_among([one.contact_id for one in found])
        made = ledger.hand_over([one for one in found if one.contact_id not in gone], now, again_before=again)
    return sorted(made, key=_first)


def open_leads(workspace: Workspace) -> list[dict[str, Any]]:
    """The leads that have not ended, best first: what a lost file held."""
    return sorted(listed(workspace, OPEN), key=_first)


def listed(workspace: Workspace, statuses: Sequence[str] | None = None, limit: int | None = None) -> list[dict[str, Any]]:
    """Leads as they stand, newest first, with what is overdue.

    Raises
    ------
    RequestError
        No such status.
    """
    known = (HANDED_OVER, *STATUSES)
    for one in statuses or ():
        if one not in known:
            raise RequestError("no such status", field="--status", got=one, allowed=", ".join(known))
    with workspace.open_ledger() as ledger:
        return ledger.leads(datetime.now(UTC), statuses=statuses, limit=limit)


def counted(leads: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How many leads stand where, what they brought, and how many are overdue."""
    won = [one for one in leads if one["status"] == "won"]
    late = Counter(one["overdue"] for one in leads if one["overdue"] is not None)
    return {
        "leads": len(leads),
        **{name: sum(one["status"] == name for one in leads) for name in (*OPEN, *ENDS)},
        "revenue": sum(one["revenue"] or 0.0 for one in won),
        "overdue": {"accept": late["accept"], "first_contact": late["first_contact"]},
    }


def keep_steps(workspace: Workspace, steps: Sequence[LeadStep]) -> list[dict[str, Any]]:
    """Keep what became of leads, all or none; see `ledger.leads.step` for what is refused."""
    with workspace.open_ledger() as ledger:
        return ledger.lead_steps(steps, datetime.now(UTC))


def _moment(workspace: Workspace, as_of: datetime | None) -> np.datetime64:
    return default_as_of(workspace) if as_of is None else to_datetime64(as_of)


def _parts(workspace: Workspace, rules: LeadRules, as_of: datetime | None, say: Say) -> Iterator[_Part]:
    """Everybody known at a moment, some at a time."""
    moment, learned = _moment(workspace, as_of), _learned(workspace)
    contact_ids, columns = workspace.door.stored_population(moment)
    for start in range(0, len(contact_ids), ROWS_AT_ONCE):
        ids = contact_ids[start : start + ROWS_AT_ONCE]
        some = {name: column[start : start + len(ids)] for name, column in columns.items()}
        probability = np.full(len(ids), np.nan) if learned is None else learned.probability(some, moment)
        yield _Part(ids, rules.score(Rows(some, len(ids))), probability)
        say(f"scored {start + len(ids):,} of {len(contact_ids):,} contacts")


def _learned(workspace: Workspace) -> LeadBundle | None:
    """The learned score, where there is one.

    Raises
    ------
    ContractMismatch
        It was trained on another feature contract.
    """
    try:
        champion = workspace.tracker.champion_bundle("lead")
    except NotFound:
        return None
    bundle = load_bundle(champion.path)
    if not isinstance(bundle, LeadBundle):
        raise ConfigError("the lead model is a bundle of another kind", got=type(bundle).__name__)
    if bundle.contract_hash != workspace.door.contract.hash:
        raise ContractMismatch(
            "the lead model was trained on another feature contract",
            got=bundle.contract_hash,
            allowed=workspace.door.contract.hash,
            hint="run nudge train --only lead",
        )
    return bundle


def _best_of(rules: LeadRules, part: _Part) -> list[dict[str, Any]]:
    rows = np.flatnonzero(part.scored.qualified)
    order = np.lexsort((-part.scored.score[rows], part.scored.grade[rows]))
    return [{"contact_id": str(part.contact_ids[row]), **_about(rules, part, row)} for row in rows[order][:SHOWN].tolist()]


def _about(rules: LeadRules, part: _Part, row: int) -> dict[str, Any]:
    scored, probability = part.scored, float(part.probability[row])
    return {
        "grade": grade_of(scored, row),
        "fit": round(float(scored.fit[row]), 2),
        "score": round(float(scored.score[row]), 2),
        "probability": None if np.isnan(probability) else probability,
        "owner": rules.owner_of(scored, row),
        "reasons": rules.reasons(scored, row),
        "questions": rules.questions(scored, row),
    }


def _new_lead(rules: LeadRules, part: _Part, row: int, now: datetime) -> NewLead:
    about, definition = _about(rules, part, row), rules.definition
    details = {name: about.pop(name) for name in ("reasons", "questions")}
    times = [
        None if hours is None else now + timedelta(hours=hours)
        for hours in (definition.accept_within_hours, definition.first_contact_within_hours)
    ]
    return NewLead(str(part.contact_ids[row]), **about, accept_by=times[0], contact_by=times[1], details=details)


def _first(lead: dict[str, Any]) -> tuple[str, float, str]:
    """Best first: by grade, then by score."""
    return lead["grade"], -(lead["score"] or 0.0), lead["contact_id"]
