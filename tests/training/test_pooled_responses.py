"""Actions with hardly any responses share a model and lean on their goal; those with many keep their own."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, logit

from decisioning.catalog import Catalog, parse_catalog
from estimators.encoding import FeatureEncoder
from tests.training.workspaces import CATALOG
from training.dataset import Dataset
from training.fit_propensity import LearnedPropensity, learn_propensity
from training.labels import Labels, LoggedRows
from training.model_key import parts_read
from training.pooled_responses import EVENTS_ALONE
from training.prepared import Prepared
from training.selection import Selection

DTYPES = {"eager": "float"}
ROWS = {"rich": 4_000, "some": 300, "few": 40, "once": 1}


def a_catalog(actions: tuple[str, ...] = tuple(ROWS), **more: Any) -> Catalog:
    made = [{"id": name, "goal": "loan_taken", "value": 10, "treatments": [{"id": name, "channel": "email"}], **more} for name in actions]
    return parse_catalog({**CATALOG, "actions": made})


def a_log(rows: dict[str, int], *, level: float = -3.0, responding: bool = True) -> Prepared:
    """Eager contacts respond more often, to whatever action; nothing has a time."""
    rng, n = np.random.default_rng(3), sum(rows.values())
    eager, action = rng.normal(size=n), np.repeat(np.array(list(rows), dtype=object), list(rows.values()))
    y = (rng.random(n) < expit(level + eager)).astype(float) * responding
    y[action == "once"] = 0.0
    ids, at = np.array([f"i{i}" for i in range(n)], dtype=object), np.full(n, np.datetime64("NaT", "us"))
    logged = LoggedRows(ids, ids, action, np.full(n, "email", dtype=object), at, at, np.ones(n), sample_weight=np.ones(n))
    labels = Labels({"loan_taken": y}, {"loan_taken": np.full(n, np.nan)})
    encoder = FeatureEncoder.fit({"eager": eager}, DTYPES, at)  # type: ignore[arg-type]
    selection = Selection(np.ones(n), np.zeros(n, dtype=bool), np.zeros(n, dtype=bool))
    encoded = encoder.encode({"eager": eager}, at)
    return Prepared(Dataset(logged, labels, np.full(n, np.nan), {"eager": eager}), encoder, encoded, selection, DTYPES, "hash")  # type: ignore[arg-type]


@cache
def learned() -> LearnedPropensity:
    return learn_propensity(a_log(ROWS), a_catalog(), seed=7)


def said(found: LearnedPropensity, action: str, eager: np.ndarray) -> np.ndarray:
    at = np.full(len(eager), np.datetime64("NaT", "us"))
    return found.bundle.propensity({"eager": eager}, at, [(action, "email")])[:, 0]


def test_an_action_that_was_logged_once_without_a_response_is_not_preferred_for_being_unknown() -> None:
    eager = np.random.default_rng(1).normal(size=2_000)
    mean = {action: said(learned(), action, eager).mean() for action in ROWS}

    assert mean["once"] == pytest.approx(expit(-3.0 + eager).mean(), rel=0.3)
    assert mean["once"] < max(mean.values())


def test_contacts_of_thin_actions_are_told_apart_by_what_the_whole_goal_learned() -> None:
    eager = np.linspace(-1.5, 1.5, 7)

    for action in ("some", "few", "once"):
        np.testing.assert_allclose(logit(said(learned(), action, eager)), -3.0 + eager, atol=0.6)
    assert [learned().bundle.evidence(action) for action in ROWS] == list(ROWS.values())


def test_actions_that_share_a_model_are_named_to_whoever_trains() -> None:
    assert learned().sharing == {"loan_taken": ("some", "few", "once")}
    assert any(line.startswith("too few responses for models of their own: ") and "once" in line for line in learned().warnings)


def test_an_action_that_answers_otherwise_than_the_others_keeps_its_own_model() -> None:
    """150 responses to an action that the reluctant like are too few to be sure, and enough to be better."""
    log = a_log({"rich": 4_000, "some": 1_200})
    eager, mine = log.data.features["eager"], log.of_action("some")
    turned = (np.random.default_rng(5).random(len(log)) < expit(-2.5 - eager)).astype(float)
    y = np.where(mine, turned, log.data.labels.happened["loan_taken"])
    other = replace(log, data=replace(log.data, labels=Labels({"loan_taken": y}, log.data.labels.value)))

    found = learn_propensity(other, a_catalog(("rich", "some")), seed=7)

    assert y[mine].sum() < EVENTS_ALONE
    assert found.sharing == {}
    assert said(found, "some", np.array([-1.5]))[0] > 3 * said(found, "some", np.array([1.5]))[0]


def test_an_action_with_thousands_of_rows_keeps_its_own_model_as_it_is() -> None:
    log = a_log(ROWS)
    alone = learn_propensity(log.take(log.of_action("rich")), a_catalog(("rich",)), seed=7)
    eager = np.linspace(-2.0, 2.0, 9)

    np.testing.assert_allclose(said(learned(), "rich", eager), said(alone, "rich", eager), rtol=0.02)
    assert alone.sharing == {}


def test_the_only_action_of_a_goal_has_its_cold_start_count_as_so_many_rows() -> None:
    log = a_log({"once": 1})
    guessed = a_catalog(("once",), cold_start={"propensity": 0.04, "uplift": 0.0, "evidence": 200})

    without, with_it = (said(learn_propensity(log, catalog, seed=7), "once", np.zeros(1))[0] for catalog in (a_catalog(("once",)), guessed))

    assert without == 0.25
    assert with_it == pytest.approx(8 / 201, rel=0.05)
    assert parts_read(guessed, "propensity") != parts_read(a_catalog(("once",)), "propensity")


def test_thin_actions_whose_goal_nobody_reached_are_served_a_low_level() -> None:
    found = learn_propensity(a_log({"few": 60, "once": 1}, responding=False), a_catalog(("few", "once")), seed=7)

    assert 0.0 < said(found, "once", np.zeros(1))[0] < 0.02


def test_a_value_that_is_observed_where_nothing_brought_money_is_warned_of() -> None:
    log = a_log({"rich": 1_000}, level=-1.0)
    catalog = a_catalog(("rich",), value="observed")

    unknown, known = (
        learn_propensity(
            replace(log, data=replace(log.data, labels=Labels(log.data.labels.happened, {"loan_taken": value}))), catalog, seed=7
        )
        for value in (np.full(len(log), np.nan), np.where(log.data.labels.happened["loan_taken"] > 0, 20.0, np.nan))
    )

    assert [line for line in unknown.warnings if line.startswith("the value of rich is `observed`, and no outcome of theirs brought money")]
    assert not [line for line in known.warnings if "observed" in line]
