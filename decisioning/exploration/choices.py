"""What does choosing another candidate than the best give up? The candidates of many contacts at once, each contact in a unit of its own.

In units of a contact's greatest worth, either way, nothing over- or underflows, and nothing depends on the currency.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from decisioning.vocabulary import FloatArray, IntArray

_T = TypeVar("_T", bound=np.generic)


class Choices:
    """The candidates of many contacts, ragged: as many as each contact has, one after the other.

    Parameters
    ----------
    starts : array of int, shape (n_contacts,)
        Where the candidates of each contact begin; there is at least one contact, and none without candidates.
    worth : array, shape (n_offers,), money, finite

    Attributes
    ----------
    starts, lengths, best : arrays of int, shape (n_contacts,)
        Where the candidates of each contact begin, how many they are, and where the first of its best is.
    unit : array, shape (n_contacts,)
        Its greatest worth either way, money; 1 where all are 0.
    size : array, shape (n_offers,)
        How many candidates the contact of each has.
    gap : array, shape (n_offers,)
        The best worth of the contact less this one's, in its unit.
    widest : array, shape (n_offers,)
        The contact's greatest gap, in its unit; 1 where there is none. Like `size` of one entry where there is one contact.
    """

    def __init__(self, starts: IntArray, worth: FloatArray) -> None:
        self.starts = starts
        self.lengths = np.diff(np.concatenate([starts, [len(worth)]]))
        self._alone = len(starts) == 1
        greatest = np.maximum.reduceat(np.abs(worth), starts)
        self.unit = np.where(greatest > 0, greatest, 1.0)
        scaled = worth / self.each(self.unit)
        self.gap = self.each(np.maximum.reduceat(scaled, starts)) - scaled
        self.best = self._first_of_the_best(worth)
        widest = np.maximum.reduceat(self.gap, starts)
        self.widest = self.each(np.where(widest > 0, widest, 1.0))
        self.size = self.each(self.lengths.astype(np.float64))

    def _first_of_the_best(self, worth: FloatArray) -> IntArray:
        at_best = np.flatnonzero(worth == self.each(np.maximum.reduceat(worth, self.starts)))
        return at_best[:1] if self._alone else at_best[np.searchsorted(at_best, self.starts)]

    def each(self, of_contacts: npt.NDArray[_T]) -> npt.NDArray[_T]:
        """One entry a candidate of what there is one a contact, or the one entry that holds for all."""
        return of_contacts if self._alone else np.repeat(of_contacts, self.lengths)

    def total(self, of_candidates: FloatArray) -> FloatArray:
        """One sum a contact."""
        return np.asarray(np.add.reduceat(of_candidates, self.starts), dtype=np.float64)

    def with_the_rest_on_the_best(self, others: FloatArray) -> FloatArray:
        """`others` as probabilities: the best candidate's is what they leave of 1."""
        others[self.best] = 0.0
        others[self.best] = 1.0 - self.total(others)
        return others

    def within(self, natural: FloatArray, allowances: FloatArray) -> FloatArray:
        """`natural`, mixed with the best candidate as far as it costs more than the `allowances`, in units, shape (n_contacts,)."""
        cost = self.total(natural * self.gap)
        too_dear = (cost > allowances) | (allowances <= 0)
        if not too_dear.any():
            return natural
        kept = np.clip(allowances, 0.0, cost) / np.where(cost > 0, cost, 1.0)
        mixed = self.with_the_rest_on_the_best(natural * self.each(kept))
        return np.where(self.each(too_dear), mixed, natural)
