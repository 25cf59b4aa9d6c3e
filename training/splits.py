"""Train and test rows: the last part in time where there is time, else some of the contacts.

A split in time is what training at the cut would have been: only labels whose windows had closed by then are known to it
(`training.dataset.as_known_at`), so no training label looks into the test part.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from decisioning.vocabulary import BoolArray

TRAIN_SHARE = 0.75
SMALLEST_TRAIN_SHARE = 0.2
"""Where fewer rows than this would have a known label by the cut, contacts are split instead."""

_MICROSECONDS_A_DAY = 86_400_000_000


@dataclass(frozen=True, eq=False)
class Split:
    """Masks over rows, shape (n,); every row is in one part.

    Attributes
    ----------
    kind : "time" or "contact"
    cut : datetime64 or None
        The first instant of the test part.
    unheard : int
        Of how many rows the windows are still open: nobody is judged on them.
    """

    train: BoolArray
    test: BoolArray
    kind: Literal["time", "contact"]
    cut: np.datetime64 | None
    unheard: int = 0

    @property
    def description(self) -> str:
        """The split in one sentence."""
        sizes = f"{int(self.train.sum())} interactions to train, {int(self.test.sum())} to test"
        if self.unheard:
            sizes += f", of {self.unheard} in all the windows are still open"
        if self.kind == "contact":
            return f"by contact (hash): {sizes}"
        return f"in time at {str(self.cut)[:10]}, with the labels that were known then: {sizes}"


def split_rows(
    contact_id: npt.NDArray[np.object_],
    occurred_at: npt.NDArray[np.datetime64],
    *,
    as_of: np.datetime64 | npt.NDArray[np.datetime64],
    window_days: float,
    seed: int,
) -> Split:
    """Split logged rows in time, or by contact where there is no time or too little of it.

    Three quarters of the rows whose windows have closed by as_of lie before the cut.

    Parameters
    ----------
    contact_id : object array, shape (n,)
    occurred_at : datetime64[us] array, shape (n,)
        NaT in a one-shot experiment.
    as_of : datetime64[us], or array of shape (n,)
        Until when what followed the rows is known.
    window_days : float
        The longest window of a label.
    seed : int
        Of the split by contact.
    """
    window = np.timedelta64(round(window_days * _MICROSECONDS_A_DAY), "us")
    is_open = occurred_at + window >= as_of
    unheard, closed = int(is_open.sum()), np.sort(occurred_at[~is_open & ~np.isnat(occurred_at)])
    if len(closed) and not np.isnat(occurred_at).any():
        cut = closed[int(TRAIN_SHARE * (len(closed) - 1))]
        if np.mean(closed + window < cut) >= SMALLEST_TRAIN_SHARE:
            return Split(occurred_at < cut, occurred_at >= cut, "time", cut, unheard)
    test = contact_share(contact_id, salt=f"{seed}:test") >= TRAIN_SHARE
    return Split(~test, test, "contact", None, unheard)


def contact_share(contact_id: npt.NDArray[np.object_], *, salt: str) -> npt.NDArray[np.float64]:
    """A number in [0, 1) for each row, the same for every row of a contact and independent of every other salt.

    Examples
    --------
    >>> shares = contact_share(np.array(["a", "b", "a"], dtype=object), salt="7")
    >>> bool(shares[0] == shares[2]), bool(shares[0] == shares[1])
    (True, False)
    """
    contacts, place = np.unique(contact_id.astype(str), return_inverse=True)
    digests = b"".join(hashlib.blake2b(f"{salt}:{contact}".encode(), digest_size=8).digest() for contact in contacts)
    return (np.frombuffer(digests, dtype="<u8") >> np.uint64(11)).astype(np.float64)[place] / 2.0**53
