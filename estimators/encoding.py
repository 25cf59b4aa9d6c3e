"""Feature columns of any dtype -> the matrix of the trees and the matrix of the linear models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from estimators.arrays import (
    DTYPES,
    TIME_DTYPES,
    Columns,
    FloatArray,
    IntArray,
    as_days_before,
    as_numbers,
    as_texts,
    check_one_of,
    row_count,
)
from estimators.encoding_categories import CategoryEncoding
from estimators.encoding_numbers import NumberEncoding

ROWS_TOGETHER = 8_192
"""Rows that are encoded at a time where all are to be held in single precision."""

BLOCK_ROWS = 4_096
"""Few enough for the second-level cache, and for LightGBM to predict them with one thread."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """The same n contacts for both families of models.

    Parameters
    ----------
    trees : array, shape (n, d)
        One column a feature, NaN for NULL, category codes as floats: for LightGBM.
    linear : array, shape (n, m)
        Standardised, imputed, one-hot: for penalised linear models.
    """

    trees: FloatArray
    linear: FloatArray

    def __len__(self) -> int:
        return len(self.trees)

    def take(self, rows: Any) -> Encoded:
        """The rows named by an index array or a mask."""
        return Encoded(self.trees[rows], self.linear[rows])

    def linear_of(self, rows: Any) -> FloatArray:
        """The linear matrix of some rows."""
        part: FloatArray = self.linear[rows]
        return part


@dataclass(frozen=True, eq=False)
class EncodedLater:
    """Rows whose linear matrix is made where it is read, some rows at a time: it never exists as a whole.

    Parameters
    ----------
    trees : array, shape (n, d)
    standardised : callable
        The linear matrix of some rows of the tree matrix.
    """

    trees: FloatArray
    standardised: Callable[[FloatArray], FloatArray]

    def __len__(self) -> int:
        return len(self.trees)

    def take(self, rows: Any) -> Encoded:
        """The rows named by an index array, a slice or a mask."""
        part = self.trees[rows]
        return Encoded(part, self.standardised(part))

    def linear_of(self, rows: Any) -> FloatArray:
        """The linear matrix of some rows."""
        return self.standardised(self.trees[rows])


Rows: TypeAlias = Encoded | EncodedLater
"""Rows of which some can be taken."""


def blocks_of(n: int) -> Iterator[slice]:
    """Runs of rows that are read together.

    Examples
    --------
    >>> [(block.start, block.stop) for block in blocks_of(5_000)]
    [(0, 4096), (4096, 5000)]
    """
    for start in range(0, n, BLOCK_ROWS):
        yield slice(start, min(n, start + BLOCK_ROWS))


@dataclass(frozen=True, eq=False)
class FeatureEncoder:
    """What training learned about the columns; never fails on what a column holds.

    A column that is absent counts as NULL, an unseen or rare category as "other", an infinity or an unreadable value as NULL.

    Parameters
    ----------
    dtypes : dict of str to str
        Feature name -> "bool", "int", "float", "string", "date" or "timestamp", in the order of the tree matrix.
    numbers : NumberEncoding
        Scales of the bool, int, float, date and timestamp features.
    categories : tuple of CategoryEncoding
        Levels of the string features.

    Examples
    --------
    >>> columns = {"age": np.array([20.0, 40.0, np.nan]), "market": np.array(["PL", "PL", None], dtype=object)}
    >>> now = np.datetime64("2026-11-22", "us")
    >>> encoder = FeatureEncoder.fit(columns, {"age": "int", "market": "string"}, now, min_count=1)
    >>> encoder.trees({"age": np.array([30.0]), "market": np.array(["DE"], dtype=object)}, now)
    array([[30.,  1.]])
    >>> encoder.linear_names
    ('age', 'age is missing', 'market = PL', 'market is missing')
    """

    dtypes: dict[str, str]
    numbers: NumberEncoding
    categories: tuple[CategoryEncoding, ...]

    @classmethod
    def fit(
        cls,
        columns: Columns,
        dtypes: Mapping[str, str],
        as_of: Any,
        *,
        max_levels: int = 200,
        min_count: int = 10,
        max_indicators: int = 20,
    ) -> FeatureEncoder:
        """Learn scales and levels.

        Parameters
        ----------
        columns : mapping of str to array, each of shape (n,)
        dtypes : mapping of str to str
            The features to encode; columns beyond them are not read.
        as_of : datetime64, scalar or shape (n,)
            Times become days before it.
        max_levels, min_count : int
            A category keeps at most so many levels, each seen at least so often; the rest is "other".
        max_indicators : int
            So many levels of a category get a column of the linear matrix.

        Raises
        ------
        ValueError
            If a dtype is not known or the columns differ in length.
        """
        for name, dtype in dtypes.items():
            check_one_of(f"the dtype of feature {name!r}", dtype, DTYPES)
        length = row_count(columns, as_of)
        ordered = dict(dtypes)
        names = [name for name in ordered if ordered[name] != "string"]
        each = (_number_column(columns, name, ordered[name], as_of, length) for name in names)
        numbers = NumberEncoding.fit(names, each, min_count=min_count)
        limits = {"max_levels": max_levels, "min_count": min_count, "max_indicators": max_indicators}
        texts = {name: as_texts(columns.get(name), length) for name in ordered if ordered[name] == "string"}
        return cls(ordered, numbers, tuple(CategoryEncoding.fit(name, values, **limits) for name, values in texts.items()))

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The columns of the tree matrix, in order."""
        return tuple(self.dtypes)

    @property
    def categorical_indices(self) -> tuple[int, ...]:
        """The positions of the categories in the tree matrix."""
        return tuple(i for i, dtype in enumerate(self.dtypes.values()) if dtype == "string")

    @property
    def linear_names(self) -> tuple[str, ...]:
        """The columns of the linear matrix, in order."""
        return (*self.numbers.linear_names(), *(name for category in self.categories for name in category.linear_names()))

    @property
    def linear_features(self) -> tuple[str, ...]:
        """The feature that each column of the linear matrix belongs to, in order."""
        numbers = self.numbers
        owned = [
            name for shown in (numbers.kept, numbers.indicated) for name, is_shown in zip(numbers.names, shown, strict=True) if is_shown
        ]
        return (*owned, *(category.name for category in self.categories for _ in range(category.width)))

    def encode(self, columns: Columns, as_of: Any) -> Encoded:
        """Both matrices at once, shapes (n, d) and (n, m)."""
        matrix, codes = self._read(columns, as_of)
        return Encoded(self._trees(matrix, codes), self._linear(matrix, codes))

    def encode_narrow(self, columns: Columns, as_of: Any) -> Encoded:
        """The same in single precision, made some rows at a time."""
        length, moments = row_count(columns, as_of), np.asarray(as_of)
        trees: Any = np.empty((length, len(self.dtypes)), dtype=np.float32)
        linear: Any = np.empty((length, len(self.linear_names)), dtype=np.float32)
        largest = float(np.finfo(np.float32).max)
        for start in range(0, length, ROWS_TOGETHER):
            block = slice(start, start + ROWS_TOGETHER)
            part = self.encode({name: column[block] for name, column in columns.items()}, moments[block] if moments.ndim else as_of)
            trees[block], linear[block] = np.clip(part.trees, -largest, largest), part.linear
        return Encoded(trees, linear)

    def trees(self, columns: Columns, as_of: Any) -> FloatArray:
        """The matrix for LightGBM, shape (n, d)."""
        return self._trees(*self._read(columns, as_of))

    def linear(self, columns: Columns, as_of: Any) -> FloatArray:
        """The matrix for linear models, shape (n, m)."""
        return self._linear(*self._read(columns, as_of))

    def to_dict(self) -> dict[str, Any]:
        """The encoder as JSON values; every number comes back exactly."""
        return {
            "dtypes": [[name, dtype] for name, dtype in self.dtypes.items()],
            "numbers": self.numbers.to_dict(),
            "categories": [category.to_dict() for category in self.categories],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FeatureEncoder:
        """The encoder that `to_dict` wrote."""
        categories = tuple(CategoryEncoding.from_dict(category) for category in data["categories"])
        return cls(dict(data["dtypes"]), NumberEncoding.from_dict(data["numbers"]), categories)

    def _read(self, columns: Columns, as_of: Any) -> tuple[FloatArray, list[IntArray]]:
        """The numbers, and the codes of each category."""
        length = row_count(columns, as_of)
        codes = [category.codes(as_texts(columns.get(category.name), length)) for category in self.categories]
        return _number_matrix(columns, self.dtypes, as_of, length), codes

    def _trees(self, matrix: FloatArray, codes: list[IntArray]) -> FloatArray:
        is_category = np.array([dtype == "string" for dtype in self.dtypes.values()], dtype=bool)
        trees = np.empty((len(matrix), len(self.dtypes)))
        trees[:, ~is_category] = matrix
        for position, code in zip(self.categorical_indices, codes, strict=True):
            trees[:, position] = code
        return trees

    def _linear(self, matrix: FloatArray, codes: list[IntArray]) -> FloatArray:
        indicators = [category.indicators(code) for category, code in zip(self.categories, codes, strict=True)]
        return np.concatenate([self.numbers.transform(matrix), *indicators], axis=1)


def _number_matrix(columns: Columns, dtypes: Mapping[str, str], as_of: Any, length: int) -> FloatArray:
    """The bool, int, float, date and timestamp features, shape (n, k)."""
    names = [name for name, dtype in dtypes.items() if dtype != "string"]
    matrix = np.empty((length, len(names)))
    for j, name in enumerate(names):
        matrix[:, j] = _number_column(columns, name, dtypes[name], as_of, length)
    return matrix


def _number_column(columns: Columns, name: str, dtype: str, as_of: Any, length: int) -> FloatArray:
    column = columns.get(name)
    return as_days_before(column, as_of, length) if dtype in TIME_DTYPES else as_numbers(column, length)
