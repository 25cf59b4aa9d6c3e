"""The servers that the load goes to: Nudge over a workspace of 20 actions x 3 channels, and a bare ASGI echo.

The workspace is built in memory but for its ledger, which is a real one on disk: 40 features a contact, a propensity of 20 actions (a
linear part and 60 trees of 16 leaves each), an uplift and an opt-out risk, three stages of conditions, six contact policies, two
constraints, consents and a past of some touches a contact.

`python -m benchmarks.http_world app|echo --port N --workers N` serves: Nudge as `nudge serve` does, the echo by uvicorn's own protocol.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import lightgbm
import numpy as np
import uvicorn

from benchmarks.big_world import DTYPES, NOW, catalog_data, contact_columns
from decisioning.catalog import parse_catalog
from decisioning.compiled_catalog import compile_catalog
from decisioning.errors import NotFound
from decisioning.vocabulary import BoolArray, Columns
from estimators.bundle import OptOutHead, PropensityBundle, UpliftBundle
from estimators.encoding import FeatureEncoder
from estimators.heads import ResponseHead
from estimators.scores import LinearScore, TreeScore
from estimators.uplift_head import UpliftHead, UpliftMember
from features.online import Materialised
from features.online_recent import Fact
from ledger.store import Ledger
from serving.app import SERVER_OPTIONS, create_app
from serving.realtime.scorer import Models, Scorer
from serving.realtime.snapshot import Snapshot, SnapshotHolder
from serving.service import Service

CONTACTS, ACTIONS, TOUCHES_EACH = 5_000, 20, 4
FOLDER, LEDGER = "NUDGE_BENCHMARK", "NUDGE_BENCHMARK_LEDGER"
"""Where the world is, and where its ledger is if not on disk there."""

CONTRACT = "b0b0b0b0b0b0"
_MICROSECONDS_A_DAY = 86_400_000_000


def app() -> Any:
    """Over the folder in `NUDGE_BENCHMARK`, after `prepare`."""
    folder = Path(os.environ[FOLDER])
    return create_app(service_of(folder))


def service_of(folder: Path) -> Service:
    """Over a folder that `prepare` has filled."""
    return Service(SnapshotHolder(_Source(folder)), Ledger.open(os.environ.get(LEDGER) or f"sqlite:///{folder}/ledger.db"))


async def echo(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """The bare ASGI echo: reads the body, answers 1.2 kB."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", b"1200")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"x" * 1200})


def prepare(folder: Path) -> None:
    """Fit the models and fill the ledger's past."""
    rng = np.random.default_rng(3)
    columns = contact_columns(CONTACTS, np.random.default_rng(1))
    matrix = FeatureEncoder.fit(columns, DTYPES, NOW).encode(columns, NOW).trees
    for action in range(ACTIONS):
        y = rng.normal(size=CONTACTS) + np.nan_to_num(matrix[:, action % matrix.shape[1]]) / 300
        parameters = {"verbose": -1, "num_leaves": 16, "num_threads": 1, "seed": action, "learning_rate": 0.05}
        booster = lightgbm.train(parameters, lightgbm.Dataset(matrix, y, params=parameters), num_boost_round=60)
        (folder / f"trees_{action}.txt").write_text(booster.model_to_string(), encoding="utf-8")
    fill_ledger(f"sqlite:///{folder}/ledger.db")


def fill_ledger(url: str) -> None:
    """Give a ledger the world's past."""
    with Ledger.open(url) as ledger:
        ledger.replace_history(*_past(np.random.default_rng(3)), _consents())


def _past(rng: np.random.Generator) -> tuple[Columns, Columns]:
    n = CONTACTS * TOUCHES_EACH
    now = np.datetime64(datetime.now(UTC).replace(tzinfo=None), "us")
    touches = {
        "contact_id": _texts(f"c-{k}" for k in rng.integers(0, CONTACTS, n)),
        "action_id": _texts(f"a{k}" for k in rng.integers(0, ACTIONS, n)),
        "channel": _texts(rng.choice(["email", "call", "web"], n).tolist()),
        "at": now - rng.integers(1, 60 * _MICROSECONDS_A_DAY, n).astype("timedelta64[us]"),
    }
    few = CONTACTS // 4
    outcomes = {name: column[:few] for name, column in touches.items() if name != "channel"}
    return touches, {**outcomes, "outcome": _texts(rng.choice(["reject", "sale"], few).tolist())}


def _consents() -> Columns:
    everyone = [f"c-{k}" for k in range(CONTACTS)]
    return {
        "contact_id": _texts(everyone * 2),
        "purpose": _texts(["marketing"] * CONTACTS + ["phone"] * CONTACTS),
        "granted": np.ones(2 * CONTACTS),
        "changed_at": np.full(2 * CONTACTS, np.datetime64("2026-01-01", "us")),
    }


def _texts(values: Any) -> np.ndarray:
    return np.array(list(values), dtype=object)


class _Source:
    """One snapshot for good."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fingerprint(self) -> Hashable:
        return 0

    def models(self, versions: Mapping[str, int]) -> Models:
        raise NotFound("there is one version only", got=dict(versions))

    def load(self) -> Snapshot:
        columns = contact_columns(CONTACTS, np.random.default_rng(1))
        roomy = [{"id": "budget", "measure": "cost", "max": 1e9}, {"id": "calls", "measure": "contacts", "channel": "call", "max": 1e9}]
        catalog = compile_catalog(parse_catalog({**catalog_data(ACTIONS), "constraints": roomy}), DTYPES)
        scorer = Scorer(models_of(self._folder), catalog)
        scorer.warm_up()
        return Snapshot(catalog, scorer, _InMemory(columns), dict(DTYPES), CONTRACT)


def models_of(folder: Path) -> Models:
    """The models that `prepare` has fitted."""
    columns = contact_columns(CONTACTS, np.random.default_rng(1))
    encoder = FeatureEncoder.fit(columns, DTYPES, NOW)
    width, rng = encoder.encode(columns, NOW).linear.shape[1], np.random.default_rng(5)

    def linear(intercept: float, size: float) -> LinearScore:
        return LinearScore(intercept, size * np.asarray(rng.normal(size=width)))

    def head(action: int) -> ResponseHead:
        trees = TreeScore((folder / f"trees_{action}.txt").read_text(encoding="utf-8"))
        return ResponseHead(0.1, (0.2, 0.4, 0.4), linear(-2.0, 0.1), trees, None, 1000, 100, 0.0)

    heads = {f"a{action}": head(action) for action in range(ACTIONS)}
    opt_out = OptOutHead(ResponseHead(0.001, (1.0, 0.0, 0.0), LinearScore(-7.0, np.zeros(width)), None, None, 1000, 10, 0.0), {"call": 0.4})
    uplifts = {name: UpliftHead(0.02, 0.005, (UpliftMember("ridge", 0.8, 0.0, linear(0.05, 0.01)),), 1000) for name in heads}
    propensity = PropensityBundle(CONTRACT, encoder, heads, {}, opt_out, {})
    return Models(propensity, UpliftBundle(CONTRACT, encoder, uplifts), None, {"propensity": 1, "uplift": 1})


class _InMemory:
    """The features as arrays: what reading them from a store costs is the benchmark `online`."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._row_of = {f"c-{k}": k for k in range(CONTACTS)}

    def remembered(self, contact_ids: Sequence[str]) -> tuple[Columns, list[np.datetime64 | None]]:
        """All of them, as of now."""
        return self.online(contact_ids)[0], [np.datetime64("2026-11-22", "us")] * len(contact_ids)

    def materialised(self) -> Materialised | None:
        """Nothing was."""
        return None

    def online(self, contact_ids: Sequence[str]) -> tuple[Columns, BoolArray]:
        rows = np.array([self._row_of.get(one, 0) for one in contact_ids])
        return {name: column[rows] for name, column in self._columns.items()}, np.ones(len(rows), dtype=np.bool_)

    def apply_event(self, _contact_id: str, _fact: Fact, _now: np.datetime64, *, event_id: str | None = None) -> bool:
        return event_id is None

    def aging(self) -> Self:
        """These, as they are."""
        return self

    def pages(self, _names: Collection[str], _now: np.datetime64, _size: int) -> Iterator[tuple[list[str], Columns]]:
        """Everybody at once."""
        yield list(self._row_of), self._columns


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("app", "echo"))
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, default=1)
    asked = parser.parse_args()
    options = {**SERVER_OPTIONS, "port": asked.port, "workers": asked.workers, "log_level": "warning"}
    if asked.what == "app":
        uvicorn.run("benchmarks.http_world:app", factory=True, **options)
    else:
        uvicorn.run("benchmarks.http_world:echo", **{**options, "http": "httptools"})


if __name__ == "__main__":
    main()
