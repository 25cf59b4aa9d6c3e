"""Gamma-Gamma: how much a buyer spends on a purchase day, from how often he bought again and the mean of what he paid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from scipy.special import gammaln, psi
from sklearn.base import BaseEstimator

from estimators.arrays import BoolArray, FloatArray
from estimators.clv_likelihood import summit

FEWEST_BUYERS = 10
"""Below so many repeat buyers nothing is estimated."""

_EDGE = 12.0  # bound of every log parameter, with money in units of its mean
_STARTS = np.log([[2.0, 3.0, 1.0], [6.0, 4.0, 0.5], [1.0, 1.5, 1.0], [0.5, 10.0, 10.0]])


@dataclass(frozen=True)
class GammaGammaParams:
    """Money of a purchase ~ Gamma(p, rate nu), nu ~ Gamma(q, rate v) over buyers; money must not depend on how often one buys.

    References
    ----------
    Fader and Hardie, "The Gamma-Gamma Model of Monetary Value", 2013.
    """

    p: float
    q: float
    v: float

    def expected_money(self, repeat: FloatArray, mean_money: FloatArray) -> FloatArray:
        """E[money of a purchase day | x, m] = p (v + x m) / (p x + q - 1), shape (n,); the population's mean where x = 0 or m is NaN."""
        known = (np.asarray(repeat) > 0) & (np.asarray(mean_money) > 0)
        x = np.where(known, repeat, 0.0)
        m = np.where(known, mean_money, 0.0)
        expected: FloatArray = self.p * (self.v + x * m) / (self.p * x + self.q - 1.0)
        return expected

    def to_dict(self) -> dict[str, float]:
        """The parameters as JSON values."""
        return {"p": self.p, "q": self.q, "v": self.v}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> GammaGammaParams:
        """The parameters that `to_dict` wrote."""
        return cls(*(float(data[name]) for name in ("p", "q", "v")))


@dataclass(frozen=True)
class MeanMoney:
    """One price for everybody: what stands in where the money does not identify Gamma-Gamma.

    Parameters
    ----------
    mean : float
        Mean money of a purchase day.
    """

    mean: float

    def expected_money(self, repeat: FloatArray, mean_money: FloatArray) -> FloatArray:
        """The mean, shape (n,)."""
        del mean_money
        return np.full(len(np.atleast_1d(repeat)), self.mean)

    def to_dict(self) -> dict[str, float]:
        """The price as JSON values."""
        return {"mean": self.mean}


MoneyParams: TypeAlias = GammaGammaParams | MeanMoney


def money_from_dict(data: Mapping[str, Any]) -> MoneyParams:
    """What a `to_dict` of the two wrote."""
    return MeanMoney(float(data["mean"])) if "mean" in data else GammaGammaParams.from_dict(data)


class GammaGamma(BaseEstimator):
    """Maximum likelihood of Gamma-Gamma on buyers with a repeat purchase, from several starts.

    Parameters
    ----------
    max_iter : int
        Of each start.

    Attributes
    ----------
    params_ : GammaGammaParams
    log_likelihood_ : float
    frequency_money_correlation_ : float
        Between x and m over the buyers used; the model assumes none, so a large one is a warning.
    """

    def __init__(self, max_iter: int = 500) -> None:
        self.max_iter = max_iter

    def fit(self, repeat: FloatArray, mean_money: FloatArray) -> GammaGamma:
        """Fit on one row a buyer; rows without a repeat purchase or without positive money are left out.

        Parameters
        ----------
        repeat : array, shape (n,)
            x, the number of repeat purchase days.
        mean_money : array, shape (n,)
            m, the mean money of those days.

        Raises
        ------
        ValueError
            If too few rows are left, their money does not vary, or it has no finite mean.
        """
        usable = usable_rows(repeat, mean_money)
        x, m = np.asarray(repeat, dtype=np.float64)[usable], np.asarray(mean_money, dtype=np.float64)[usable]
        scale = float(m.mean())
        log_params, loss = self._climb(x, m / scale)
        p, q, v = np.exp(log_params).tolist()
        if q <= 1.0:
            raise ValueError(
                f"Gamma-Gamma: the money has no finite mean; got q = {q:.3f}; allowed: q > 1. Hint: winsorise it, or the LightGBM model"
            )
        self.params_ = GammaGammaParams(p, q, v * scale)
        # Money in its own units: each density of m shrinks by the scale.
        self.log_likelihood_ = -loss * len(x) - len(x) * float(np.log(scale))
        varies = x.std() > 0
        self.frequency_money_correlation_ = float(np.corrcoef(x, m)[0, 1]) if varies else 0.0
        return self

    def _climb(self, x: FloatArray, m: FloatArray) -> tuple[FloatArray, float]:
        best = summit(_log_likelihoods, (x, m), np.ones(len(x)), list(_STARTS), max_iter=self.max_iter, edge=_EDGE)
        if not np.isfinite(best.fun) or np.abs(best.jac).max() > 1e-4 or np.abs(best.x).max() > _EDGE - 0.5:
            raise ValueError("Gamma-Gamma: the money does not identify the model. Hint: more repeat buyers, or the LightGBM model")
        return np.asarray(best.x, dtype=np.float64), float(best.fun)


def usable_rows(repeat: FloatArray, mean_money: FloatArray) -> BoolArray:
    """Which buyers Gamma-Gamma can learn from: a repeat purchase and positive money.

    Raises
    ------
    ValueError
        If they are too few, or all paid the same.
    """
    x, m = np.asarray(repeat, dtype=np.float64), np.asarray(mean_money, dtype=np.float64)
    usable: BoolArray = (x > 0) & (m > 0) & np.isfinite(m)
    if usable.sum() < FEWEST_BUYERS:
        found = int(usable.sum())
        raise ValueError(f"Gamma-Gamma: too few buyers with a repeat purchase and money; got {found}; allowed: {FEWEST_BUYERS} or more")
    if m[usable].std() <= 1e-9 * m[usable].mean():
        raise ValueError("Gamma-Gamma: every buyer pays the same, so the spread of money cannot be learned. Hint: use that price")
    return usable


def _log_likelihoods(params: FloatArray, x: FloatArray, m: FloatArray) -> tuple[FloatArray, FloatArray]:
    """ln L of each row, shape (n,), and its gradient in (p, q, v), shape (3, n)."""
    p, q, v = params
    total = v + x * m
    values = gammaln(p * x + q) - gammaln(p * x) - gammaln(q) + q * np.log(v) + (p * x - 1) * np.log(m)
    values = values + p * x * np.log(x) - (p * x + q) * np.log(total)
    by_p = x * (psi(p * x + q) - psi(p * x) + np.log(x * m / total))
    by_q = psi(p * x + q) - psi(q) + np.log(v / total)
    by_v = q / v - (p * x + q) / total
    return values, np.stack([by_p, by_q, by_v])
