"""Customer lifetime value, learned: buy-till-you-die on the purchases, and LightGBM alone where those do not identify it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from estimators.arrays import BoolArray, FloatArray
from estimators.clv_gamma_gamma import GammaGamma, MeanMoney, MoneyParams
from estimators.clv_heads import DAYS_A_YEAR, BtydClvHead, BuyingHistory, TreeClvHead
from estimators.clv_transactions import TRANSACTION_MODELS, fit_transactions
from estimators.encoding import Encoded
from estimators.trees import CLV, BinnedRows, TreeSettings, tree_score
from estimators.validation import checked_rows, checked_training, tags_of

FEWEST_ROWS = 100
"""Below so many contacts LightGBM learns no CLV."""


@dataclass(frozen=True)
class Horizon:
    """What turns future money into CLV.

    Parameters
    ----------
    horizon_days : float
    margin : float
        Margin as a share of the money, a fraction.
    annual_discount_rate : float
        A fraction.
    """

    horizon_days: float
    margin: float = 1.0
    annual_discount_rate: float = 0.10

    def factor(self, window_days: float) -> float:
        """Discounted margin over the horizon, for one unit of money over window_days spent at an even rate.

        Examples
        --------
        >>> Horizon(horizon_days=180, margin=0.5, annual_discount_rate=0.0).factor(window_days=90)
        1.0
        """
        rate = np.log1p(self.annual_discount_rate) / DAYS_A_YEAR
        days = self.horizon_days if rate == 0 else -np.expm1(-rate * self.horizon_days) / rate
        return float(self.margin * days / window_days)


def fit_btyd(
    history: BuyingHistory, horizon: Horizon, *, value_without_purchase: float, kinds: Sequence[str] = TRANSACTION_MODELS
) -> BtydClvHead:
    """The first of `kinds` that the purchases identify, x Gamma-Gamma, by maximum likelihood on the contacts who bought.

    Parameters
    ----------
    history : BuyingHistory
        Contacts without a purchase are left out.
    horizon : Horizon
    value_without_purchase : float
        Discounted margin over the horizon of a contact who has bought nothing yet; see `value_of_non_buyers`.
    kinds : sequence of str
        Models of transactions, the preferred one first.

    Raises
    ------
    ValueError
        If the purchases identify none of the models of transactions, or nobody paid twice. Where the money identifies no Gamma-Gamma its
        mean stands in.
    """
    bought = history.take(history.is_buyer)
    reasons = []
    for kind in kinds:
        try:
            transactions = fit_transactions(kind, bought.repeat, bought.last_gap, bought.age)
            break
        except ValueError as error:
            reasons.append(str(error))
    else:
        raise ValueError("; ".join(dict.fromkeys(reasons)))
    return BtydClvHead(transactions, _money(bought), horizon.margin, horizon.annual_discount_rate, value_without_purchase)


def _money(bought: BuyingHistory) -> MoneyParams:
    paid = (bought.repeat > 0) & (bought.mean_money > 0)
    if not paid.any():
        raise ValueError("money: nobody paid for a second purchase, so no price is known")
    try:
        return GammaGamma().fit(bought.repeat, bought.mean_money).params_
    except ValueError:
        return MeanMoney(float(np.average(bought.mean_money[paid], weights=bought.repeat[paid])))


def btyd_money(head: BtydClvHead, history: BuyingHistory, window_days: float) -> FloatArray:
    """Expected money over window_days without margin and discount, shape (n,): what a back-test compares with what was spent.

    Contacts without a purchase get 0.
    """
    return np.nan_to_num(head.outlook(history, window_days, window_days).money)


def value_of_non_buyers(future_money: FloatArray, is_buyer: BoolArray, factor: float) -> float:
    """Mean discounted margin over the horizon of contacts who had bought nothing by an earlier cut; 0 where there were none.

    Parameters
    ----------
    future_money : array, shape (n,)
        Money after the cut.
    is_buyer : array of bool, shape (n,)
        Whether the contact had bought before the cut.
    factor : float
        `Horizon.factor` of the days after the cut.
    """
    new = np.asarray(future_money, dtype=np.float64)[~np.asarray(is_buyer, dtype=bool)]
    return float(new.mean() * factor) if len(new) else 0.0


class TweedieClv(RegressorMixin, BaseEstimator):
    """E[money over a window | features] by LightGBM with Tweedie loss of power 1.5: many zeros, a heavy tail, right in the mean.

    Parameters
    ----------
    categorical : tuple of int
        Positions of the category columns in the tree matrix.
    settings : TreeSettings
        min_child_samples falls with the rows.
    fewest_rows : int
        Fewer are refused.
    n_jobs : int
        Threads of LightGBM.
    random_state : int

    Attributes
    ----------
    score_ : TreeScore
        Log of the ratio to the mean.
    mean_ : float
        Mean money.
    """

    def __init__(
        self,
        categorical: tuple[int, ...] = (),
        settings: TreeSettings = CLV,
        fewest_rows: int = FEWEST_ROWS,
        n_jobs: int = 1,
        random_state: int = 0,
    ) -> None:
        self.categorical = categorical
        self.settings = settings
        self.fewest_rows = fewest_rows
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, X: FloatArray, y: FloatArray) -> TweedieClv:
        """Fit on n contacts at an earlier cut.

        Parameters
        ----------
        X : array, shape (n, d)
            The tree matrix at the cut.
        y : array, shape (n,)
            Money in the window after the cut; below 0 (returns) counts as 0.

        Raises
        ------
        ValueError
            If there are too few rows, a value is not finite, or nobody spent anything.
        """
        data = checked_training(self, X, y, numeric=True)
        X, money = data.X, np.maximum(data.y, 0.0)
        if not X.shape[1]:
            raise ValueError(f"LightGBM CLV: got 0 feature(s) (shape={X.shape}) while a minimum of 1 is required. Hint: BG/NBD needs none")
        if len(money) < self.fewest_rows:
            raise ValueError(f"LightGBM CLV: too few contacts; got {len(money)}; allowed: {self.fewest_rows} or more")
        if not np.isfinite(money).all() or money.sum() <= 0:
            raise ValueError("LightGBM CLV: money must be finite, and somebody must have spent some. Hint: an earlier cut")
        self.mean_ = float(money.mean())
        smallest = int(np.clip(len(money) // 50, 10, self.settings.min_child_samples))
        binned = BinnedRows(X, categorical=self.categorical, n_jobs=self.n_jobs, random_state=self.random_state)
        settings = replace(self.settings, min_child_samples=smallest)
        self.score_ = tree_score(binned.fit(settings, "tweedie", np.arange(len(money)), money / self.mean_))
        return self

    def predict(self, X: FloatArray) -> FloatArray:
        """Expected money over the window, shape (n,)."""
        check_is_fitted(self, "score_")
        X = checked_rows(self, X)
        return self.head(1.0).clv(Encoded(X, np.empty((len(X), 0))))

    def __sklearn_tags__(self) -> Any:
        return tags_of(super().__sklearn_tags__(), poor_score=True)

    def head(self, factor: float) -> TreeClvHead:
        """What is served: the expected money times `factor`, for example `Horizon.factor(window_days)`."""
        return TreeClvHead(self.score_, self.mean_ * factor)
