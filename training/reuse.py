"""A version that an earlier run registered, given back where training would only repeat that run."""

from __future__ import annotations

from decisioning.errors import NotFound
from estimators.bundle import load_bundle
from training.context import ModelName, TrainedModel, TrainingContext
from training.headline import headline


def reusable(context: TrainingContext, model: ModelName, key: str) -> TrainedModel | None:
    """The newest version of this key that is whole: its run is there, and its bundle is read and matches its checksums.

    A version that lost its alias becomes challenger again, as if it had been trained now.

    Raises
    ------
    Unavailable
        MLflow does not answer.
    """
    tracker = context.tracker
    for version in tracker.versions_of_key(model, key):
        try:
            report = tracker.report(model, version)
            found = tracker.bundle(model, version)
            load_bundle(found.path, context.trusted(model))
        except (NotFound, ValueError):
            continue
        metrics = {name: float(value) for name, value in report["metrics"].items()}
        return TrainedModel(
            name=tracker.registered_name(model),
            version=version,
            run_id=found.run_id,
            metrics=metrics,
            alias=tracker.give_alias(model, version),
            warnings=tuple(report["warnings"]),
            cached=True,
            headline=headline(model, metrics),
            findings=tuple(report["findings"]),
        )
    return None
