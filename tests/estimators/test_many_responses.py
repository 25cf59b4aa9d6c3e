"""Responses of more rows than it takes to choose: as good a model, from a fraction of the fits."""

from __future__ import annotations

from typing import Any

import lightgbm
import numpy as np
import pytest
from scipy.special import expit

from estimators import propensity
from estimators.arrays import FloatArray
from estimators.calibration import log_losses
from estimators.encoding import Encoded
from estimators.propensity import ResponseModel
from estimators.response_members import PENALTIES
from estimators.trees import BinnedRows, tree_score

SMALL: dict[str, Any] = {
    "FEWEST_CHOOSING": 1_500,
    "MOST_CHOOSING": 3_000,
    "CHOOSING_EVENTS": 300,
    "HELD_ROWS": 1_500,
    "LEAST_PARTS": 2,
    "FEWEST_OTHERS": 4_000,
}
"""The limits scaled to worlds that are learned in seconds."""


@pytest.fixture
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SMALL.items():
        monkeypatch.setattr(propensity, name, value)


def world(n: int, seed: int, base: float = -2.0) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    x, time = rng.normal(size=(n, 6)), np.sort(rng.uniform(0.0, 100.0, n))
    p = expit(base + 0.9 * x[:, 0] + 0.7 * np.abs(x[:, 1]))
    return x, (rng.random(n) < p).astype(float), np.asarray(p), time


def fitted(n: int, *, timed: bool, many_rows: int = 4_000) -> ResponseModel:
    x, y, _, time = world(n, 0)
    return ResponseModel(cv=3, many_rows=many_rows).fit(x, y, X_linear=x, time=time if timed else None)


def regret(model: ResponseModel) -> float:
    x, _, truth, _ = world(8_000, 1)
    return float((log_losses(truth, model.predict_proba(x, x)[:, 1]) - log_losses(truth, truth)).mean())


def there_is_to_learn() -> float:
    _, y, truth, _ = world(8_000, 1)
    return float((log_losses(truth, np.full(len(y), y.mean())) - log_losses(truth, truth)).mean())


@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.usefixtures("few_are_many")
def test_what_is_chosen_on_some_rows_predicts_as_well_as_what_all_choose(timed: bool) -> None:
    with_all = regret(fitted(12_000, timed=timed, many_rows=20_000))
    assert regret(fitted(12_000, timed=timed)) < with_all + 0.05 * there_is_to_learn()


@pytest.mark.usefixtures("few_are_many")
def test_many_rows_are_learned_from_once(monkeypatch: pytest.MonkeyPatch) -> None:
    learned: list[int] = []
    fit = BinnedRows.fit

    def counted(self: BinnedRows, *args: Any) -> lightgbm.Booster:
        learned.append(len(args[2]))
        return fit(self, *args)

    monkeypatch.setattr(BinnedRows, "fit", counted)
    fitted(12_000, timed=True)
    assert sum(rows > SMALL["MOST_CHOOSING"] for rows in learned) == 1


@pytest.mark.usefixtures("few_are_many")
def test_of_many_rows_those_held_out_are_predicted_by_members_that_have_not_seen_them() -> None:
    model = fitted(12_000, timed=False)
    _, y, _, _ = world(12_000, 0)
    said = np.isfinite(model.oof_probability_)
    assert said.sum() == pytest.approx(SMALL["HELD_ROWS"], rel=0.05)
    assert model.oof_probability_[said].mean() == pytest.approx(y[said].mean(), abs=0.02)
    assert model.head_.evidence == len(y)
    assert model.head_.responses == y.sum()


@pytest.mark.usefixtures("few_are_many")
def test_every_rare_response_is_heard_and_others_stand_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(propensity, "FEWEST_OTHERS", 2_500)
    x, y, truth, _ = world(12_000, 0, base=-6.0)
    model = ResponseModel(cv=3, many_rows=4_000).fit(x, y, X_linear=x)
    said = np.isfinite(model.oof_probability_)
    assert 0 < propensity.OTHERS_OF_ONE * y.sum() < 12_000 - y.sum(), "the world must have few enough responses"
    assert said[y == 1].all()
    assert said.sum() < 6_000
    assert model.oof_weight_.sum() == pytest.approx(len(y))
    assert not model.oof_weight_[~said].any()
    assert (model.head_.evidence, model.head_.responses) == (len(y), y.sum())
    p = model.predict_proba(x, x)[:, 1]
    assert p.mean() == pytest.approx(y.mean(), rel=0.1)
    assert np.corrcoef(np.log(p), np.log(truth))[0, 1] > 0.8


@pytest.mark.usefixtures("few_are_many")
def test_what_is_known_of_contacts_in_one_half_chooses_no_penalty_in_the_other() -> None:
    """Nothing that is known of one contact says anything of another, but each recurs: who is remembered looks predictable."""
    rng = np.random.default_rng(0)
    who = rng.integers(0, 80, 6_000)
    x, y = rng.normal(size=(80, 50))[who], (rng.random(80) < 0.4).astype(float)[who]
    known, not_known = (ResponseModel(cv=3, many_rows=4_000).fit(x, y, X_linear=x, groups=groups).settled_ for groups in (who, None))
    assert known is not None and not_known is not None
    assert known.penalty == min(PENALTIES) < not_known.penalty


def test_a_model_is_asked_with_one_thread_however_many_rows_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """LightGBM's number of threads is the process's: another one, while a fit runs beside it, has torn buffers and killed the process."""
    x, y, _, _ = world(12_000, 0)
    rows = BinnedRows(x, categorical=(), n_jobs=1, random_state=0)
    booster = rows.fit(ResponseModel().settings, "binary", np.arange(len(y)), y)
    score, asked = tree_score(booster), []
    predict = lightgbm.Booster.predict

    def noted(self: lightgbm.Booster, *args: Any, **kwargs: Any) -> Any:
        asked.append(kwargs["num_threads"])
        return predict(self, *args, **kwargs)

    monkeypatch.setattr(lightgbm.Booster, "predict", noted)
    score.of(Encoded(x, x))
    rows.predict(booster, np.arange(len(x)))
    assert asked == [1, 1]
