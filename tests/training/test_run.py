from __future__ import annotations

import json
import re
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from decisioning.errors import ConfigError, Conflict, NotFound
from estimators.bundle import ClvBundle, PropensityBundle, UpliftBundle, load_bundle
from features.store import FeatureDoor, OnlineConfig
from tests.training.conftest import EmptyBundle, a_run
from tests.training.workspaces import END, loan_uplift, write_business
from training.champion_said import champion_said
from training.comparison import CHAMPION, NO_ACTION, RANDOM, compared
from training.context import TrainingContext, TrainingReport, TrainingSettings
from training.held_out import HELD_OUT_FILE, HeldOut
from training.held_out_evidence import System, held_out_evidence
from training.interactions import Interactions
from training.run import train
from training.tracking import Tracker

Arm = tuple[str, str | None]


def a_context(workspace: Path, mlflow_store: Path, name: str, **changes: object) -> TrainingContext:
    catalog = write_business(workspace, **changes)  # type: ignore[arg-type]
    door = FeatureDoor(workspace, project=name, online=OnlineConfig())
    door.build(END)
    tracker = Tracker(f"sqlite:///{mlflow_store}/mlflow.db", name, mlflow_store / "artifacts", workspace_id=str(workspace))
    # So few rows leave the gate in doubt; here it is the model that is judged.
    settings = TrainingSettings(gate_standard_errors=0.0)
    return TrainingContext(workspace, name, str(workspace), 7, catalog, door, tracker, settings)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory, mlflow_store: Path) -> TrainingContext:
    return a_context(tmp_path_factory.mktemp("business"), mlflow_store, "business")


@pytest.fixture(scope="module")
def stages() -> list[str]:
    return []


@pytest.fixture(scope="module")
def report(context: TrainingContext, stages: list[str]) -> TrainingReport:
    return train(context, progress=lambda stage, done=0, total=0: stages.append(f"{done}/{total} {stage}"))


def champion(context: TrainingContext, model: str) -> PropensityBundle | UpliftBundle | ClvBundle:
    return load_bundle(context.tracker.champion_bundle(model).path)


def test_three_models_are_published_as_champions(report: TrainingReport, stages: Sequence[str]) -> None:
    assert [(model.name, model.version, model.alias) for model in report.models] == [
        ("business-propensity", 1, "champion"),
        ("business-uplift", 1, "champion"),
        ("business-clv", 1, "champion"),
    ]
    assert stages[0] == "0/7 labels and features"
    assert stages[-1] == "6/7 publishing to MLflow"


def test_clv_does_not_wait_until_the_interactions_are_read(context: TrainingContext, monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2)

    def read(*_: object, **__: object) -> Interactions:
        both.wait(timeout=30)
        raise NotFound("there are none")

    def fit(*_: object, **__: object) -> str:
        both.wait(timeout=30)
        return "too few purchases"

    monkeypatch.setattr(Interactions, "read", read)
    monkeypatch.setattr("training.run.fit_clv", fit)
    with pytest.raises(Conflict) as refused:
        train(context, refit=True)
    assert refused.value.got == "propensity and uplift are not trained: there are none; clv is not trained: too few purchases"


def test_metrics_on_the_test_rows_are_those_of_a_model_that_learned(report: TrainingReport) -> None:
    propensity, uplift, clv = (dict(model.metrics) for model in report.models)

    assert propensity["auc.card"] > 0.75
    assert propensity["ece"] < 0.06
    assert uplift["qini.loan"] > 0.05
    assert uplift["uplift_top_30.loan"] > uplift["uplift_all.loan"]
    assert uplift["gain.uplift"] > uplift["gain.propensity"]
    assert uplift["gain.uplift_low"] < uplift["gain.uplift"] < uplift["gain.uplift_high"]
    assert clv["gini.btyd"] > 0.3


def test_the_served_uplift_is_near_the_truth(context: TrainingContext, report: TrainingReport) -> None:
    bundle = champion(context, "uplift")
    assert isinstance(bundle, UpliftBundle)
    _, columns = context.door.population(END)

    found, truth = bundle.uplift(columns, END, [("loan", "email"), ("loan", "call"), ("card", "email")]), loan_uplift(columns["age"])

    assert np.corrcoef(found[:, 0], truth)[0, 1] > 0.8
    assert found[:, 0].mean() == pytest.approx(truth.mean(), abs=0.04)
    assert found[:, 2].mean() == pytest.approx(0.01, abs=0.04)
    effect, error = bundle.average_effects["loan", None]
    assert abs(effect - truth.mean() - 0.015) < 4 * error
    assert bundle.evidence("loan") > 1000


def test_the_served_propensity_knows_responses_opt_outs_and_money(context: TrainingContext, report: TrainingReport) -> None:
    bundle = champion(context, "propensity")
    assert isinstance(bundle, PropensityBundle)
    _, columns = context.door.population(END)

    risk = bundle.opt_out_risk(columns, END, ["email", "call"])

    assert set(bundle.heads) == {"loan", "card"}
    assert risk.mean() == pytest.approx(0.03, abs=0.01)
    assert bundle.observed_value(columns, END, ["card"]).mean() == pytest.approx(50.0, abs=2.0)


def test_what_is_not_learned_is_said(report: TrainingReport) -> None:
    assert any(warning.startswith("new: no interaction with a known outcome") for warning in report.warnings)
    assert any(warning.startswith("uplift of new is not learned: 0 interactions") for warning in report.warnings)


def test_the_same_seed_and_as_of_give_the_same_models_and_a_challenger(context: TrainingContext, report: TrainingReport) -> None:
    again = train(context, as_of=END, only="uplift", refit=True)

    (model,) = again.models
    first = next(one for one in report.models if one.name == model.name)
    assert (model.version, model.alias) == (2, "challenger")
    assert dict(model.metrics) == dict(first.metrics)
    documents = [_bundle_json(context, version) for version in (1, 2)]
    assert documents[0] == documents[1]


def _bundle_json(context: TrainingContext, version: int) -> dict[str, object]:
    context.tracker.move_alias("uplift", "champion", version)
    document: dict[str, object] = json.loads((context.tracker.champion_bundle("uplift").path / "bundle.json").read_text())
    context.tracker.move_alias("uplift", "champion", 1)
    return document


def test_the_run_holds_a_card_with_the_split_and_the_figures(context: TrainingContext, report: TrainingReport, tmp_path: Path) -> None:
    run_id = report.models[1].run_id
    path = context.tracker._client.download_artifacts(run_id, "model_card.md", str(tmp_path))
    card = Path(path).read_text()
    parameters = context.tracker._client.get_run(run_id).data.params

    assert "fitted again on all rows" in card
    assert "- split: in time at" in card
    assert "| qini |" in card
    found, limits = card.split("## Findings")[1].split("## Limits")
    assert [f"- {one}" in found for one in report.models[1].findings] == [True]
    assert report.models[1].findings[0] not in limits
    assert report.models[1].findings[0].startswith("personalising")
    assert not set(report.models[1].findings) & set(report.warnings)
    assert parameters["selection_prob_estimated_share"] == "0.0"
    assert len(parameters["data_sha256.interactions"]) == 64


def test_what_is_unchanged_is_not_fitted_again_and_says_the_same(context: TrainingContext, report: TrainingReport) -> None:
    catalog = context.catalog.model_copy(update={"version": "another", "treatments_per_contact": 3})

    again = train(replace(context, catalog=catalog))

    assert [(model.name, model.cached) for model in again.models] == [(model.name, True) for model in report.models]
    assert [dict(model.metrics) for model in again.models] == [dict(model.metrics) for model in report.models]
    assert [model.headline for model in again.models] == [model.headline for model in report.models]
    assert [model.findings for model in again.models] == [model.findings for model in report.models]
    assert set(again.warnings) == set(report.warnings)


def test_a_model_whose_files_were_damaged_is_fitted_again(context: TrainingContext, report: TrainingReport) -> None:
    version = next(model.version for model in report.models if model.name == "business-clv")
    manifest = context.tracker.bundle("clv", version).path / "bundle.json"
    whole = manifest.read_bytes()
    try:
        manifest.write_bytes(whole[:-20])
        again = train(context, only="clv")
    finally:
        manifest.write_bytes(whole)

    assert [(model.cached, model.alias) for model in again.models] == [(False, "challenger")]
    assert again.models[0].version > version


def test_figures_carry_intervals_and_the_run_its_plots(context: TrainingContext, report: TrainingReport) -> None:
    propensity, _, clv = (dict(model.metrics) for model in report.models)
    plots = [{one.path for one in context.tracker._client.list_artifacts(model.run_id, "plots")} for model in report.models]

    assert propensity["auc_low"] < propensity["auc"] < propensity["auc_high"]
    assert propensity["log_loss_low.card"] < propensity["log_loss.card"] < propensity["log_loss_high.card"]
    assert clv["gini.served_low"] < clv["gini.served"] < clv["gini.served_high"]
    assert {"plots/calibration.png", "plots/shap_summary.png"} <= plots[0]
    assert {"plots/qini.png", "plots/uplift_by_segment.png", "plots/shap_summary.png"} <= plots[1]
    assert any(name.startswith("plots/money_") for name in plots[2])
    for model in report.models:
        assert model.headline is not None
        assert model.headline.low is not None


def test_the_card_compares_groups_of_declared_columns(context: TrainingContext, report: TrainingReport, tmp_path: Path) -> None:
    found = train(replace(context, settings=TrainingSettings(sensitive=("city",))), only="propensity")
    path = context.tracker._client.download_artifacts(found.models[0].run_id, "model_card.md", str(tmp_path))
    card = Path(path).read_text()

    assert "### city" in card
    assert "| Łódź | " in card
    assert "| unknown | " in card
    assert not found.models[0].cached


def test_a_sensitive_column_that_is_no_feature_is_refused_with_the_nearest_name(context: TrainingContext) -> None:
    with pytest.raises(ConfigError, match=r"training\.sensitive: is not a feature of this workspace; got agee; .*did you mean 'age'\?"):
        train(replace(context, settings=TrainingSettings(sensitive=("agee",))))


def test_without_controls_uplift_is_refused_in_words_and_the_rest_is_trained(tmp_path: Path, mlflow_store: Path) -> None:
    context = a_context(tmp_path, mlflow_store, "no_control", controls=False, contacts=800)
    context.tracker.publish(a_run("uplift", bundle=EmptyBundle("of old features")))

    report = train(context)

    # Its champion would keep the others from serving, too.
    assert context.tracker.champion_version("uplift") is None
    assert "uplift: its champion cannot read the features of now, and none could be trained: it serves no longer" in report.warnings
    assert [model.name for model in report.models] == ["no_control-propensity", "no_control-clv"]
    assert any("uplift is not trained: there are no `no_action` interactions" in warning for warning in report.warnings)


def test_without_logged_probabilities_they_are_estimated_and_it_is_said(tmp_path: Path, mlflow_store: Path) -> None:
    context = a_context(tmp_path, mlflow_store, "estimated", contacts=1500)
    path = tmp_path / "data" / "interactions.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["selection_prob"]), path)

    report = train(context, only="uplift")

    assert any("selection_prob is estimated from the features for 100% of the interactions" in warning for warning in report.warnings)
    assert report.models[0].metrics["uplift_all.loan"] == pytest.approx(0.05, abs=0.08)


def test_without_purchases_there_is_no_clv_and_without_anything_a_refusal(tmp_path: Path, mlflow_store: Path) -> None:
    context = a_context(tmp_path, mlflow_store, "nothing", contacts=200)
    (tmp_path / "data" / "events.parquet").unlink()
    (tmp_path / "data" / "interactions.parquet").unlink()

    with pytest.raises(
        Conflict, match=r"no model could be trained; got propensity and uplift are not trained: .*; clv is not trained: 0 purchases"
    ):
        train(context)


def test_actions_that_the_catalogue_does_not_know_are_left_out_and_counted(context: TrainingContext, report: TrainingReport) -> None:
    catalog = context.catalog.model_copy(update={"actions": tuple(action for action in context.catalog.actions if action.id != "card")})
    fewer = replace(context, catalog=catalog)

    found = train(fewer, only="propensity")

    assert any("interactions of 'card' are left out: the catalogue does not know it" in warning for warning in found.warnings)


def test_what_the_tested_fit_said_is_kept_beside_the_model_with_nobodys_id(context: TrainingContext, report: TrainingReport) -> None:
    kept = {model: context.tracker.table(model, 1, HELD_OUT_FILE) for model in ("propensity", "uplift", "clv")}

    assert kept["clv"] is None
    assert kept["propensity"] is not None
    assert kept["uplift"] is not None
    propensity, uplift = HeldOut.from_bytes(kept["propensity"]), HeldOut.from_bytes(kept["uplift"])
    assert set(uplift.actions) == {"loan", "card"}
    assert set(propensity.row) == set(uplift.row)
    assert all(re.fullmatch("[0-9a-f]{18}", one) for one in (*uplift.contact, *uplift.row))
    assert np.isnan(propensity.uplift).all()
    lines = {line.name: line for line in compared(held_out_evidence({CHAMPION: System(propensity, uplift)}))}
    assert lines[NO_ACTION].gain.high < 0
    assert lines[RANDOM].gain.high < 0


def test_what_the_champion_says_of_rows_later_than_its_data_is_what_it_would_serve(
    context: TrainingContext, report: TrainingReport, request: pytest.FixtureRequest
) -> None:
    part, trained_at = Interactions.read(context, END), END - np.timedelta64(20, "D")
    nothing_later = champion_said(context, part.test)
    for model in ("propensity", "uplift"):
        context.tracker.tag_version(model, 1, {"nudge.as_of": str(trained_at)})
        request.addfinalizer(lambda model=model: context.tracker.tag_version(model, 1, {"nudge.as_of": str(END)}))
    found = champion_said(context, part.test)

    assert nothing_later is None
    assert found is not None
    later = part.test.take(part.test.data.rows.occurred_at >= trained_at)
    assert 0 < len(found) <= len(later) < len(part.test)
    assert found.said_by == HeldOut.from_bytes(found.to_bytes()).said_by == {"propensity": 1, "uplift": 1}
    propensity, uplift = champion(context, "propensity"), champion(context, "uplift")
    assert isinstance(propensity, PropensityBundle)
    assert isinstance(uplift, UpliftBundle)
    asked = later.data.features, later.data.rows.features_at, [(name, None) for name in found.actions]
    for said, served in ((found.propensity, propensity.propensity(*asked)), (found.uplift, uplift.uplift(*asked))):
        assert set(said[:, 0].round(9)) <= set(served[:, 0].round(9))


def test_a_champion_that_cannot_be_opened_says_nothing_and_stops_no_training(
    context: TrainingContext, report: TrainingReport, mlflow_store: Path
) -> None:
    tracker = Tracker(f"sqlite:///{mlflow_store}/mlflow.db", "damaged", mlflow_store / "artifacts", workspace_id=context.workspace_id)
    long_ago = END - np.timedelta64(100, "D")
    tracker.publish(a_run("propensity", bundle=EmptyBundle(context.door.contract.hash), as_of=long_ago))

    assert champion_said(replace(context, tracker=tracker), Interactions.read(context, END).test) is None


def test_a_champion_that_another_workspace_trained_says_nothing(context: TrainingContext, report: TrainingReport) -> None:
    test = Interactions.read(context, END).test

    assert champion_said(replace(context, workspace_id="elsewhere"), test) is None


def test_one_model_trained_on_new_features_takes_those_along_whose_champions_cannot_read_them(tmp_path: Path, mlflow_store: Path) -> None:
    context = a_context(tmp_path, mlflow_store, "grown", contacts=600)
    for model in ("propensity", "uplift", "clv"):
        context.tracker.publish(a_run(model, bundle=EmptyBundle("of old features")))

    report = train(context, only="clv")

    assert {model.name: model.alias for model in report.models} == dict.fromkeys(
        ("grown-clv", "grown-propensity", "grown-uplift"), "champion"
    )
    assert "uplift is trained too: its champion cannot read the features of now" in report.warnings
    assert {context.tracker.champion_reads(model) for model in ("propensity", "uplift", "clv")} == {context.door.contract.hash}
