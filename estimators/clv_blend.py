"""The served CLV of contacts who bought: what BTYD expects, corrected by LightGBM, blended with weights that a back-test chose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from estimators.arrays import FloatArray
from estimators.clv_heads import OWN_REGRESSOR, BtydClvHead, BuyingHistory, Outlook, OwnClvHead, TreeClvHead
from estimators.clv_survival import ContractClvHead
from estimators.encoding import Encoded
from estimators.own_score import OwnMoney
from estimators.scores import TreeScore

LEAST_COUNT = 1e-4
"""A contact who is all but certainly gone still expects so many purchases: the logarithm of what BTYD expects must exist."""

OWN_PART = "money_features"
"""The correction whose place a user's own regressor takes."""

COUNT_PARTS, MONEY_PARTS = ("count_offset", "count_features"), ("count_offset", "money_offset", "money_features")
_HIGHEST = 30.0  # of a score: a factor of 10^13 is no prediction


def floored(outlook: Outlook) -> tuple[FloatArray, FloatArray]:
    """Purchases and money over the window, at least `LEAST_COUNT` purchases: what the corrections start from."""
    count = np.maximum(outlook.count, LEAST_COUNT)
    return count, np.maximum(count * outlook.price, 1e-9)


@dataclass(frozen=True)
class ColumnsRead:
    """Which columns of an encoder's matrices the corrections read: of the tree matrix, and of the linear one for a user's own regressor."""

    trees: tuple[int, ...]
    linear: tuple[int, ...] = ()

    def of(self, rows: Encoded) -> Encoded:
        """These columns."""
        return Encoded(rows.trees[:, list(self.trees)], rows.linear[:, list(self.linear)])

    @property
    def alone(self) -> ColumnsRead:
        """All columns of matrices that hold nothing else."""
        return ColumnsRead(tuple(range(len(self.trees))), tuple(range(len(self.linear))))


def blend_rows(rows: Encoded, outlook: Outlook) -> Encoded:
    """What the corrections read: the columns of each matrix, and four of BTYD's own: ln count, ln money, P(alive), ln price.

    A linear matrix without columns stays so: nobody reads it.
    """
    count, money = floored(outlook)
    own = np.column_stack([np.log(count), np.log(money), outlook.alive, np.log(np.maximum(outlook.price, 1e-9))])
    linear = np.hstack([rows.linear, own]) if rows.linear.shape[1] else np.empty((len(own), 0))
    return Encoded(np.hstack([rows.trees, own]), linear)


@dataclass(frozen=True, eq=False)
class Corrections:
    """LightGBM models of the purchases and the money over the window; those that a blend gives no weight may be absent.

    Parameters
    ----------
    scores : mapping of name to TreeScore or OwnMoney
        `count_offset` and `money_offset`: ln of the factor on what BTYD expects. `count_features` and `money_features`: ln of the purchases
        and the money themselves; the last one may be a user's own regressor.
    """

    scores: Mapping[str, TreeScore | OwnMoney]

    def counts(self, rows: Encoded, outlook: Outlook) -> FloatArray:
        """Each member's purchases over the window, shape (n, 3): BTYD, corrected, by features; 0 where a member is absent."""
        count, _ = floored(outlook)
        parts = self._exp(COUNT_PARTS, rows)
        return np.column_stack([count, count * parts[0], parts[1]])

    def moneys(self, rows: Encoded, outlook: Outlook) -> FloatArray:
        """Each member's money over the window, shape (n, 4): BTYD, its purchases corrected, its money corrected, by features."""
        _, money = floored(outlook)
        parts = self._exp(MONEY_PARTS, rows)
        return np.column_stack([money, money * parts[0], money * parts[1], parts[2]])

    def _exp(self, names: tuple[str, ...], rows: Encoded) -> list[FloatArray]:
        absent = np.zeros(len(rows))
        return [np.exp(np.minimum(self.scores[name].of(rows), _HIGHEST)) if name in self.scores else absent for name in names]

    def only(self, names: set[str]) -> Corrections:
        """Without the models that are not named."""
        return Corrections({name: score for name, score in self.scores.items() if name in names})


def blended(members: FloatArray, weights: FloatArray) -> FloatArray:
    """The weighted sum of the members, shape (n,)."""
    total = np.zeros(len(members))
    for weight, column in zip(weights, members.T, strict=True):  # in one order whatever n is
        total = total + weight * column
    return total


@dataclass(frozen=True, eq=False)
class BlendedClvHead:
    """BTYD for level and horizon, LightGBM for shape: stretch * margin * blend(money over the window).

    Parameters
    ----------
    btyd : BtydClvHead
    window_days : float
        The window that the corrections were learned on.
    columns : ColumnsRead
        The columns of the encoder's matrices that the corrections read.
    corrections : Corrections
    count_weights, money_weights : arrays, shape (3,), (4,)
        Factors on the members of `Corrections.counts` and `Corrections.moneys`: their weight, and what brings each to its level.
    """

    btyd: BtydClvHead
    window_days: float
    columns: ColumnsRead
    corrections: Corrections
    count_weights: FloatArray
    money_weights: FloatArray

    @property
    def method(self) -> str:
        """For example "pareto_nbd x gamma_gamma, corrected by lightgbm"."""
        return f"{self.btyd.method}, corrected by {' and '.join(self._correctors)}"

    @property
    def own(self) -> OwnMoney | None:
        """The user's own regressor, where it has a weight."""
        found = self.corrections.scores.get(OWN_PART)
        return found if isinstance(found, OwnMoney) else None

    @property
    def _correctors(self) -> list[str]:
        ours = any(isinstance(score, TreeScore) for score in self.corrections.scores.values())
        return [*(["lightgbm"] if ours else []), *([OWN_REGRESSOR] if self.own is not None else [])]

    def clv(self, history: BuyingHistory, rows: Encoded, horizon_days: float) -> FloatArray:
        """Discounted expected margin of each contact, shape (n,)."""
        outlook = self.btyd.outlook(history, self.window_days, horizon_days)
        buyers = history.is_buyer
        value = np.full(len(history), self.btyd.value_without_purchase)
        if buyers.any():
            members = self.corrections.moneys(self._read(rows, outlook).take(buyers), outlook.take(buyers))
            money = blended(members, self.money_weights)
            value[buyers] = self.btyd.margin * money * outlook.stretch[buyers]
        return value

    def transactions(self, history: BuyingHistory, rows: Encoded, days: float) -> FloatArray:
        """Expected purchase days over `days`, not discounted, shape (n,); NaN for a contact who has bought nothing."""
        undiscounted = BtydClvHead(self.btyd.transactions, self.btyd.money, 1.0, 0.0, 0.0)
        outlook = undiscounted.outlook(history, self.window_days, days)
        buyers = history.is_buyer
        count = np.full(len(history), np.nan)
        if buyers.any():
            members = self.corrections.counts(self._read(rows, outlook).take(buyers), outlook.take(buyers))
            count[buyers] = blended(members, self.count_weights) * outlook.stretch[buyers]
        return count

    def _read(self, rows: Encoded, outlook: Outlook) -> Encoded:
        return blend_rows(self.columns.of(rows), outlook)

    def to_dict(self) -> dict[str, Any]:
        """The head as JSON values."""
        return {
            "type": "blend",
            "btyd": self.btyd.to_dict(),
            "window_days": self.window_days,
            "columns": list(self.columns.trees),
            "linear_columns": list(self.columns.linear),
            "corrections": {name: score.to_dict() for name, score in self.corrections.scores.items()},
            "count_weights": self.count_weights.tolist(),
            "money_weights": self.money_weights.tolist(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> BlendedClvHead:
        """The head that `to_dict` wrote."""
        corrections = Corrections({name: _correction(score) for name, score in data["corrections"].items()})
        weights = [np.array(data[name], dtype=np.float64) for name in ("count_weights", "money_weights")]
        columns = ColumnsRead(*(tuple(int(column) for column in data.get(name, ())) for name in ("columns", "linear_columns")))
        return cls(BtydClvHead.from_dict(data["btyd"]), float(data["window_days"]), columns, corrections, *weights)


def _correction(data: Mapping[str, Any]) -> TreeScore | OwnMoney:
    return OwnMoney.from_dict(data) if data.get("type") == "own_money" else TreeScore.from_dict(data)


ClvHead: TypeAlias = BtydClvHead | BlendedClvHead | TreeClvHead | OwnClvHead | ContractClvHead


def clv_head_from_dict(data: Mapping[str, Any]) -> ClvHead:
    """The head that its `to_dict` wrote, by its type.

    Raises
    ------
    ValueError
        If the type is not known.
    """
    readers: dict[str, Callable[[Mapping[str, Any]], ClvHead]] = {
        "btyd": BtydClvHead.from_dict,
        "blend": BlendedClvHead.from_dict,
        "trees": TreeClvHead.from_dict,
        "own": OwnClvHead.from_dict,
        "contract": ContractClvHead.from_dict,
    }
    if data.get("type") not in readers:
        raise ValueError(f"a CLV head has an unknown type; got {data.get('type')!r}; allowed: {', '.join(readers)}")
    return readers[data["type"]](data)
