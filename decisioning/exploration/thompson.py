"""How probable is it that a candidate is the best one? Thompson sampling's selection probabilities, computed instead of drawn.

Thompson (On the likelihood that one unknown probability exceeds another, Biometrika, 1933) chooses each candidate as often as it may be
the best one. The response of candidate a is believed to be theta_a ~ Beta(mean * evidence, (1 - mean) * evidence), and its worth is affine
in it, worth_a(theta) = worth_a + slope_a * (theta - mean_a). With the density f and the distribution function F of each worth::

    p_a = integral of f_a(w) * prod_(b != a) F_b(w) dw

Nothing is drawn, so the selection_prob of an answer is exact. Below the greatest of the least worths the product is 0. Above it the
integral is taken by Gauss-Legendre on cells that are narrow on the scale of every candidate: in log odds each belief is smooth (its density
is log-concave), however skewed it is in money.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betainc, betaincc, betaincinv, betaln, expit

from decisioning.vocabulary import BoolArray, FloatArray, IntArray

_TAIL = 1e-9
_STEPS = 12
_WIDEST_STEP = 1.2  # log odds: from one knot to the next, odds grow 3.3 times at most
_LEAST_ODDS, _LEAST_REST = 1e-300, 1e-16
_AS_GOOD_AS_KNOWN = 1e9
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)


@dataclass(frozen=True)
class Belief:
    """What is believed of each candidate's response, and what it is worth; arrays of shape (n_candidates,).

    Attributes
    ----------
    mean : the expected response, a probability: the propensity, with the baseline taken as known.
    evidence : how many contacts it was learned from, > 0; infinity where it is known.
    slope : money of worth a unit of response: context_weight * lever * value; 0 for no_action.

    Raises
    ------
    ValueError
        A mean is no probability, an evidence is not above 0, or a slope is not finite.
    """

    mean: FloatArray
    evidence: FloatArray
    slope: FloatArray

    def __post_init__(self) -> None:
        if not ((self.mean >= 0) & (self.mean <= 1)).all():
            raise ValueError("the mean of a belief is no probability")
        if not (self.evidence > 0).all():
            raise ValueError("the evidence of a belief is not above 0")
        if not np.isfinite(self.slope).all():
            raise ValueError("the slope of a belief is not a finite number")

    @property
    def known(self) -> BoolArray:
        """Whose worth leaves nothing to learn."""
        sure = (self.mean == 0) | (self.mean == 1) | (self.evidence >= _AS_GOOD_AS_KNOWN)
        return np.asarray(sure | (self.slope == 0), dtype=np.bool_)


def best_probabilities(worth: FloatArray, belief: Belief) -> FloatArray:
    """The probability of each candidate to be the best one, shape (n_candidates,), to within 1e-6; among equals that are known, the first.

    Parameters
    ----------
    worth : array, shape (n_candidates,)
        The expected worth of each, money, finite.
    belief : Belief
        Of the same candidates.

    Examples
    --------
    >>> belief = Belief(mean=np.array([0.5, 0.5, 0.0]), evidence=np.array([2.0, 2.0, 1.0]), slope=np.array([10.0, 10.0, 0.0]))
    >>> best_probabilities(np.array([5.0, 5.0, 5.0]), belief).round(6).tolist()
    [0.375, 0.375, 0.25]
    """
    spread = _Spread.of(worth, belief, np.flatnonzero(~belief.known))
    least_worths = worth.copy()
    least_worths[spread.place] = spread.least
    safest = int(np.lexsort((np.arange(len(worth)), ~belief.known, -least_worths))[0])
    least = float(least_worths[safest])
    spread = spread.that_may_win(least)
    probabilities = np.zeros(len(worth))
    probabilities[spread.place] = _integrals(spread, least)
    # All others at or below its least worth: the one case in which what is known wins, and next to never what is not.
    probabilities[safest] += spread.below(np.zeros(1), least).prod()
    return np.asarray(probabilities / probabilities.sum(), dtype=np.float64)


@dataclass(frozen=True)
class _Spread:
    """The candidates whose worth is uncertain: `least` + `slope` * Beta(`alpha`, `beta`), slope > 0; `place` is where they stand."""

    place: IntArray
    least: FloatArray
    slope: FloatArray
    alpha: FloatArray
    beta: FloatArray

    @classmethod
    def of(cls, worth: FloatArray, belief: Belief, place: IntArray) -> _Spread:
        """Of the candidates at `place`; where worth falls with the response, in terms of the response that does not come."""
        falls = belief.slope[place] < 0
        mean = np.where(falls, 1 - belief.mean[place], belief.mean[place])
        slope, evidence = np.abs(belief.slope[place]), belief.evidence[place]
        return cls(place, worth[place] - slope * mean, slope, mean * evidence, (1 - mean) * evidence)

    def that_may_win(self, least: float) -> _Spread:
        """Without those who all but surely stay below `least` or below what another all but surely exceeds."""
        high = self.least + self.slope * (1 - betaincinv(self.beta, self.alpha, _TAIL))
        low = self.least + self.slope * betaincinv(self.alpha, self.beta, _TAIL)
        kept = high > max(least, float(low.max(initial=least)))
        return _Spread(self.place[kept], self.least[kept], self.slope[kept], self.alpha[kept], self.beta[kept])

    def response(self, above: FloatArray, least: float) -> FloatArray:
        """The response at which each is worth `least` + `above`, shape (n_spread, n_above)."""
        lead = (self.least - least)[:, None]
        return np.clip((above - lead) / self.slope[:, None], _LEAST_ODDS, 1.0)

    def below(self, above: FloatArray, least: float) -> FloatArray:
        """F: the probability to be worth at most `least` + `above`, shape (n_spread, n_above)."""
        return np.asarray(betainc(self.alpha[:, None], self.beta[:, None], self.response(above, least)), dtype=np.float64)

    def density(self, above: FloatArray, least: float) -> FloatArray:
        """f at `least` + `above`, shape (n_spread, n_above), 0 beyond what each can be worth."""
        alpha, beta, response = self.alpha[:, None], self.beta[:, None], self.response(above, least)
        rest = np.maximum(1.0 - response, _LEAST_REST)
        logarithm = (alpha - 1) * np.log(response) + (beta - 1) * np.log(rest) - betaln(alpha, beta)
        return np.where(response < 1.0, np.exp(logarithm) / self.slope[:, None], 0.0)

    def knots(self, one: int, least: float) -> FloatArray:
        """Worths above `least`, evenly spaced in the log odds of the response of candidate `one`, from tail to tail."""
        alpha, beta = self.alpha[one], self.beta[one]
        low = max(float(betaincinv(alpha, beta, _TAIL)), (least - self.least[one]) / self.slope[one], _LEAST_ODDS)
        rest = max(float(betaincinv(beta, alpha, _TAIL)), _LEAST_REST)
        lowest, highest = np.log(low) - np.log1p(-low), np.log1p(-rest) - np.log(rest)
        steps = max(_STEPS, int(np.ceil((highest - lowest) / _WIDEST_STEP)))
        above = (self.least[one] - least) + self.slope[one] * expit(np.linspace(lowest, highest, steps + 1))
        return np.asarray(np.maximum(above, 0.0), dtype=np.float64)


def _integrals(spread: _Spread, least: float) -> FloatArray:
    """p of every uncertain candidate, shape (n_spread,)."""
    if not len(spread.place):
        return np.zeros(0)
    edges = _edges(spread, least)
    half = np.diff(edges) / 2
    above = ((edges[:-1] + half)[:, None] + half[:, None] * _NODES).ravel()
    density = spread.density(above, least) * (half[:, None] * _WEIGHTS).ravel()
    others = _product_of_others(spread.below(above, least))
    found = density.sum(axis=1)
    # What a density misses in all, by rounding or in a tail beyond any float, it misses in proportion.
    mass = betaincc(spread.alpha, spread.beta, spread.response(np.zeros(1), least)[:, 0])
    return np.asarray((density * others).sum(axis=1) * mass / np.where(found > 0, found, 1.0), dtype=np.float64)


def _edges(spread: _Spread, least: float) -> FloatArray:
    """The ends of the cells: from the knots of all, only as many that no cell holds two knots of one candidate."""
    labelled = [(float(knot), one) for one in range(len(spread.place)) for knot in spread.knots(one, least)]
    edges, inside = [0.0], set[int]()
    for knot, one in sorted(labelled):
        if one in inside and knot > edges[-1]:
            edges.append(knot)
            inside.clear()
        inside.add(one)
    last = max(knot for knot, _ in labelled)
    return np.array([*edges, last] if last > edges[-1] else edges)


def _product_of_others(factors: FloatArray) -> FloatArray:
    """For each row the product of all other rows, zeros among them or not."""
    ones = np.ones((1, factors.shape[1]))
    before = np.cumprod(np.vstack([ones, factors[:-1]]), axis=0)
    after = np.cumprod(np.vstack([ones, factors[:0:-1]]), axis=0)[::-1]
    return np.asarray(before * after, dtype=np.float64)
