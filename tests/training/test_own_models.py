"""A user's own classifier or regressor: named in nudge.yaml, trained by the same path, served from a bundle that grants itself no trust."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from decisioning.errors import ConfigError
from estimators.action_uplifts import UpliftSettings, fit_action_uplifts
from estimators.bundle import ClvBundle, PropensityBundle, load_bundle
from estimators.clv_blend import BlendedClvHead, ColumnsRead
from estimators.clv_correction import TWEEDIE, choose_weights, fit_corrections, level_factors
from estimators.clv_gamma_gamma import GammaGammaParams
from estimators.clv_heads import BtydClvHead
from estimators.clv_pareto_nbd import ParetoNbdParams
from estimators.effect_levels import Place
from estimators.effect_rows import NOTHING, LoggedActions
from estimators.encoding import Encoded
from estimators.joint import JointScores
from estimators.own_response import OwnResponseModel
from estimators.own_score import OwnEffect, OwnEstimatorFailed, OwnMoney, OwnScore, with_trust
from estimators.scores import TreeScore
from estimators.uplift_head import UpliftHead
from features.store import FeatureDoor, OnlineConfig
from tests.estimators.test_clv_correction import moment
from tests.training.test_run import a_context
from tests.training.workspaces import END, a_catalog
from training.context import TrainingContext
from training.fit_clv import FittedClv, fit_clv
from training.importance import feature_importance
from training.own_models import Named, OwnEstimator, own_estimator, refuse_untrusted
from training.run import train

CLASSIFIER = '''
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.naive_bayes import GaussianNB

class Likeness(ClassifierMixin, BaseEstimator):
    """A user's own: naive Bayes on all columns, made smoother."""
    def __init__(self, smoothing=1e-3, random_state=None):
        self.smoothing = smoothing
        self.random_state = random_state
    def fit(self, X, y, sample_weight=None):
        self.inner_ = GaussianNB(var_smoothing=self.smoothing).fit(X, y, sample_weight)
        self.classes_ = self.inner_.classes_
        return self
    def predict_proba(self, X):
        return self.inner_.predict_proba(X)

class Stubborn(Likeness):
    def fit(self, X, y, sample_weight=None):
        raise RuntimeError("not today")

class Regressor(BaseEstimator):
    def fit(self, X, y):
        return self

class Corners(RegressorMixin, BaseEstimator):
    """A user's own: one number for each corner of the first two columns."""
    def fit(self, X, y, sample_weight=None):
        self.means_ = np.array([np.average(y[self._corner(X) == k], weights=sample_weight[self._corner(X) == k]) for k in range(4)])
        return self
    def _corner(self, X):
        return 2 * (X[:, 0] > 0) + (X[:, 1] > 0)
    def predict(self, X):
        return self.means_[self._corner(X)]

class Broken(Corners):
    def fit(self, X, y, sample_weight=None):
        raise RuntimeError("not today")

class Spender(RegressorMixin, BaseEstimator):
    """A user's own: money by the sign of the first column."""
    def fit(self, X, y):
        self.means_ = np.array([y[X[:, 0] <= 0].mean(), y[X[:, 0] > 0].mean()])
        return self
    def predict(self, X):
        return self.means_[(X[:, 0] > 0).astype(int)]

class Absent(Spender):
    def predict(self, X):
        return np.where(np.arange(len(X)) == 7, np.nan, 1.0)

class Lonely(Spender):
    """Answers one row, and stumbles over more."""
    def predict(self, X):
        return super().predict(X) if len(X) == 1 else {}["everybody"]

class Picky(Spender):
    def predict(self, X):
        if len(X) > 1:
            raise ValueError("too many rows")
        return super().predict(X)

class Anonymous(Spender):
    def fit(self, X, y):
        self.link_ = lambda money: money
        return super().fit(X, y)

def helper():
    return 1
'''
FOREST = "sklearn.ensemble.HistGradientBoostingClassifier"


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with a module of the user's own beside nudge.yaml, on a search path that is put back."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "shopmodels", raising=False)
    (tmp_path / "shopmodels.py").write_text(CLASSIFIER, encoding="utf-8")
    return tmp_path


def named(name: str, beside: Path, **params: Any) -> OwnEstimator:
    return own_estimator(Named(name, params, (), "models.propensity"), "classifier", beside=beside, seed=7)


def regressor(name: str, beside: Path, model: str = "uplift", **params: Any) -> OwnEstimator:
    return own_estimator(Named(name, params, (), f"models.{model}"), "regressor", beside=beside, seed=7)


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("shopmodel.Likeness", {}, "models.propensity.class: cannot be imported"),
        ("shopmodels.Likenes", {}, "models.propensity.class: the module shopmodels has no such class; got Likenes"),
        ("shopmodels.Likenes", {}, "did you mean 'Likeness'?"),
        ("shopmodels.helper", {}, "models.propensity.class: is not a class"),
        ("shopmodels.Regressor", {}, "which lacks predict_proba"),
        ("shopmodels.Likeness", {"smothing": 1}, "models.propensity.params.smothing: is no setting of the class"),
        ("shopmodels.Likeness", {"smothing": 1}, "did you mean 'smoothing'?"),
    ],
)
def test_a_class_that_cannot_be_used_is_refused_with_what_is_allowed(beside: Path, name: str, params: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        named(name, beside, **params)

    assert message in str(refused.value)


def test_a_random_state_that_is_not_given_is_the_seed_and_other_code_is_another_model(beside: Path) -> None:
    first = named("shopmodels.Likeness", beside)
    (beside / "shopmodels.py").write_text(CLASSIFIER + "\nX = 1\n", encoding="utf-8")
    second = named("shopmodels.Likeness", beside)

    assert first.estimator.random_state == 7
    assert first.trusted == ("shopmodels.*",)
    assert first.key != second.key


def test_it_is_cross_fitted_and_its_probabilities_are_right_on_average(beside: Path) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(4000, 3))
    truth = 1.0 / (1.0 + np.exp(1.5 - x[:, 0] - x[:, 1]))  # naive Bayes is too sure of itself where columns speak together
    y = (rng.random(4000) < truth).astype(float)
    model = OwnResponseModel(named("shopmodels.Likeness", beside).estimator, cv=3).fit(np.column_stack([x, x[:, 0] + x[:, 1]]), y)
    said = model.oof_probability_
    order = np.array_split(np.argsort(said), 10)

    assert max(abs(said[part].mean() - y[part].mean()) for part in order) < 0.06
    assert np.corrcoef(said, truth)[0, 1] > 0.95


def test_few_events_give_everybody_the_mean(beside: Path) -> None:
    y = np.zeros(300)
    y[:5] = 1.0
    model = OwnResponseModel(named("shopmodels.Likeness", beside).estimator).fit(np.random.default_rng(0).normal(size=(300, 2)), y)

    assert model.head_.weights == (1.0, 0.0, 0.0) and model.head_.linear is None


@pytest.fixture(scope="module")
def business(tmp_path_factory: pytest.TempPathFactory, mlflow_store: Path) -> TrainingContext:
    return a_context(tmp_path_factory.mktemp("own"), mlflow_store, "own", contacts=1200)


def test_a_scikit_learn_class_is_trained_registered_and_served(business: TrainingContext, tmp_path: Path) -> None:
    own = named(FOREST, tmp_path, max_iter=20)
    context = replace(business, own_propensity=own)

    (model,) = train(context, only="propensity").models
    folder = context.tracker.bundle("propensity", model.version).path
    bundle = load_bundle(folder, own.trusted)

    assert isinstance(bundle, PropensityBundle)
    assert isinstance(bundle.heads["loan"].linear, OwnScore)
    assert not list(folder.glob("*.pkl"))
    assert model.metrics["auc"] > 0.55
    assert "HistGradientBoostingClassifier(max_iter=20)" in context.tracker.table("propensity", model.version, "model_card.md").decode()  # type: ignore[union-attr]
    age = {"age": np.array([25.0, 65.0]), "eager": np.zeros(2)}
    young, old = bundle.propensity(age, np.datetime64("2026-06-01", "us"), [("loan", "email")])[:, 0]

    assert young > old
    assert "workspace's own" in JointScores.of(bundle, None, None, [("loan", "email")]).left_out["propensity"]
    assert train(context, only="propensity").models[0].cached
    assert not train(replace(context, own_propensity=named(FOREST, tmp_path, max_iter=21)), only="propensity").models[0].cached


def test_a_class_of_the_users_own_is_opened_only_where_it_is_trusted(business: TrainingContext, beside: Path, tmp_path: Path) -> None:
    own = named("shopmodels.Likeness", beside)
    context = replace(business, own_propensity=own)
    (model,) = train(context, only="propensity").models
    folder = context.tracker.bundle("propensity", model.version).path

    with pytest.raises(ValueError, match=r"types that nudge.yaml does not trust; got shopmodels.Likeness"):
        load_bundle(folder)
    bundle = load_bundle(folder, own.trusted)
    assert isinstance(bundle, PropensityBundle)
    again = tmp_path / "again"
    bundle.save(again)
    assert "trusted" not in (again / "bundle.json").read_text(encoding="utf-8")


def test_a_bundle_that_trusts_itself_is_not_believed(beside: Path, tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(size=(500, 2))
    model = OwnResponseModel(named("shopmodels.Likeness", beside).estimator).fit(x, (x[:, 0] > 0).astype(float))
    assert model.head_.linear is not None
    part = {**model.head_.linear.to_dict(), "trusted": ["shopmodels.*"]}
    with pytest.raises(ValueError, match="does not trust"):
        OwnScore.from_dict(with_trust({"linear": part}, ())["linear"])


def test_an_estimator_that_cannot_be_fitted_is_named_with_what_it_says(business: TrainingContext, beside: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"models.propensity: the estimator cannot be fitted; got .*Stubborn\(\): RuntimeError: not today"
    ):
        train(replace(business, own_propensity=named("shopmodels.Stubborn", beside)), only="propensity")


def test_a_regressor_without_predict_is_refused_and_one_of_the_users_own_is_taken(beside: Path) -> None:
    with pytest.raises(ConfigError, match=r"models.uplift.class: is not a regressor .* lacks predict"):
        regressor("shopmodels.Regressor", beside)

    assert regressor("shopmodels.Corners", beside).trusted == ("shopmodels.*",)


def test_an_own_regressor_is_heard_where_it_sees_what_ours_do_not_and_is_served_only_where_it_is_trusted(beside: Path) -> None:
    n, rng = 6000, np.random.default_rng(5)
    x, w = rng.normal(size=(n, 3)), rng.integers(0, 2, n)
    effect = 0.3 * np.sign(x[:, 0] * x[:, 1])
    y = (rng.random(n) < 0.5 + effect * w).astype(float)
    everybody, action = np.ones((n, 1), dtype=np.bool_), np.where(w == 1, 0, NOTHING)
    logged = LoggedActions((Place("loan"),), ("mail",), np.zeros(1, dtype=np.int64), action, action, y[:, None], everybody, np.ones(n))
    own = regressor("shopmodels.Corners", beside)

    found = fit_action_uplifts(Encoded(x, x), logged, np.ones(n), np.arange(n) % 3, UpliftSettings(own=own.estimator)).by_action[0].head

    assert [member.name for member in found.members if isinstance(member.score, OwnEffect)] == ["own"]
    assert np.corrcoef(found.effect(Encoded(x, x)), effect)[0, 1] > 0.9
    with pytest.raises(ValueError, match=r"does not trust; got shopmodels.Corners.* under models.uplift"):
        UpliftHead.from_dict(with_trust(found.to_dict(), ()))
    again = UpliftHead.from_dict(with_trust(found.to_dict(), own.trusted))
    assert np.array_equal(again.effect(Encoded(x, x)), found.effect(Encoded(x, x)))


def test_an_own_regressor_goes_the_way_of_ours_to_the_registry(business: TrainingContext, beside: Path) -> None:
    context = replace(business, own_uplift=regressor("shopmodels.Corners", beside))
    train(business, only="propensity")

    (model,) = train(context, only="uplift").models

    card = context.tracker.table("uplift", model.version, "model_card.md")
    assert card is not None
    assert "shopmodels.Corners()" in card.decode()
    assert train(context, only="uplift").models[0].cached
    with pytest.raises(
        ConfigError, match=r"models.uplift: the estimator cannot be fitted; got shopmodels.Broken\(\): RuntimeError: not today"
    ):
        train(replace(business, own_uplift=regressor("shopmodels.Broken", beside)), only="uplift")


def test_an_own_regressor_of_money_is_heard_where_it_sees_what_ours_do_not_and_is_served_only_where_it_is_trusted(beside: Path) -> None:
    own = regressor("shopmodels.Spender", beside, "clv")
    earlier, later = moment(3000, 0, effect=0.8), moment(3000, 1, effect=0.8)
    corrections = fit_corrections([earlier], [], own=own.estimator)
    moneys = corrections.moneys(later.rows, later.outlook)

    verdict = choose_weights(moneys * level_factors(moneys), later.money, TWEEDIE)

    assert isinstance(corrections.scores["money_features"], OwnMoney)
    assert isinstance(corrections.scores["count_features"], TreeScore)
    assert verdict.weights[3] > 0
    assert verdict.gain > 3 * verdict.standard_error
    btyd = BtydClvHead(ParetoNbdParams(0.55, 74.0, 0.6, 81.0), GammaGammaParams(6.0, 4.0, 15.0), 0.3, 0.1, 12.0)
    head = BlendedClvHead(btyd, 90.0, ColumnsRead((0,), (0, 1, 2)), corrections, np.ones(3) / 3, verdict.weights)
    assert head.method.endswith("corrected by lightgbm and a regressor of the workspace's own")
    with pytest.raises(ValueError, match=r"does not trust; got shopmodels.Spender.* under models.clv"):
        BlendedClvHead.from_dict(with_trust(head.to_dict(), ()))
    again = BlendedClvHead.from_dict(with_trust(head.to_dict(), own.trusted))
    assert again.columns == head.columns
    np.testing.assert_array_equal(again.corrections.moneys(later.rows, later.outlook), moneys)


def one_purchase_each(workspace: Path) -> FeatureDoor:
    """Nobody came back, so no buy-till-you-die model can be learned; the old found the shop lately, and some have not found it yet."""
    rng, n = np.random.default_rng(1), 800
    age = rng.integers(20, 70, n)
    before = np.where(age > 45, rng.uniform(0, 60, n), rng.uniform(60, 200, n))
    data = workspace / "data"
    data.mkdir()
    ids = [f"c{k:04d}" for k in range(n)]
    bought = slice(0, 500)
    at = pa.array(END - (before[bought] * 86_400_000_000).astype("timedelta64[us]"), pa.timestamp("us"))
    pq.write_table(
        pa.table({"contact_id": ids, "age": age, "valid_from": pa.array([END - np.timedelta64(400, "D")] * n)}), data / "contacts.parquet"
    )
    events = {"contact_id": ids[bought], "event_type": ["purchase"] * 500, "occurred_at": at, "value": rng.gamma(9.0, 10.0 / 3, 500)}
    pq.write_table(pa.table(events), data / "events.parquet")
    (data / "manifest.json").write_text(json.dumps({"newest_at": str(END) + "Z"}))
    door = FeatureDoor(workspace, project="once", online=OnlineConfig())
    door.build(END)
    return door


def test_where_purchases_identify_no_model_an_own_regressor_of_money_is_served_alone(tmp_path: Path) -> None:
    door = one_purchase_each(tmp_path)
    own = regressor("sklearn.ensemble.HistGradientBoostingRegressor", tmp_path, "clv", max_iter=30)

    found = fit_clv(tmp_path / "data", a_catalog(), door, END, seed=7, own=own)

    assert isinstance(found, FittedClv)
    assert (found.served, found.bundle.method) == ("own", "a regressor of the workspace's own")
    assert any(note.startswith("the regressor of your own alone: ") for note in found.notes)
    _, columns = door.population(END)
    said = found.bundle.clv(columns, END)
    assert np.isfinite(said).all()
    assert (said >= 0).all()
    assert "workspace's own" in JointScores.of(None, None, found.bundle, []).left_out["clv"]
    assert sum(feature_importance(found.bundle, columns, END, seed=7).values()) == pytest.approx(1.0)
    found.bundle.save(tmp_path / "bundle")
    again = load_bundle(tmp_path / "bundle", own.trusted)
    assert isinstance(again, ClvBundle)
    np.testing.assert_array_equal(again.clv(columns, END), said)


@pytest.mark.parametrize(("name", "words"), [("Lonely", "KeyError: 'everybody'"), ("Picky", "ValueError: too many rows")])
def test_what_an_own_regressor_raises_when_it_is_asked_is_its_failure_and_not_the_datas(beside: Path, name: str, words: str) -> None:
    x = np.random.default_rng(3).normal(size=(60, 2))
    fitted = OwnMoney.fitted(regressor(f"shopmodels.{name}", beside, "clv").estimator, x, np.exp(x[:, 0]))

    with pytest.raises(OwnEstimatorFailed, match=words):
        fitted.of(Encoded(x, x))


def test_a_fitted_estimator_that_cannot_be_opened_again_is_refused_before_it_is_registered(beside: Path) -> None:
    x = np.random.default_rng(3).normal(size=(60, 2))
    own = regressor("shopmodels.Anonymous", beside, "clv")

    with pytest.raises(
        ConfigError, match=r"models.clv.class: the fitted estimator cannot be kept and opened again; got .*Anonymous.*lambda"
    ):
        refuse_untrusted([own.estimator.fit(x, np.exp(x[:, 0]))], own, "models.clv")
    refuse_untrusted([regressor("shopmodels.Spender", beside, "clv").estimator.fit(x, np.exp(x[:, 0]))], own, "models.clv")


def test_an_own_regressor_of_money_goes_the_way_of_ours_to_the_registry(business: TrainingContext, beside: Path) -> None:
    context = replace(business, own_clv=regressor("shopmodels.Spender", beside, "clv"))

    (model,) = train(context, only="clv").models

    card = context.tracker.table("clv", model.version, "model_card.md")
    assert card is not None
    assert "shopmodels.Spender()" in card.decode()
    assert "rmse.served" in model.metrics
    load_bundle(context.tracker.bundle("clv", model.version).path, context.trusted("clv"))
    assert train(context, only="clv").models[0].cached
    for broken, words in (("Broken", "RuntimeError: not today"), ("Absent", "predict must answer with .* finite numbers")):
        with pytest.raises(ConfigError, match=rf"models.clv: the estimator cannot be fitted; got shopmodels.{broken}\(\): {words}"):
            train(replace(business, own_clv=regressor(f"shopmodels.{broken}", beside, "clv")), only="clv")


def test_an_own_regressor_of_money_has_no_place_beside_contracts(business: TrainingContext, beside: Path) -> None:
    contracts = a_catalog(clv={"contract": {"start": "joined", "end": "joined", "value": "age"}})
    context = replace(business, catalog=contracts, own_clv=regressor("shopmodels.Spender", beside, "clv"))

    with pytest.raises(ConfigError, match=r"models.clv: has no place beside the catalogue's clv.contract.*got shopmodels.Spender"):
        train(context, only="clv")
