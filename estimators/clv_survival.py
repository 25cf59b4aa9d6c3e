"""CLV under contract: a discrete-time hazard of ending, the retention curve that follows, and its discounted margin.

Where customers are bound by a contract, leaving is seen, so nothing about it has to be inferred from silence: of the contracts in force at
the start of a period a share h(features, age) ends within it. The retention curve is the product of 1 - h over the periods to come, with
the age moving on and everything else as it is now.

References
----------
Singer and Willett, "It's About Time: Using Discrete-Time Survival Analysis", Journal of Educational Statistics, 1993; Fader and Hardie,
"How to Project Customer Retention", 2007.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from estimators.arrays import BoolArray, Columns, FloatArray, as_days_before, as_numbers, row_count
from estimators.clv_heads import DAYS_A_YEAR
from estimators.encoding import FeatureEncoder
from estimators.heads import ResponseHead
from estimators.propensity import ResponseModel

CONTRACT_AGE = "contract_age_days"
"""What the hazard reads beside the features: days since the contract began."""

FEWEST_ENDED = 30
"""Below so many contracts that ended no hazard is learned."""


@dataclass(frozen=True)
class ContractColumns:
    """Which features say when a contract began, when it ended (NULL while it runs), and what it pays in a period."""

    start: str
    end: str
    value: str


@dataclass(frozen=True, eq=False)
class Contracts:
    """The contracts of n contacts at a moment.

    Parameters
    ----------
    age_days : array, shape (n,)
        NaN without a contract.
    days_to_end : array, shape (n,)
        Below or at 0: it has ended. NaN: no end is known.
    value : array, shape (n,)
        Money a period, 0 where unknown.
    """

    age_days: FloatArray
    days_to_end: FloatArray
    value: FloatArray

    @classmethod
    def of(cls, columns: Columns, names: ContractColumns, as_of: Any) -> Contracts:
        """Read the columns; an absent one counts as NULL."""
        n = row_count(columns, as_of)
        start, end = (as_days_before(columns.get(name), as_of, n) for name in (names.start, names.end))
        return cls(start, -end, np.maximum(np.nan_to_num(as_numbers(columns.get(names.value), n)), 0.0))

    @property
    def in_force(self) -> BoolArray:
        """Begun and not ended; an end that lies ahead is not known yet."""
        return (self.age_days >= 0) & ~(self.days_to_end <= 0)


def with_age(columns: Columns, age_days: FloatArray) -> dict[str, Any]:
    """The columns and the age of the contract as one more."""
    return {**columns, CONTRACT_AGE: age_days}


def fit_hazard(encoder: FeatureEncoder, columns: Columns, as_of: Any, ended: FloatArray, *, contacts: Any, seed: int = 0) -> ResponseHead:
    """P(the contract ends within the period | in force at its start), by the blend of logistic regression and LightGBM.

    Parameters
    ----------
    encoder : FeatureEncoder
        Reads the features and `CONTRACT_AGE`.
    columns : mapping of array, shape (n,)
        One row a contract and period, with `CONTRACT_AGE`.
    as_of : array of datetime64, shape (n,)
        The start of each row's period.
    ended : array of 0 and 1, shape (n,)
    contacts : array, shape (n,)
        Whose row it is: a contact is never on both sides of a fold.

    Raises
    ------
    ValueError
        If fewer than `FEWEST_ENDED` contracts ended.
    """
    if ended.sum() < FEWEST_ENDED:
        raise ValueError(f"contracts: too few ended; got {int(ended.sum())}; allowed: {FEWEST_ENDED} or more. Hint: a longer history")
    encoded = encoder.encode(columns, as_of)
    model = ResponseModel(categorical=encoder.categorical_indices, random_state=seed)
    return model.fit(encoded.trees, ended, X_linear=encoded.linear, groups=contacts).head_


@dataclass(frozen=True, eq=False)
class ContractClvHead:
    """Discounted margin of the contracts in force; a contact without one is worth 0.

    Parameters
    ----------
    columns : ContractColumns
    hazard : ResponseHead
    period_days : float
    longest_age_days : float
        No age beyond the oldest that was learned from: older contracts end like those.
    margin, annual_discount_rate : float
        Fractions.
    """

    columns: ContractColumns
    hazard: ResponseHead
    period_days: float
    longest_age_days: float
    margin: float
    annual_discount_rate: float

    @property
    def method(self) -> str:
        """The name of the model."""
        return "discrete-time survival"

    def clv(self, columns: Columns, as_of: Any, encoder: FeatureEncoder, horizon_days: float) -> FloatArray:
        """Discounted expected margin of each contact, shape (n,): a period is paid for where it begins in force, at its middle."""
        contracts = Contracts.of(columns, self.columns, as_of)
        retained = self.retention(columns, as_of, encoder, horizon_days)
        starts = self.period_days * np.arange(retained.shape[1])
        shares = np.minimum(horizon_days - starts, self.period_days) / self.period_days
        discounts = (1.0 + self.annual_discount_rate) ** (-(starts + shares * self.period_days / 2) / DAYS_A_YEAR)
        periods = np.zeros(len(retained))
        for share, discount, column in zip(shares, discounts, retained.T, strict=True):
            periods = periods + share * discount * column
        return np.asarray(self.margin * contracts.value * periods, dtype=np.float64)

    def retention(self, columns: Columns, as_of: Any, encoder: FeatureEncoder, horizon_days: float) -> FloatArray:
        """P(in force at the start of each period to come), shape (n, periods); the first column is 1 or 0."""
        contracts = Contracts.of(columns, self.columns, as_of)
        alive = contracts.in_force.astype(np.float64)
        curve = []
        for k in range(max(1, int(np.ceil(horizon_days / self.period_days)))):
            curve.append(alive)
            age = np.minimum(np.nan_to_num(contracts.age_days) + k * self.period_days, self.longest_age_days)
            alive = alive * (1.0 - self.hazard.probability(encoder.encode(with_age(columns, age), as_of)))
        return np.column_stack(curve)

    def to_dict(self) -> dict[str, Any]:
        """The head as JSON values."""
        names = {"start": self.columns.start, "end": self.columns.end, "value": self.columns.value}
        numbers = {name: getattr(self, name) for name in ("period_days", "longest_age_days", "margin", "annual_discount_rate")}
        return {"type": "contract", "columns": names, "hazard": self.hazard.to_dict(), **numbers}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ContractClvHead:
        """The head that `to_dict` wrote."""
        numbers = [float(data[name]) for name in ("period_days", "longest_age_days", "margin", "annual_discount_rate")]
        return cls(ContractColumns(**data["columns"]), ResponseHead.from_dict(data["hazard"]), *numbers)
