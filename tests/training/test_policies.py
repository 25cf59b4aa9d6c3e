from __future__ import annotations

import numpy as np
import pytest

from decisioning.catalog import Catalog
from estimators.bundle import PropensityBundle, UpliftBundle
from estimators.encoding import FeatureEncoder
from estimators.heads import ResponseHead
from estimators.scores import LinearScore
from estimators.uplift_head import UpliftHead, UpliftMember
from tests.training.workspaces import a_catalog
from training.dataset import Dataset
from training.labels import Labels, LoggedRows
from training.policies import policy_gains
from training.prepared import Prepared
from training.selection import Selection

NOW = np.datetime64("2026-06-01", "us")
N = 40_000
ACTIONS = [
    {"id": "push", "goal": "loan_taken", "value": 10, "eligibility": "x <= 2", "treatments": [{"id": "p", "channel": "email"}]},
    {"id": "ask", "goal": "card_opened", "value": 10, "treatments": [{"id": "a", "channel": "email"}]},
]
"""`push` adds 0.3 x to a baseline of 0.4; `ask` has a baseline of 0.8 and adds nothing."""


def a_log(seed: int = 7) -> tuple[Prepared, Catalog]:
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, N)
    action = rng.choice(np.array(["no_action", "push", "ask"], dtype=object), N, p=[0.5, 0.25, 0.25])
    loan = (rng.random(N) < 0.4 + 0.3 * x * (action == "push")).astype(float)
    card = (rng.random(N) < 0.8).astype(float)
    never = np.full(N, np.datetime64("NaT", "us"))
    ids = np.array([f"c{i}" for i in range(N)], dtype=object)
    channel = np.where(action == "no_action", None, "email").astype(object)
    prob = np.where(action == "no_action", 0.5, 0.25)
    rows = LoggedRows(ids, ids, action, channel, never, np.full(N, NOW), prob, np.ones(N))
    data = Dataset(rows, Labels({"loan_taken": loan, "card_opened": card}, {}), np.full(N, np.nan), {"x": x})
    encoder = FeatureEncoder.fit({"x": x}, {"x": "float"}, NOW)
    encoded = encoder.encode({"x": x}, NOW)
    return Prepared(
        data, encoder, encoded, Selection(prob, np.zeros(N, dtype=bool), np.zeros(N, dtype=bool)), {"x": "float"}, "hash"
    ), a_catalog(actions=ACTIONS)


def constant(rate: float) -> ResponseHead:
    return ResponseHead(rate, (1.0, 0.0, 0.0), None, None, None, 1000, 100)


def models(prepared: Prepared) -> tuple[PropensityBundle, UpliftBundle]:
    linear = prepared.encoded.linear[:, 0]
    slope = float(np.polyfit(linear, prepared.data.features["x"], 1)[0])
    score = LinearScore(0.0, np.array([0.3 * slope, *np.zeros(prepared.encoded.linear.shape[1] - 1)]))
    push = UpliftHead(0.0, 0.01, (UpliftMember("ridge", 1.0, 0.0, score),), 1000)
    ask = UpliftHead(0.0, 0.01, (), 1000)
    propensity = PropensityBundle("hash", prepared.encoder, {"push": constant(0.4), "ask": constant(0.8)})
    return propensity, UpliftBundle("hash", prepared.encoder, {"push": push, "ask": ask})


@pytest.fixture(scope="module")
def gains() -> dict[str, float]:
    prepared, catalog = a_log()
    return policy_gains(*models(prepared), prepared, catalog)  # type: ignore[return-value]


def test_acting_where_it_helps_earns_what_it_truly_earns(gains) -> None:  # type: ignore[no-untyped-def]
    # Acts where 10 * 0.3 x > 0.1: the mean over x in (1/30, 1) of 3 x - 0.1, times the half of the contacts.
    x = np.linspace(-1, 1, 200_001)
    truth = float(np.maximum(3 * x - 0.1, 0).mean())

    found = gains["uplift"]

    assert found.low < truth < found.high
    assert found.value == pytest.approx(truth, abs=0.1)
    assert found.share_contacted == pytest.approx(0.483, abs=0.01)


def test_ranking_by_propensity_pays_for_those_who_come_anyway(gains) -> None:  # type: ignore[no-untyped-def]
    found = gains["propensity"]

    assert found.share_contacted == 1.0
    assert found.value == pytest.approx(-0.1, abs=0.1)
    assert found.high < gains["uplift"].low


def test_a_constant_action_that_does_not_pay_is_silence(gains) -> None:  # type: ignore[no-untyped-def]
    assert gains["best_constant"].value == 0.0
    assert gains["best_constant"].share_contacted == 0.0


def test_nobody_gets_what_he_is_not_eligible_for() -> None:
    prepared, _ = a_log()
    catalog = a_catalog(actions=[{**ACTIONS[0], "eligibility": "x > 0.5"}, ACTIONS[1]])

    found = policy_gains(*models(prepared), prepared, catalog)

    assert found["uplift"].share_contacted == pytest.approx(0.25, abs=0.01)


def test_without_controls_there_is_nothing_to_compare_with() -> None:
    prepared, catalog = a_log()

    assert policy_gains(*models(prepared), prepared.take(~prepared.controls), catalog) == {}
