from __future__ import annotations

import re

import pytest

from decisioning.errors import Conflict, NotFound, RequestError
from tests.training.conftest import EmptyBundle, a_run
from training.gate_verdict import Verdict
from training.model_run import ModelVersion
from training.promote import promote, rollback
from training.tracking import Tracker


def aliases(tracker: Tracker) -> dict[int, tuple[str, ...]]:
    return {row.version: row.aliases for row in tracker.versions("uplift")}


def passing(challenger: ModelVersion, champion: ModelVersion) -> Verdict:
    return Verdict(True, f"{challenger.version} earns more than {champion.version}")


def refusing(challenger: ModelVersion, champion: ModelVersion) -> Verdict:
    return Verdict(False, f"{challenger.version} does not surely earn more than {champion.version}", rows_needed=1_200)


def test_the_challenger_becomes_champion_and_the_former_champion_is_tagged(tracker: Tracker) -> None:
    tracker.publish(a_run())
    tracker.publish(a_run())

    done = promote(tracker, "uplift", passing)

    assert (done.version, done.previous, done.promoted) == (2, 1, True)
    assert tracker.champion_bundle("uplift").tags["nudge.promotion_reason"] == done.reason == "2 earns more than 1"
    assert aliases(tracker) == {1: (), 2: ("champion",)}
    assert tracker.versions("uplift")[1].tags["previous_champion"] == "replaced by version 2"


def test_an_older_version_can_be_promoted_by_number_and_by_its_registered_name(tracker: Tracker) -> None:
    for _ in range(3):
        tracker.publish(a_run())

    done = promote(tracker, f"{tracker.project_name}-uplift", passing, version=2)

    assert done.promoted
    assert aliases(tracker) == {1: (), 2: ("champion",), 3: ("challenger",)}


def test_a_forced_promotion_keeps_its_reason(tracker: Tracker) -> None:
    tracker.publish(a_run())
    tracker.publish(a_run())

    done = promote(tracker, "uplift", refusing, force=True, why="the campaign starts tonight")

    assert done.reason == "forced: the campaign starts tonight"
    tags = tracker.champion_bundle("uplift").tags
    assert tags["nudge.promotion_reason"] == done.reason
    assert tags["nudge.forced"] == "the campaign starts tonight"


def test_promoting_the_champion_changes_nothing(tracker: Tracker) -> None:
    tracker.publish(a_run())

    done = promote(tracker, "uplift", passing, version=1)

    assert not done.promoted
    assert done.reason == "version 1 is the champion already"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"model": "upflit"}, NotFound, "no registered model 'NAME-upflit'; allowed: NAME-uplift. Hint: did you mean 'NAME-uplift'?"),
        ({"model": "uplift", "version": 7}, NotFound, "--version: 'NAME-uplift' has no version 7; allowed: 1 (champion)"),
        ({"model": "uplift"}, Conflict, "'NAME-uplift' has no challenger to promote; got 1 (champion)"),
        ({"model": "uplift", "force": True}, RequestError, "--why: a forced promotion needs its reason. Hint: say why"),
        ({"model": "uplift", "force": True, "why": " "}, RequestError, "--why: a forced promotion needs its reason"),
    ],
)
def test_refusals_say_what_exists(tracker: Tracker, arguments: dict[str, object], error: type[Exception], message: str) -> None:
    tracker.publish(a_run())

    with pytest.raises(error, match=re.escape(message.replace("NAME", tracker.project_name))):
        promote(tracker, gate=passing, **arguments)  # type: ignore[arg-type]


def test_what_the_gate_refuses_stays_a_challenger(tracker: Tracker) -> None:
    tracker.publish(a_run())
    tracker.publish(a_run())

    done = promote(tracker, "uplift", refusing)

    assert not done.promoted
    assert (done.version, done.previous, done.reason) == (2, 1, "2 does not surely earn more than 1")
    assert done.verdict is not None
    assert done.verdict.rows_needed == 1_200
    assert aliases(tracker) == {1: ("champion",), 2: ("challenger",)}


def test_where_there_is_no_champion_the_gate_is_not_asked(tracker: Tracker) -> None:
    tracker.publish(a_run())
    tracker.move_alias("uplift", "champion", None)

    done = promote(tracker, "uplift", refusing, version=1)

    assert done.promoted
    assert done.reason == "the first of its kind: there is no champion to beat"


def test_a_rollback_brings_the_previous_champion_back_and_says_why(tracker: Tracker) -> None:
    for _ in range(2):
        tracker.publish(a_run())
    promote(tracker, "uplift", passing)

    done = rollback(tracker, "uplift", why="complaints from the branch")

    assert (done.version, done.previous, done.promoted) == (1, 2, True)
    assert aliases(tracker) == {1: ("champion",), 2: ()}
    assert tracker.versions("uplift")[0].tags["nudge.rolled_back"] == "rolled back from version 2: complaints from the branch"
    assert tracker.champion_bundle("uplift").tags["nudge.promotion_reason"] == done.reason


def test_a_champion_that_has_replaced_nobody_cannot_be_rolled_back(tracker: Tracker) -> None:
    tracker.publish(a_run())

    with pytest.raises(Conflict, match=f"version 1 of '{tracker.project_name}-uplift' has replaced no champion"):
        rollback(tracker, "uplift")


def test_a_version_that_reads_the_features_of_now_takes_the_place_of_a_champion_that_cannot(tracker: Tracker) -> None:
    tracker.publish(a_run())
    tracker.publish(a_run())

    changed = tracker.publish(a_run(bundle=EmptyBundle("ba9876543210")))

    assert changed.alias == "champion"
    assert aliases(tracker) == {1: (), 2: ("challenger",), 3: ("champion",)}
    champion, _, former = tracker.versions("uplift")
    assert champion.tags["nudge.promotion_reason"] == (
        "version 1 cannot read the features of now: it was trained on contract 0123456789ab, this one on ba9876543210"
    )
    assert former.tags["previous_champion"] == "replaced by version 3"
    with pytest.raises(Conflict, match="version 1 of .* was trained on other features and could not serve"):
        rollback(tracker, "uplift")
    assert tracker.champion_version("uplift") == 3
