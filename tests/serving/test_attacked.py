"""What a careless or hostile world tries: ids that are used twice, plans upon plans, batches for one contact, times that do not exist."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from decisioning.catalog import parse_catalog
from decisioning.errors import ConfigError, Conflict, Infeasible, NudgeError, RequestError
from serving.plans import archive as plan_archive
from serving.plans.archive import PlanArchive
from serving.realtime.feature_rows import read_feature, to_datetime64
from serving.schemas.decisions import DecisionRequest, OutcomeIn, SuppressionIn
from serving.service import Service
from tests.serving.planning import bind, make, treatments
from tests.serving.small_house import CATALOG, House, small_house

LOAN, CARD = CATALOG["actions"]
MAILED: dict[str, Any] = {
    **CATALOG,
    "actions": [
        {**LOAN, "treatments": [{"id": "loan_email", "channel": "email"}]},
        {**CARD, "treatments": [{"id": "card_email", "channel": "email"}]},
    ],
}
FIVE = {"constraints": [{"id": "mails", "channel": "email", "measure": "contacts", "max": 5}]}
CONTACTS = [f"c-{n}" for n in range(12)]


def settled(house: House) -> House:
    """The house with a few contacts who may be mailed."""
    house.consent(*CONTACTS)
    house.known.rows = {one: {"age": 40.0} for one in CONTACTS}
    return house


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with small_house(tmp_path, MAILED) as made:
        yield settled(made)


def asked(contact_id: str, **more: Any) -> DecisionRequest:
    return DecisionRequest(contact_id=contact_id, channel="email", **more)


def mailed(house: House, contact_id: str, **more: Any) -> list[str]:
    return [one["treatment_id"] for one in house.service.decide(asked(contact_id, **more))["actions"]]


def used(house: House) -> float:
    return float(house.service.prices()["constraints"][0]["used"])


# requests ------------------------------------------------------------------------------------------------------------


def test_a_request_id_of_two_contacts_in_one_batch_answers_the_first_and_refuses_the_second(house: House) -> None:
    first, second = house.service.decide_many([asked("c-1", request_id="r"), asked("c-2", request_id="r")])
    assert isinstance(first, dict)
    assert first["contact_id"] == "c-1"
    assert isinstance(second, Conflict)


def test_a_request_id_repeated_in_one_batch_is_one_decision(house: House) -> None:
    answers = house.service.decide_many([asked("c-1", request_id="r")] * 5)
    assert len({one["decision_id"] for one in answers if isinstance(one, dict)}) == 1
    assert all(isinstance(one, dict) for one in answers)


def test_a_large_batch_for_one_contact_gets_what_its_cap_allows_and_nobody_is_turned_away(tmp_path: Path) -> None:
    cap = [{"id": "email_week", "channel": "email", "max": 45, "per_days": 7}]
    with small_house(tmp_path, {**MAILED, "contact_policy": cap}) as house:
        answers = settled(house).service.decide_many([asked("c-1")] * 60)
        assert not [one for one in answers if isinstance(one, NudgeError)]
        assert sum(len(one["actions"]) for one in answers if isinstance(one, dict)) == 45


def test_a_banner_in_a_batch_gives_way_to_the_mail_beside_it(tmp_path: Path) -> None:
    each = {**CATALOG, "contact_policy": [{"id": "each", "action": "*", "max": 1, "per_days": 7}], "actions": [LOAN]}
    with small_house(tmp_path, each) as house:
        mail, banner = settled(house).service.decide_many([asked("c-1"), DecisionRequest(contact_id="c-1", channel="web")])
        assert isinstance(mail, dict)
        assert isinstance(banner, dict)
        assert (len(mail["actions"]), banner["actions"]) == (1, [])


@pytest.mark.parametrize("value", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00", "never", 20261122, True])
def test_a_time_that_does_not_exist_is_refused(value: object) -> None:
    with pytest.raises(RequestError, match="wrong type"):
        read_feature("since", value, "timestamp")


def test_an_account_that_changes_with_every_request_does_not_open_the_contacts_own_cap(tmp_path: Path) -> None:
    caps = [{"id": "firm", "scope": "account", "max": 1, "per_days": 7}, {"id": "own", "max": 2, "per_days": 7}]
    with small_house(tmp_path, {**MAILED, "contact_policy": caps}) as house:
        settled(house)
        assert [len(mailed(house, "c-1", features={"account_id": name})) for name in ("a", "a", "b", "c")] == [1, 0, 1, 0]
        assert [len(mailed(house, "c-2", features={"account_id": name})) for name in ("a", None)] == [0, 1]


def test_everything_switched_off_is_switched_on_again_by_lifting_or_by_time(house: House) -> None:
    house.service.suppress("c-1", SuppressionIn(until=house.clock.now + timedelta(days=5)))
    house.service.suppress("c-2", SuppressionIn(until=house.clock.now + timedelta(days=5), action_id="loan", channel="email"))
    assert (mailed(house, "c-1"), mailed(house, "c-2")) == ([], ["card_email"])
    house.service.suppress("c-1", SuppressionIn(until=house.clock.now))
    assert mailed(house, "c-1") == ["loan_email"]
    house.clock.advance(days=8)
    assert mailed(house, "c-2") == ["loan_email"]


# plans ---------------------------------------------------------------------------------------------------------------


def test_each_planned_treatment_is_redeemed_once_and_the_others_stay_reserved(tmp_path: Path) -> None:
    cap = [{"id": "email_week", "channel": "email", "max": 2, "per_days": 7}]
    with small_house(tmp_path, {**MAILED, "treatments_per_contact": 2, "contact_policy": cap}) as house:
        assert treatments(bind(settled(house), make(house, ["c-1"]))) == {"c-1": ["loan_email", "card_email"]}
        assert [mailed(house, "c-1") for _ in range(3)] == [["loan_email"], ["card_email"], []]


def test_a_reservation_is_redeemed_once_where_no_cap_asks(tmp_path: Path) -> None:
    with small_house(tmp_path, {**MAILED, **FIVE, "contact_policy": []}) as house:
        assert len(treatments(bind(settled(house), make(house, CONTACTS[:3])))) == 3
        answers = house.service.decide_many([asked("c-1")] * 6)
        assert sum(len(one["actions"]) for one in answers if isinstance(one, dict)) == 1 + 2
        assert used(house) == 5


def test_prices_alone_do_not_forget_what_the_plan_before_them_reserved(tmp_path: Path) -> None:
    with small_house(tmp_path, {**MAILED, **FIVE}) as house:
        planned = bind(settled(house), make(house, CONTACTS))
        again = make(house, CONTACTS)
        assert again.plan_id == planned.plan_id
        bind(house, again, prices_only=True)
        assert house.service.prices()["id"] != planned.plan_id
        assert used(house) == 5  # what was reserved is used, under the new prices too
        assert mailed(house, "nobody-yet") == []
        bind(house, make(house, CONTACTS))
        assert (house.service.prices()["id"], used(house)) == (planned.plan_id, 5)
        assert sum(len(mailed(house, one)) for one in CONTACTS) == 5  # those that were reserved


def test_prices_published_again_do_not_begin_their_period_again(house: House) -> None:
    bind(house, make(house, CONTACTS), prices_only=True)
    begun, moment = house.service.prices()["period"]["begins_at"], to_datetime64(house.clock.now)
    house.clock.advance(days=3)
    bind(house, make(house, CONTACTS, moment), prices_only=True)
    assert house.service.prices()["period"]["begins_at"] == begun


def test_a_plan_for_the_same_moment_after_an_outcome_counts_what_the_first_one_sent(house: House) -> None:
    moment = to_datetime64(house.clock.now)
    first = bind(house, make(house, CONTACTS, moment))
    assert make(house, CONTACTS, moment).plan_id == first.plan_id
    house.service.record_outcomes([OutcomeIn(event_id="e", contact_id="c-0", outcome="sale")])
    second = bind(house, make(house, CONTACTS, moment))
    assert second.plan_id != first.plan_id
    assert (len(treatments(first)), treatments(second)) == (len(CONTACTS), {})
    assert make(house, CONTACTS, moment).plan_id == second.plan_id


def test_what_was_raced_is_made_again_as_it_was_planned(tmp_path: Path) -> None:
    with small_house(tmp_path, MAILED) as house:
        archive = PlanArchive(tmp_path / "plans")
        service = Service(settled(house).snapshots, house.ledger, house.clock, plans=archive)
        planned = make(house, CONTACTS)
        assert mailed(house, "c-0")
        archive.keep(planned)
        held = bind(house, planned)
        assert "c-0" not in treatments(held)
        assert all(service.replay(one)["identical"] for one in held.decision_ids[:2])


def test_a_banner_planned_for_whom_was_mailed_meanwhile_is_dropped(tmp_path: Path) -> None:
    with small_house(tmp_path, {**CATALOG, "contact_policy": [{"id": "each", "action": "*", "max": 1, "per_days": 7}]}) as house:
        planned = make(settled(house), ["c-0", "c-1"])
        assert treatments(planned) == {"c-0": ["loan_hero"], "c-1": ["loan_hero"]}
        assert mailed(house, "c-0") == ["loan_email"]
        assert treatments(bind(house, planned)) == {"c-1": ["loan_hero"]}


def test_a_killed_run_of_the_same_process_id_is_in_nobodys_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)  # what a kill leaves undone
    with small_house(tmp_path, MAILED) as house:
        planned = make(settled(house), CONTACTS)
        with monkeypatch.context() as killed:
            killed.setattr(plan_archive, "_write", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                PlanArchive(tmp_path / "plans").keep(planned)
        PlanArchive(tmp_path / "plans").keep(planned)
        assert (tmp_path / "plans" / planned.plan_id / "inputs.json").exists()


def test_a_minimum_that_nobody_can_reach_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    crowd = {"constraints": [{"id": "crowd", "channel": "email", "measure": "contacts", "min": 99}]}
    with small_house(tmp_path, {**MAILED, **crowd}) as house:
        with pytest.raises(Infeasible, match="`crowd` asks for 99 contacts"):
            make(settled(house), CONTACTS)
        assert house.ledger.prices() is None
        assert mailed(house, "c-1")


@pytest.mark.parametrize("measure", ["cost", "contacts"])
def test_a_limit_of_zero_closes_everything_it_counts(tmp_path: Path, measure: str) -> None:
    with small_house(tmp_path, {**MAILED, "constraints": [{"id": "closed", "measure": measure, "max": 0}]}) as house:
        assert treatments(bind(settled(house), make(house, CONTACTS))) == {}
        assert [mailed(house, one) for one in CONTACTS[:2]] == [[], []]
        assert treatments(bind(house, make(house, []))) == {}


def test_a_renamed_constraint_has_no_price_and_its_own_limit(tmp_path: Path) -> None:
    with small_house(tmp_path, {**MAILED, **FIVE}) as house:
        bind(settled(house), make(house, CONTACTS))
        house.source.exchange({**MAILED, "constraints": [{"id": "letters", "channel": "email", "measure": "contacts", "max": 0}]})
        house.snapshots.refresh()
        (line,) = house.service.prices()["constraints"]
        assert (line["id"], line["published_price"], line["room"]) == ("letters", 0, 0)
        assert mailed(house, "c-11") == []


def test_a_constraint_cannot_take_the_meter_of_exploration() -> None:
    with pytest.raises(ConfigError, match="own meters"):
        parse_catalog({**MAILED, "constraints": [{"id": "~exploration", "measure": "cost", "max": 5}]})
