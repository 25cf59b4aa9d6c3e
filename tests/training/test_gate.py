"""The gate holds a challenger to money: simulated logs with a known truth, and the gate's own arithmetic."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from decisioning.errors import DataError, NotFound
from training.clv_gate import judged_by_error
from training.comparison import CHALLENGER, CHAMPION, NO_ACTION, PROPENSITY_GREEDY, RANDOM, Evidence, compared
from training.gate_verdict import judged
from training.held_out import HeldOut
from training.held_out_evidence import System, held_out_evidence

N, VALUE, COST = 20_000, 10.0, 0.1


def a_log(seed: int, noise: float = 0.0, n: int = N, *, first: int = 0) -> HeldOut:
    """`push` adds 0.3 x to a baseline of 0.4, `ask` nothing to one of 0.8; the model sees the effect through `noise`."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, n)
    action = rng.choice(np.array(["no_action", "push", "ask"]), n, p=[0.5, 0.25, 0.25])
    push = (rng.random(n) < 0.4 + 0.3 * x * (action == "push")).astype(float)
    ask = (rng.random(n) < 0.8).astype(float)
    seen = (1 - noise) * x + noise * rng.permutation(x)
    ids = np.array([f"r{i}" for i in range(first, first + n)])
    ones = np.ones((n, 2))
    return HeldOut(
        row=ids,
        contact=ids,
        action=action,
        selection_prob=np.where(action == "no_action", 0.5, 0.25),
        stands_for=np.ones(n),
        actions=("push", "ask"),
        goals=("sale", "card"),
        happened=np.column_stack([push, ask]),
        open=ones > 0,
        value=VALUE * ones,
        cost=COST * ones,
        propensity=np.column_stack([np.clip(0.4 + 0.3 * seen, 0, 1), np.full(n, 0.8)]),
        uplift=np.column_stack([0.3 * seen, np.zeros(n)]),
    )


def evidence_of(champion: HeldOut, challenger: HeldOut) -> Evidence:
    return held_out_evidence({CHAMPION: System(champion, champion), CHALLENGER: System(challenger, challenger)})


TRUTH = {"good": float(np.maximum(3 * np.linspace(-1, 1, 200_001) - COST, 0).mean())}


def test_a_decision_that_stands_for_many_counts_as_many_in_every_comparison() -> None:
    weight = np.random.default_rng(5).integers(1, 4, 3_000)

    def logs(noise: float) -> tuple[HeldOut, HeldOut]:
        one = a_log(7, noise, n=3_000)
        rows = np.repeat(np.arange(3_000), weight)
        repeated = replace(one.take(rows, one.actions), row=np.arange(len(rows)).astype(str))
        return HeldOut.from_bytes(replace(one, stands_for=weight.astype(float)).to_bytes()), HeldOut.from_bytes(repeated.to_bytes())

    weighted, repeated = (evidence_of(*pair) for pair in zip(logs(0.0), logs(1.0), strict=True))

    for one, other in zip(compared(weighted), compared(repeated), strict=True):
        for name in ("value", "low", "high", "agreement"):
            assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-6)
        assert vars(one.gain) == pytest.approx(vars(other.gain), rel=1e-6)
    assert judged(weighted).passed == judged(repeated).passed
    assert judged(weighted).gain.value != pytest.approx(evidence_of(a_log(7, n=3_000), a_log(7, 1.0, n=3_000)).gain(CHALLENGER).value)


def of_an_older_version(kept: HeldOut) -> HeldOut:
    """As it is read from a file that does not say what its rows stand for."""
    older = io.BytesIO()
    pq.write_table(pq.read_table(io.BytesIO(kept.to_bytes())).drop_columns(["stands_for"]), older)
    return HeldOut.from_bytes(older.getvalue())


def test_what_a_champion_of_an_older_version_does_not_say_of_a_thinned_log_its_challenger_says() -> None:
    weight = np.random.default_rng(5).integers(1, 4, 3_000).astype(float)
    champion, challenger = (replace(a_log(7, noise, n=3_000), stands_for=weight) for noise in (1.0, 0.0))
    known, unknown = evidence_of(champion, challenger), evidence_of(of_an_older_version(champion), challenger)

    assert vars(unknown.gain(CHALLENGER)) == pytest.approx(vars(known.gain(CHALLENGER)), rel=1e-6)


def test_where_no_version_says_what_rows_stand_for_all_count_alike() -> None:
    older = of_an_older_version(a_log(7, n=10))

    assert evidence_of(older, older).stands_for == pytest.approx(np.ones(10))


def test_the_comparison_finds_what_each_policy_truly_earns() -> None:
    lines = {line.name: line for line in compared(evidence_of(a_log(7), a_log(7, noise=1.0)))}

    silence = VALUE * (0.4 + 0.8)
    assert lines[NO_ACTION].low < silence < lines[NO_ACTION].high
    assert lines[CHAMPION].low < silence + TRUTH["good"] < lines[CHAMPION].high
    gain = lines[NO_ACTION].gain
    assert gain.low < -TRUTH["good"] < gain.high
    assert gain.high < 0
    assert lines[PROPENSITY_GREEDY].gain.high < 0  # it asks those who come anyway
    assert lines[RANDOM].gain.high < 0
    assert lines[RANDOM].low < silence - COST < lines[RANDOM].high  # half of them pushed and half asked, of which nothing comes on average


def test_of_one_action_chance_draws_what_the_champion_takes_wherever_it_is_worth_it() -> None:
    two = a_log(7)
    one = {name: getattr(two, name)[:, :1] for name in ("happened", "open", "value", "cost", "propensity", "uplift")}
    log = replace(two, actions=("push",), goals=("sale",), action=np.where(two.action == "ask", "no_action", two.action), **one)
    closed = replace(log, open=np.arange(N)[:, None] % 4 > 0)
    lines = {line.name: line for line in compared(evidence_of(closed, closed))}

    acts = (log.uplift * VALUE > COST) & closed.open
    assert lines[RANDOM].agreement == pytest.approx((acts | ~closed.open).mean())
    everywhere = replace(closed, uplift=np.full((N, 1), 0.2))
    lines = {line.name: line for line in compared(evidence_of(everywhere, everywhere))}
    assert (lines[RANDOM].value, lines[RANDOM].agreement) == (lines[CHAMPION].value, 1.0)


def test_a_gain_is_known_better_than_the_values_it_is_a_difference_of() -> None:
    lines = {line.name: line for line in compared(evidence_of(a_log(7), a_log(7, noise=0.2)))}

    assert lines[CHALLENGER].gain.standard_error < 0.5 * (lines[CHALLENGER].high - lines[CHALLENGER].low) / 1.96


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_challenger_trained_on_shuffled_labels_is_refused_and_a_better_one_promoted(seed: int) -> None:
    good, bad = a_log(seed), a_log(seed, noise=1.0)

    refused, promoted = judged(evidence_of(good, bad)), judged(evidence_of(bad, good), currency="PLN")

    assert not refused.passed
    assert refused.rows_needed is None
    assert refused.reason.endswith("more decisions like these will not show one")
    assert promoted.passed
    assert promoted.reason.startswith("it gains +")
    assert " PLN a decision (95 %: " in promoted.reason


def test_a_small_gain_is_promised_for_later_and_shows_with_so_many_more_rows() -> None:
    few = judged(evidence_of(a_log(5, 0.5, 1_500), a_log(5, 0.0, 1_500)))

    assert not few.passed
    assert few.rows_needed is not None
    needed = few.rows + few.rows_needed
    assert judged(evidence_of(a_log(5, 0.5, 2 * needed), a_log(5, 0.0, 2 * needed))).passed


def test_the_workspace_may_ask_for_more_than_nothing() -> None:
    evidence = evidence_of(a_log(4, 1.0), a_log(4))

    assert judged(evidence).passed
    asked = judged(evidence, minimum=5.0)
    assert not asked.passed
    assert "not surely above the workspace's minimum of 5" in asked.reason


def test_a_twin_of_the_champion_has_nothing_to_gain() -> None:
    verdict = judged(evidence_of(a_log(7), a_log(7)))

    assert not verdict.passed
    assert verdict.reason == "it decides like the champion in all of 20,000 held-out interactions: there is nothing to gain"


def test_what_was_hardly_tried_cannot_be_judged() -> None:
    verdict = judged(evidence_of(a_log(7, 1.0, 80), a_log(7, 0.0, 80)))

    assert not verdict.passed
    assert "logged" in verdict.reason
    assert verdict.rows_needed is not None
    assert verdict.rows_needed > 0


def test_what_could_never_have_been_logged_is_not_believed() -> None:
    """The log had no chance to ask young contacts, for whom the challenger would be paid well if its own model were true."""
    rng = np.random.default_rng(7)
    whole = a_log(7)
    barred = rng.random(N) < 0.6
    silent = barred & (whole.action == "push")
    action = np.where(silent, "no_action", whole.action)
    prob = np.where(barred, np.where(action == "no_action", 0.75, 0.25), whole.selection_prob)
    known = replace(whole, action=action, selection_prob=prob)
    eager = replace(known, uplift=np.column_stack([np.full(N, 0.3), np.zeros(N)]))
    quiet = replace(known, uplift=np.full((N, 2), -0.1))

    verdict = judged(evidence_of(quiet, eager))

    assert not verdict.passed
    assert "of what the challenger would do where the two differ only 4" in verdict.reason


def test_versions_are_compared_on_the_rows_that_both_hold_out() -> None:
    champion = a_log(7)
    rows = np.arange(5_000, N)

    evidence = evidence_of(champion, champion.take(rows, champion.actions))

    assert len(evidence) == 15_000
    with pytest.raises(NotFound, match="the versions hold out no interaction in common"):
        evidence_of(a_log(7, n=100), a_log(7, n=100, first=100))


def test_an_action_that_only_the_challenger_knows_is_no_choice_of_the_champion() -> None:
    whole = a_log(7)

    evidence = evidence_of(whole.take(np.arange(N), ("ask",)), whole)

    assert not evidence.policies[CHAMPION].goals[:, 0].any()
    verdict = judged(evidence)
    assert verdict.passed
    assert verdict.gain is not None
    assert verdict.gain.low < TRUTH["good"] < verdict.gain.high


def test_held_out_rows_are_read_as_they_were_written() -> None:
    written = a_log(7, n=50)

    read = HeldOut.from_bytes(written.to_bytes())

    assert (read.actions, read.goals) == (written.actions, written.goals)
    for name in ("row", "contact", "action", "selection_prob", "happened", "open"):
        assert np.array_equal(getattr(read, name), getattr(written, name))
    np.testing.assert_allclose(read.uplift, written.uplift, atol=1e-7)
    with pytest.raises(DataError, match="these are no held-out rows"):
        HeldOut.from_bytes(b"PAR1")


def test_rows_of_two_files_are_each_there_once_with_the_actions_of_both() -> None:
    first, second = a_log(7, n=40).take(np.arange(40), ("push",)), a_log(8, n=40, first=30)

    both = first.with_rows_of(second)

    assert both.row.tolist() == [f"r{i}" for i in range(70)]
    assert (both.actions, both.goals) == (("push", "ask"), ("sale", "card"))
    assert np.array_equal(both.uplift[:40, 0], first.uplift[:, 0])
    assert np.array_equal(both.uplift[40:], second.uplift[10:])
    assert np.isnan(both.uplift[:40, 1]).all()
    assert not both.open[:40, 1].any()


def test_clv_is_held_to_its_error_as_a_share_of_the_money_that_came() -> None:
    worse = judged_by_error({"rmse.served": 30.0, "mean_money": 10.0}, {"rmse.served": 20.0, "mean_money": 10.0})
    richer = judged_by_error({"rmse.served": 30.0, "mean_money": 20.0}, {"rmse.served": 20.0, "mean_money": 10.0})

    assert not worse.passed
    assert richer.passed
    assert not judged_by_error({}, {"rmse.served": 20.0, "mean_money": 10.0}).passed
