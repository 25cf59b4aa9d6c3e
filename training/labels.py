"""Outcomes -> labels: what happened after each logged interaction, within each outcome's window.

An outcome belongs to the interaction it names; one that names only a contact belongs to every interaction of that contact in whose window
it falls. The window is (occurred_at, occurred_at + window_days]: open at the touch, closed at its end. A label is known once the window has
closed before as_of; until then it is NULL. Without times (a one-shot experiment) every outcome counts as within its window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt

from decisioning.errors import NotFound
from decisioning.vocabulary import BoolArray, FloatArray, IntArray
from features.contract import TIMELESS

ObjectArray = npt.NDArray[np.object_]
TimeArray = npt.NDArray[np.datetime64]
_MICROSECONDS_A_DAY = 86_400_000_000


@dataclass(frozen=True, eq=False)
class LoggedRows:
    """The logged interactions, in order of time and id; every array has shape (n,).

    Attributes
    ----------
    channel : object array
        None where the log knew none.
    occurred_at : datetime64[us] array
        NaT in every row of a one-shot experiment.
    features_at : datetime64[us] array
        The exclusive cut in time of what was known: the interaction's as_of, else its occurred_at, else `TIMELESS`.
    selection_prob : float array
        NaN where the log did not keep it.
    sample_weight : float array
        How many rows of the whole log the row stands for; 1 where the log does not say.
    """

    interaction_id: ObjectArray
    contact_id: ObjectArray
    action_id: ObjectArray
    channel: ObjectArray
    occurred_at: TimeArray
    features_at: TimeArray
    selection_prob: FloatArray
    sample_weight: FloatArray

    def __len__(self) -> int:
        return len(self.contact_id)

    @property
    def timeless(self) -> bool:
        """True for a one-shot experiment."""
        return bool(np.isnat(self.occurred_at).all())

    def take(self, rows: BoolArray | IntArray) -> LoggedRows:
        """Some of the rows."""
        return LoggedRows(**{name: values[rows] for name, values in vars(self).items()})


@dataclass(frozen=True, eq=False)
class Labels:
    """What happened to each logged interaction, shape (n,) for each outcome.

    Attributes
    ----------
    happened : mapping of outcome to float array
        1 or 0; NaN while the outcome's window is open.
    value : mapping of outcome to float array
        Money of the outcomes in the window, NaN where none carried money.
    """

    happened: Mapping[str, FloatArray]
    value: Mapping[str, FloatArray]

    def take(self, rows: BoolArray | IntArray) -> Labels:
        """The labels of some of the rows."""
        return Labels({name: y[rows] for name, y in self.happened.items()}, {name: v[rows] for name, v in self.value.items()})


def read_labelled(data_dir: Path, windows: Mapping[str, float], as_of: np.datetime64) -> tuple[LoggedRows, Labels]:
    """The interactions before as_of, and what is known by as_of to have followed.

    Parameters
    ----------
    data_dir : Path
        Folder of the contract tables.
    windows : mapping
        `window_days` of each outcome to label.
    as_of : datetime64[us]
        Exclusive: nothing from then on is read.

    Raises
    ------
    NotFound
        There is no interactions table.
    """
    interactions, outcomes = data_dir / "interactions.parquet", data_dir / "outcomes.parquet"
    if not interactions.is_file():
        raise NotFound(
            "there are no interactions to learn from", got=str(interactions), hint="name a source for interactions, then run nudge ingest"
        )
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        rows = _read_rows(db, interactions, as_of)
        found = _read_outcomes(db, outcomes, windows, as_of) if outcomes.is_file() and windows else None
    return rows, _labels(rows, windows, as_of, found)


def days_of(rows: LoggedRows) -> FloatArray | None:
    """When each row happened, in days since 1970, shape (n,); None where a row has no time."""
    if not len(rows) or np.isnat(rows.occurred_at).any():
        return None
    return np.asarray(rows.occurred_at.astype("datetime64[us]").astype(np.int64) / _MICROSECONDS_A_DAY, dtype=np.float64)


def window_end(occurred_at: TimeArray, window_days: float) -> TimeArray:
    """When the window of each row closes; NaT (a one-shot experiment) is never later than anything, so such windows count as closed."""
    return occurred_at + np.timedelta64(round(window_days * _MICROSECONDS_A_DAY), "us")


def _read_rows(db: duckdb.DuckDBPyConnection, path: Path, as_of: np.datetime64) -> LoggedRows:
    present = _columns(db, path)
    channel = "channel" if "channel" in present else "NULL::VARCHAR"
    selection_prob = "selection_prob" if "selection_prob" in present else "NULL::DOUBLE"
    weight = "coalesce(sample_weight, 1.0)" if "sample_weight" in present else "1.0::DOUBLE"
    known_until = "as_of" if "as_of" in present else "NULL::TIMESTAMP"
    db.execute(
        f"""
        CREATE TEMP TABLE logged AS
        SELECT row_number() OVER (ORDER BY occurred_at, interaction_id) - 1 AS row, interaction_id, contact_id, action_id,
               {channel} AS channel, occurred_at, coalesce({known_until}, occurred_at, $timeless::TIMESTAMP) AS features_at,
               {selection_prob} AS selection_prob, {weight} AS sample_weight
        FROM read_parquet($path) WHERE occurred_at IS NULL OR occurred_at < $as_of::TIMESTAMP
        """,
        {"path": str(path), "as_of": str(as_of), "timeless": str(TIMELESS)},
    )
    table = db.sql("SELECT * EXCLUDE row FROM logged ORDER BY row").to_arrow_table()
    texts = {
        name: table[name].to_numpy(zero_copy_only=False).astype(object) for name in ("interaction_id", "contact_id", "action_id", "channel")
    }
    times = {name: table[name].to_numpy(zero_copy_only=False).astype("datetime64[us]") for name in ("occurred_at", "features_at")}
    chances, weights = (np.asarray(table[k].to_numpy(zero_copy_only=False), dtype=np.float64) for k in ("selection_prob", "sample_weight"))
    return LoggedRows(**texts, **times, selection_prob=chances, sample_weight=weights)


def _read_outcomes(
    db: duckdb.DuckDBPyConnection, path: Path, windows: Mapping[str, float], as_of: np.datetime64
) -> dict[str, npt.NDArray[np.generic]]:
    """(row, outcome, money) of each pair of an interaction and an outcome of its, summed over outcomes of one name."""
    present = _columns(db, path)
    names = {
        name: name if name in present else f"NULL::{kind}"
        for name, kind in (("interaction_id", "VARCHAR"), ("contact_id", "VARCHAR"), ("value", "DOUBLE"))
    }
    lengths = [(name, round(days * _MICROSECONDS_A_DAY)) for name, days in windows.items()]
    db.execute("CREATE TEMP TABLE windows (outcome VARCHAR, length BIGINT)")
    db.executemany("INSERT INTO windows VALUES (?, ?)", lengths)
    in_window = """(l.occurred_at IS NULL OR o.occurred_at IS NULL
        OR (o.occurred_at > l.occurred_at AND o.occurred_at <= l.occurred_at + to_microseconds(o.length)))"""
    return db.execute(
        f"""
        WITH o AS (
            SELECT {names["interaction_id"]} AS interaction_id, {names["contact_id"]} AS contact_id, outcome, occurred_at,
                   {names["value"]} AS value, length
            FROM read_parquet($path) SEMI JOIN windows USING (outcome) JOIN windows USING (outcome)
            WHERE occurred_at IS NULL OR occurred_at < $as_of::TIMESTAMP
        ), pairs AS (
            SELECT l.row, o.outcome, o.value FROM logged l JOIN o ON o.interaction_id = l.interaction_id WHERE {in_window}
            UNION ALL
            SELECT l.row, o.outcome, o.value FROM logged l JOIN o ON o.contact_id = l.contact_id
            WHERE o.interaction_id IS NULL AND {in_window}
        )
        SELECT row, outcome, sum(value) AS value FROM pairs GROUP BY row, outcome
        """,
        {"path": str(path), "as_of": str(as_of)},
    ).fetchnumpy()  # type: ignore[return-value]


def _labels(
    rows: LoggedRows, windows: Mapping[str, float], as_of: np.datetime64, found: Mapping[str, npt.NDArray[np.generic]] | None
) -> Labels:
    happened: dict[str, FloatArray] = {}
    value: dict[str, FloatArray] = {}
    for name, days in windows.items():
        still_open = window_end(rows.occurred_at, days) >= as_of
        y, money = np.zeros(len(rows)), np.full(len(rows), np.nan)
        if found is not None:
            here = np.asarray(found["outcome"] == name)
            at = np.asarray(found["row"])[here].astype(np.int64)
            y[at] = 1.0
            money[at] = np.ma.filled(np.ma.asarray(found["value"])[here].astype(np.float64), np.nan)
        y[still_open], money[still_open] = np.nan, np.nan
        happened[name], value[name] = y, money
    return Labels(happened, value)


def _columns(db: duckdb.DuckDBPyConnection, path: Path) -> set[str]:
    return {row[0] for row in db.execute("DESCRIBE SELECT * FROM read_parquet($path)", {"path": str(path)}).fetchall()}
