"""Columns on disk: whatever part of the rows is asked for is what the whole has there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decisioning.vocabulary import Columns, Dtype
from features.columns import as_column
from features.stored_columns import ROWS_AT_ONCE, stored_columns, stored_texts

DTYPES: dict[str, Dtype] = {"money": "float", "count": "int", "yes": "bool", "city": "string", "day": "date", "at": "timestamp"}


def table(rows: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    missing = rng.random(rows) < 0.3
    days = rng.integers(0, 20_000, rows)
    return pa.table(
        {
            "money": pa.array(rng.normal(size=rows), mask=missing),
            "count": pa.array(rng.integers(-5, 5, rows), mask=missing),
            "yes": pa.array(rng.random(rows) < 0.5, mask=missing),
            "city": pa.array(np.array(["Łódź", "", "Kraków"], dtype=object)[rng.integers(0, 3, rows)].tolist(), pa.string(), mask=missing),
            "day": pa.array(days.astype("datetime64[D]"), pa.date32(), mask=missing),
            "at": pa.array((days * 86_400_000_000 + 17).astype("datetime64[us]"), pa.timestamp("us"), mask=missing),
        }
    )


PARTS = [table(ROWS_AT_ONCE + 7, 1), table(3, 2), table(ROWS_AT_ONCE, 3)]
WHOLE = {name: as_column([pa.concat_tables(PARTS).column(name)], dtype) for name, dtype in DTYPES.items()}
ROWS = len(WHOLE["money"])


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Columns:
    return stored_columns(tmp_path_factory.mktemp("stored"), PARTS, DTYPES)


def equal(one: np.ndarray, other: np.ndarray) -> bool:
    return one.dtype == other.dtype and bool(np.all((one == other) | ((one != one) & (other != other))))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.integers(0, ROWS + 5), length=st.integers(0, 2 * ROWS_AT_ONCE))
def test_any_slice_is_that_of_the_whole(stored: Columns, start: int, length: int) -> None:
    rows = slice(start, start + length)
    assert all(equal(stored[name][rows], WHOLE[name][rows]) for name in DTYPES)


def test_single_rows_and_the_whole_are_read_as_well(stored: Columns) -> None:
    picked = np.array([ROWS - 1, 0, ROWS_AT_ONCE])
    assert list(stored) == list(DTYPES) and len(stored["city"]) == ROWS
    assert all(equal(stored[name][picked], WHOLE[name][picked]) for name in DTYPES)
    assert all(equal(np.asarray(stored[name]), WHOLE[name]) for name in DTYPES)


def test_the_file_is_gone_at_once_and_nothing_is_a_population_too(tmp_path: Path) -> None:
    found = stored_columns(tmp_path, iter([table(5, 4)]), DTYPES)
    assert list(tmp_path.iterdir()) == [] and found["money"][:5].shape == (5,)
    nobody = stored_columns(tmp_path, iter([]), DTYPES)
    assert {name: len(column) for name, column in nobody.items()} == dict.fromkeys(DTYPES, 0)


def test_while_it_is_written_the_file_has_no_name_that_a_killed_run_could_leave(tmp_path: Path) -> None:
    def broken() -> Iterator[pa.Table]:
        yield table(5, 5)
        assert list(tmp_path.iterdir()) == []
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        stored_columns(tmp_path, broken(), DTYPES)
    assert list(tmp_path.iterdir()) == []


def test_stored_texts_are_the_texts_row_by_row(tmp_path: Path) -> None:
    texts = np.array(["c-1", "", "zażółć", "c-22", "\U0001f600"], dtype=object)
    stored = stored_texts(tmp_path, [pa.array(texts[:2]), pa.array([], pa.string()), pa.array(texts[2:])])
    assert list(tmp_path.iterdir()) == []
    assert (len(stored), list(stored), stored.tolist(), stored[3]) == (5, texts.tolist(), texts.tolist(), "c-22")
    for rows in (slice(1, 4), slice(4, 9), np.array([4, 0, 2, 2]), texts > "c", np.zeros(0, dtype=np.int64)):
        assert stored[rows].tolist() == texts[rows].tolist()
    assert np.asarray(stored).tolist() == texts.tolist()
    assert list(stored_texts(tmp_path, [])) == []
