"""Columns that lie beside one another in a few matrices, one a kind of value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from decisioning.vocabulary import Columns

Column = npt.NDArray[np.generic]


class Blocks(Mapping[str, Column]):
    """Columns by name, each cut out of its matrix when it is asked for: forty arrays of one contact cost more than reading it.

    Parameters
    ----------
    names : sequence of sequences of str
        The columns of each matrix.
    places : mapping of str to (int, int)
        Of each column its matrix and its row there.
    matrices : sequence of arrays of shape (columns, n)

    Examples
    --------
    >>> two = Blocks((("a", "b"),), {"a": (0, 0), "b": (0, 1)}, (np.array([[1.0, 2.0], [3.0, 4.0]]),))
    >>> two["b"], list(two), two.take([1])["a"]
    (array([3., 4.]), ['a', 'b'], array([2.]))
    """

    __slots__ = ("_matrices", "_names", "_places")

    def __init__(self, names: Sequence[Sequence[str]], places: Mapping[str, tuple[int, int]], matrices: Sequence[Column]) -> None:
        self._names = names
        self._places = places
        self._matrices = matrices

    def __getitem__(self, name: str) -> Column:
        matrix, row = self._places[name]
        column: Column = self._matrices[matrix][row]
        return column

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def take(self, rows: Sequence[int]) -> Blocks:
        """The columns of some of the rows."""
        return Blocks(self._names, self._places, [matrix[:, rows] for matrix in self._matrices])

    @property
    def parts(self) -> Iterator[tuple[Sequence[str], Column]]:
        """The names of each matrix' columns, and the matrix."""
        return zip(self._names, self._matrices, strict=True)


def parts_of(columns: Columns) -> Iterator[tuple[Sequence[str], Column]]:
    """The columns by matrices of shape (columns, n); one that lies alone is a matrix of its own."""
    if isinstance(columns, Blocks):
        return columns.parts
    return (((name,), column[np.newaxis]) for name, column in columns.items())
