"""Outcomes -> labels: what happened after each logged interaction, within each outcome's window.

What the ledger logged itself (`training.own_log`) is read with what was ingested: an interaction that both hold (of one id, or of one
contact, action and moment) is the ingested one, with the logged probability where the sources give none; an outcome that both hold (of one
event_id, or of one contact, outcome and moment) counts once.

An outcome belongs to the interaction it names; one that names only a contact belongs to every interaction of that contact in whose window
it falls. The window is (occurred_at, occurred_at + window_days]: open at the touch, closed at its end. A label is known once the window has
closed before as_of; until then it is NULL. Without times (a one-shot experiment) every outcome counts as within its window.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from decisioning.errors import NotFound
from decisioning.vocabulary import BoolArray, FloatArray, IntArray
from features.columns import as_column
from features.contract import TIMELESS
from training.narrow import Narrow, SomeRows
from training.own_log import OUTCOMES, ROWS, OwnLog

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
    own : int array, optional
        The row of `OwnLog` behind it, -1 where it was ingested; None where there is no such log.
    heard_until : datetime64[us] array, optional
        Exclusive: what followed the row is known until then. Of ingested rows that is where the ingested tables end, though the ledger goes
        on; None: of every row until the as_of of the reading.
    """

    interaction_id: ObjectArray
    contact_id: ObjectArray
    action_id: ObjectArray
    channel: ObjectArray
    occurred_at: TimeArray
    features_at: TimeArray
    selection_prob: FloatArray
    sample_weight: FloatArray
    own: IntArray | None = None
    heard_until: TimeArray | None = None

    def __len__(self) -> int:
        return len(self.contact_id)

    @property
    def timeless(self) -> bool:
        """True for a one-shot experiment."""
        return bool(np.isnat(self.occurred_at).all())

    def take(self, rows: BoolArray | IntArray | slice) -> LoggedRows:
        """Some of the rows."""
        columns: dict[str, Any] = {name: None if values is None else values[rows] for name, values in vars(self).items()}
        return LoggedRows(**columns)


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

    def take(self, rows: BoolArray | IntArray | slice) -> Labels:
        """The labels of some of the rows."""
        return Labels(SomeRows(self.happened, rows), SomeRows(self.value, rows))


def read_labelled(
    data_dir: Path,
    windows: Mapping[str, float],
    as_of: np.datetime64,
    own: OwnLog | None = None,
    *,
    ingested_until: np.datetime64 | None = None,
) -> tuple[LoggedRows, Labels]:
    """The interactions before as_of, and what is known by as_of to have followed.

    Parameters
    ----------
    data_dir : Path
        Folder of the contract tables.
    windows : mapping
        `window_days` of each outcome to label.
    as_of : datetime64[us]
        Exclusive: nothing from then on is read.
    own : OwnLog, optional
        What the ledger logged itself.
    ingested_until : datetime64[us], optional
        Exclusive: where the ingested tables end, by default at as_of. A window that is open then stays so for what was ingested alone:
        nobody says that nothing followed.

    Raises
    ------
    NotFound
        There is no interactions table, and nothing was logged.
    """
    interactions, outcomes = data_dir / "interactions.parquet", data_dir / "outcomes.parquet"
    if not interactions.is_file() and own is None:
        raise NotFound(
            "there are no interactions to learn from",
            got=str(interactions),
            hint="name a source for interactions and run nudge ingest, or let Nudge decide and send it the outcomes",
        )
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        rows = _read_rows(db, interactions, as_of, own, as_of if ingested_until is None else min(as_of, ingested_until))
        _gather_outcomes(db, outcomes, as_of, own)
        found = _read_outcomes(db, windows) if windows else {}
    return rows, _labels(rows, windows, found)


def days_of(rows: LoggedRows) -> FloatArray | None:
    """When each row happened, in days since 1970, shape (n,); None where a row has no time."""
    if not len(rows) or np.isnat(rows.occurred_at).any():
        return None
    return np.asarray(rows.occurred_at.astype("datetime64[us]").astype(np.int64) / _MICROSECONDS_A_DAY, dtype=np.float64)


def window_end(occurred_at: TimeArray, window_days: float) -> TimeArray:
    """When the window of each row closes; NaT (a one-shot experiment) is never later than anything, so such windows count as closed."""
    return occurred_at + np.timedelta64(round(window_days * _MICROSECONDS_A_DAY), "us")


_INGESTED = {
    "interactions": {
        "interaction_id": "VARCHAR",
        "contact_id": "VARCHAR",
        "action_id": "VARCHAR",
        "channel": "VARCHAR",
        "occurred_at": "TIMESTAMP",
        "as_of": "TIMESTAMP",
        "selection_prob": "DOUBLE",
        "sample_weight": "DOUBLE",
    },
    "outcomes": {
        "event_id": "VARCHAR",
        "interaction_id": "VARCHAR",
        "contact_id": "VARCHAR",
        "outcome": "VARCHAR",
        "occurred_at": "TIMESTAMP",
        "value": "DOUBLE",
    },
}


def _ingested(db: duckdb.DuckDBPyConnection, path: Path) -> str:
    """SQL of the known columns of a contract table, NULL where it has none of that name; no rows where there is no table."""
    types = _INGESTED[path.stem]
    if not path.is_file():
        return f"SELECT {', '.join(f'NULL::{kind} AS {name}' for name, kind in types.items())} WHERE false"
    present = _columns(db, path)
    columns = [name if name in present else f"NULL::{kind} AS {name}" for name, kind in types.items()]
    return f"SELECT {', '.join(columns)} FROM read_parquet('{str(path).replace(chr(39), chr(39) * 2)}')"


def _read_rows(
    db: duckdb.DuckDBPyConnection, path: Path, as_of: np.datetime64, own: OwnLog | None, ingested_until: np.datetime64
) -> LoggedRows:
    moment, timeless = f"TIMESTAMP '{as_of}'", f"TIMESTAMP '{TIMELESS}'"
    db.execute(f"CREATE TEMP TABLE ingested AS SELECT * FROM ({_ingested(db, path)}) WHERE occurred_at IS NULL OR occurred_at < {moment}")
    _own_rows(db, own)
    db.execute(
        f"""
        CREATE TEMP TABLE logged AS
        SELECT row_number() OVER (ORDER BY occurred_at, interaction_id) - 1 AS row, * FROM (
            SELECT i.interaction_id, i.contact_id, i.action_id, i.channel, i.occurred_at,
                   coalesce(i.as_of, i.occurred_at, {timeless}) AS features_at,
                   coalesce(i.selection_prob, s.selection_prob) AS selection_prob, coalesce(i.sample_weight, 1.0) AS sample_weight,
                   -1::BIGINT AS own, s.interaction_id IS NULL AS ingested_alone
            FROM ingested i LEFT JOIN (SELECT interaction_id, min(selection_prob) AS selection_prob FROM same GROUP BY ALL) s
                ON s.interaction_id = i.interaction_id
            UNION ALL
            SELECT interaction_id, contact_id, action_id, channel, occurred_at, features_at, selection_prob, 1.0, place, false
            FROM own_rows ANTI JOIN same USING (place) WHERE occurred_at < {moment}
        )
        """
    )
    table = db.sql("SELECT * EXCLUDE row FROM logged ORDER BY row").to_arrow_table()
    texts: dict[str, Any] = {name: as_column([table[name]], "string") for name in ("interaction_id", "contact_id", "action_id", "channel")}
    times = {name: table[name].to_numpy(zero_copy_only=False).astype("datetime64[us]") for name in ("occurred_at", "features_at")}
    chances, weights = (np.asarray(table[k].to_numpy(zero_copy_only=False), dtype=np.float64) for k in ("selection_prob", "sample_weight"))
    place = None if own is None else table["own"].to_numpy(zero_copy_only=False).astype(np.int64)
    alone = table["ingested_alone"].to_numpy(zero_copy_only=False).astype(bool)
    heard = np.where(alone, ingested_until, as_of).astype("datetime64[us]")
    return LoggedRows(**texts, **times, selection_prob=chances, sample_weight=weights, own=place, heard_until=heard)


def _own_rows(db: duckdb.DuckDBPyConnection, own: OwnLog | None) -> None:
    """What the ledger logged as table `own_rows`, and which of it was ingested too as table `same`."""
    rows = ROWS.empty_table() if own is None else own.rows
    db.register("own_given", rows.append_column("place", [np.arange(rows.num_rows)]))
    db.execute("CREATE TEMP TABLE own_rows AS SELECT * FROM own_given")
    db.execute(
        """
        CREATE TEMP TABLE same AS
        SELECT place, own_id, selection_prob, min(interaction_id) AS interaction_id FROM (
            SELECT o.place, o.interaction_id AS own_id, o.selection_prob, i.interaction_id
            FROM own_rows o JOIN ingested i ON i.interaction_id = o.interaction_id
            UNION ALL
            SELECT o.place, o.interaction_id, o.selection_prob, i.interaction_id FROM own_rows o JOIN ingested i
                ON i.contact_id = o.contact_id AND i.action_id = o.action_id AND i.occurred_at = o.occurred_at
        ) GROUP BY ALL
        """
    )


def _gather_outcomes(db: duckdb.DuckDBPyConnection, path: Path, as_of: np.datetime64, own: OwnLog | None) -> None:
    """Everything that happened, as table `happened`."""
    moment = f"TIMESTAMP '{as_of}'"
    db.register("own_outcomes", OUTCOMES.empty_table() if own is None else own.outcomes)
    db.execute(
        f"""
        CREATE TEMP TABLE happened AS
        WITH i AS (SELECT * FROM ({_ingested(db, path)}) WHERE occurred_at IS NULL OR occurred_at < {moment})
        SELECT interaction_id, contact_id, outcome, occurred_at, value FROM i
        UNION ALL
        SELECT coalesce(s.interaction_id, o.interaction_id), o.contact_id, o.outcome, o.occurred_at, o.value
        FROM own_outcomes o LEFT JOIN same s ON s.own_id = o.interaction_id
        WHERE o.occurred_at < {moment}
            AND NOT EXISTS (SELECT 1 FROM i WHERE i.event_id = o.event_id)
            AND NOT EXISTS (SELECT 1 FROM i WHERE i.contact_id = o.contact_id AND i.outcome = o.outcome AND i.occurred_at = o.occurred_at)
        """
    )


def _read_outcomes(db: duckdb.DuckDBPyConnection, windows: Mapping[str, float]) -> dict[str, npt.NDArray[np.generic]]:
    """(row, outcome, money) of each pair of an interaction and an outcome of its, summed over outcomes of one name."""
    lengths = [(name, round(days * _MICROSECONDS_A_DAY)) for name, days in windows.items()]
    db.execute("CREATE TEMP TABLE windows (outcome VARCHAR, length BIGINT)")
    db.executemany("INSERT INTO windows VALUES (?, ?)", lengths)
    in_window = """(l.occurred_at IS NULL OR o.occurred_at IS NULL
        OR (o.occurred_at > l.occurred_at AND o.occurred_at <= l.occurred_at + to_microseconds(o.length)))"""
    return db.execute(
        f"""
        WITH o AS (SELECT happened.*, length FROM happened JOIN windows USING (outcome)),
        pairs AS (
            SELECT l.row, o.outcome, o.value FROM logged l JOIN o ON o.interaction_id = l.interaction_id WHERE {in_window}
            UNION ALL
            SELECT l.row, o.outcome, o.value FROM logged l JOIN o ON o.contact_id = l.contact_id
            WHERE o.interaction_id IS NULL AND {in_window}
        )
        SELECT row, outcome, sum(value) AS value FROM pairs GROUP BY row, outcome
        """
    ).fetchnumpy()  # type: ignore[return-value]


def _labels(rows: LoggedRows, windows: Mapping[str, float], found: Mapping[str, npt.NDArray[np.generic]]) -> Labels:
    heard_until = rows.heard_until
    assert heard_until is not None  # `_read_rows` gives it
    named = {name: np.flatnonzero(np.asarray(found["outcome"] == name)) for name in windows}

    def happened(name: str) -> FloatArray:
        y = np.zeros(len(rows))
        y[found["row"][named[name]].astype(np.int64)] = 1.0
        return y

    def value(name: str) -> FloatArray:
        money = np.full(len(rows), np.nan)
        paid = np.ma.asarray(found["value"])[named[name]].astype(np.float64)
        money[found["row"][named[name]].astype(np.int64)] = np.ma.filled(paid, np.nan)
        return money

    def known(of: Callable[[str], FloatArray]) -> Narrow:
        still_open = ((name, window_end(rows.occurred_at, days) >= heard_until) for name, days in windows.items())
        return Narrow((name, np.where(unknown, np.nan, of(name))) for name, unknown in still_open)

    return Labels(known(happened), known(value))


def _columns(db: duckdb.DuckDBPyConnection, path: Path) -> set[str]:
    return {row[0] for row in db.execute("DESCRIBE SELECT * FROM read_parquet($path)", {"path": str(path)}).fetchall()}
