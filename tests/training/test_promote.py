from __future__ import annotations

import re

import pytest

from decisioning.errors import Conflict, NotFound, RequestError
from tests.training.conftest import a_run
from training.promote import promote
from training.tracking import Tracker


def aliases(tracker: Tracker) -> dict[int, tuple[str, ...]]:
    return {row.version: row.aliases for row in tracker.versions("uplift")}


def test_the_challenger_becomes_champion_and_the_former_champion_is_tagged(tracker: Tracker) -> None:
    tracker.publish(a_run())
    tracker.publish(a_run())

    done = promote(tracker, "uplift")

    assert (done.version, done.previous, done.promoted) == (2, 1, True)
    assert aliases(tracker) == {1: (), 2: ("champion",)}
    assert tracker.versions("uplift")[1].tags["previous_champion"] == "replaced by version 2"


def test_an_older_version_can_be_promoted_by_number_and_by_its_registered_name(tracker: Tracker) -> None:
    for _ in range(3):
        tracker.publish(a_run())

    done = promote(tracker, f"{tracker.project_name}-uplift", version=2)

    assert done.promoted
    assert aliases(tracker) == {1: (), 2: ("champion",), 3: ("challenger",)}


def test_a_forced_promotion_keeps_its_reason(tracker: Tracker) -> None:
    tracker.publish(a_run())
    tracker.publish(a_run())

    done = promote(tracker, "uplift", force=True, why="the campaign starts tonight")

    assert done.reason == "forced: the campaign starts tonight"
    assert tracker.champion_bundle("uplift").tags["nudge.promotion_reason"] == done.reason


def test_promoting_the_champion_changes_nothing(tracker: Tracker) -> None:
    tracker.publish(a_run())

    done = promote(tracker, "uplift", version=1)

    assert not done.promoted
    assert done.reason == "version 1 is the champion already"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"model": "upflit"}, NotFound, "no registered model 'NAME-upflit'; allowed: NAME-uplift. Hint: did you mean 'NAME-uplift'?"),
        ({"model": "uplift", "version": 7}, NotFound, "--version: 'NAME-uplift' has no version 7; allowed: 1 (champion)"),
        ({"model": "uplift"}, Conflict, "'NAME-uplift' has no challenger to promote; got 1 (champion)"),
        ({"model": "uplift", "force": True}, RequestError, '--why: a forced promotion needs its reason. Hint: add --why "..."'),
        ({"model": "uplift", "force": True, "why": " "}, RequestError, "--why: a forced promotion needs its reason"),
    ],
)
def test_refusals_say_what_exists(tracker: Tracker, arguments: dict[str, object], error: type[Exception], message: str) -> None:
    tracker.publish(a_run())

    with pytest.raises(error, match=re.escape(message.replace("NAME", tracker.project_name))):
        promote(tracker, **arguments)  # type: ignore[arg-type]
