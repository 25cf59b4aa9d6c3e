"""Train and test rows: the last part in time where there is time, else some of the contacts.

A split in time leaves a gap of the longest window before the test part: no training label may look into it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from decisioning.vocabulary import BoolArray

TRAIN_SHARE = 0.75
SMALLEST_TRAIN_SHARE = 0.3
"""Where the gap leaves less than this for training, contacts are split instead."""

_MICROSECONDS_A_DAY = 86_400_000_000


@dataclass(frozen=True, eq=False)
class Split:
    """Masks over rows, shape (n,); rows in the gap are in neither.

    Attributes
    ----------
    kind : "time" or "contact"
    cut : datetime64 or None
        The first instant of the test part.
    gap_days : float
        Days before the cut that are in neither part.
    """

    train: BoolArray
    test: BoolArray
    kind: Literal["time", "contact"]
    cut: np.datetime64 | None
    gap_days: float

    @property
    def description(self) -> str:
        """The split in one sentence."""
        sizes = f"{int(self.train.sum())} rows to train, {int(self.test.sum())} to test"
        if self.kind == "contact":
            return f"by contact (hash): {sizes}"
        return f"in time at {str(self.cut)[:10]}, with a gap of {self.gap_days:g} days: {sizes}"


def split_rows(contact_id: npt.NDArray[np.object_], occurred_at: npt.NDArray[np.datetime64], *, window_days: float, seed: int) -> Split:
    """Split logged rows in time, or by contact where there is no time or too little of it.

    Parameters
    ----------
    contact_id : object array, shape (n,)
    occurred_at : datetime64[us] array, shape (n,)
        NaT in a one-shot experiment.
    window_days : float
        The longest window of a label.
    seed : int
        Of the split by contact.
    """
    if len(occurred_at) and not np.isnat(occurred_at).any():
        cut = np.sort(occurred_at)[int(TRAIN_SHARE * (len(occurred_at) - 1))]
        gap = np.timedelta64(round(window_days * _MICROSECONDS_A_DAY), "us")
        train, test = occurred_at + gap < cut, occurred_at >= cut
        if train.mean() >= SMALLEST_TRAIN_SHARE and test.any():
            return Split(train, test, "time", cut, window_days)
    test = contact_share(contact_id, salt=f"{seed}:test") >= TRAIN_SHARE
    return Split(~test, test, "contact", None, 0.0)


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
