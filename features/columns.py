"""Between Arrow's tables and `Columns`, and between rows and their distinct pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from decisioning.vocabulary import BoolArray, Dtype

if TYPE_CHECKING:
    import pyarrow as pa

Ids: TypeAlias = npt.NDArray[np.object_]
Moments: TypeAlias = npt.NDArray[np.datetime64]


def unique_pairs(contact_ids: Ids, as_of: Moments) -> tuple[Ids, Moments, npt.NDArray[np.intp]]:
    """The distinct (contact, as_of) of rows, and the place of each row among them."""
    contacts, contact = np.unique(contact_ids.astype(str), return_inverse=True)
    moments, moment = np.unique(as_of, return_inverse=True)
    pairs, position = np.unique(contact.astype(np.int64) * len(moments) + moment, return_inverse=True)
    return contacts[pairs // len(moments)].astype(object), moments[pairs % len(moments)], position


def as_column(chunks: Sequence[pa.ChunkedArray], dtype: Dtype) -> npt.NDArray[np.generic]:
    """Arrow's column as `Columns` has it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = pa.chunked_array([chunk for column in chunks for chunk in column.chunks], type=chunks[0].type)
    if dtype == "string":
        return _texts(column)
    if dtype in ("date", "timestamp"):
        return np.asarray(pc.cast(column, pa.timestamp("us")).to_numpy().astype("datetime64[us]"))
    numbers = pc.cast(column, pa.int8()) if dtype == "bool" else column
    return np.asarray(pc.cast(numbers, pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def _texts(column: pa.ChunkedArray) -> npt.NDArray[np.object_]:
    """Texts, each distinct one held once, however many rows have it."""
    import pyarrow.compute as pc

    coded = pc.dictionary_encode(column).combine_chunks()
    levels = np.array([*coded.dictionary.to_pylist(), None], dtype=object)
    places: npt.NDArray[np.int64] = pc.fill_null(coded.indices, len(levels) - 1).to_numpy(zero_copy_only=False)
    return levels[places]


def same(left: npt.NDArray[np.generic], right: npt.NDArray[np.generic]) -> BoolArray:
    """Row by row, whether two columns of `Columns` hold one value; NULL is the same as NULL."""
    both_null = (left != left) & (right != right)  # NaN and NaT differ from themselves
    return np.asarray((left == right) | both_null, dtype=bool)
