"""A judged and refitted model -> one MLflow run with its card, and a registered version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from decisioning.catalog import Catalog
from decisioning.vocabulary import Columns
from training.context import ModelName, TrainedModel, TrainingContext
from training.headline import headline
from training.model_card import CardFacts, model_card
from training.model_run import Arm, Bundle, ModelRun

EXAMPLE_ROWS = 5


@dataclass(frozen=True, eq=False)
class Judged:
    """A model as it will be served, and what its evaluation showed.

    Attributes
    ----------
    as_of : numpy.datetime64
        The instant to predict for unless another is asked for.
    features : Columns
        Some rows, for the input example.
    facts : mapping
        Of the data and the split: parameters of the run, and lines of the card.
    plots : mapping
        PNG bytes by file name.
    """

    model: ModelName
    bundle: Bundle
    as_of: np.datetime64
    features: Columns
    facts: Mapping[str, object]
    metrics: Mapping[str, float]
    plots: Mapping[str, bytes] = field(default_factory=dict)
    warnings: Sequence[str] = ()


def publish(context: TrainingContext, judged: Judged, hashes: Mapping[str, str], *, key: str = "") -> TrainedModel:
    """Log and register a model under the key of what it is made of; `metrics` that are not finite are left out."""
    metrics = {name: float(value) for name, value in judged.metrics.items() if np.isfinite(value)}
    facts = CardFacts(context.tracker.registered_name(judged.model), judged.model, judged.facts, metrics, judged.warnings)
    run = ModelRun(
        model=judged.model,
        bundle=judged.bundle,
        arms=served_arms(judged.bundle, context.catalog),
        example=shuffled_rows(judged.features, seed=context.seed),
        as_of=judged.as_of,
        params={"seed": context.seed, "catalog": context.catalog.fingerprint, "contract_hash": judged.bundle.contract_hash, **judged.facts},
        metrics=metrics,
        plots=judged.plots,
        data_hashes=hashes,
        model_card=model_card(facts),
        warnings=tuple(judged.warnings),
        key=key,
    )
    published = context.tracker.publish(run)
    return TrainedModel(
        published.name,
        published.version,
        published.run_id,
        metrics,
        published.alias,
        tuple(judged.warnings),
        headline=headline(judged.model, metrics),
    )


def served_arms(bundle: Bundle, catalog: Catalog) -> list[Arm]:
    """The catalogue's (action, channel) pairs that the model answers for."""
    heads = getattr(bundle, "heads", {})
    return list(dict.fromkeys((action.id, treatment.channel) for action, treatment in catalog.treatments if action.id in heads))


def shuffled_rows(columns: Columns, *, seed: int) -> Columns:
    """A few example rows in which no two columns come from one contact: nobody's row leaves the workspace."""
    rng = np.random.default_rng([seed, 0xE8A])
    length = len(next(iter(columns.values()), ()))
    return {name: column[rng.integers(0, length, min(length, EXAMPLE_ROWS))] for name, column in columns.items()}
