from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from estimators.bundle import PropensityBundle
from tests.training.test_policies import a_log, constant, models
from training.eligible_rows import eligible_rows
from training.evaluation import evaluate_propensity, evaluate_uplift, judged_pairs, normalised_gini
from training.fit_uplift import fit_uplift, uplift_pair
from training.labels import Labels
from training.model_card import CardFacts, model_card
from training.policies import policy_gains
from training.prepared import Prepared
from training.publishing import served_arms, shuffled_rows
from training.segments import uplift_segments


def test_a_share_that_moved_between_train_and_test_is_said_to_have_drifted() -> None:
    prepared, catalog = a_log()
    bundle = PropensityBundle("hash", prepared.encoder, {"push": constant(0.2), "ask": constant(0.8)})

    scored = evaluate_propensity(bundle, prepared, catalog)

    assert len(scored.warnings) == 1
    assert scored.warnings[0].startswith("push: the share of responses drifted: 0.398 on the test rows, 0.200 predicted")
    assert scored.metrics["ece.push"] == pytest.approx(0.2, abs=0.02)
    assert scored.metrics["ece.ask"] < 0.05


def test_a_row_that_stands_for_many_counts_as_many_in_every_figure() -> None:
    prepared, catalog = a_log()
    bundle = models(prepared)[0]
    rows = np.random.default_rng(1).permutation(len(prepared))[:2_000]
    weight = np.random.default_rng(2).integers(1, 4, len(rows))
    part = prepared.take(rows)
    weighted = replace(part, data=replace(part.data, rows=replace(part.data.rows, sample_weight=weight.astype(float))))
    repeated = prepared.take(np.repeat(rows, weight))

    one, other = (evaluate_propensity(bundle, given, catalog).metrics for given in (weighted, repeated))

    for name in ("auc", "log_loss", "brier", "lift_10"):
        assert one[name] == pytest.approx(other[name], rel=1e-9)
    assert one["ece"] == pytest.approx(other["ece"], abs=0.01)


def test_a_row_that_stands_for_many_counts_as_many_in_every_figure_of_uplift() -> None:
    prepared, catalog = a_log()
    propensity, uplift = models(prepared)
    weight = 1.0 + (prepared.data.rows.interaction_id.astype(str) > "c2")
    rows = np.arange(4_001)
    part = prepared.take(rows)
    weighted = replace(part, data=replace(part.data, rows=replace(part.data.rows, sample_weight=weight[rows])))
    repeated = prepared.take(np.repeat(rows, weight[rows].astype(int)))

    def figures(test: Prepared) -> tuple[dict[str, float], dict[str, float]]:
        """Of a Qini's interval, which is drawn, only that it is one."""
        pairs = judged_pairs(uplift, test, catalog)
        found = dict(evaluate_uplift(pairs, test, seed=7).metrics)
        for name, gain in policy_gains(propensity, uplift, test, catalog).items():
            found |= {f"{name}.{key}": value for key, value in vars(gain).items() if key != "effective_sample_size"}
        for number, fifth in enumerate(uplift_segments(pairs, test)):
            found |= {f"fifth {number} {key}": getattr(fifth, key) for key in ("predicted", "measured", "standard_error")}
        return {name: value for name, value in found.items() if not name.startswith(("qini_low", "qini_high"))}, found

    (one, drawn), (other, again) = figures(weighted), figures(repeated)

    assert one == pytest.approx(other, rel=0.003, abs=0.002)  # two rows in 6,000 may fall to the fifth beside
    assert drawn["qini_high.push"] - drawn["qini_low.push"] == pytest.approx(again["qini_high.push"] - again["qini_low.push"], rel=0.5)
    unweighted = figures(part)[0]
    assert all(abs(unweighted[name] - one[name]) > 0.002 for name in ("uplift.value", "qini.push", "uplift_all.push", "fifth 0 measured"))


def test_a_log_thinned_by_what_happened_tells_what_the_whole_one_tells() -> None:
    prepared, catalog = a_log()
    propensity, uplift = models(prepared)
    loan, card = (prepared.data.labels.happened[name] for name in ("loan_taken", "card_opened"))
    kept = (loan + card > 1) | (np.random.default_rng(3).random(len(prepared)) < 0.2)
    rows = replace(prepared.data.rows, sample_weight=np.where(loan + card > 1, 1.0, 5.0))
    thinned = replace(prepared, data=replace(prepared.data, rows=rows)).take(np.flatnonzero(kept))

    whole, part = (policy_gains(propensity, uplift, log, catalog)["uplift"] for log in (prepared, thinned))
    blind = policy_gains(propensity, uplift, prepared.take(np.flatnonzero(kept)), catalog)["uplift"]

    assert part.low < whole.value < part.high
    assert not blind.low < whole.value < blind.high
    assert part.high - part.low > whole.high - whole.low


def test_a_label_of_one_class_has_no_auc_and_no_stack_trace() -> None:
    prepared, catalog = a_log()
    nothing = Labels({name: np.zeros_like(y) for name, y in prepared.data.labels.happened.items()}, {})
    silent = replace(prepared, data=replace(prepared.data, labels=nothing))

    scored = evaluate_propensity(models(prepared)[0], silent, catalog)

    assert "auc" not in scored.metrics
    assert np.isfinite(scored.metrics["log_loss"])


def test_the_right_ranking_has_a_qini_above_noise_and_no_ranking_has_none() -> None:
    prepared, catalog = a_log()

    scored = evaluate_uplift(judged_pairs(models(prepared)[1], prepared, catalog), prepared, seed=7)

    assert scored.metrics["qini_low.push"] > 0.05
    assert scored.metrics["qini.ask"] == 0.0
    assert scored.metrics["uplift_top_30.push"] == pytest.approx(0.21, abs=0.04)
    assert abs(scored.metrics["uplift_all.push"]) < 4 * scored.metrics["uplift_all_se.push"]


def test_controls_are_compared_only_where_the_action_is_for_them() -> None:
    prepared, catalog = a_log()
    narrow = catalog.actions[0].model_copy(update={"eligibility": "x > 0.5 AND context.intent = 'borrow'"})

    rows = uplift_pair(prepared, narrow)

    assert (prepared.data.features["x"][rows] > 0.5).all()
    assert set(prepared.data.rows.action_id[rows]) == {"push", "no_action"}
    assert eligible_rows(catalog.actions[1], prepared.dtypes, prepared.data.features, len(prepared)).all()


def test_an_action_without_overlap_is_refused_with_its_counts() -> None:
    prepared, catalog = a_log()
    few = prepared.take(np.flatnonzero((prepared.data.rows.action_id != "push") | (np.arange(len(prepared)) < 40))[:3000])
    nobody = catalog.actions[1].model_copy(update={"eligibility": "x > 9"})

    found = fit_uplift(few, catalog.model_copy(update={"actions": (catalog.actions[0], nobody)}), seed=7)

    assert set(found.refused) == {"push", "ask"}
    assert "interactions with a known outcome; 30 are needed" in found.refused["push"]
    assert found.bundle.heads == {}


def test_a_verdict_on_enough_rows_stands_when_more_rows_are_learned_from(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared, catalog = a_log()
    earlier = prepared.take(np.arange(len(prepared)) % 2 == 0)
    for most, stands in ((2 * len(earlier), False), (len(earlier) // 2, True)):
        monkeypatch.setattr("training.fit_uplift.MOST_JUDGED", most)
        tested = fit_uplift(earlier, catalog, seed=7, cv=2)
        served = fit_uplift(prepared, catalog, seed=7, tested=tested)
        assert (served.verdict is tested.verdict) == stands
        assert set(served.bundle.heads) == set(tested.bundle.heads)
        for name, head in served.bundle.heads.items():
            assert head.evidence > tested.bundle.heads[name].evidence
            assert head.average_effect == pytest.approx(tested.bundle.heads[name].average_effect, abs=4 * head.standard_error)
    assert tested.settled(catalog.actions) is tested.verdict
    one = catalog.model_copy(update={"actions": catalog.actions[:1]})
    assert tested.settled(one.actions) is None


def test_gini_is_one_for_the_perfect_order_and_minus_one_for_the_worst() -> None:
    money = np.array([0.0, 0.0, 1.0, 5.0, 20.0])

    assert normalised_gini(money, money) == pytest.approx(1.0)
    assert normalised_gini(money, -money) == pytest.approx(-1.0)
    assert np.isnan(normalised_gini(np.zeros(3), np.arange(3.0)))


def test_the_example_holds_nobody_s_row() -> None:
    columns = {"a": np.arange(1000.0), "b": np.arange(1000.0)}

    shown = shuffled_rows(columns, seed=7)

    assert len(shown["a"]) == 5
    assert (shown["a"] != shown["b"]).all()


def test_the_example_shows_no_text_that_few_contacts_share() -> None:
    city = np.array(["Gdynia"] * 500 + ["Hel"] * 3, dtype=object)
    names = np.array([f"person {k}" for k in range(503)], dtype=object)

    shown = [shuffled_rows({"city": city, "name": names}, seed=seed) for seed in range(200)]

    assert {one for rows in shown for one in rows["city"]} == {"Gdynia", None}
    assert {one for rows in shown for one in rows["name"]} == {None}


def test_a_model_answers_for_the_catalogue_s_arms_that_it_has_learned() -> None:
    prepared, catalog = a_log()
    bundle = models(prepared)[0]

    assert served_arms(bundle, catalog) == [("push", "email"), ("ask", "email")]


def test_a_card_says_the_figures_and_the_limits() -> None:
    card = model_card(CardFacts("demo-uplift", "uplift", {"interactions": 7}, {"qini": 0.0512345}, ["push: too few"]))

    assert "- interactions: 7" in card
    assert "| qini | 0.051235 |" in card
    assert "- push: too few" in card
