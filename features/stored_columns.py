"""Columns of a whole population that stay on disk: whoever goes through them holds one part of the rows at a time."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from decisioning.vocabulary import Columns, Dtype, null_column
from features.columns import as_column

ROWS_AT_ONCE = 20_000
"""Rows of a part."""

_PARTS_HELD = 2


def stored_columns(folder: Path, tables: Iterable[pa.Table], dtypes: Mapping[str, Dtype]) -> Columns:
    """Write `tables` (one after the other, columns of `dtypes`) to a file and read them as `Columns` whose rows are fetched when asked for.

    The file has no name in its folder, and is gone from the disk with the last reader, however the process ends.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        if not _write(file, tables):
            return {name: null_column(dtype, 0) for name, dtype in dtypes.items()}
        return cast(Columns, StoredColumns(_Parts(_mapped(file)), dtypes))


def _write(file: IO[bytes], tables: Iterable[pa.Table]) -> bool:
    """Whether there was anything to write."""
    rest = iter(tables)
    first = next(rest, None)
    if first is None:
        return False
    with pa.ipc.new_file(file, first.schema) as writer:
        for table in chain([first], rest):
            for batch in table.cast(first.schema).combine_chunks().to_batches(max_chunksize=ROWS_AT_ONCE):
                writer.write_batch(batch)
    return True


def stored_texts(folder: Path, arrays: Iterable[pa.Array]) -> StoredTexts:
    """Texts without NULL, in files without a name that are mapped into memory: see `StoredTexts`."""
    with tempfile.TemporaryFile(dir=folder) as ends, tempfile.TemporaryFile(dir=folder) as letters:
        length = end = 0
        np.zeros(1, dtype=np.int64).tofile(ends)
        for array in arrays:
            lengths = pc.binary_length(array).to_numpy(zero_copy_only=False).astype(np.int64)
            (end + np.cumsum(lengths)).tofile(ends)
            letters.write("".join(array.to_pylist()).encode())
            length, end = length + len(array), end + int(lengths.sum())
        return StoredTexts(pa.LargeStringArray.from_buffers(length, _mapped(ends), _mapped(letters)))


def _mapped(file: IO[bytes]) -> pa.Buffer:
    """The file as memory that the system reads when it is looked at, and that outlives the file's name and descriptor."""
    file.flush()
    return pa.py_buffer(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) if file.tell() else b"")


class StoredTexts:
    """Texts on disk: rows of them are an array of str when they are asked for.

    Attributes
    ----------
    arrow : pyarrow.LargeStringArray
        All of them, as Arrow has them: no row is held in memory for it.
    """

    def __init__(self, arrow: pa.LargeStringArray) -> None:
        self.arrow = arrow

    def __len__(self) -> int:
        return len(self.arrow)

    def __getitem__(self, rows: Any) -> Any:
        if isinstance(rows, slice):
            return self.arrow[rows].to_numpy(zero_copy_only=False)
        if isinstance(rows, np.ndarray):
            places = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
            return self.arrow.take(pa.array(places)).to_numpy(zero_copy_only=False)
        return self.arrow[int(rows)].as_py()

    def __iter__(self) -> Iterator[str]:
        return (text for start in range(0, len(self), ROWS_AT_ONCE) for text in self[start : start + ROWS_AT_ONCE].tolist())

    def tolist(self) -> list[str]:
        """All of them."""
        return list(self.arrow.to_pylist())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        whole = self[:]
        return whole if dtype is None else whole.astype(dtype)


class _Parts:
    """The parts of a file, each read when it is needed."""

    def __init__(self, file: pa.Buffer) -> None:
        reader = pa.ipc.open_file(file)
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
