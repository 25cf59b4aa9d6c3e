"""The last few contacts, tried anew: a small exact search over those whose choice hangs by a hair.

With reduced values w = v - p u at shadow prices p, an assignment falls short of the dual bound by::

    sum_i (best w of i - w of its choice) + sum_r p_r slack_r

so a search that adds contact after contact may stop as soon as the first sum alone is no better than what is held (branch and bound).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from decisioning.assignment import NONE, Assignment, two_best
from decisioning.vocabulary import FloatArray, IntArray

_CONTACTS = 16
_OPTIONS = 8
_TRIALS = 20_000


@dataclass(frozen=True)
class _Option:
    """One thing a contact may get: an offer, or none; `loss` is what that costs against its best, in reduced value."""

    offer: int
    loss: float
    use: tuple[float, ...]


def refine(assignment: Assignment, reduced: FloatArray, prices: FloatArray, competing: IntArray) -> None:
    """Give the narrowest contacts among the offers `competing` the best that is left for them together, in place.

    Parameters
    ----------
    assignment : Assignment
        Changed only for the better.
    reduced : array, shape (n_offers,)
        The value of each offer after the prices of what it uses.
    prices : array, shape (n_limits,)
    competing : array of int
        Offers, sorted by contact.
    """
    contacts = _narrowest(assignment.contact[competing], reduced[competing])
    options = [_options(assignment, reduced, competing[assignment.contact[competing] == one]) for one in contacts]
    held = assignment.choice[contacts]
    open_use = assignment.use[held[held != NONE]].sum(axis=0)
    search = _Search(options, prices.tolist(), (assignment.remaining + open_use).tolist())
    search.hold(held.tolist())
    search.go_on(0, 0.0, list(search.limits))
    if search.best_offers != held.tolist():
        assignment.replace(contacts, np.array(search.best_offers, dtype=np.int64))


def _narrowest(contact: IntArray, reduced: FloatArray) -> IntArray:
    """The contacts whose best choice beats the second best by least, no action being one of them; the least narrow first."""
    starts, _, best, second = two_best(contact, reduced)
    margin = np.where(best > 0, best - np.maximum(second, 0.0), -best)
    narrow = np.argsort(margin, kind="stable")[:_CONTACTS][::-1]
    return contact[starts[narrow]]


def _options(assignment: Assignment, reduced: FloatArray, offers: IntArray) -> list[_Option]:
    best = max(0.0, float(reduced[offers].max()))
    found = [_Option(offer, best - float(reduced[offer]), tuple(assignment.use[offer].tolist())) for offer in offers.tolist()]
    found.append(_Option(NONE, best, (0.0,) * assignment.use.shape[1]))
    return sorted(found, key=lambda option: (option.loss, option.offer))[:_OPTIONS]


@dataclass
class _Search:
    """Depth first through the contacts' options, the least loss first, at most `_TRIALS` of them."""

    options: list[list[_Option]]
    prices: list[float]
    limits: list[float]
    best: float = np.inf
    best_offers: list[int] = field(default_factory=list)
    trials: int = 0
    path: list[int] = field(default_factory=list)

    def hold(self, offers: list[int]) -> None:
        """Begin with what the contacts have; an offer that is not among the options is given up for the search."""
        chosen = [next((one for one in options if one.offer == offer), None) for options, offer in zip(self.options, offers, strict=True)]
        self.best_offers = offers
        known = [one for one in chosen if one is not None]
        if len(known) == len(offers):
            left = [limit - sum(one.use[r] for one in known) for r, limit in enumerate(self.limits)]
            self.best = sum(one.loss for one in known) + self._price_of(left)

    def _price_of(self, left: list[float]) -> float:
        return sum(price * slack for price, slack in zip(self.prices, left, strict=True))

    def go_on(self, depth: int, loss: float, left: list[float]) -> None:
        """Try the options of the contact at `depth`, given what the contacts before it lost and left."""
        if depth == len(self.options):
            if loss + self._price_of(left) < self.best:
                self.best, self.best_offers = loss + self._price_of(left), list(self.path)
            return
        for option in self.options[depth]:
            self.trials += 1
            if loss + option.loss >= self.best or self.trials > _TRIALS:
                return
            after = [slack - use for slack, use in zip(left, option.use, strict=True)]
            if min(after, default=0.0) >= 0:
                self.path.append(option.offer)
                self.go_on(depth + 1, loss + option.loss, after)
                self.path.pop()
