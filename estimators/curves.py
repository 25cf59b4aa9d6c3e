"""A curve for each number: the linear matrix, and beside it the square of every column that has more than two values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from estimators.arrays import FloatArray, IntArray

WIDEST = 3.0
"""A square grows no further than this many standard deviations from the mean."""

_A_FEW = 100


@dataclass(frozen=True, eq=False)
class Curves:
    """Which columns of the linear matrix are bent.

    Parameters
    ----------
    width : int
        Columns of the linear matrix.
    bent : array of int
        Positions of the columns that get a square.
    """

    width: int
    bent: IntArray

    @classmethod
    def of(cls, linear: FloatArray) -> Curves:
        """Every column that takes more than two values: the square of a flag says nothing new.

        Examples
        --------
        >>> Curves.of(np.array([[0.0, -1.0], [1.0, 0.0], [2.0, -1.0]])).bent.tolist()
        [0]
        """
        bent = [j for j in range(linear.shape[1]) if _takes_more_than_two_values(linear[:, j])]
        return cls(linear.shape[1], np.array(bent, dtype=np.int64))

    def design(self, linear: FloatArray) -> npt.NDArray[np.float32]:
        """1, the linear columns and the squares, in single precision, shape (n, 1 + width + bent)."""
        out = np.empty((len(linear), 1 + self.width + len(self.bent)), dtype=np.float32)
        out[:, 0] = 1.0
        out[:, 1 : 1 + self.width] = linear
        bent = out[:, 1 + self.width :]
        bent[:] = out[:, 1 + self.bent] if len(self.bent) < self.width else out[:, 1 : 1 + self.width]
        # The same as `squares`, without its copies: single precision is enough to learn from.
        np.multiply(bent, bent, out=bent)
        np.minimum(bent, np.float32(WIDEST**2), out=bent)
        bent -= np.float32(1.0)
        bent *= np.float32(1.0 / np.sqrt(2.0))
        return out


def squares(values: FloatArray) -> FloatArray:
    """(min(z^2, 9) - 1) / sqrt(2): of mean 0 and variance about 1 for a standardised, bell-shaped column.

    Examples
    --------
    >>> squares(np.array([0.0, 1.0, 10.0])).round(3).tolist()
    [-0.707, 0.0, 5.657]
    """
    bent: FloatArray = np.square(values, dtype=np.float64)
    np.minimum(bent, WIDEST**2, out=bent)  # in place: a million rows of squares wait for memory
    bent -= 1.0
    bent /= np.sqrt(2.0)
    return bent


def _takes_more_than_two_values(column: FloatArray) -> bool:
    if len(column) > _A_FEW and _takes_more_than_two_values(column[:_A_FEW]):
        return True  # most columns say so at once
    low, high = column.min(initial=np.inf), column.max(initial=-np.inf)
    return bool(np.any((column != low) & (column != high)))
