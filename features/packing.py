"""One contact's features as one byte string, and back, exactly.

::

    byte  0        format version
    bytes 1..6     the contract's hash
    bytes 7..14    as_of, microseconds since 1970 UTC (little endian, as everything here)
    then           8 bytes a feature that is not a string, in alphabetical order:
                   int64 for int, date and timestamp (microseconds), float64 for float and bool
    then           the strings, in alphabetical order of their features, as one JSON list in UTF-8

NULL is the smallest int64 in an int64, NaN in a float64, null in JSON. A vector of another contract is not read at all.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from decisioning.vocabulary import BoolArray, Columns, Dtype
from features.contract import FeatureContract

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1
NULL_INT = np.iinfo(np.int64).min

_HEADER = struct.Struct("<B6sq")
_INTEGERS = ("int", "date", "timestamp")

Values: TypeAlias = dict[str, npt.NDArray[np.generic]]


@dataclass(frozen=True)
class Packing:
    """The layout of a contract's packed vectors.

    Parameters
    ----------
    contract : FeatureContract
    """

    contract: FeatureContract
    fixed: tuple[str, ...] = field(init=False)
    strings: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        dtypes = self.contract.dtypes
        object.__setattr__(self, "fixed", tuple(sorted(name for name in dtypes if dtypes[name] != "string")))
        object.__setattr__(self, "strings", tuple(sorted(name for name in dtypes if dtypes[name] == "string")))

    @property
    def _start(self) -> int:
        return _HEADER.size

    @property
    def _end(self) -> int:
        return _HEADER.size + 8 * len(self.fixed)

    def pack(self, rows: pa.Table, as_of: npt.NDArray[np.datetime64]) -> list[bytes]:
        """The vectors of a table with a column a feature; `as_of` (n,) datetime64[us]."""
        numbers = np.empty((rows.num_rows, len(self.fixed)), dtype="<i8")
        for position, name in enumerate(self.fixed):
            numbers[:, position] = _as_int64(rows.column(name), self.contract.dtypes[name])
        texts = zip(*(rows.column(name).to_pylist() for name in self.strings), strict=True) if self.strings else [()] * rows.num_rows
        digest, width, block = bytes.fromhex(self.contract.hash), 8 * len(self.fixed), numbers.tobytes()
        moments = as_of.astype("datetime64[us]").astype(np.int64).tolist()
        return [
            _HEADER.pack(FORMAT, digest, moment) + block[row * width : (row + 1) * width] + _encode_texts(text)
            for row, (moment, text) in enumerate(zip(moments, texts, strict=True))
        ]

    def unpack(self, vectors: Sequence[bytes | None]) -> tuple[Columns, BoolArray]:
        """Columns of the vectors and which of them were readable; the others' rows are NULL in every column."""
        readable = [vector is not None and self.fits(vector) for vector in vectors]
        found = np.array(readable, dtype=bool)
        null_row = self._null_row()
        parts = [
            vector[self._start : self._end] if ok and vector is not None else null_row for vector, ok in zip(vectors, readable, strict=True)
        ]
        numbers = np.frombuffer(b"".join(parts), dtype="<i8").reshape(len(vectors), len(self.fixed))
        columns: Values = {}
        for position, name in enumerate(self.fixed):
            columns[name] = _from_int64(numbers[:, position], self.contract.dtypes[name])
        texts = [self._texts(vector if ok else None) for vector, ok in zip(vectors, readable, strict=True)] if self.strings else []
        for position, name in enumerate(self.strings):
            column = np.empty(len(vectors), dtype=object)
            column[:] = [text[position] for text in texts]
            columns[name] = column
        return columns, found

    def fits(self, vector: bytes) -> bool:
        """Whether the vector was packed under this contract."""
        return len(vector) >= self._end and vector[0] == FORMAT and vector[1:7] == bytes.fromhex(self.contract.hash)

    def _texts(self, vector: bytes | None) -> list[str | None]:
        return [None] * len(self.strings) if vector is None else json.loads(vector[self._end :])

    def _null_row(self) -> bytes:
        nan = struct.unpack("<q", struct.pack("<d", float("nan")))[0]
        values = [NULL_INT if self.contract.dtypes[name] in _INTEGERS else nan for name in self.fixed]
        return np.array(values, dtype="<i8").tobytes()


def contract_hash_of(vector: bytes) -> str:
    """The hash of the contract under which a vector was packed."""
    return vector[1:7].hex()


def _encode_texts(texts: Sequence[str | None]) -> bytes:
    return json.dumps(texts, ensure_ascii=False, separators=(",", ":")).encode() if texts else b""


def _as_int64(column: pa.ChunkedArray, dtype: Dtype) -> npt.NDArray[np.int64]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if dtype in ("float", "bool"):
        floats = pc.cast(column, pa.float64()) if dtype == "float" else pc.cast(pc.cast(column, pa.int8()), pa.float64())
        return np.ascontiguousarray(pc.fill_null(floats, float("nan")).to_numpy()).view("<i8")
    integers = column if dtype == "int" else pc.cast(pc.cast(column, pa.timestamp("us")), pa.int64())
    return pc.fill_null(pc.cast(integers, pa.int64()), int(NULL_INT)).to_numpy()


def _from_int64(numbers: npt.NDArray[np.int64], dtype: Dtype) -> npt.NDArray[np.generic]:
    if dtype in ("float", "bool"):
        return np.ascontiguousarray(numbers).view("<f8")
    if dtype == "int":
        values = numbers.astype(np.float64)
        values[numbers == NULL_INT] = np.nan
        return values
    return np.ascontiguousarray(numbers).view("datetime64[us]")
