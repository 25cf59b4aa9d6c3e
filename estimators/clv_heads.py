"""Customer lifetime value as it is served: discounted expected margin over horizon_days, in money."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from estimators.arrays import BoolArray, Columns, FloatArray, as_numbers, row_count
from estimators.clv_bg_nbd import BetaGeoParams
from estimators.clv_gamma_gamma import GammaGammaParams
from estimators.encoding import Encoded
from estimators.scores import TreeScore

DAYS_A_YEAR = 365.25
STEPS = 12
"""The horizon is discounted in so many equal steps, each at its middle."""


@dataclass(frozen=True, eq=False)
class BuyingHistory:
    """What a contact bought, one row each; times in days, NaN where nothing was bought.

    Parameters
    ----------
    repeat : array, shape (n,)
        Days with a purchase after the first.
    last_gap : array, shape (n,)
        First to last purchase day.
    age : array, shape (n,)
        First purchase day to as_of.
    mean_money : array, shape (n,)
        Mean money of the repeat purchase days.
    is_buyer : array of bool, shape (n,)
    """

    repeat: FloatArray
    last_gap: FloatArray
    age: FloatArray
    mean_money: FloatArray
    is_buyer: BoolArray

    @classmethod
    def of(cls, columns: Columns, as_of: Any) -> BuyingHistory:
        """Read the standard feature columns; an absent one counts as NULL."""
        length = row_count(columns, as_of)

        def read(name: str) -> FloatArray:
            return as_numbers(columns.get(name), length)

        age, purchases = read("days_since_first_purchase"), read("purchase_count")
        is_buyer = (age >= 0) & ~(purchases == 0)
        span = np.where(is_buyer, np.maximum(age, 1.0), 1.0)  # a first purchase today is a day old: an age of 0 says nothing
        repeat = np.where(is_buyer, np.maximum(np.nan_to_num(read("repeat_purchase_days")), 0.0), 0.0)
        last_gap = np.where(repeat > 0, np.clip(np.nan_to_num(read("last_gap_days")), 0.0, span), 0.0)
        return cls(repeat, last_gap, span, read("repeat_purchase_value_mean"), is_buyer)


@dataclass(frozen=True)
class BtydClvHead:
    """BG/NBD x Gamma-Gamma: margin * E[money of a purchase] * sum over steps of discount * E[purchases in the step].

    Parameters
    ----------
    transactions : BetaGeoParams
        With time in days.
    money : GammaGammaParams
    margin : float
        Margin as a share of the money, a fraction.
    annual_discount_rate : float
        A fraction.
    value_without_purchase : float
        What a contact who has bought nothing yet is worth over the horizon: no BTYD model knows him.
    """

    transactions: BetaGeoParams
    money: GammaGammaParams
    margin: float
    annual_discount_rate: float
    value_without_purchase: float

    def clv(self, history: BuyingHistory, horizon_days: float) -> FloatArray:
        """Discounted expected margin of each contact, shape (n,)."""
        count = self.discounted_transactions(history, horizon_days)
        value = self.margin * count * self.money.expected_money(history.repeat, history.mean_money)
        return np.where(history.is_buyer, value, self.value_without_purchase)

    def discounted_transactions(self, history: BuyingHistory, horizon_days: float) -> FloatArray:
        """Expected purchase days over the horizon, each discounted to now, shape (n,)."""
        edges = np.linspace(0.0, horizon_days, STEPS + 1)
        middles = (edges[1:] + edges[:-1]) / 2
        discounts = (1.0 + self.annual_discount_rate) ** (-middles / DAYS_A_YEAR)
        total, before = np.zeros(len(history.age)), np.zeros(len(history.age))
        for edge, discount in zip(edges[1:], discounts, strict=True):
            until = self.transactions.expected_transactions(edge, history.repeat, history.last_gap, history.age)
            total, before = total + discount * (until - before), until
        return total

    def to_dict(self) -> dict[str, Any]:
        """The head as JSON values."""
        numbers = {name: getattr(self, name) for name in ("margin", "annual_discount_rate", "value_without_purchase")}
        return {"type": "btyd", "transactions": self.transactions.to_dict(), "money": self.money.to_dict(), **numbers}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> BtydClvHead:
        """The head that `to_dict` wrote."""
        numbers = [float(data[name]) for name in ("margin", "annual_discount_rate", "value_without_purchase")]
        return cls(BetaGeoParams.from_dict(data["transactions"]), GammaGammaParams.from_dict(data["money"]), *numbers)


@dataclass(frozen=True, eq=False)
class TreeClvHead:
    """A LightGBM model of the money over the horizon: level * exp(score).

    Parameters
    ----------
    score : TreeScore
        Log of the expected money of the horizon it was trained on.
    level : float
        Margin, discount and horizon as one factor.
    """

    score: TreeScore
    level: float

    def clv(self, rows: Encoded) -> FloatArray:
        """Discounted expected margin of each contact, shape (n,)."""
        return self.level * np.exp(np.minimum(self.score.of(rows), 50.0))

    def to_dict(self) -> dict[str, Any]:
        """The head as JSON values."""
        return {"type": "trees", "score": self.score.to_dict(), "level": self.level}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TreeClvHead:
        """The head that `to_dict` wrote."""
        return cls(TreeScore.from_dict(data["score"]), float(data["level"]))


ClvHead: TypeAlias = BtydClvHead | TreeClvHead


def clv_head_from_dict(data: Mapping[str, Any]) -> ClvHead:
    """The head that its `to_dict` wrote, by its type.

    Raises
    ------
    ValueError
        If the type is not known.
    """
    if data.get("type") == "btyd":
        return BtydClvHead.from_dict(data)
    if data.get("type") == "trees":
        return TreeClvHead.from_dict(data)
    raise ValueError(f"a CLV head has an unknown type; got {data.get('type')!r}; allowed: btyd, trees")
