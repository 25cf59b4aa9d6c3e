"""One contact's features as one byte string, and back, exactly.

::

    byte  0        format version
    bytes 1..6     the contract's hash
    byte  7        0
    bytes 8..15    as_of, microseconds since 1970 UTC (little endian, as everything here)
    then           8 bytes a feature that is not a string: float64 for float and bool, then int64 for int,
                   then int64 for date and timestamp (microseconds), each group in alphabetical order
    then           4 bytes a string: how many bytes it has in UTF-8, in alphabetical order of their features
    then           the strings themselves, one after the other

NULL is NaN in a float64, the smallest int64 in an int64, -1 as a string's length. A vector of another contract is not read at all.
Features of one kind lie side by side, so that one row or a million are decoded by the same three operations, whatever the features' number.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from decisioning.vocabulary import BoolArray, Columns, Dtype
from features.blocks import Blocks
from features.contract import FeatureContract

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 2
NULL_INT = int(np.iinfo(np.int64).min)
"""NULL among whole numbers and times."""

Scalar: TypeAlias = bool | int | float | str | date | datetime | None
"""One value of a feature: None where it is NULL, times aware of UTC."""

_HEADER = struct.Struct("<B6sxq")
_INT, _FLOAT = struct.Struct("<q"), struct.Struct("<d")
_FLOATS, _INTS, _TIMES = ("float", "bool"), ("int",), ("date", "timestamp")
_NULL_TEXT = -1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY, _DAY = _EPOCH.toordinal(), 86_400_000_000


@dataclass(frozen=True)
class Packing:
    """The layout of a contract's packed vectors.

    Parameters
    ----------
    contract : FeatureContract
    """

    contract: FeatureContract

    @cached_property
    def floats(self) -> tuple[str, ...]:
        """The features kept as float64, in their order."""
        return self._named(_FLOATS)

    @cached_property
    def ints(self) -> tuple[str, ...]:
        """The features kept as whole numbers, in their order."""
        return self._named(_INTS)

    @cached_property
    def times(self) -> tuple[str, ...]:
        """The dates and timestamps, in their order."""
        return self._named(_TIMES)

    @cached_property
    def strings(self) -> tuple[str, ...]:
        """The strings, in their order."""
        return self._named(("string",))

    @cached_property
    def offsets(self) -> dict[str, int]:
        """Where in a vector the 8 bytes of a feature begin that is not a string."""
        return {name: _HEADER.size + 8 * place for place, name in enumerate((*self.floats, *self.ints, *self.times))}

    def pack(self, rows: pa.Table, as_of: npt.NDArray[np.datetime64]) -> list[bytes]:
        """The vectors of a table with a column a feature; `as_of` (n,) datetime64[us]."""
        import pyarrow as pa
        import pyarrow.compute as pc

        block = np.zeros(rows.num_rows, dtype=self._record)
        block["format"], block["hash"] = FORMAT, np.void(self._digest)
        block["as_of"] = as_of.astype("datetime64[us]").astype(np.int64)
        for place, name in enumerate(self.offsets):
            block["eights"][:, place] = _numbers(rows.column(name), self.contract.dtypes[name]).view(np.int64)
        texts = [pc.cast(pc.cast(rows.column(name), pa.large_string()), pa.large_binary()).combine_chunks() for name in self.strings]
        for place, text in enumerate(texts):
            block["lengths"][:, place] = pc.fill_null(pc.binary_length(text), _NULL_TEXT).to_numpy()
        fixed = pa.FixedSizeBinaryArray.from_buffers(pa.binary(self._width), len(block), [None, pa.py_buffer(block)])
        if not texts:
            return list(fixed.to_pylist())
        whole = [pc.cast(fixed, pa.large_binary()), *texts]
        nothing = pa.scalar(b"", pa.large_binary())
        return list(pc.binary_join_element_wise(*whole, nothing, null_handling="replace", null_replacement=b"").to_pylist())

    def unpack(self, vectors: Sequence[bytes | None]) -> tuple[Columns, BoolArray]:
        """Columns of the vectors and which of them were readable; the others' rows are NULL in every column."""
        null, width, rows = self.null, self._width, len(vectors)
        whole = [vector if vector is not None and self.fits(vector) else null for vector in vectors]
        block = np.frombuffer(whole[0] if rows == 1 else b"".join([vector[:width] for vector in whole]), self._record, rows)
        floats, kinds = len(self.floats), len(self._kinds)
        eights = block["eights"].T.copy()
        numbers, integers = eights[:kinds].view(np.float64), eights[floats:kinds]
        unknown = integers == NULL_INT
        numbers[floats:] = integers  # where they lie themselves, which numpy sees to
        numbers[floats:][unknown] = np.nan
        texts = np.array([self._texts(vector) for vector in whole], dtype=object).reshape(rows, len(self.strings)).T
        columns = Blocks(*self._blocks, (numbers, eights[kinds:].view("datetime64[us]"), texts))
        return columns, np.array([vector is not null for vector in whole], dtype=bool)

    def values(self, vector: bytes | None) -> dict[str, Scalar] | None:
        """The features of one vector by name, each in its own type: whole numbers exactly; None for a vector that does not fit."""
        if vector is None or not self.fits(vector):
            return None
        numbers = self._numbers.unpack_from(vector, _HEADER.size)
        found: dict[str, Scalar] = dict(zip(self.offsets, numbers, strict=True))
        floats, whole = numbers[: len(self.floats)], numbers[len(self.floats) :]
        if (total := sum(floats)) != total:  # a NaN among them, or infinities
            for name, number in zip(self.floats, floats, strict=True):
                if number != number:
                    found[name] = None
        if NULL_INT in whole:
            for name, number in zip(self._whole, whole, strict=True):
                if number == NULL_INT:
                    found[name] = None
        for name, cast in self._casts:
            value = found[name]
            if value is not None:
                found[name] = cast(value)
        found.update(zip(self.strings, self._texts(vector), strict=True))
        return found

    def fits(self, vector: bytes) -> bool:
        """Whether the vector was packed in this format under this contract."""
        return vector[:8] == self._prefix and len(vector) >= self._width

    def changed(self, vector: bytes, values: Mapping[str, float | str | None], as_of: int) -> bytes:
        """A vector with other values of some features, as of another moment (microseconds since 1970 UTC)."""
        new = bytearray(vector)
        _INT.pack_into(new, 8, as_of)
        if not values.keys().isdisjoint(self.strings):
            texts = dict(zip(self.strings, self._texts(vector), strict=True))
            new[self._width - self._lengths.size :] = self._packed_texts([values.get(name, text) for name, text in texts.items()])
        for name, value in values.items():
            if name not in self.offsets:
                continue
            if self.contract.dtypes[name] in _FLOATS:
                _FLOAT.pack_into(new, self.offsets[name], float("nan") if value is None else value)
            else:
                _INT.pack_into(new, self.offsets[name], NULL_INT if value is None else value)
        return bytes(new)

    @cached_property
    def null(self) -> bytes:
        """The vector of a contact of whom nothing is known."""
        block = np.zeros(1, dtype=self._record)
        block["format"], block["hash"] = FORMAT, np.void(self._digest)
        block["eights"], block["lengths"] = NULL_INT, _NULL_TEXT
        block["eights"][:, : len(self.floats)] = np.array(np.nan).view(np.int64)
        return block.tobytes()

    # --- inside ---------------------------------------------------------------------------------------------------------------------

    def _named(self, dtypes: Sequence[str]) -> tuple[str, ...]:
        return tuple(sorted(spec.name for spec in self.contract.specs if spec.dtype in dtypes))

    @cached_property
    def _record(self) -> np.dtype[np.void]:
        head = [("format", "u1"), ("hash", "V6"), ("zero", "u1"), ("as_of", "<i8")]
        return np.dtype([*head, ("eights", "<i8", (len(self.offsets),)), ("lengths", "<i4", (len(self.strings),))])

    @cached_property
    def _width(self) -> int:
        return self._record.itemsize

    @cached_property
    def _digest(self) -> bytes:
        return bytes.fromhex(self.contract.hash)

    @cached_property
    def _prefix(self) -> bytes:
        return bytes([FORMAT]) + self._digest + b"\x00"

    @cached_property
    def _numbers(self) -> struct.Struct:
        return struct.Struct(f"<{len(self.floats)}d{len(self.ints) + len(self.times)}q")

    @cached_property
    def _kinds(self) -> tuple[str, ...]:
        return (*self.floats, *self.ints)

    @cached_property
    def _blocks(self) -> tuple[tuple[tuple[str, ...], ...], dict[str, tuple[int, int]]]:
        """The names of the columns that lie together, and where each lies."""
        names = (self._kinds, self.times, self.strings)
        return names, {name: (block, row) for block, some in enumerate(names) for row, name in enumerate(some)}

    @cached_property
    def _whole(self) -> tuple[str, ...]:
        return (*self.ints, *self.times)

    @cached_property
    def _casts(self) -> list[tuple[str, Callable[[Any], Scalar]]]:
        casts: dict[Dtype, Callable[[Any], Scalar]] = {"bool": bool, "date": _date, "timestamp": _moment}
        return [(spec.name, casts[spec.dtype]) for spec in self.contract.specs if spec.dtype in casts]

    @cached_property
    def _lengths(self) -> struct.Struct:
        return struct.Struct(f"<{len(self.strings)}i")

    def _packed_texts(self, texts: Sequence[float | str | None]) -> bytes:
        """The lengths and the strings themselves, in the order of `strings`."""
        encoded = [None if text is None else str(text).encode() for text in texts]
        return self._lengths.pack(*(_NULL_TEXT if text is None else len(text) for text in encoded)) + b"".join(filter(None, encoded))

    def _texts(self, vector: bytes) -> list[str | None]:
        texts: list[str | None] = []
        begin = self._width
        for length in self._lengths.unpack_from(vector, begin - self._lengths.size):
            texts.append(None if length < 0 else vector[begin : begin + length].decode())
            begin += max(length, 0)
        return texts


def contract_hash_of(vector: bytes) -> str:
    """The hash of the contract under which a vector was packed."""
    return vector[1:7].hex()


def as_of_of(vector: bytes) -> np.datetime64:
    """Until when (exclusive) what the vector says was known, datetime64[us]."""
    return np.datetime64(_INT.unpack_from(vector, 8)[0], "us")


def _numbers(column: pa.ChunkedArray, dtype: Dtype) -> npt.NDArray[np.generic]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if dtype in _FLOATS:
        floats = pc.cast(column, pa.float64()) if dtype == "float" else pc.cast(pc.cast(column, pa.int8()), pa.float64())
        return np.asarray(pc.fill_null(floats, float("nan")).to_numpy())
    integers = column if dtype == "int" else pc.cast(pc.cast(column, pa.timestamp("us")), pa.int64())
    return np.asarray(pc.fill_null(pc.cast(integers, pa.int64()), NULL_INT).to_numpy())


def _moment(microseconds: int) -> datetime | None:
    """None for a time that Python's own type cannot hold."""
    try:
        return _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return None


def _date(microseconds: int) -> date | None:
    try:
        return date.fromordinal(_EPOCH_DAY + microseconds // _DAY)
    except (OverflowError, ValueError):
        return None
