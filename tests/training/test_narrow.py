"""Columns kept narrow come back to the last bit, and the rows that a fit does not hear are never taken."""

from __future__ import annotations

import threading
from pathlib import Path

import duckdb
import numpy as np
import pytest

from estimators.encoding import Encoded
from estimators.propensity import FEWEST_OTHERS, ResponseModel
from training.memory import give_back, giving_back
from training.narrow import Narrow, SomeRows

COLUMNS = {
    "flag": (np.array([1.0, 0.0, np.nan]), 1),
    "count": (np.array([-127.0, 127.0, np.nan]), 1),
    "least integer": (np.array([-128.0, 3.0, np.nan]), 2),
    "many": (np.array([-32_767.0, 32_767.0, 5.0]), 2),
    "too many": (np.array([32_768.0, -32_768.0, 5.0]), 4),
    "half": (np.array([0.5, np.nan, -7.25]), 4),
    "minus zero": (np.array([-0.0, 1.0, np.nan]), 4),
    "third": (np.array([1 / 3, np.nan, 2.0]), 8),
    "large": (np.array([1e39, 1.0, np.nan]), 8),
    "infinite": (np.array([np.inf, 1.0, -np.inf]), 8),
    "nothing known": (np.full(3, np.nan), 1),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_comes_back_to_the_last_bit_from_the_fewest_bytes_that_hold_it(name: str) -> None:
    column, size = COLUMNS[name]
    kept = Narrow([(name, column)])

    assert kept.bytes_a_row == size
    assert kept[name].tobytes() == np.where(np.isnan(column), np.nan, column).tobytes()
    assert SomeRows(kept, np.array([2, 0]))[name].tobytes() == np.where(np.isnan(column), np.nan, column)[[2, 0]].tobytes()


def test_texts_and_times_are_kept_as_they_are() -> None:
    times, texts = np.array(["2026-11-22", "NaT"], dtype="datetime64[us]"), np.array(["a", None], dtype=object)
    kept = Narrow([("at", times), ("market", texts)])

    assert kept["at"].dtype == times.dtype
    assert np.isnat(kept["at"][1])
    assert kept["market"].tolist() == ["a", None]
    assert SomeRows(SomeRows(kept, np.array([1, 0])), slice(0, 1))["market"].tolist() == [None]


def test_an_empty_column_stays_one_of_floats() -> None:
    assert Narrow([("x", np.empty(0))])["x"].dtype == np.float64


def test_of_rare_responses_only_the_rows_that_are_heard_are_taken_and_the_fit_is_the_same() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(60_000, 3)).astype(np.float32)
    y = (rng.random(len(x)) < 1 / (1 + np.exp(6.0 - x[:, 0]))).astype(float)
    weight, taken = rng.uniform(0.5, 2.0, len(x)), []

    def take(rows: np.ndarray) -> Encoded:
        taken.append(len(rows))
        return Encoded(x[rows], x[rows])

    whole = ResponseModel(many_rows=10_000).fit(x, y, weight, X_linear=x)
    some = ResponseModel(many_rows=10_000).fit_taken(take, y, weight)

    assert max(taken) == FEWEST_OTHERS + y.sum() < len(x) / 2
    assert some.head_.to_dict() == whole.head_.to_dict()
    assert some.oof_probability_.tobytes() == whole.oof_probability_.tobytes()
    assert some.oof_weight_.tobytes() == whole.oof_weight_.tobytes()


def test_giving_memory_back_ends_with_what_it_was_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = threading.Event()
    monkeypatch.setattr("training.memory.EVERY_S", 0.001)
    monkeypatch.setattr("training.memory._trim", asked.set)

    def failing() -> None:
        with giving_back():
            assert asked.wait(5.0)
            raise ValueError("the fit failed")

    with pytest.raises(ValueError, match="the fit failed"):
        failing()
    assert not [thread for thread in threading.enumerate() if thread.name == "giving memory back"]


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="the system does not say how much memory a process has")
def test_what_duckdb_read_rows_by_goes_back_while_its_connection_stays_open() -> None:
    with duckdb.connect() as db:
        give_back()
        before = anonymous_mb()
        read = db.sql("SELECT range AS a, hash(range) AS b, hash(range + 1) AS c FROM range(4_000_000) ORDER BY b").to_arrow_table()
        assert anonymous_mb() - before > 90
        del read
        give_back()
        assert anonymous_mb() - before < 40


def anonymous_mb() -> float:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return float(status.split("RssAnon:")[1].split()[0]) / 1e3
