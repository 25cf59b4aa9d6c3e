"""What the models learn from: logged interactions with their labels and the features that were known then."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from decisioning.catalog import Catalog
from decisioning.errors import NotFound
from decisioning.vocabulary import BoolArray, Columns, Dtype, FloatArray, IntArray
from features.contract import IDENTITY_UNIT, TIMELESS, FeatureContract
from features.merging import INGESTED_UNTIL
from features.store import FeatureDoor
from training.labels import Labels, LoggedRows, read_labelled, window_end
from training.narrow import Narrow, SomeRows
from training.own_log import OwnLog

MANIFEST = "manifest.json"


@dataclass(frozen=True, eq=False)
class Dataset:
    """Logged interactions, their labels, their point-in-time features; all of one length n.

    Attributes
    ----------
    opted_out : float array, shape (n,)
        1 where any opt-out followed within its window, 0 where none did, NaN while a window is open or no opt-out is declared.
    reachable : mapping of action_id to bool array, shape (n,)
        False where the decision behind a row could not have chosen the action; an action without an entry could always be chosen.
    """

    rows: LoggedRows
    labels: Labels
    opted_out: FloatArray
    features: Columns
    reachable: Mapping[str, BoolArray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: BoolArray | IntArray | slice) -> Dataset:
        """Some of the rows."""
        reachable = {action_id: open_to[rows] for action_id, open_to in self.reachable.items()}
        return Dataset(self.rows.take(rows), self.labels.take(rows), self.opted_out[rows], SomeRows(self.features, rows), reachable)


def model_dtypes(contract: FeatureContract) -> dict[str, Dtype]:
    """The features that models read: every one of the contract but those that identify."""
    return {spec.name: spec.dtype for spec in contract.specs if spec.unit != IDENTITY_UNIT}


def end_told_afterwards(data_dir: Path, catalog: Catalog, contract: FeatureContract) -> str | None:
    """The feature that holds the end of a contact's contract, where no row of contacts says since when it was known; else None."""
    terms, path = catalog.clv.contract, data_dir / "contacts.parquet"
    source = None if terms is None else next((spec.source for spec in contract.specs if spec.name == terms.end), None)
    if terms is None or source is None or not source.startswith("contacts.") or not path.is_file():
        return None
    table = pq.ParquetFile(path)
    if "valid_from" not in table.schema_arrow.names:
        return terms.end
    since = table.read(columns=["valid_from"]).column("valid_from")
    return terms.end if since.null_count == len(since) else None


def label_windows(catalog: Catalog) -> dict[str, float]:
    """`window_days` of each outcome that a model learns: the actions' goals and the opt-outs."""
    goals = {action.goal for action in catalog.actions if action.goal is not None}
    return {name: outcome.window_days for name, outcome in catalog.outcomes.items() if name in goals or outcome.kind == "opt_out"}


def read_dataset(
    data_dir: Path,
    catalog: Catalog,
    door: FeatureDoor,
    as_of: np.datetime64,
    own: OwnLog | None = None,
    *,
    ingested_until: np.datetime64 | None = None,
) -> Dataset:
    """The labelled interactions before as_of (`read_labelled`), with the features that were logged with them, else Feast's historical ones.

    Raises
    ------
    NotFound
        There are no interactions, or the features are not built.
    """
    rows, labels = read_labelled(data_dir, label_windows(catalog), as_of, own, ingested_until=ingested_until)
    opted_out = _opted_out(labels, catalog)
    features = features_of(rows, door, own)
    if own is None or rows.own is None:
        return Dataset(rows, labels, opted_out, features)
    reachable = {action_id: (rows.own < 0) | open_to[rows.own] for action_id, open_to in own.reachable.items()}
    return Dataset(rows, labels, opted_out, features, reachable)


def features_of(rows: LoggedRows, door: FeatureDoor, own: OwnLog | None = None) -> Columns:
    """What was known at each row: as it was logged with the decision, else Feast's historical features."""
    if own is None or rows.own is None:
        return door.historical(rows.contact_id, rows.features_at)
    kept = (rows.own >= 0) & own.known[rows.own]
    past = door.historical(rows.contact_id[~kept], rows.features_at[~kept])
    return {name: _filled(column, ~kept, own.features[name][rows.own[kept]]) for name, column in past.items()}


def as_known_at(data: Dataset, catalog: Catalog, cut: np.datetime64) -> Dataset:
    """The same rows with only the labels whose windows had closed before `cut`."""
    windows = label_windows(catalog)

    def by_then(columns: Mapping[str, FloatArray]) -> Narrow:
        return Narrow(
            (name, np.where(window_end(data.rows.occurred_at, windows[name]) >= cut, np.nan, column) if name in windows else column)
            for name, column in columns.items()
        )

    labels = Labels(by_then(data.labels.happened), by_then(data.labels.value))
    return replace(data, labels=labels, opted_out=_opted_out(labels, catalog))


def default_as_of(data_dir: Path) -> np.datetime64:
    """Just after the newest row that was ingested, so that everything counts; `TIMELESS` where nothing has a time.

    Raises
    ------
    NotFound
        Nothing was ingested.
    """
    path = data_dir / MANIFEST
    if not path.is_file():
        raise NotFound("there is no ingested data", got=str(path), hint="run nudge ingest, or give as_of")
    newest = json.loads(path.read_text(encoding="utf-8"))["newest_at"]
    return TIMELESS if newest is None else _just_after(newest)


def ingested_until(data_dir: Path) -> np.datetime64 | None:
    """Just after the newest row that was ingested, whatever came in since; None where nothing says so."""
    path = data_dir / MANIFEST
    manifest = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    last = manifest.get(INGESTED_UNTIL, manifest.get("newest_at"))
    return None if last is None else _just_after(last)


def _just_after(moment: str) -> np.datetime64:
    at = datetime.fromisoformat(moment.replace("Z", "+00:00")).astimezone(UTC).replace(tzinfo=None)
    return np.datetime64(at, "us") + np.timedelta64(1, "us")


def data_hashes(data_dir: Path) -> dict[str, str]:
    """SHA-256 of each contract table's file."""
    found: Mapping[str, Path] = {path.stem: path for path in sorted(data_dir.glob("*.parquet"))}
    return {name: _sha256(path) for name, path in found.items()}


def _opted_out(labels: Labels, catalog: Catalog) -> FloatArray:
    opt_outs = [labels.happened[name] for name in labels.happened if catalog.outcomes[name].kind == "opt_out"]
    length = len(next(iter(labels.happened.values()), ()))
    return np.max(opt_outs, axis=0) if opt_outs else np.full(length, np.nan)


def _filled(some: npt.NDArray[np.generic], where: BoolArray, others: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """A column of `some` where `where` holds, and of `others` elsewhere."""
    column: npt.NDArray[np.generic] = np.empty(len(where), dtype=some.dtype)
    column[where], column[~where] = some, others
    return column


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
