"""Money that contacts spent, from the events table: what CLV learns from and is judged by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt

from decisioning.vocabulary import FloatArray
from features.streams import MONEY_UNIT


@dataclass(frozen=True)
class PurchaseSpan:
    """The purchases (events with value > 0) before as_of: how many, and the days between the first and as_of."""

    purchases: int
    history_days: float


def purchase_span(data_dir: Path, as_of: np.datetime64) -> PurchaseSpan:
    """Purchases before as_of; 0 where there is no events table or none carries money."""
    path = data_dir / "events.parquet"
    if not path.is_file():
        return PurchaseSpan(0, 0.0)
    with duckdb.connect() as db:
        if "value" not in {row[0] for row in db.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(path)]).fetchall()}:
            return PurchaseSpan(0, 0.0)
        row = db.execute(
            "SELECT count(*), epoch_us(min(occurred_at)) FROM read_parquet(?) WHERE value > 0 AND occurred_at < ?::TIMESTAMP",
            [str(path), str(as_of)],
        ).fetchone()
    assert row is not None
    if not row[0]:
        return PurchaseSpan(0, 0.0)
    return PurchaseSpan(int(row[0]), float((as_of - np.datetime64(row[1], "us")) / np.timedelta64(1, "D")))


@dataclass(frozen=True, eq=False)
class Spending:
    """What each contact bought in a span of time: days with a purchase, and money; shape (n,) each."""

    count: FloatArray
    money: FloatArray


def spending_between(data_dir: Path, contact_ids: npt.NDArray[np.object_], start: np.datetime64, end: np.datetime64) -> Spending:
    """Purchase days (UTC) and money of each contact in [start, end), in the order of the ids.

    Money is summed in whole millionths, as in the features: a sum of floats would depend on the order in which DuckDB's threads add.
    """
    with duckdb.connect() as db:
        found = db.execute(
            f"""SELECT contact_id, count(DISTINCT CAST(occurred_at AS DATE)) AS days,
            coalesce(sum(TRY_CAST(round(value * {MONEY_UNIT}) AS HUGEINT)), 0) / {MONEY_UNIT}.0 AS money
            FROM read_parquet(?) WHERE value > 0 AND occurred_at >= ?::TIMESTAMP AND occurred_at < ?::TIMESTAMP GROUP BY contact_id""",
            [str(data_dir / "events.parquet"), str(start), str(end)],
        ).fetchnumpy()
    place = {contact: k for k, contact in enumerate(found["contact_id"].tolist())}
    rows = np.array([place.get(contact, -1) for contact in contact_ids], dtype=np.int64)
    count, money = (np.append(np.asarray(found[name], dtype=np.float64), 0.0)[rows] for name in ("days", "money"))
    return Spending(count, money)


def money_between(data_dir: Path, contact_ids: npt.NDArray[np.object_], start: np.datetime64, end: np.datetime64) -> FloatArray:
    """Money that each contact spent in [start, end), shape (n,), in the order of the ids."""
    return spending_between(data_dir, contact_ids, start, end).money
