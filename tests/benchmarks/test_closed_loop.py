"""The world of the closed loop, its first days and nights, and how they are summed up."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from benchmarks.closed_loop import figures, read_days
from benchmarks.closed_loop_shop import Day, loop
from benchmarks.closed_loop_world import ACTIONS, COST, VALUE, WINDOW_DAYS, World
from nudge.ground.workspace import Workspace


def a_day(nudge: float, *, promoted: bool | None = None) -> Day:
    night = [] if promoted is None else [{"asked": "uplift", "promoted": promoted}]
    return Day({"random": 1.0, "propensity-greedy": 2.0, "nudge": nudge, "oracle": 5.0}, 0.1, 30.0, night)


def test_contacts_respond_as_often_as_the_world_says() -> None:
    world, rng = World.drawn(1, contacts=50), np.random.default_rng(1)

    seen = Counter(goal for _ in range(3000) for goal in world.respond(7, "card", rng))

    expected = np.where(np.array(ACTIONS) == "card", world.propensity[7], world.baseline[7])
    shares = np.array([seen[f"{name}_taken"] for name in ACTIONS]) / 3000
    assert np.all(np.abs(shares - expected) < 4 * np.sqrt(expected * (1 - expected) / 3000))


def test_ranking_by_true_propensity_earns_less_than_a_half_of_what_there_is() -> None:
    world = World.drawn(2)
    rows, profit = np.arange(len(world.ids)), world.profit

    by_response = profit[rows, np.argmax(world.propensity * VALUE - COST, axis=1)].mean()

    assert profit.mean() < by_response < profit.mean() + 0.5 * (np.maximum(profit.max(axis=1), 0).mean() - profit.mean())


def test_the_last_two_weeks_count_and_the_worst_seed_is_named() -> None:
    slow = [a_day(1.0)] * 10 + [a_day(3.5, promoted=True)] + [a_day(3.0, promoted=False)] * 14
    good = [a_day(1.0)] * 11 + [a_day(5.0)] * 14
    found = {one.name.removeprefix("closed_loop."): one.value for one in figures([slow, good])}

    assert found["nudge"] == 4.0
    assert found["of the oracle's gain over random, mean of the seeds"] == 0.75
    assert found["of the oracle's gain over random, worst seed"] == 0.5
    assert found["first day above half of the oracle's gain"] == 12
    assert (found["challengers of uplift that the gate was asked about"], found["of them promoted"]) == (15, 1)


def test_days_are_read_among_other_lines() -> None:
    assert read_days(["a warning\n", '{"earned": {"nudge": 1.0}, "improbable": 0.5}\n']) == [Day({"nudge": 1.0}, 0.5)]


def test_from_nothing_the_loop_decides_hears_learns_and_asks_the_gate(tmp_path: Path) -> None:
    seen: list[Day] = []

    loop(World.drawn(1, contacts=400), 1, tmp_path / "shop", WINDOW_DAYS + 2, seen.append, visitors=200)

    nights = [day.night for day in seen]
    assert all("no interaction of a catalogue's action has a known outcome yet" in night[0]["refused"] for night in nights[:WINDOW_DAYS])
    said = [one for night in nights[WINDOW_DAYS:] for one in night]
    assert {(one["asked"], one["reason"]) for one in said} >= {("loop-propensity", "first"), ("loop-uplift", "first")}
    (challenger,) = (one for one in said if one["asked"] == "propensity")  # of the last night; the gate answers with what it saw
    assert (type(challenger["promoted"]), challenger["rows"] > 0, challenger["refused"]) == (bool, True, None)
    with Workspace.open(tmp_path / "shop").open_ledger() as ledger:
        decisions = [one for page in ledger.decision_pages(1_000) for one in page]
        outcomes = [one for page in ledger.outcome_pages(1_000) for one in page]
        assert ledger.verify().intact
    assert len(decisions) == 200 * len(seen)
    assert outcomes and {one.decision_id for one in outcomes} < {one.decision_id for one in decisions}
    served = [one.trace["response"]["versions"]["models"] for one in sorted(decisions, key=lambda one: one.decided_at)]
    assert (served[0], served[-1]["propensity"]) == ({}, 1)  # what the fourth night learned decides on the fifth day
