"""What a model is made of, as one hash: a run that would only repeat an earlier one gives back that one's version."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import decisioning
import estimators
import features
import measurement
import training
from decisioning.catalog import Catalog
from training.context import ModelName, TrainingContext

ROOMS: tuple[ModuleType, ...] = (decisioning, estimators, features, measurement, training)
"""Whose source makes a model or a figure about it."""

LIBRARIES = ("duckdb", "lightgbm", "numpy", "pyarrow", "scikit-learn", "scipy", "skops")

UNREAD = (
    "version",
    "contact_policy",
    "constraints",
    "period_days",
    "treatments_per_contact",
    "controls",
    "exploration",
    "triggers",
    "triggers_webhook",
    "fallback",
    "lead",
    "segments",
)
UNREAD_OF_ACTION = ("valid", "applicability", "suitability", "lever", "context_weights")
"""Parts of the catalogue that no model reads. What is not named here counts: a new part costs a fit too many, never a stale model."""

READ_BY_CLV = ("horizon_days", "clv")


def model_key(context: TrainingContext, model: ModelName, as_of: np.datetime64, data_hashes: Mapping[str, str]) -> str:
    """SHA-256 of everything that `model` is made of.

    The contract tables and the workspace's own feature queries, the feature contract, the parts of the catalogue that the model reads,
    seed, as_of, settings, the workspace, the source of the rooms that make models, the versions of the libraries under them and of Python.

    Parameters
    ----------
    as_of : datetime64[us]
    data_hashes : mapping of table to SHA-256
        Every table counts for every model: features are made of all of them.
    """
    queries = sorted((context.workspace_dir / "features").glob("*.sql"))
    parts: dict[str, Any] = {
        "model": model,
        "workspace": context.workspace_id,
        "tables": dict(data_hashes),
        "queries": {path.name: path.read_text(encoding="utf-8") for path in queries},
        "contract": context.door.contract.hash,
        "catalog": parts_read(context.catalog, model),
        "seed": context.seed,
        "as_of": str(as_of),
        "settings": asdict(context.settings),
        "source": source_hash(),
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
        "python": [platform.python_version(), platform.machine()],
    }
    if context.own_propensity is not None and model != "clv":  # uplift is judged in the money that propensity says
        parts["own_propensity"] = context.own_propensity.key
    if context.own_uplift is not None and model == "uplift":
        parts["own_uplift"] = context.own_uplift.key
    if context.own_clv is not None and model == "clv":
        parts["own_clv"] = context.own_clv.key
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def parts_read(catalog: Catalog, model: ModelName) -> dict[str, Any]:
    """The parts of the catalogue that a model, or the figures about it, depend on, as JSON values."""
    whole = catalog.model_dump(mode="json")
    if model == "lead":
        return {name: whole[name] for name in ("lead", "outcomes")}
    if model == "clv":
        return {name: whole[name] for name in READ_BY_CLV}
    kept = {name: value for name, value in whole.items() if name not in (*UNREAD, *READ_BY_CLV)}
    kept["actions"] = [{name: value for name, value in action.items() if name not in UNREAD_OF_ACTION} for action in whole["actions"]]
    return kept


@cache
def source_hash() -> str:
    """SHA-256 of the Python source of `ROOMS`, once a process: the code that runs is the one that was read first."""
    digest = hashlib.sha256()
    for room in ROOMS:
        folder = Path(str(room.__file__)).parent
        for path in sorted(folder.rglob("*.py")):
            digest.update(f"{room.__name__}/{path.relative_to(folder)}\0".encode())
            digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()
