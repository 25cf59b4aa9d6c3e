"""A CLV bundle as the compiled loops of `joint_clv` read it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from estimators.arrays import FloatArray
from estimators.bundle import ClvBundle
from estimators.clv_blend import MONEY_PARTS, BlendedClvHead
from estimators.clv_gamma_gamma import MeanMoney
from estimators.clv_heads import BtydClvHead, TreeClvHead
from estimators.clv_pareto_nbd import ParetoNbdParams
from estimators.forest_text import NotUnderstood
from estimators.joint_clv import HISTORY, Blend, Btyd, clvs, outlooks
from estimators.joint_kernels import NONE
from estimators.joint_tables import Parts


@dataclass(frozen=True, eq=False)
class JointClv:
    """The CLV of a contact from a row, in two steps around the forest: what BTYD expects, and what the trees make of it.

    Parameters
    ----------
    btyd : Btyd or None
        None where LightGBM alone is served.
    blend : Blend
    level : float
        Of LightGBM alone: margin, discount and horizon as one factor.
    """

    btyd: Btyd | None
    blend: Blend
    level: float = 0.0

    @staticmethod
    def numbers_of(bundle: ClvBundle | None) -> tuple[str, ...]:
        """The features that the bundle reads besides its encoder's."""
        return HISTORY if bundle is not None and isinstance(bundle.head, BtydClvHead | BlendedClvHead) else ()

    @classmethod
    def of(cls, bundle: ClvBundle, parts: Parts) -> JointClv:
        """The bundle; its tree models become parts of the forest.

        Raises
        ------
        NotUnderstood
            BG/NBD, whose hypergeometric function is not compiled, or a model of contracts.
        """
        head = bundle.head
        columns = parts.reader.columns_of(bundle.encoder)
        if isinstance(head, TreeClvHead):
            read = range(len(columns)) if head.columns is None else head.columns
            score = parts.trees(head.score, {j: columns[column] for j, column in enumerate(read)})
            return cls(None, Blend(np.array([score], dtype=np.int32), np.empty(0), 0.0, 0.0), head.level)
        if not isinstance(head, BtydClvHead | BlendedClvHead):
            raise NotUnderstood(f"a CLV head; got {type(head).__name__}; allowed: buy-till-you-die, a blend, or trees")
        btyd = head.btyd if isinstance(head, BlendedClvHead) else head
        scores, weights, own = np.empty(0, dtype=np.int32), np.empty(0), NONE
        if isinstance(head, BlendedClvHead):
            own, weights = parts.reader.width, head.money_weights
            places = {j: columns[column] for j, column in enumerate(head.columns)}
            places |= {len(head.columns) + j: own + j for j in range(4)}
            members = head.corrections.scores
            scores = np.array([parts.trees(members[one], places) if one in members else NONE for one in MONEY_PARTS], dtype=np.int32)
        window = head.window_days if isinstance(head, BlendedClvHead) else bundle.horizon_days
        return cls(
            _btyd(btyd, parts.reader.numbers, own, window, bundle.horizon_days),
            Blend(scores, weights, btyd.margin, btyd.value_without_purchase),
        )

    def outlook(self, rows: FloatArray) -> FloatArray:
        """What BTYD expects of each contact, shape (n, 3); the columns that a blend reads of it are written into `rows`."""
        out = np.empty((len(rows), 3))
        if self.btyd is not None:
            outlooks(rows, self.btyd, out)
        return out

    def money(self, outlook: FloatArray, trees: FloatArray, out: FloatArray) -> None:
        """The CLV into `out`, shape (n,)."""
        if self.btyd is not None:
            clvs(outlook, trees, self.blend, out)
        else:
            out[:] = self.level * np.exp(np.minimum(trees[:, self.blend.scores[0]], 50.0))


def _btyd(head: BtydClvHead, numbers: tuple[str, ...], own: int, window: float, horizon: float) -> Btyd:
    model, money = head.transactions, head.money
    if not isinstance(model, ParetoNbdParams):
        raise NotUnderstood(f"a model of transactions; got {model.kind}; allowed: pareto_nbd")
    places = np.array([numbers.index(name) for name in HISTORY], dtype=np.int32)
    price = (np.nan, money.mean, 0.0) if isinstance(money, MeanMoney) else (money.p, money.q, money.v)
    return Btyd(places, own, (model.r, model.alpha, model.s, model.beta), price, window, horizon, head.annual_discount_rate)
