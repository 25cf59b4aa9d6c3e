"""Forest: the raw scores of many LightGBM models of the same contacts at once, to the last bit those of `Booster.predict`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from estimators.arrays import FloatArray
from estimators.compiling import entry_point
from estimators.forest_kernels import score
from estimators.forest_layout import SlotArrays, Slots, TreeArrays, lay_out, splits_of
from estimators.forest_text import read_trees

ROWS_A_THREAD = 2_048
"""Below so many rows a second thread costs more than it gains."""


@dataclass(frozen=True, eq=False)
class Forest:
    """LightGBM models, compiled: their trees as flat arrays.

    Parameters
    ----------
    trees : TreeArrays
    slots : SlotArrays
    n_columns : int
        Of the rows that it reads.

    Examples
    --------
    >>> import lightgbm
    >>> X = np.arange(200.0).reshape(100, 2)
    >>> data = lightgbm.Dataset(X, X[:, 0] % 7, params={"verbose": -1})
    >>> booster = lightgbm.train({"verbose": -1, "num_leaves": 4}, data, num_boost_round=3)
    >>> forest = Forest.of_texts([booster.model_to_string()])
    >>> bool((forest.scores(X)[:, 0] == booster.predict(X, raw_score=True)).all())
    True
    """

    trees: TreeArrays
    slots: SlotArrays
    n_columns: int

    @classmethod
    def of_texts(cls, texts: Sequence[str], *, columns: Sequence[Mapping[int, int] | None] | None = None, n_columns: int = 0) -> Forest:
        """The models that LightGBM's texts describe.

        Parameters
        ----------
        texts : sequence of str
        columns : sequence of mappings of a model's feature to a column of the rows, optional
            Default: feature j is column j.
        n_columns : int
            Of the rows, where `columns` are given.

        Raises
        ------
        NotUnderstood
            A text says what the kernel does not do: ask LightGBM.
        """
        places = [None] * len(texts) if columns is None else list(columns)
        models = [(read_trees(text), place) for text, place in zip(texts, places, strict=True)]
        slots = Slots(splits_of(models))
        width = max((model.n_features for model, place in models if place is None), default=0)
        return cls(lay_out(models, slots), slots.arrays(), max(width, n_columns))

    @property
    def n_models(self) -> int:
        """How many scores a contact gets."""
        return len(self.trees.starts) - 1

    def scores(self, rows: FloatArray, *, threads: int = 1) -> FloatArray:
        """The raw scores, shape (n, n_models), of rows of shape (n, n_columns).

        Raises
        ------
        ValueError
            If the rows have another number of columns.
        """
        return scored(self._score, rows, (self.n_columns, self.n_models), threads if len(rows) >= 2 * ROWS_A_THREAD else 1)

    def _score(self, rows: FloatArray, out: FloatArray) -> None:
        self._entry(rows, self.slots, self.trees, out)

    @cached_property
    def _entry(self) -> Callable[..., None]:
        return entry_point(score, np.empty((1, 1)), self.slots, self.trees, np.empty((1, 1)))


def scored(score: Callable[[FloatArray, FloatArray], None], rows: FloatArray, columns: tuple[int, int], threads: int) -> FloatArray:
    """The numbers that a walk writes for each row, shape (n, columns[1]), of rows of shape (n, columns[0]).

    Raises
    ------
    ValueError
        If the rows have another number of columns.
    """
    if rows.ndim != 2 or rows.shape[1] != columns[0]:
        raise ValueError(f"the rows of a forest; got shape {rows.shape}; allowed: (n, {columns[0]})")
    given, out = np.ascontiguousarray(rows, dtype=np.float64), np.empty((len(rows), columns[1]))
    if threads == 1:
        score(given, out)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(score, np.array_split(given, threads), np.array_split(out, threads)))
    return out
