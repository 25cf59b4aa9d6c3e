"""A judged and refitted model -> one MLflow run with its card, and a registered version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from decisioning.catalog import Catalog
from decisioning.vocabulary import Columns, IntArray
from estimators.bundle import ClvBundle, LeadBundle, PropensityBundle, UpliftBundle
from training.context import ModelName, TrainedModel, TrainingContext
from training.headline import headline
from training.importance import feature_importance
from training.model_card import CardFacts, model_card
from training.model_run import Arm, Bundle, ModelRun
from training.narrow import SomeRows
from training.pictures import importance_plot

EXAMPLE_ROWS = 5
SHARED_BY = 20
"""A text of an example is that of so many contacts."""

_LOOKED_THROUGH = 10_000
"""Rows at once, for those who share a text."""


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
    moments : datetime64[us] array, optional
        The as_of of each of the rows in `features`; without it all are seen from `as_of`.
    segments : str
        A markdown table.
    fairness : mapping of sensitive feature to markdown table
    tables : mapping
        More files beside the model, bytes by file name.
    method : str
        How it was learned, where it was not in the usual way.
    findings : sequence of str
        What was found that limits nothing, in words.
    """

    model: ModelName
    bundle: PropensityBundle | UpliftBundle | ClvBundle | LeadBundle
    as_of: np.datetime64
    features: Columns
    facts: Mapping[str, object]
    metrics: Mapping[str, float]
    plots: Mapping[str, bytes] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    moments: npt.NDArray[np.datetime64] | None = None
    segments: str = ""
    fairness: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, bytes] = field(default_factory=dict)
    method: str = ""
    findings: Sequence[str] = ()


def publish(context: TrainingContext, judged: Judged, hashes: Mapping[str, str], *, key: str = "") -> TrainedModel:
    """Log and register a model under the key of what it is made of; `metrics` that are not finite are left out."""
    metrics = {name: float(value) for name, value in judged.metrics.items() if np.isfinite(value)}
    moments = judged.as_of if judged.moments is None else judged.moments
    importance = feature_importance(judged.bundle, judged.features, moments, seed=context.seed)
    facts = CardFacts(
        title=context.tracker.registered_name(judged.model),
        model=judged.model,
        data=judged.facts,
        metrics=metrics,
        warnings=judged.warnings,
        features=importance,
        segments=judged.segments,
        fairness=judged.fairness,
        method=judged.method,
        findings=judged.findings,
    )
    run = ModelRun(
        model=judged.model,
        bundle=judged.bundle,
        arms=served_arms(judged.bundle, context.catalog),
        example=shuffled_rows(judged.features, seed=context.seed),
        as_of=judged.as_of,
        params={"seed": context.seed, "catalog": context.catalog.fingerprint, "contract_hash": judged.bundle.contract_hash, **judged.facts},
        metrics=metrics,
        plots={**judged.plots, **importance_plot(importance)},
        data_hashes=hashes,
        model_card=model_card(facts),
        warnings=tuple(judged.warnings),
        key=key,
        tables=judged.tables,
        findings=tuple(judged.findings),
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
        findings=tuple(judged.findings),
    )


def served_arms(bundle: Bundle, catalog: Catalog) -> list[Arm]:
    """The catalogue's (action, channel) pairs that the model answers for."""
    heads = getattr(bundle, "heads", {})
    return list(dict.fromkeys((action.id, treatment.channel) for action, treatment in catalog.treatments if action.id in heads))


def shuffled_rows(columns: Columns, *, seed: int) -> Columns:
    """A few example rows in which no two columns come from one contact, and no text is shown that fewer than `SHARED_BY` contacts have."""
    rng = np.random.default_rng([seed, 0xE8A])
    length = len(next(iter(columns.values()), ()))
    rows = min(length, EXAMPLE_ROWS)
    return {name: _common(columns, name, rng.integers(0, length, rows)) for name in columns}


def _common(columns: Columns, name: str, rows: IntArray) -> npt.NDArray[Any]:
    """Some rows of a column without the texts that name few: who is erased must not live on in an example."""
    some = SomeRows(columns, rows)[name]
    for place, one in enumerate(some.tolist() if some.dtype == object else ()):
        if not _shared(columns[name], one):
            some[place] = None
    return some


def _shared(column: npt.NDArray[Any], value: object) -> bool:
    """Whether at least `SHARED_BY` rows have this value; most are found among the first."""
    found = 0
    for begin in range(0, len(column), _LOOKED_THROUGH):
        found += int(np.count_nonzero(column[begin : begin + _LOOKED_THROUGH] == value))
        if found >= SHARED_BY:
            return True
    return False
