"""May this action be proposed to this contact, does it make sense now, is it in the contact's interest?

The treatments' place in the request, the catalogue's SQL conditions and the actions' dates of validity.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from decisioning.candidates import Candidates, Removal, Situation
from decisioning.compiled_catalog import CompiledCatalog
from decisioning.quiet_hours import local_date
from decisioning.rules import Rows
from decisioning.rules.shared import SharedRule
from decisioning.vocabulary import BoolArray, IntArray, Stage


def keep_requested_placements(candidates: Candidates, catalog: CompiledCatalog, situation: Situation) -> None:
    """Take out treatments for another channel or placement than the request's, and of other actions than it names."""
    columns: list[IntArray] = []
    rules: list[tuple[str, str]] = []
    if situation.channel is not None:
        others = [name for name in catalog.on_channel if name != situation.channel]
        columns += [catalog.on_channel[name] for name in others]
        rules += [(f"channel {situation.channel}", name) for name in others]
    if situation.placements:
        elsewhere = [name for name in catalog.in_placement if name not in situation.placements]
        columns += [catalog.in_placement[name] for name in elsewhere]
        rules += [(f"placements {', '.join(situation.placements)}", name or "no placement") for name in elsewhere]
    candidates.remove_of_everyone(columns, lambda place: Removal("placement", rules[place][0], f"it is for {rules[place][1]}"))
    if situation.actions:
        candidates.remove_of_everyone([catalog.beside(situation.actions)], lambda _: not_asked_for(situation.actions))


def not_asked_for(actions: tuple[str, ...]) -> Removal:
    """What takes out every action that the request does not name."""
    return Removal("placement", f"actions {', '.join(actions)}", "it is another action")


def apply_conditions(
    candidates: Candidates, catalog: CompiledCatalog, situation: Situation, *, eligibility_only: BoolArray | None = None
) -> None:
    """Take out what fails eligibility, applicability or suitability, naming the part of the condition that failed.

    Contacts that are `eligibility_only` (shape (n_contacts,)) are judged by eligibility alone.
    """
    rows = situation.rows
    judged = np.ones(rows.length, dtype=np.bool_) if eligibility_only is None else ~eligibility_only
    if rows.length == 1:
        _apply_to_one(candidates, catalog, rows, "eligibility" if not judged[0] else None)
        return
    for rule in catalog.conditions.rules:
        fails = ~rule.expression.holds(rows)
        candidates.remove(fails if rule.stage == "eligibility" else fails & judged, rule.columns, _failed(rule, rows))


def _apply_to_one(candidates: Candidates, catalog: CompiledCatalog, rows: Rows, only: Stage | None) -> None:
    """The same for one contact, without an array an expression; `only` one stage, or all."""
    row = rows.only
    failed = [
        rule
        for rule in catalog.conditions.concerning(candidates.alive[0])
        if rule.expression.on_row(row) != 1 and only in (None, rule.stage)
    ]
    candidates.remove_of_everyone([rule.columns for rule in failed], lambda place: _failed(failed[place], rows))


def _failed(rule: SharedRule, rows: Rows) -> Removal:
    return Removal(rule.stage, rule.expression.text, partial(rule.expression.reads, rows))


def apply_validity(candidates: Candidates, catalog: CompiledCatalog, situation: Situation) -> None:
    """Take out actions outside their dates, both inclusive, read in the catalogue's time zone."""
    if not catalog.valid_on:
        return
    today = local_date(situation.now, catalog.catalog.time_zone)
    over = [days for days in catalog.valid_on if not days[0] <= today <= days[1]]
    candidates.remove_of_everyone(
        [catalog.valid_on[days] for days in over],
        lambda place: Removal("contact_policy", f"valid {over[place][0]} to {over[place][1]}", f"today is {today}"),
    )
