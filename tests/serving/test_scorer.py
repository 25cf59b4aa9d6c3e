"""The scorer computes everything together; what it says is what the champions say one by one, for one contact and for a population."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from decisioning.candidates import Situation
from decisioning.catalog import parse_catalog
from decisioning.compiled_catalog import compile_catalog
from decisioning.rules.sql_scalars import Row
from estimators.joint import Answers
from estimators.scores import TreeScore
from serving.realtime.feature_rows import FeatureRows
from serving.realtime.scorer import Asked, Models, Scorer, plain_answers
from tests.estimators.joint_worlds import NOW, N, clv, columns, propensity, uplift
from tests.estimators.worlds import DTYPES
from tests.serving.small_house import CATALOG

COLUMNS = {name: column for name, column in columns().items() if name in DTYPES or "purchase" in name or "gap" in name}
MODELS = Models(propensity(), uplift(), clv("blend"), {"propensity": 1, "uplift": 1, "clv": 1})
CHANNELS = {name: {"direction": "outbound", "cost": 0.5, "purpose": f"{name}_marketing"} for name in ("call", "email", "letter")}


def scorer(models: Models = MODELS) -> Scorer:
    def treatments(action: str) -> list[dict[str, str]]:
        return [{"id": f"{action}_{channel}", "channel": channel} for channel in CHANNELS]

    values: dict[str, Any] = {"loan": "observed", "card": 30, "fund": "observed", "new": 10}
    actions = [{"id": name, "goal": "sale", "value": value, "treatments": treatments(name)} for name, value in values.items()]
    actions[-1]["cold_start"] = {"propensity": 0.2, "uplift": 0.1}
    catalog = parse_catalog({**CATALOG, "channels": CHANNELS, "actions": actions, "contact_policy": [], "fallback": {}})
    return Scorer(models, compile_catalog(catalog, dict.fromkeys(COLUMNS, "float") | DTYPES))  # type: ignore[arg-type]


def situation(rows: slice) -> Situation:
    ids = np.array([f"c{i}" for i in range(N)], dtype=object)[rows]
    return Situation(ids, {name: column[rows] for name, column in COLUMNS.items()}, NOW, {})


def test_a_population_is_scored_as_the_champions_say_one_by_one() -> None:
    one = scorer()
    arms = [(action.id, treatment.channel) for action, treatment in one.catalog.treatments]
    expected = plain_answers(MODELS, Asked(COLUMNS, NOW, N, arms, ["loan", "fund"]))
    got = one.answers(COLUMNS, NOW, N)
    for field in fields(Answers):
        np.testing.assert_allclose(getattr(got, field.name), getattr(expected, field.name), rtol=1e-12, atol=1e-12)
    scores = one(situation(slice(None)), np.ones((N, 12), dtype=np.bool_))
    np.testing.assert_array_equal(scores.propensity[:, :9], got.propensity[:, :9])
    np.testing.assert_array_equal(scores.value[:, :3], np.repeat(got.value[:, :1], 3, axis=1))
    np.testing.assert_array_equal(scores.uplift[:, 9:], np.full((N, 3), 0.1))
    assert one.left_out == {}


def test_only_candidates_that_are_alive_have_scores_and_they_are_those_of_everybody_scored() -> None:
    one, rng = scorer(), np.random.default_rng(0)
    whole = one(situation(slice(None)), np.ones((N, 12), dtype=np.bool_))
    alive = rng.random((N, 12)) < 0.2
    alive[::3] = False
    some = one(situation(slice(None)), alive)
    for name in ("propensity", "uplift", "opt_out_risk"):
        np.testing.assert_array_equal(getattr(some, name), np.where(alive, getattr(whole, name), np.nan))
    np.testing.assert_array_equal(some.clv, np.where(alive.any(axis=1), whole.clv, np.nan))
    for row in range(0, N, 50):
        alone = one(situation(slice(row, row + 1)), np.ones((1, 12), dtype=np.bool_))
        for name in ("propensity", "uplift", "opt_out_risk", "value", "clv"):
            np.testing.assert_array_equal(getattr(alone, name)[0], getattr(whole, name)[row])


@pytest.mark.parametrize("asked", [list(range(40)), [3, 4, 17, 39]])
def test_contacts_of_several_requests_get_the_scores_that_each_gets_alone(asked: list[int]) -> None:
    one, n, rng = scorer(), 40, np.random.default_rng(1)
    columns = {name: column[:n] for name, column in COLUMNS.items()}
    alive = rng.random((n, 12)) < 0.4
    alive[:, 0] = True
    living = [sum(1 << k for k in range(12) if row[k]) for row in alive]
    rows = [Row({}, {}, known) for known in FeatureRows(columns, n).for_rules]
    found = one.of_each(columns, NOW, asked, [rows[place] for place in asked], [living[place] for place in asked])
    for place, got in zip(asked, found, strict=True):
        alone = one(situation(slice(place, place + 1)), alive[place : place + 1])
        for name in ("propensity", "uplift", "opt_out_risk"):
            np.testing.assert_array_equal(getattr(got, name), getattr(alone, name)[0])
        np.testing.assert_array_equal(np.array(got.value)[alive[place]], alone.value[0][alive[place]])
        assert got.clv == alone.clv[0]
        for k in range(12):
            np.testing.assert_array_equal(got.uplift_error(0, k), alone.uplift_error(0, k))


@pytest.mark.parametrize("strange", ["uplift", "clv", "propensity"])
def test_a_champion_that_is_not_compiled_is_asked_itself_and_the_scorer_says_so(strange: str) -> None:
    if strange == "clv":
        models = replace(MODELS, clv=clv("bg_nbd"))
    else:
        bundle: Any = getattr(MODELS, strange)
        heads = dict(bundle.heads)
        if strange == "uplift":
            loan = heads["loan"]
            another = replace(loan.contrast)  # of the same numbers, but not the head's own
            heads["loan"] = replace(loan, members=(replace(loan.members[0], score=another), *loan.members[1:]))
        else:
            text = heads["loan"].trees.text.replace("version=v4", "version=v4\nunheard_of=1")
            heads["loan"] = replace(heads["loan"], trees=TreeScore(text))
        models = replace(MODELS, **{strange: replace(bundle, heads=heads)})
    one = scorer(models)
    assert list(one.left_out) == [strange]
    arms = [(action.id, treatment.channel) for action, treatment in one.catalog.treatments]
    expected = plain_answers(models, Asked(COLUMNS, NOW, N, arms, ["loan", "fund"]))
    got = one.answers(COLUMNS, NOW, N)
    for field in fields(Answers):
        np.testing.assert_allclose(getattr(got, field.name), getattr(expected, field.name), rtol=1e-12, atol=1e-12)


def test_without_models_nothing_is_known_and_warming_up_is_free() -> None:
    one = scorer(Models(None, None, None, {}))
    one.warm_up()
    scores = one(situation(slice(5)), np.ones((5, 12), dtype=np.bool_))
    assert np.isnan(scores.propensity[:, :9]).all() and (scores.propensity[:, 9:] == 0.2).all() and one.left_out == {}
