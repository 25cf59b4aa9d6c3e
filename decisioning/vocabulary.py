"""The words that every room shares, as types.

``Columns`` is how rows travel between rooms: one numpy array a column, all of one length, with one representation a dtype:

==================== =================== ============
feature dtype        numpy               NULL
==================== =================== ============
bool, int, float     float64             NaN
string               object (str)        None
date, timestamp      datetime64[us], UTC NaT
==================== =================== ============
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Dtype: TypeAlias = Literal["bool", "int", "float", "string", "date", "timestamp"]
Columns: TypeAlias = Mapping[str, npt.NDArray[np.generic]]
FloatArray: TypeAlias = npt.NDArray[np.float64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
IntArray: TypeAlias = npt.NDArray[np.int64]
TextArray: TypeAlias = npt.NDArray[np.object_]

DTYPES: tuple[Dtype, ...] = ("bool", "int", "float", "string", "date", "timestamp")

NO_ACTION = "no_action"
"""The action_id of a contact who was in scope and gets nothing: a logged control, and a candidate of priority 0."""

UNFIT_FOR_IDS = "[\\x00-\\x1f\\x7f]|^[\\s\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*$"
"""Matches an id that nobody could write down: control characters, or nothing but blanks. One pattern for Python and for DuckDB, whose
``\\s`` knows ASCII only."""

LONGEST_ID = 256
"""Characters of an id that stands in addresses and requests."""

Stage: TypeAlias = Literal[
    "eligibility", "applicability", "suitability", "consent", "contact_policy", "placement", "score", "arbitrate", "control", "allocation"
]


def null_column(dtype: Dtype, length: int) -> npt.NDArray[np.generic]:
    """A column of `length` NULLs in the representation of `dtype`.

    Examples
    --------
    >>> null_column("string", 2)
    array([None, None], dtype=object)
    """
    if dtype == "string":
        return np.full(length, None, dtype=object)
    if dtype in ("date", "timestamp"):
        return np.full(length, np.datetime64("NaT", "us"))
    return np.full(length, np.nan)
