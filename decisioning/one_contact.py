"""The stages for one contact, now, without an array a step: what `stages.appraise_candidates` says, at a fraction of its cost.

The stages of `stages.py` are the law, and a test holds this file to it for any business. Here the living candidates are the bits of one
integer, a rule that no living candidate asks about is not asked, and what is worth computing is computed in plain floats (`one_worth.py`):
the same operations in the same order, so the same bits. Whatever is out of the ordinary goes through the stages themselves.

Between what can be said without a model and what cannot, whoever decides about several contacts may have them all scored at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from decisioning.candidates import OneScores, Removal, Situation
from decisioning.contact_policy import saw
from decisioning.control import GROUPS, HOLDOUT, TREATED, drawn_for
from decisioning.eligibility import not_asked_for
from decisioning.history import History, ListedPast
from decisioning.one_catalog import Columns, OnePolicy, OneRule, OneTest, places_of
from decisioning.one_worth import OneAppraisal, OneHouse, worth
from decisioning.quiet_hours import local_date, microseconds
from decisioning.stages import Appraisal, House, appraise_candidates
from decisioning.vocabulary import BoolArray

_FEW = 200
"""Up to so many rows of the past, looking through lists costs less than numpy."""

_TREATED, _HELD_OUT = GROUPS.index(TREATED), GROUPS.index(HOLDOUT)


class Opened:
    """One contact's candidates before they are scored: `alive` as bits, and what took the others out, in order; and its control group."""

    __slots__ = ("alive", "group", "history", "situation", "taken")

    def __init__(self, situation: Situation, history: History, group: int, left: tuple[int, list[tuple[int, Removal | OneRule]]]) -> None:
        self.situation = situation
        self.history = history
        self.group = group
        self.alive, self.taken = left

    def remove(self, bits: int, removal: Removal | OneRule) -> None:
        """Take out what is still alive of some treatments."""
        if hit := self.alive & bits:
            self.alive ^= hit
            self.taken.append((hit, removal))

    def mask(self, n_treatments: int) -> BoolArray:
        """Which candidates are alive, shape (1, n_treatments)."""
        alive = np.zeros((1, n_treatments), dtype=np.bool_)
        alive[0, places_of(self.alive)] = True
        return alive


def appraise_one(house: House, situation: Situation, history: History) -> Appraisal | OneAppraisal:
    """`appraise_candidates` for the one contact of `situation`.

    What was taken out before it was scored has no economics here but its cost: nobody asked what it is worth.
    """
    shared = OneHouse(house)
    opened = open_one(shared, situation, history)
    if opened is None:
        return appraise_candidates(house, situation, history)
    return close_one(shared, opened, house.score(situation, opened.mask(shared.own.n_treatments)).of_one)


def open_one(house: OneHouse, situation: Situation, history: History) -> Opened | None:
    """What can be said of the one contact's candidates before they are scored; None where it takes the stages themselves."""
    catalog, own = house.catalog, house.own
    group = drawn_for(str(situation.contact_ids[0]), house.layers)
    if group not in (_TREATED, _HELD_OUT) or _is_out_of_the_ordinary(house, history):
        return None
    alive, taken, tests = own.elsewhere(situation.channel, situation.placements)
    opened = Opened(situation, history, group, (alive, list(taken)))
    if situation.actions:
        others = Columns.of(catalog.beside(situation.actions).tolist())
        opened.remove(others.bits, not_asked_for(situation.actions))
    _conditions(opened, tests)
    for bits, purpose, removal in own.consents:
        granted = situation.granted.get(purpose)
        if granted is None or not granted[0]:
            opened.remove(bits, removal)
    if own.valid_on and opened.alive:
        for bits, removal in own.invalid(local_date(situation.now, catalog.catalog.time_zone)):
            opened.remove(bits, removal)
    if own.policies and opened.alive:
        _policies(opened, own.policies)
    return opened


def close_one(house: OneHouse, opened: Opened, scores: OneScores) -> OneAppraisal:
    """What remains to be said once the contact is scored."""
    return worth(house, opened.situation, opened.history, (opened.alive, opened.taken, opened.group), scores)


def _is_out_of_the_ordinary(house: OneHouse, history: History) -> bool:
    long = len(history.touch_row) > _FEW or len(history.outcome_row) > _FEW
    return bool(history.planned or history.suppressions or long or house.own.of_accounts)


def _conditions(opened: Opened, tests: tuple[OneTest, ...]) -> None:
    row, alive, taken = opened.situation.only, opened.alive, opened.taken
    for bits, left, comparison, fixed, rule in tests:
        hit = alive & bits
        if hit:
            value = left(row)
            if value is None or not comparison(value, fixed):
                alive ^= hit
                taken.append((hit, rule))
    opened.alive = alive


def _policies(opened: Opened, policies: tuple[OnePolicy, ...]) -> None:
    now = microseconds(opened.situation.now)
    history = opened.history
    touches = _rows(history.touches, ("action_id", "channel")) if len(history.touch_row) else []
    outcomes = _rows(history.outcomes, ("action_id", "outcome")) if len(history.outcome_row) else []
    for one in policies:
        past = touches if one.policy.after is None else outcomes
        if len(past) <= one.most or not opened.alive:
            continue
        counted = _counted(one, past, now)
        if len(counted) <= one.most:
            continue
        for columns, action_id in one.together:
            count = len(counted) if action_id is None else counted.count(action_id)
            if count > one.most:
                seen = partial(saw, one.policy, np.array([count]))
                opened.remove(columns.bits, Removal("contact_policy", one.policy.id, seen))


def _counted(one: OnePolicy, past: list[tuple[int, Any, Any]], now: int) -> list[Any]:
    """The actions of what `one` counts: of touches their channel is asked for, of outcomes what happened."""
    wanted = one.policy.channel if one.policy.after is None else one.policy.after
    since, actions = now - one.window, one.actions
    return [
        action
        for at, action, word in past
        if since < at <= now and (wanted is None or word == wanted) and (actions is None or action in actions)
    ]


def _rows(columns: Mapping[str, Any], names: tuple[str, str]) -> list[tuple[int, Any, Any]]:
    if isinstance(columns, ListedPast):
        listed = columns.lists
        return list(zip(listed["at"], listed[names[0]], listed[names[1]], strict=True))
    at = columns["at"].astype("datetime64[us]").astype(np.int64).tolist()
    return list(zip(at, columns[names[0]].tolist(), columns[names[1]].tolist(), strict=True))
