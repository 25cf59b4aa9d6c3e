"""Customer lifetime value as it is served: discounted expected margin over horizon_days, in money."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from estimators.arrays import BoolArray, Columns, FloatArray, IntArray, as_numbers, row_count
from estimators.clv_gamma_gamma import MeanMoney, MoneyParams, money_from_dict
from estimators.clv_likelihood import group_histories
from estimators.clv_transactions import TransactionParams, transactions_from_dict
from estimators.encoding import Encoded
from estimators.own_score import OwnMoney
from estimators.scores import TreeScore

DAYS_A_YEAR = 365.25
HALF_A_DAY = 0.5
OWN_REGRESSOR = "a regressor of the workspace's own"
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

        first, purchases = read("days_since_first_purchase"), read("purchase_count")
        is_buyer = (first >= 0) & ~(purchases == 0)
        repeat = np.where(is_buyer, np.maximum(np.nan_to_num(read("repeat_purchase_days")), 0.0), 0.0)
        last_gap = np.where(repeat > 0, np.clip(np.nan_to_num(read("last_gap_days")), 0.0, np.where(is_buyer, first, 0.0)), 0.0)
        # The days are counted from midnight; the first purchase of that day was half a day later, for all that is known.
        age = np.where(is_buyer, np.maximum(first - HALF_A_DAY, HALF_A_DAY), 1.0)
        return cls(repeat, last_gap, np.maximum(age, last_gap), read("repeat_purchase_value_mean"), is_buyer)

    def __len__(self) -> int:
        return len(self.age)

    def take(self, rows: BoolArray | IntArray) -> BuyingHistory:
        """Some of the contacts."""
        repeat, last_gap, age, mean_money = (values[rows] for values in (self.repeat, self.last_gap, self.age, self.mean_money))
        return BuyingHistory(repeat, last_gap, age, mean_money, self.is_buyer[rows])


@dataclass(frozen=True, eq=False)
class Outlook:
    """What BTYD expects of each contact, shape (n,) each; NaN for a contact who has bought nothing.

    Parameters
    ----------
    alive : array
        P(still a buyer).
    count : array
        Purchase days over the window.
    price : array
        Money of a purchase day.
    stretch : array
        Discounted purchase days over the horizon, for one over the window.
    """

    alive: FloatArray
    count: FloatArray
    price: FloatArray
    stretch: FloatArray

    @property
    def money(self) -> FloatArray:
        """Money over the window."""
        return self.count * self.price

    def take(self, rows: BoolArray | IntArray) -> Outlook:
        """Some of the contacts."""
        return Outlook(self.alive[rows], self.count[rows], self.price[rows], self.stretch[rows])


@dataclass(frozen=True)
class BtydClvHead:
    """A model of transactions x a model of money: margin * E[money of a purchase] * sum over steps of discount * E[purchases in the step].

    Parameters
    ----------
    transactions : TransactionParams
        Pareto/NBD, BG/NBD or MBG/NBD, with time in days.
    money : MoneyParams
        Gamma-Gamma, or one price.
    margin : float
        Margin as a share of the money, a fraction.
    annual_discount_rate : float
        A fraction.
    value_without_purchase : float
        What a contact who has bought nothing yet is worth over the horizon: no BTYD model knows him.
    """

    transactions: TransactionParams
    money: MoneyParams
    margin: float
    annual_discount_rate: float
    value_without_purchase: float

    @property
    def method(self) -> str:
        """For example "pareto_nbd x gamma_gamma"."""
        return f"{self.transactions.kind} x {'mean money' if isinstance(self.money, MeanMoney) else 'gamma_gamma'}"

    def clv(self, history: BuyingHistory, horizon_days: float) -> FloatArray:
        """Discounted expected margin of each contact, shape (n,)."""
        seen = self.outlook(history, horizon_days, horizon_days)
        return np.where(history.is_buyer, self.margin * seen.money * seen.stretch, self.value_without_purchase)

    def discounted_transactions(self, history: BuyingHistory, horizon_days: float) -> FloatArray:
        """Expected purchase days over the horizon, each discounted to now, shape (n,)."""
        seen = self.outlook(history, horizon_days, horizon_days)
        return seen.count * seen.stretch

    def outlook(self, history: BuyingHistory, window_days: float, horizon_days: float) -> Outlook:
        """P(alive), purchases and money over window_days, and what they are stretched by to the discounted horizon."""
        groups = group_histories(history.repeat, history.last_gap, history.age)  # a row gets the same numbers alone and in a crowd
        x, age = groups.repeat, groups.age
        alive = self.transactions.probability_alive(x, groups.last_gap, age)
        count = self.transactions.expected_if_alive(window_days, x, age)
        stretch = self._discounted_if_alive(x, age, horizon_days) / np.maximum(count, 1e-300)
        unknown = ~history.is_buyer
        of = [np.where(unknown, np.nan, values[groups.inverse]) for values in (alive, alive * count, stretch)]
        price = np.where(unknown, np.nan, self.money.expected_money(history.repeat, history.mean_money))
        return Outlook(of[0], of[1], price, of[2])

    def _discounted_if_alive(self, repeat: FloatArray, age: FloatArray, horizon_days: float) -> FloatArray:
        if self.annual_discount_rate == 0:
            return self.transactions.expected_if_alive(horizon_days, repeat, age)
        edges = np.linspace(0.0, horizon_days, STEPS + 1)
        discounts = (1.0 + self.annual_discount_rate) ** (-(edges[1:] + edges[:-1]) / 2 / DAYS_A_YEAR)
        total, before = np.zeros(len(age)), np.zeros(len(age))
        for edge, discount in zip(edges[1:], discounts, strict=True):
            until = self.transactions.expected_if_alive(edge, repeat, age)
            total, before = total + discount * (until - before), until
        return total

    def to_dict(self) -> dict[str, Any]:
        """The head as JSON values."""
        numbers = {name: getattr(self, name) for name in ("margin", "annual_discount_rate", "value_without_purchase")}
        transactions = {"model": self.transactions.kind, **self.transactions.to_dict()}
        return {"type": "btyd", "transactions": transactions, "money": self.money.to_dict(), **numbers}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> BtydClvHead:
        """The head that `to_dict` wrote."""
        numbers = [float(data[name]) for name in ("margin", "annual_discount_rate", "value_without_purchase")]
        transactions = data["transactions"]
        return cls(transactions_from_dict(transactions["model"], transactions), money_from_dict(data["money"]), *numbers)


@dataclass(frozen=True, eq=False)
class TreeClvHead:
    """A LightGBM model of the money over the horizon: level * exp(score).

    Parameters
    ----------
    score : TreeScore
        Log of the expected money of the horizon it was trained on.
    level : float
        Margin, discount and horizon as one factor.
    columns : tuple of int, optional
        The columns of the tree matrix that it reads; default all.
    """

    score: TreeScore
    level: float
    columns: tuple[int, ...] | None = None

    @property
    def method(self) -> str:
        """The name of the model: lightgbm."""
        return "lightgbm"

    def clv(self, rows: Encoded) -> FloatArray:
        """Discounted expected margin of each contact, shape (n,)."""
        read = rows if self.columns is None else Encoded(rows.trees[:, list(self.columns)], rows.linear)
        return self.level * np.exp(np.minimum(self.score.of(read), 50.0))

    def to_dict(self) -> dict[str, Any]:
        """The head as JSON values."""
        columns = None if self.columns is None else list(self.columns)
        return {"type": "trees", "score": self.score.to_dict(), "level": self.level, "columns": columns}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TreeClvHead:
        """The head that `to_dict` wrote."""
        columns = None if data["columns"] is None else tuple(int(column) for column in data["columns"])
        return cls(TreeScore.from_dict(data["score"]), float(data["level"]), columns)


@dataclass(frozen=True, eq=False)
class OwnClvHead:
    """A user's own regressor of the money over a window, alone: factor * money.

    Parameters
    ----------
    score : OwnMoney
    factor : float
        Margin, discount and horizon as one: the discounted margin of the horizon for one unit of money over the window.
    columns : tuple of int
        The columns of the linear matrix that it reads.
    """

    score: OwnMoney
    factor: float
    columns: tuple[int, ...]

    @property
    def method(self) -> str:
        """What stands where a model has its name."""
        return OWN_REGRESSOR

    def clv(self, rows: Encoded) -> FloatArray:
        """Discounted expected margin of each contact, shape (n,)."""
        return np.asarray(self.factor * np.exp(self.score.of(Encoded(rows.trees, rows.linear[:, list(self.columns)]))))

    def to_dict(self) -> dict[str, Any]:
        """The head as JSON values."""
        return {"type": "own", "score": self.score.to_dict(), "factor": self.factor, "columns": list(self.columns)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> OwnClvHead:
        """The head that `to_dict` wrote."""
        return cls(OwnMoney.from_dict(data["score"]), float(data["factor"]), tuple(int(column) for column in data["columns"]))
