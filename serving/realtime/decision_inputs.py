"""What a decision was made from, as JSON and back: everything but the catalogue and the models, which their versions name.

Numbers keep every bit, times every microsecond, so that a decision can be made again exactly: a time of the past is its count of
microseconds since 1970 UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import numpy as np

from decisioning.candidates import Situation
from decisioning.history import Firms, History, ListedPast, Past, Planned, Suppression
from decisioning.vocabulary import Columns, Dtype, null_column

_TIMES = ("at",)


def inputs_to_json(situation: Situation, history: History) -> dict[str, Any]:
    """The situation of one contact and its past, but for the features."""
    return {
        "contact_id": str(situation.contact_ids[0]),
        "now": _time(situation.now),
        "seed": str(situation.seeds_or_ids[0]),
        "granted": sorted(purpose for purpose, yes in situation.granted.items() if yes[0]),
        "context": dict(situation.context),
        "channel": situation.channel,
        "placements": list(situation.placements),
        "actions": list(situation.actions),
        "touches": _rows(history.touches),
        "outcomes": _rows(history.outcomes),
        "account": None if history.firms is None or history.firms.unit[0] < 0 else _firm(history.firms),
        "suppressions": [[one.action_id, one.channel, _time(one.until)] for one in history.suppressions],
        "planned": [[one.treatment_id, one.decision_id] for one in history.planned],
    }


def inputs_from_json(kept: Mapping[str, Any], dtypes: Mapping[str, Dtype]) -> tuple[Situation, History]:
    """The situation and the past that `inputs_to_json` wrote, with the `features` beside; `dtypes` is the feature contract of that time."""
    features = {name: _column(value, dtypes.get(name, _dtype_of(value))) for name, value in kept["features"].items()}
    situation = Situation(
        contact_ids=np.array([kept["contact_id"]], dtype=object),
        columns=features,
        now=np.datetime64(kept["now"], "us"),
        granted={purpose: np.ones(1, dtype=np.bool_) for purpose in kept["granted"]},
        context=kept["context"],
        channel=kept["channel"],
        placements=tuple(kept["placements"]),
        seeds=np.array([kept["seed"]], dtype=object),
        actions=tuple(kept.get("actions", ())),
    )
    touches, outcomes = _past(kept["touches"]), _past(kept["outcomes"])
    firm = kept["account"]
    history = History(
        touches.row,
        touches.columns,
        outcomes.row,
        outcomes.columns,
        firms=None if firm is None else Firms(np.zeros(1, dtype=np.int64), _past(firm["touches"]), _past(firm["outcomes"])),
        suppressions=tuple(Suppression(0, action, channel, np.datetime64(until, "us")) for action, channel, until in kept["suppressions"]),
        planned=tuple(Planned(0, treatment_id, decision_id) for treatment_id, decision_id in kept["planned"]),
    )
    return situation, history


def plain(value: Any) -> Any:
    """A feature's value for JSON: NULL for what is missing, a time as ISO 8601."""
    item = value.item() if hasattr(value, "item") else value
    if isinstance(item, datetime):
        return f"{item.isoformat()}Z"  # numpy's are naive and UTC
    return None if isinstance(item, float) and np.isnan(item) else item


def _firm(firms: Firms) -> dict[str, Any]:
    return {"touches": _rows(firms.touches.columns), "outcomes": _rows(firms.outcomes.columns)}


def _rows(columns: Columns) -> dict[str, list[Any]]:
    """Columns of one contact, or of one account, as lists."""
    if isinstance(columns, ListedPast):
        return columns.lists
    return {
        name: column.astype("datetime64[us]").astype(np.int64).tolist() if name in _TIMES else column.tolist()
        for name, column in columns.items()
    }


def _past(kept: Mapping[str, list[Any]]) -> Past:
    columns: dict[str, np.ndarray] = {}
    for name, values in kept.items():
        columns[name] = np.array(values, dtype="datetime64[us]") if name in _TIMES else _texts(values)
    length = len(next(iter(columns.values()), ()))
    return Past(np.zeros(length, dtype=np.int64), columns)


def _texts(values: list[Any]) -> np.ndarray:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


@lru_cache(maxsize=256)  # the decisions of a batch are of one moment
def _time(moment: np.datetime64) -> str:
    return str(moment.astype("datetime64[us]"))


def _column(value: Any, dtype: Dtype) -> np.ndarray:
    column = null_column(dtype, 1)
    if value is None:
        return column
    if dtype in ("date", "timestamp"):
        column[0] = np.datetime64(str(value).removesuffix("Z"), "us")
    else:
        column[0] = value if dtype == "string" else float(value)
    return column


def _dtype_of(value: Any) -> Dtype:
    return "string" if isinstance(value, str) else "float"
