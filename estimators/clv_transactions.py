"""The three buy-till-you-die models behind one interface: which are there, how one is fitted, how it is read back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from estimators.arrays import FloatArray
from estimators.clv_bg_nbd import BetaGeo, BetaGeoParams
from estimators.clv_pareto_nbd import ParetoNbd, ParetoNbdParams

TRANSACTION_MODELS = ("pareto_nbd", "bg_nbd", "mbg_nbd")
"""In the order in which they are preferred: the first lets a buyer leave at any moment, not only after a purchase."""


class TransactionParams(Protocol):
    """A fitted model of how often a buyer buys, and whether he still does; times in any one unit."""

    @property
    def kind(self) -> str:
        """One of `TRANSACTION_MODELS`."""

    def log_likelihoods(self, repeat: FloatArray, last_gap: FloatArray, age: FloatArray) -> FloatArray:
        """ln L of each buyer, shape (n,)."""

    def probability_alive(self, repeat: FloatArray, last_gap: FloatArray, age: FloatArray) -> FloatArray:
        """P(still a buyer | x, t_x, T), shape (n,)."""

    def expected_if_alive(self, horizon: FloatArray | float, repeat: FloatArray, age: FloatArray) -> FloatArray:
        """E[purchase days in the next `horizon` | x, T, still a buyer], shape (n,)."""

    def expected_transactions(self, horizon: FloatArray | float, repeat: FloatArray, last_gap: FloatArray, age: FloatArray) -> FloatArray:
        """E[purchase days in the next `horizon` | x, t_x, T], shape (n,): the two above multiplied."""

    def to_dict(self) -> dict[str, float]:
        """The parameters as JSON values."""


def fit_transactions(kind: str, repeat: FloatArray, last_gap: FloatArray, age: FloatArray) -> TransactionParams:
    """One of the models by maximum likelihood, one row a buyer.

    Raises
    ------
    ValueError
        If there is no such model, or the histories do not identify it.
    """
    _check(kind)
    if kind == "pareto_nbd":
        return ParetoNbd().fit(repeat, last_gap, age).params_
    return BetaGeo(modified=kind == "mbg_nbd").fit(repeat, last_gap, age).params_


def transactions_from_dict(kind: str, data: Mapping[str, Any]) -> TransactionParams:
    """The parameters that `to_dict` wrote.

    Raises
    ------
    ValueError
        If there is no such model.
    """
    _check(kind)
    return ParetoNbdParams.from_dict(data) if kind == "pareto_nbd" else BetaGeoParams.from_dict(data, modified=kind == "mbg_nbd")


def _check(kind: str) -> None:
    if kind not in TRANSACTION_MODELS:
        raise ValueError(f"no such model of transactions; got {kind!r}; allowed: {', '.join(TRANSACTION_MODELS)}")
