"""The verbs of the service, over a real ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from decisioning.errors import Conflict, NotFound, NudgeError, RequestError, Unavailable
from serving.realtime.scorer import Scorer
from serving.schemas.decisions import DecisionRequest, DecisionTrace, OutcomeIn
from serving.schemas.hot_answers import DecisionAnswer
from tests.serving.small_house import CATALOG, House, small_house


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with small_house(tmp_path) as made:
        yield made


def ask(house: House, contact_id: str, **more: Any) -> dict[str, Any]:
    answer = house.service.decide(DecisionRequest(contact_id=contact_id, **more))
    msgspec.convert(answer, DecisionAnswer)  # no name less, and none more
    return answer


def chosen(answer: dict[str, Any]) -> list[str]:
    return [action["treatment_id"] for action in answer["actions"]]


def test_the_treatment_of_the_highest_expected_profit_wins(house: House) -> None:
    answer = ask(house, "adult", channel="web", placements=["home_hero"])
    assert chosen(answer) == ["loan_hero"]
    assert answer["actions"][0]["expected_profit"] == pytest.approx(0.1 * 100)
    assert answer["no_action"] is None


def test_two_placements_get_two_actions_and_no_action_twice(house: House) -> None:
    assert chosen(ask(house, "adult", channel="web", placements=["home_hero", "offer_strip"])) == ["loan_hero", "card_strip"]


def test_the_request_context_can_turn_the_ranking(house: House) -> None:
    assert chosen(ask(house, "adult", channel="web", placements=["home_hero"], context={"intent": "pay"})) == ["card_hero"]


def test_what_was_filtered_is_explained_with_what_the_rule_saw(house: House) -> None:
    filtered = {one["treatment_id"]: one for one in ask(house, "child", explain=True)["filtered"]}
    loan = {"treatment_id": "loan_hero", "action_id": "loan", "channel": "web"}
    assert filtered["loan_hero"] == {**loan, "stage": "eligibility", "rule": "age >= 18", "detail": "age is 12"}


def test_absence_of_consent_is_never_consent(house: House) -> None:
    assert chosen(ask(house, "adult", channel="email")) == []
    house.consent("adult")
    assert chosen(ask(house, "adult", channel="email")) == ["loan_email"]


def test_an_outbound_decision_reserves_its_place_under_the_cap(house: House) -> None:
    house.consent("adult")
    assert chosen(ask(house, "adult", channel="email")) == ["loan_email"]
    again = ask(house, "adult", channel="email", explain=True)
    assert (chosen(again), again["filtered"][0]["rule"]) == ([], "email_week")
    house.clock.advance(days=8)
    assert chosen(ask(house, "adult", channel="email")) == ["loan_email"]


def test_a_banner_that_nobody_answered_touches_nobody(house: House) -> None:
    for _ in range(3):
        assert chosen(ask(house, "adult", channel="web", placements=["home_hero"])) == ["loan_hero"]


def test_a_rejected_action_is_silent_and_the_others_are_not(house: House) -> None:
    answer = ask(house, "adult", channel="web", placements=["home_hero"])
    outcome = OutcomeIn(event_id="e-1", decision_id=answer["decision_id"], outcome="reject")
    assert house.service.record_outcomes([outcome]) == {"accepted": 1, "duplicates": 0, "rejected": []}
    house.clock.advance(hours=1)
    assert chosen(ask(house, "adult", channel="web", placements=["home_hero"])) == ["card_hero"]


def test_a_message_waits_for_the_end_of_the_quiet_hours(house: House) -> None:
    house.consent("adult")
    house.clock.advance(hours=10)  # 23:00 in Warsaw
    assert ask(house, "adult", channel="email")["actions"][0]["send_at"] == "2026-11-23T07:00:00Z"


def test_an_unknown_contact_is_decided_from_given_features(house: House) -> None:
    nothing_known = ask(house, "stranger", channel="web", placements=["home_hero"])
    assert (chosen(nothing_known), nothing_known["contact_known"]) == (["card_hero"], False)
    assert chosen(ask(house, "stranger", channel="web", placements=["home_hero"], features={"age": 30})) == ["loan_hero"]


def test_a_given_feature_of_the_wrong_type_is_refused_by_name(house: House) -> None:
    with pytest.raises(RequestError, match=r"features\.age: is of the wrong type; got 'forty'; allowed: int or null"):
        ask(house, "adult", features={"age": "forty"})


def test_an_unknown_channel_or_placement_is_refused_by_name(house: House) -> None:
    with pytest.raises(RequestError, match="channel: unknown channel; got fax; allowed: web, email"):
        ask(house, "adult", channel="fax")
    with pytest.raises(RequestError, match=r"placements\[0\]: unknown placement; got attic"):
        ask(house, "adult", channel="web", placements=["attic"])


def test_features_that_cannot_be_read_give_a_degraded_answer(house: House) -> None:
    house.known.broken = True
    answer = ask(house, "adult", channel="web", placements=["home_hero"])
    assert (answer["degraded"], chosen(answer)) == ("features_unavailable", ["card_hero"])


def test_features_that_were_read_before_stand_in_for_a_store_that_does_not_answer(house: House) -> None:
    asked = {"channel": "web", "placements": ["home_hero"]}
    before = ask(house, "adult", **asked)
    house.known.broken = True
    answer = ask(house, "adult", **asked)
    assert (answer["degraded"], chosen(answer)) == ("cached features as of 2026-11-22T06:00:00Z", chosen(before))
    assert house.service.replay(answer["decision_id"])["identical"]
    assert ask(house, "child", **asked)["degraded"] == "features_unavailable"


def test_a_decision_that_fails_shows_the_fallback_and_says_so(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.realtime.choosing.choose", lambda *_, **__: 1 / 0)
    answer = ask(house, "adult", channel="web", placements=["home_hero"])
    assert (answer["degraded"], chosen(answer), answer["actions"][0]["traffic"]) == ("scores_unavailable", ["brand_banner"], "fallback")
    assert house.service.decision(answer["decision_id"])["decision_id"] == answer["decision_id"]


def test_requests_decided_together_get_what_each_would_get_alone(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [
        {"contact_id": "adult", "channel": "web", "placements": ["home_hero"], "dry_run": True},
        {"contact_id": "child", "channel": "web", "dry_run": True},
        {"contact_id": "child", "channel": "web", "features": {"age": 40, "no_such_feature": 1}, "dry_run": True},
        {"contact_id": "child", "features": {"age": "old"}, "dry_run": True},
        {"contact_id": "nobody", "dry_run": True, "limit": 3},
    ]
    requests = [DecisionRequest.model_validate(one) for one in asked]

    def said(answers: Sequence[Any]) -> list[Any]:
        return [
            one if isinstance(one, NudgeError) else {name: one[name] for name in ("actions", "no_action", "degraded", "contact_known")}
            for one in answers
        ]

    together = said(house.service.decide_many(requests))
    alone = said([house.service.decide_many([one])[0] for one in requests])
    assert [str(one) for one in together] == [str(one) for one in alone]
    assert isinstance(together[3], RequestError)
    assert together[0]["actions"]
    monkeypatch.setattr(Scorer, "of_each", lambda *_: 1 / 0)
    assert [str(one) for one in said(house.service.decide_many(requests))] == [str(one) for one in alone]


def test_an_answer_is_in_the_ledger_with_its_whole_trace(house: House) -> None:
    answer = ask(house, "adult", channel="web", placements=["home_hero"], explain=True)
    trace = house.service.decision(answer["decision_id"])
    DecisionTrace.model_validate(trace)
    assert trace["features"]["age"] == 40
    assert {one["treatment_id"]: one["removed_by"] for one in trace["candidates"]}["loan_email"] == "placement: channel web"
    assert trace["response"]["actions"] == answer["actions"]


def test_a_dry_run_leaves_no_trace(house: House) -> None:
    answer = ask(house, "adult", channel="web", dry_run=True)
    assert chosen(answer)
    with pytest.raises(NotFound):
        house.service.decision(answer["decision_id"])


def test_the_same_request_id_within_a_day_gets_the_same_decision(house: House) -> None:
    first = ask(house, "adult", channel="web", request_id="r-1")
    again = ask(house, "adult", channel="web", request_id="r-1")
    assert {**again, "took_ms": None} == {**first, "took_ms": None}
    assert list(again["took_ms"]) == list(first["took_ms"]) == ["features", "score", "decide", "log", "total"]
    assert again["took_ms"]["total"] > again["took_ms"]["score"] == 0.0
    house.clock.advance(hours=25)
    assert ask(house, "adult", channel="web", request_id="r-1")["decision_id"] != first["decision_id"]


def test_a_batch_answers_each_request_and_refuses_the_bad_one_alone(house: House) -> None:
    good, bad = DecisionRequest(contact_id="adult", channel="web"), DecisionRequest(contact_id="adult", channel="fax")
    first, refused, last = house.service.decide_many([good, bad, good])
    assert isinstance(refused, RequestError)
    assert isinstance(first, dict) and isinstance(last, dict) and first["decision_id"] != last["decision_id"]
    assert house.service.decision(first["decision_id"])["contact_id"] == "adult"


def test_the_held_out_get_nothing_and_the_answer_says_so(tmp_path: Path) -> None:
    with small_house(tmp_path, {**CATALOG, "controls": {"holdout": 1.0}}) as house:
        answer = ask(house, "adult", channel="web", placements=["home_hero"])
        assert (answer["control_group"], chosen(answer), answer["no_action"]["reason"]) == ("holdout", [], "holdout")


def limited_house(folder: Path, **constraint: Any) -> AbstractContextManager[House]:
    return small_house(folder, {**CATALOG, "constraints": [{"id": "heroes", "measure": "contacts"} | constraint]})


def test_a_shadow_price_can_make_silence_worth_more(tmp_path: Path) -> None:
    with limited_house(tmp_path, channel="web", max=10) as scarce:
        scarce.price(heroes=11.0)
        answer = ask(scarce, "adult", channel="web", placements=["home_hero"])
        assert (chosen(answer), answer["no_action"]["reason"]) == ([], "limits")


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        ({"decision_id": "none-such", "outcome": "sale"}, "unknown decision 'none-such', and no contact_id to keep the outcome for"),
        ({"contact_id": "adult", "outcome": "sail"}, "unknown outcome 'sail'; allowed: sale, reject. Hint: did you mean 'sale'?"),
        ({"contact_id": "adult", "outcome": "sale", "treatment_id": "x"}, "unknown treatment 'x'"),
    ],
)
def test_an_outcome_that_cannot_be_placed_is_rejected_with_its_index(house: House, outcome: dict[str, Any], reason: str) -> None:
    good = OutcomeIn(event_id="e-good", contact_id="adult", outcome="sale", value=10.0)
    answer = house.service.record_outcomes([good, OutcomeIn(event_id="e-bad", **outcome)])
    assert answer == {"accepted": 1, "duplicates": 0, "rejected": [{"index": 1, "reason": reason}]}


def test_an_outcome_counts_once_however_often_it_comes(house: House) -> None:
    outcome = OutcomeIn(event_id="e-1", contact_id="adult", outcome="sale", value=10.0)
    assert house.service.record_outcomes([outcome, outcome])["duplicates"] == 1
    assert house.service.record_outcomes([outcome])["duplicates"] == 1
    assert [one["event_id"] for one in house.service.contact("adult")["outcomes"]] == ["e-1"]


def test_an_outcome_after_its_window_is_kept_and_marked_late(house: House) -> None:
    decision_id = ask(house, "adult", channel="web")["decision_id"]
    house.clock.advance(days=31)
    assert house.service.record_outcomes([OutcomeIn(event_id="e-1", decision_id=decision_id, outcome="sale")])["accepted"] == 1
    assert house.service.decision(decision_id)["outcomes"][0]["late"] is True


def test_a_contact_is_seen_whole_and_an_unknown_one_is_not_found(house: House) -> None:
    house.consent("adult")
    ask(house, "adult", channel="web")
    seen = house.service.contact("adult")
    assert (seen["features"]["city"], len(seen["decisions"]), seen["consents"][0]["purpose"]) == ("Łódź", 1, "email_marketing")
    assert seen["segment"] == "persuadable"
    with pytest.raises(NotFound):
        house.service.contact("nobody")


def test_a_new_catalogue_is_swapped_in_whole_and_a_broken_one_is_refused(house: House) -> None:
    before = ask(house, "adult", channel="web")["versions"]["catalog"]
    house.source.exchange({**CATALOG, "version": "2"})
    assert house.snapshots.refresh()
    assert ask(house, "adult", channel="web")["versions"]["catalog"] != before
    house.source.exchange({**CATALOG, "actions": []})
    assert not house.snapshots.refresh()
    assert ask(house, "adult", channel="web")["versions"]["catalog"].startswith("2#")
    assert "serving the old version" in house.service.readiness()["catalog"]["detail"]


def test_a_request_id_of_another_contact_is_a_conflict(house: House) -> None:
    ask(house, "adult", channel="web", request_id="r-1")
    with pytest.raises(Conflict, match="request_id: this request_id was used for another contact"):
        ask(house, "child", channel="web", request_id="r-1")


def test_a_ledger_whose_file_is_gone_decides_nothing(house: House, tmp_path: Path) -> None:
    ask(house, "adult", channel="web")
    (tmp_path / "ledger.db").rename(tmp_path / "elsewhere.db")
    assert house.service.readiness()["ledger"]["ok"] is False
    with pytest.raises(Unavailable, match="removed or replaced"):
        ask(house, "adult", channel="web")
