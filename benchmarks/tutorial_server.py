"""The peer that tutorials teach: FastAPI with pydantic, Feast's SDK on SQLite, one predict over a DataFrame of all candidates.

`prepare` makes its feature store and its model; `app` (for uvicorn, with the folder in `NUDGE_TUTORIAL`) serves them. No policy, no budget,
no record of what was decided: it does less than Nudge.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel

FEATURES, CONTACTS = 40, 200
ACTIONS, CHANNELS = 20, 3
FOLDER = "NUDGE_TUTORIAL"
NAMES = [f"f{k}" for k in range(FEATURES)]
CANDIDATE = ["action", "channel", "exposed"]


def prepare(folder: Path, *, contacts: int = CONTACTS, seed: int = 7) -> None:
    """A Feast repository with `contacts` rows online, and a model of 300 trees with 31 leaves."""
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(rng.normal(size=(contacts, FEATURES)), columns=NAMES)
    rows.insert(0, "contact_id", [f"c{k}" for k in range(contacts)])
    rows["event_timestamp"] = datetime.now(UTC) - timedelta(hours=1)
    rows.to_parquet(folder / "rows.parquet")
    store, objects = _store(folder)
    store.apply(objects)
    store.write_to_online_store("contact", df=rows)
    n = 20_000
    x = np.hstack([rng.normal(size=(n, FEATURES)), rng.integers(0, [ACTIONS, CHANNELS, 2], (n, 3))])
    y = rng.random(n) < 1.0 / (1.0 + np.exp(2.0 - x[:, 0] - 0.3 * x[:, 40] * x[:, 42] / ACTIONS))
    frame = pd.DataFrame(x, columns=NAMES + CANDIDATE)
    model = lightgbm.LGBMClassifier(n_estimators=300, num_leaves=31, verbose=-1, n_jobs=1, random_state=seed).fit(frame, y)
    model.booster_.save_model(folder / "model.txt")


def _store(folder: Path) -> tuple[Any, list[Any]]:
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
    from feast.types import Float64, String

    contact = Entity(name="contact", join_keys=["contact_id"], value_type=ValueType.STRING)
    source = FileSource(name="rows", path=str(folder / "rows.parquet"), timestamp_field="event_timestamp")
    schema = [Field(name="contact_id", dtype=String), *(Field(name=name, dtype=Float64) for name in NAMES)]
    view = FeatureView(name="contact", entities=[contact], ttl=timedelta(days=3650), schema=schema, source=source, online=True)
    config = RepoConfig(
        project="tutorial",
        provider="local",
        registry=str(folder / "registry.db"),
        online_store={"type": "sqlite", "path": str(folder / "online.db")},
        entity_key_serialization_version=3,
        repo_path=folder,
    )
    return FeatureStore(config=config), [contact, view]


class Request(BaseModel):
    """Whom to decide for."""

    contact_id: str


class Choice(BaseModel):
    """One action on one channel, with its expected gain."""

    action_id: str
    channel: str
    uplift: float
    expected_profit: float


class Answer(BaseModel):
    """The best three."""

    contact_id: str
    actions: list[Choice]


def create_app(folder: Path) -> FastAPI:
    """The tutorial's service over a prepared folder."""
    store, _ = _store(folder)
    model = lightgbm.Booster(model_file=folder / "model.txt")
    wanted = [f"contact:{name}" for name in NAMES]
    pairs = [(action, channel) for action in range(ACTIONS) for channel in range(CHANNELS)]
    app = FastAPI()

    @app.post("/v1/decisions", response_model=Answer)
    def decide(request: Request) -> Answer:
        found = store.get_online_features(features=wanted, entity_rows=[{"contact_id": request.contact_id}]).to_dict()
        row = {name: found[name][0] for name in NAMES}
        asked = [{**row, "action": a, "channel": c, "exposed": exposed} for a, c in pairs for exposed in (1, 0)]
        said = np.asarray(model.predict(pd.DataFrame(asked)[NAMES + CANDIDATE], num_threads=1)).reshape(len(pairs), 2)
        choices = [
            Choice(action_id=f"a{a}", channel=f"ch{c}", uplift=with_it - without, expected_profit=100.0 * (with_it - without) - 0.1 * c)
            for (a, c), (with_it, without) in zip(pairs, said.tolist(), strict=True)
        ]
        best = sorted(choices, key=lambda choice: -choice.expected_profit)[:3]
        return Answer(contact_id=request.contact_id, actions=best)

    return app


def body(number: int) -> bytes:
    """A request for one of the contacts."""
    return json.dumps({"contact_id": f"c{number % CONTACTS}"}).encode()


def app() -> FastAPI:
    """For `uvicorn --factory benchmarks.tutorial_server:app`."""
    return create_app(Path(os.environ[FOLDER]))
