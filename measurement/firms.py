"""A sale to a firm, and the people who were touched there: the sale counts for them together, once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from measurement.arrays import FloatArray, column, summed


@dataclass(frozen=True, eq=False)
class Deals:
    """Sales to firms: arrays of shape (n_sales,)."""

    firm: npt.NDArray[np.integer]
    at: npt.ArrayLike
    value: npt.ArrayLike


@dataclass(frozen=True, eq=False)
class FirmTouches:
    """Touches of people at firms: arrays of shape (n_touches,). `contact` is 0, 1, ...; one without a firm has firm -1."""

    firm: npt.NDArray[np.integer]
    contact: npt.NDArray[np.integer]
    at: npt.ArrayLike


@dataclass(frozen=True, eq=False)
class FirmCredit:
    """What sales to firms count for.

    Attributes
    ----------
    counts : array of bool, shape (n_sales,)
        Sales to firms where somebody had been touched.
    by_contact : array, shape (n_contacts,)
        Each contact's part: a sale in equal parts to the contacts touched at the firm before it; adds up to the sales that count.
    by_touch : array, shape (n_touches,)
        A contact's part of each sale in equal parts to his touches before it; so it can be added up by channel or action.
    """

    counts: npt.NDArray[np.bool_]
    by_contact: FloatArray
    by_touch: FloatArray


def firm_credit(deals: Deals, touches: FirmTouches, *, within: float = np.inf) -> FirmCredit:
    """Give each sale to the people who were touched at its firm in the time `within` before it, each person once.

    Parameters
    ----------
    deals : Deals
    touches : FirmTouches
    within : float
        In the unit of the times.

    Examples
    --------
    >>> deals = Deals(np.array([0]), [10.0], [900.0])
    >>> touches = FirmTouches(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 2]), [1.0, 2.0, 3.0, 4.0])
    >>> found = firm_credit(deals, touches)
    >>> found.by_contact.tolist(), found.by_touch.tolist()
    ([450.0, 450.0, 0.0], [225.0, 225.0, 450.0, 0.0])
    """
    number = int(touches.contact.max()) + 1 if touches.contact.size else 0
    if deals.firm.size == 0 or touches.firm.size == 0:
        return FirmCredit(np.zeros(deals.firm.size, dtype=bool), np.zeros(number), np.zeros(touches.firm.size))
    sold_at, value = column("at", deals.at, deals.firm.size), column("value", deals.value, deals.firm.size)
    touched_at = column("at", touches.at, touches.firm.size)
    deal, touch = _pairs(deals.firm, touches.firm)
    fits = (touched_at[touch] <= sold_at[deal]) & (sold_at[deal] - touched_at[touch] <= within)
    deal, touch = deal[fits], touch[fits]
    # One row a sale and contact, so that a person who was touched twice does not count for two.
    person, row, touched = np.unique(deal * np.int64(number) + touches.contact[touch], return_inverse=True, return_counts=True)
    people = np.bincount(person // number, minlength=deals.firm.size)
    part = (value / np.maximum(people, 1))[person // number]
    return FirmCredit(people > 0, summed(person % number, part, number), summed(touch, (part / touched)[row], touches.firm.size))


def _pairs(left: npt.NDArray[np.integer], right: npt.NDArray[np.integer]) -> tuple[np.ndarray, np.ndarray]:
    """Every (place in `left`, place in `right`) of the same firm; firm -1 is none."""
    order = np.argsort(right, kind="stable")
    begin, end = (np.searchsorted(right[order], left, side=side) for side in ("left", "right"))
    many = np.where(left >= 0, end - begin, 0)
    place = np.repeat(np.arange(left.size), many)
    within = np.arange(place.size) - np.repeat(np.cumsum(many) - many, many)
    return place, order[np.repeat(begin, many) + within]
