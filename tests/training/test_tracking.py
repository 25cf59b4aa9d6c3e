from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from mlflow.tracking import MlflowClient

from decisioning.errors import NotFound
from tests.training.conftest import a_run
from training.tracking import Tracker


def test_the_first_version_of_a_name_becomes_champion(tracker: Tracker) -> None:
    published = tracker.publish(a_run())

    assert (published.name, published.version, published.alias) == (f"{tracker.project_name}-uplift", 1, "champion")
    assert tracker.champion_version("uplift") == 1


def test_the_next_version_is_a_challenger_and_the_champion_stays(tracker: Tracker) -> None:
    tracker.publish(a_run())

    assert tracker.publish(a_run()).alias == "challenger"
    assert tracker.publish(a_run()).alias == "challenger"
    assert [(row.version, row.aliases) for row in tracker.versions("uplift")] == [(3, ("challenger",)), (2, ()), (1, ("champion",))]


def test_a_champion_from_another_workspace_of_the_same_name_gives_way(make_tracker: Callable[..., Tracker]) -> None:
    make_tracker("elsewhere").publish(a_run())
    here = make_tracker("here")

    assert here.publish(a_run()).alias == "champion"
    assert here.champion_bundle("uplift").tags["nudge.workspace_id"] == "here"


def test_models_of_one_project_do_not_share_aliases(tracker: Tracker) -> None:
    tracker.publish(a_run("uplift"))

    assert tracker.publish(a_run("propensity")).alias == "champion"
    assert tracker.names() == [f"{tracker.project_name}-propensity", f"{tracker.project_name}-uplift"]


def test_the_champion_bundle_is_the_folder_that_was_saved(tracker: Tracker) -> None:
    published = tracker.publish(a_run())

    found = tracker.champion_bundle("uplift")

    assert (found.path / "bundle.json").read_text() == '{"kind": "empty"}'
    assert (found.version, found.run_id) == (published.version, published.run_id)
    assert found.tags["nudge.contract_hash"] == "0123456789ab"


def test_nothing_in_a_logged_model_is_pickled(tracker: Tracker) -> None:
    tracker.publish(a_run())

    model = tracker.champion_bundle("uplift").path.parent.parent
    names = {path.name for path in model.rglob("*") if path.is_file()}

    assert not [name for name in names if name.endswith((".pkl", ".pickle", ".joblib"))]
    assert {"MLmodel", "bundle.json", "nudge_pyfunc.py", "input_example.json"} <= names
    assert "cloudpickle" not in (model / "MLmodel").read_text()


def test_metrics_are_the_models_too_and_are_not_read_again_for_it(tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_again(*_: object, **__: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(MlflowClient, "get_metric_history", read_again)
    published = tracker.publish(a_run())

    client = MlflowClient(tracking_uri=tracker.tracking_uri, registry_uri=tracker.tracking_uri)
    [output] = client.get_run(published.run_id).outputs.model_outputs
    model = client.get_logged_model(output.model_id)
    assert {metric.key: metric.value for metric in model.metrics} == {"auc": 0.7, "qini.loan": 0.04}


def test_the_run_shows_parameters_metrics_plots_hashes_and_card(tracker: Tracker) -> None:
    published = tracker.publish(a_run())

    run = tracker._client.get_run(published.run_id)
    files = {one.path for one in tracker._client.list_artifacts(published.run_id)}

    assert {"seed": "7", "weird _name_": "1", "data_sha256.interactions": "ab12"}.items() <= run.data.params.items()
    assert tracker.metrics("uplift", published.version) == {"auc": 0.7, "qini.loan": 0.04}
    assert files == {"model_card.md", "plots", "report.json"}
    assert [one.path for one in tracker._client.list_artifacts(published.run_id, "plots")] == ["plots/calibration.png"]


def test_without_a_champion_there_is_no_version_and_a_plain_refusal(tracker: Tracker) -> None:
    assert tracker.champion_version("uplift") is None
    with pytest.raises(NotFound, match=r"no champion of 'p\d+-uplift' is registered\. Hint: run nudge train"):
        tracker.champion_bundle("uplift")


def test_lost_artifacts_are_named(tracker: Tracker) -> None:
    tracker.publish(a_run())
    folder = tracker.champion_bundle("uplift").path
    folder.rename(folder.with_name("moved"))

    with pytest.raises(NotFound, match=r"artifacts of .* are gone"):
        tracker.champion_bundle("uplift")


@pytest.mark.parametrize("own", [None, "sqlite:///mine.db"])
def test_publishing_leaves_the_process_s_own_mlflow_settings_alone(tracker: Tracker, own: str | None) -> None:
    import mlflow

    mlflow.set_tracking_uri(own)
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri(), dict(os.environ)
    try:
        tracker.publish(a_run())
        assert (mlflow.get_tracking_uri(), mlflow.get_registry_uri()) == before[:2]
        assert {name: value for name, value in os.environ.items() if name.startswith("MLFLOW_")} == {
            name: value for name, value in before[2].items() if name.startswith("MLFLOW_")
        }
    finally:
        mlflow.set_tracking_uri(None)
