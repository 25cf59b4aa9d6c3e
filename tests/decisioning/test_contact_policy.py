"""Contact policies: rolling windows to the microsecond, what they count and whom they bind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from decisioning.candidates import Candidates, Situation
from decisioning.contact_policy import apply_contact_policy
from decisioning.history import History
from tests.decisioning.strategies import DAY, NOW, compiled, history_of, make_action, make_catalog, situation_of

MICROSECOND = np.timedelta64(1, "us")
ACTIONS = [make_action("loan", group="lending"), make_action("card", group="cards"), make_action("care", group="cards", issue="service")]
Touch = tuple[int, str, str, np.datetime64]


def left(policy: dict[str, Any], touches: list[Touch] | None = None, outcomes: list[Touch] | None = None, **more: Any) -> set[str]:
    """The treatments of the first of two contacts that `policy` leaves."""
    catalog = compiled(make_catalog(more.get("actions", ACTIONS), contact_policy=[{"id": "it", **policy}]))
    situation: Situation = situation_of(2)
    candidates = Candidates(2, len(catalog.treatments))
    apply_contact_policy(candidates, catalog, situation, history_of(situation, touches or [], outcomes or []))
    return {treatment.id for alive, (_, treatment) in zip(candidates.alive[0], catalog.treatments, strict=True) if alive}


ALL = {f"{action}_{channel}" for action in ("loan", "card", "care") for channel in ("email", "call", "web")}


@pytest.mark.parametrize(
    ("at", "counts"),
    [
        (NOW, True),
        (NOW + MICROSECOND, False),
        (NOW + DAY, False),
        (NOW - DAY, True),
        (NOW - 7 * DAY + MICROSECOND, True),
        (NOW - 7 * DAY, False),
        (NOW - 8 * DAY, False),
        (np.datetime64("NaT", "us"), False),
    ],
)
def test_a_window_begins_after_exactly_per_days_and_ends_with_now(at: np.datetime64, counts: bool) -> None:
    assert left({"max": 1, "per_days": 7}, [(0, "loan", "email", at)]) == (set() if counts else ALL)


def test_a_window_may_be_a_part_of_a_day() -> None:
    half = np.timedelta64(12, "h")
    assert left({"max": 1, "per_days": 0.5}, [(0, "loan", "email", NOW - half + MICROSECOND)]) == set()
    assert left({"max": 1, "per_days": 0.5}, [(0, "loan", "email", NOW - half)]) == ALL


def test_a_cap_is_used_up_by_max_touches_and_not_by_one_less() -> None:
    touches = [(0, "loan", "email", NOW - DAY), (0, "card", "web", NOW - 2 * DAY)]
    assert left({"max": 3, "per_days": 7}, touches) == ALL
    assert left({"max": 2, "per_days": 7}, touches) == set()


def test_a_cap_of_zero_lets_nothing_pass() -> None:
    assert left({"max": 0, "per_days": 7, "channel": "call"}) == {one for one in ALL if "call" not in one}


def test_another_contacts_touches_do_not_count() -> None:
    assert left({"max": 1, "per_days": 7}, [(1, "loan", "email", NOW)]) == ALL


@pytest.mark.parametrize(
    ("policy", "touch", "gone"),
    [
        ({"channel": "email"}, ("card", "email"), {"loan_email", "card_email", "care_email"}),
        ({"channel": "email"}, ("card", "web"), set()),
        ({"action": "loan"}, ("loan", "web"), {"loan_email", "loan_call", "loan_web"}),
        ({"action": "loan"}, ("card", "web"), set()),
        ({"group": "cards"}, ("care", "call"), {one for one in ALL if not one.startswith("loan")}),
        ({"group": "cards"}, ("loan", "call"), set()),
        ({"issue": "sales"}, ("loan", "call"), {one for one in ALL if not one.startswith("care")}),
        ({"issue": "sales"}, ("care", "call"), set()),
        ({"action": "*"}, ("card", "call"), {"card_email", "card_call", "card_web"}),
        ({"action": "*", "channel": "email"}, ("card", "email"), {"card_email"}),
        ({"action": "*", "channel": "email"}, ("card", "call"), set()),
        ({"channel": "call", "issue": "sales"}, ("card", "call"), {"loan_call", "card_call"}),
        ({}, ("gone_from_the_catalogue", "fax"), ALL),
        ({"issue": "sales"}, ("gone_from_the_catalogue", "fax"), set()),
    ],
)
def test_a_cap_counts_and_holds_back_what_its_keys_name(policy: dict[str, Any], touch: tuple[str, str], gone: set[str]) -> None:
    assert left({"max": 1, "per_days": 7, **policy}, [(0, *touch, NOW - DAY)]) == ALL - gone


def test_the_touches_of_a_group_add_up_but_those_of_a_star_do_not() -> None:
    touches = [(0, "card", "web", NOW), (0, "care", "web", NOW)]
    assert left({"max": 2, "per_days": 7, "group": "cards"}, touches) == {one for one in ALL if one.startswith("loan")}
    assert left({"max": 2, "per_days": 7, "action": "*"}, touches) == ALL


@pytest.mark.parametrize(
    ("policy", "outcome", "gone"),
    [
        ({}, ("loan", "reject"), ALL),
        ({}, ("loan", "sale"), set()),
        ({"action": "*"}, ("loan", "reject"), {"loan_email", "loan_call", "loan_web"}),
        ({"action": "*"}, (None, "reject"), set()),
        ({"issue": "sales"}, ("care", "reject"), {one for one in ALL if not one.startswith("care")}),
        ({"channel": "call"}, ("loan", "reject"), {one for one in ALL if "call" in one}),
        ({"action": "card"}, ("loan", "reject"), {"card_email", "card_call", "card_web"}),
    ],
)
def test_a_cool_off_silences_what_its_keys_name_after_its_outcome(policy: dict[str, Any], outcome: tuple[str, str], gone: set[str]) -> None:
    found = left({"after": "reject", "suppress_days": 30, **policy}, outcomes=[(0, *outcome, NOW - DAY)])
    assert found == ALL - gone


@pytest.mark.parametrize(("at", "silent"), [(NOW, True), (NOW - 30 * DAY + MICROSECOND, True), (NOW - 30 * DAY, False), (NOW + DAY, False)])
def test_a_cool_off_ends_after_exactly_its_days(at: np.datetime64, silent: bool) -> None:
    policy = {"after": "reject", "suppress_days": 30}
    assert left(policy, outcomes=[(0, "loan", "reject", at)]) == (set() if silent else ALL)


def test_mandatory_and_transactional_actions_are_not_bound() -> None:
    actions = [make_action("notice", kind="mandatory"), make_action("receipt", kind="transactional"), make_action("loan")]
    touches, outcomes = [(0, "loan", "email", NOW)] * 9, [(0, "notice", "reject", NOW)]
    bound = {"notice_email", "notice_call", "notice_web", "receipt_email", "receipt_call", "receipt_web"}
    assert left({"max": 1, "per_days": 7}, touches, actions=actions) == bound
    assert left({"after": "reject", "suppress_days": 7}, outcomes=outcomes, actions=actions) == bound


def test_the_first_policy_that_is_reached_is_named_with_its_count() -> None:
    policies = [
        {"id": "week", "max": 2, "per_days": 7},
        {"id": "day", "max": 1, "per_days": 1},
        {"id": "hush", "after": "reject", "suppress_days": 5},
    ]
    catalog = compiled(make_catalog(ACTIONS, contact_policy=policies))
    situation = situation_of(2)
    candidates = Candidates(2, len(catalog.treatments))
    past = history_of(situation, [(0, "loan", "web", NOW - 2 * DAY), (0, "loan", "web", NOW)], [(1, "loan", "reject", NOW)])
    apply_contact_policy(candidates, catalog, situation, past)
    first, second = candidates.removal(0, 0), candidates.removal(1, 0)
    assert first is not None
    assert second is not None
    assert (first.stage, first.rule, first.detail(0)) == ("contact_policy", "week", "at most 2 per 7 days; 2 so far")
    assert (second.rule, second.detail(1)) == ("hush", "silence for 5 days after reject")


def test_a_history_keeps_only_the_rows_of_its_contacts() -> None:
    columns = {"contact_id": np.array(["b", "x", "a", "b"], dtype=object), "action_id": np.array(["1", "2", "3", "4"], dtype=object)}
    history = History.of(["a", "b"], columns, columns)
    assert history.touch_row.tolist() == [1, 0, 1]
    assert history.touches["action_id"].tolist() == ["1", "3", "4"]
