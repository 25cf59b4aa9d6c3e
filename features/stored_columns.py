"""Columns of a whole population that stay on disk: whoever goes through them holds one part of the rows at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from decisioning.vocabulary import Columns, Dtype, null_column
from features.columns import as_column

ROWS_AT_ONCE = 20_000
"""Rows of a part."""

_PARTS_HELD = 2


def stored_columns(path: Path, tables: Iterable[pa.Table], dtypes: Mapping[str, Dtype]) -> Columns:
    """Write `tables` (one after the other, columns of `dtypes`) to `path` and read them as `Columns` whose rows are fetched when asked for.

    The file is gone from its folder at once and from the disk with the last reader, however the process ends.
    """
    try:
        if not _write(path, tables):
            return {name: null_column(dtype, 0) for name, dtype in dtypes.items()}
        return cast(Columns, StoredColumns(_Parts(path), dtypes))
    finally:
        path.unlink(missing_ok=True)


def _write(path: Path, tables: Iterable[pa.Table]) -> bool:
    """Whether there was anything to write."""
    rest = iter(tables)
    first = next(rest, None)
    if first is None:
        return False
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, first.schema) as writer:
        for table in chain([first], rest):
            for batch in table.cast(first.schema).combine_chunks().to_batches(max_chunksize=ROWS_AT_ONCE):
                writer.write_batch(batch)
    return True


class _Parts:
    """The parts of a file, each read when it is needed."""

    def __init__(self, path: Path) -> None:
        reader = pa.ipc.open_file(pa.OSFile(str(path), "rb"))
        self._starts = np.concatenate([[0], np.cumsum([reader.get_batch(k).num_rows for k in range(reader.num_record_batches)])])
        self.part = lru_cache(_PARTS_HELD)(reader.get_batch)

    @property
    def rows(self) -> int:
        return int(self._starts[-1])

    def column(self, name: str, dtype: Dtype, start: int, stop: int) -> npt.NDArray[np.generic]:
        """Rows start to stop of a column."""
        if start >= stop:
            return null_column(dtype, 0)
        first, last = (np.searchsorted(self._starts, [start, stop - 1], side="right") - 1).tolist()
        pieces = []
        for k in range(first, last + 1):
            begin, end = max(start - int(self._starts[k]), 0), min(stop, int(self._starts[k + 1])) - int(self._starts[k])
            pieces.append(self.part(k).column(name).slice(begin, end - begin))
        return as_column([pa.chunked_array(pieces)], dtype)


class StoredColumn:
    """One column on disk: a slice of it is an array, and so is the whole."""

    def __init__(self, parts: _Parts, name: str, dtype: Dtype) -> None:
        self._parts, self._name, self._dtype = parts, name, dtype

    def __len__(self) -> int:
        return self._parts.rows

    def __getitem__(self, rows: Any) -> Any:
        if isinstance(rows, slice) and rows.step in (None, 1):
            start, stop, _ = rows.indices(len(self))
            return self._parts.column(self._name, self._dtype, start, max(start, stop))
        return np.asarray(self)[rows]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[np.generic]:
        whole = self._parts.column(self._name, self._dtype, 0, len(self))
        return whole if dtype is None else whole.astype(dtype)


class StoredColumns(Mapping[str, StoredColumn]):
    """The columns of a file, by name."""

    def __init__(self, parts: _Parts, dtypes: Mapping[str, Dtype]) -> None:
        self._columns = {name: StoredColumn(parts, name, dtype) for name, dtype in dtypes.items()}

    def __getitem__(self, name: str) -> StoredColumn:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)
