"""What is watched between trainings: moved features, promises that were not kept, and places where nothing can be learned."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from decisioning.vocabulary import Dtype
from training.watching import Choices, calibrations, moved, starvation

NOW = np.datetime64("2026-11-22", "us")
DTYPES: dict[str, Dtype] = {"age": "float", "city": "string", "joined": "date"}


def contacts(n: int, *, age: float = 40.0, seed: int = 7) -> tuple[dict[str, Any], Any]:
    rng = np.random.default_rng(seed)
    city = rng.choice(np.array(["Łódź", "Kraków", None], dtype=object), n)
    joined = NOW - rng.integers(1, 900, n).astype("timedelta64[D]").astype("timedelta64[us]")
    return {"age": rng.normal(age, 10.0, n), "city": city, "joined": joined}, np.full(n, NOW)


def test_the_feature_that_moved_is_named_and_the_others_are_not() -> None:
    found = moved(contacts(1_500), contacts(800, age=55.0, seed=8), DTYPES, seed=7)

    assert found is not None
    assert (found.before, found.after) == (1_500, 800)
    assert next(iter(found.indices)) == "age"
    assert found.area > 0.7
    assert found.alarms[0].startswith("features moved since the champion was trained (stability index above 0.25): age (")
    assert "city" not in found.alarms[0]


def test_where_nothing_moved_nothing_is_said() -> None:
    found = moved(contacts(1_500), contacts(800, seed=8), DTYPES, seed=7)

    assert found is not None
    assert found.alarms == ()
    assert abs(found.area - 0.5) < 4 * found.area_error
    assert moved(contacts(1_500), contacts(50), DTYPES, seed=7) is None


def choices(n: int = 400, **changes: Any) -> Choices:
    rng = np.random.default_rng(7)
    kept = {
        "action": np.full(n, "loan"),
        "channel": np.full(n, "email"),
        "promised": np.full(n, 0.1),
        "responded": rng.random(n) < 0.1,
        "heard": rng.random(n) < 0.5,
        "chance": np.full(n, 0.9),
    }
    return Choices(**{**kept, **changes})


def test_what_learns_well_raises_no_alarm() -> None:
    assert starvation(choices(), [("loan", "email")]) == ()
    assert not calibrations(choices())[0].drifted


@pytest.mark.parametrize(
    ("changes", "alarm"),
    [
        ({"heard": np.zeros(400, dtype=bool)}, "loan on email: no outcome of 400 choices has arrived: is their feed broken?"),
        (
            {"responded": np.ones(400, dtype=bool)},
            "loan on email: every one of 400 choices was followed by a response: are only responses reported?",
        ),
        ({"responded": np.zeros(400, dtype=bool)}, "loan on email: no response to 400 choices, where 40 were promised"),
        ({"chance": np.ones(400)}, "loan on email: none of 400 choices was left to chance: what else would have happened is not learned"),
    ],
)
def test_each_way_of_starving_is_named_with_its_action_and_channel(changes: dict[str, Any], alarm: str) -> None:
    assert alarm in starvation(choices(**changes), [("loan", "email")])


def test_what_is_offered_and_never_chosen_is_named() -> None:
    found = starvation(choices(), [("loan", "email"), ("card", "email"), ("card", "web")])

    assert found == ("never chosen, so that nothing is learned of them: card on email",)


def test_a_few_choices_raise_no_alarm() -> None:
    assert starvation(choices(20, heard=np.zeros(20, dtype=bool)), [("loan", "email"), ("card", "email")]) == ()
    assert calibrations(choices(20)) == ()


def test_a_promise_of_twice_what_came_is_drift() -> None:
    (found,) = calibrations(choices(promised=np.full(400, 0.25)))

    assert found.drifted
    assert found.promised == pytest.approx(0.25)
