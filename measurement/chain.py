"""Was it marketing's sale? Only where targeted, consumed, identified as a lead, handed over and sold happened, in that order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from measurement.arrays import FloatArray, column

STAGES = ("targeted", "consumed", "lead", "handed_over", "sold")
"""In their order."""

_SOLD = len(STAGES) - 1


@dataclass(frozen=True, eq=False)
class Chain:
    """How far each contact came, and which sales count.

    Attributes
    ----------
    reached : array, shape (n_contacts, n_stages)
        When a contact reached each stage, in the order; NaN where he did not.
    counts : array of bool, shape (n_events,)
        Which sales count for marketing.
    """

    reached: FloatArray
    counts: npt.NDArray[np.bool_]

    @property
    def contacts(self) -> npt.NDArray[np.int64]:
        """Contacts who reached each stage, shape (n_stages,)."""
        return np.asarray((~np.isnan(self.reached)).sum(axis=0), dtype=np.int64)


def strict_chain(
    contact: npt.NDArray[np.integer], stage: npt.NDArray[np.integer], at: npt.ArrayLike, *, within: float | None = None
) -> Chain:
    """Follow every contact through the stages.

    A stage is reached by the first event of it at or after the moment at which the stage before was: what happened too early (a lead
    before anything was consumed) does not count, a later one of the same kind may. Events of one moment are in order. A sale counts where
    all other stages were reached before it, and, with `within`, no longer than that before it.

    Parameters
    ----------
    contact : array of int, shape (n_events,)
        0, 1, ...
    stage : array of int, shape (n_events,)
        Index into `STAGES`.
    at : array-like, shape (n_events,)
        When, in any unit of time.
    within : float, optional
        The longest time from being targeted to the sale.

    Examples
    --------
    >>> contact, stage = np.array([0, 0, 0, 0, 0, 1, 1]), np.array([0, 1, 2, 3, 4, 4, 0])
    >>> found = strict_chain(contact, stage, [1, 2, 3, 4, 5, 1, 2])
    >>> found.counts.tolist()
    [False, False, False, False, True, False, False]
    >>> found.contacts.tolist()
    [2, 1, 1, 1, 1]
    """
    moments = column("at", at, contact.size)
    if stage.shape != contact.shape or (stage < 0).any() or (stage > _SOLD).any() or (contact < 0).any():
        raise ValueError(f"stage and contact: expected a place in {STAGES} and a number from 0 for each of {contact.size:,} events")
    number = int(contact.max()) + 1
    reached = np.full((number, len(STAGES)), np.inf)
    before = np.full(number, -np.inf)
    for place in range(len(STAGES)):
        mine = np.flatnonzero((stage == place) & (moments >= before[contact]))
        np.minimum.at(reached[:, place], contact[mine], moments[mine])
        before = reached[:, place]
    counts = (stage == _SOLD) & (moments >= reached[:, _SOLD - 1][contact])
    if within is not None:
        counts &= moments - reached[:, 0][contact] <= within
    return Chain(np.where(np.isinf(reached), np.nan, reached), counts)
