"""A CLV bundle as the compiled loops of `joint_clv` read it."""

from __future__ import annotations

import numpy as np

from estimators.bundle_clv import ClvBundle
from estimators.clv_blend import MONEY_PARTS, BlendedClvHead
from estimators.clv_gamma_gamma import MeanMoney
from estimators.clv_heads import BtydClvHead, OwnClvHead, TreeClvHead
from estimators.clv_pareto_nbd import ParetoNbdParams
from estimators.forest_text import NotUnderstood
from estimators.joint_clv import BTYD, HISTORY, NO_CLV, TREES_ALONE, Money
from estimators.joint_kernels import NONE
from estimators.joint_tables import Parts
from estimators.scores import TreeScore

NOBODY = Money(
    kind=NO_CLV,
    history=np.empty(0, dtype=np.int32),
    own=NONE,
    scores=np.empty(0, dtype=np.int32),
    weights=np.empty(0),
    pareto=(1.0, 1.0, 1.0, 1.0),
    price=(1.0, 1.0, 1.0),
    window_days=1.0,
    horizon_days=1.0,
    annual_discount_rate=0.0,
    margin=0.0,
    value_without_purchase=0.0,
    level=0.0,
)
"""Where there is no bundle."""

OWN_COLUMNS = 4
"""That a blend reads of BTYD; they stand where as_of stood, behind what is read of the contact."""


def numbers_of(bundle: ClvBundle | None) -> tuple[str, ...]:
    """The features that the bundle reads besides its encoder's."""
    return HISTORY if bundle is not None and isinstance(bundle.head, BtydClvHead | BlendedClvHead) else ()


def money_of(bundle: ClvBundle | None, parts: Parts) -> Money:
    """The bundle; its tree models become parts of the forest.

    Raises
    ------
    NotUnderstood
        BG/NBD, whose hypergeometric function is not compiled, a model of contracts, or a regressor of the user's own.
    """
    if bundle is None:
        return NOBODY
    head = bundle.head
    columns = parts.reader.columns_of(bundle.encoder)
    if isinstance(head, TreeClvHead):
        read = range(len(columns)) if head.columns is None else head.columns
        score = parts.trees(head.score, {j: columns[column] for j, column in enumerate(read)})
        return NOBODY._replace(kind=TREES_ALONE, scores=np.array([score], dtype=np.int32), level=float(head.level))
    if isinstance(head, BtydClvHead):
        return _btyd(head, parts, bundle.horizon_days, bundle.horizon_days)
    if isinstance(head, OwnClvHead) or (isinstance(head, BlendedClvHead) and head.own is not None):
        raise NotUnderstood("lifetime value is predicted by an estimator of the workspace's own")
    if not isinstance(head, BlendedClvHead):
        raise NotUnderstood(f"a CLV head; got {type(head).__name__}; allowed: buy-till-you-die, a blend, or trees")
    own, read = parts.reader.width, head.columns.trees
    members = {name: score for name, score in head.corrections.scores.items() if isinstance(score, TreeScore)}
    places = {j: columns[column] for j, column in enumerate(read)}
    places |= {len(read) + j: own + j for j in range(OWN_COLUMNS)}
    scores = np.array([parts.trees(members[one], places) if one in members else NONE for one in MONEY_PARTS], dtype=np.int32)
    return _btyd(head.btyd, parts, head.window_days, bundle.horizon_days)._replace(own=own, scores=scores, weights=head.money_weights)


def _btyd(head: BtydClvHead, parts: Parts, window_days: float, horizon_days: float) -> Money:
    model, price = head.transactions, head.money
    if not isinstance(model, ParetoNbdParams):
        raise NotUnderstood(f"a model of transactions; got {model.kind}; allowed: pareto_nbd")
    return NOBODY._replace(
        kind=BTYD,
        history=np.array([parts.reader.numbers.index(name) for name in HISTORY], dtype=np.int32),
        pareto=(model.r, model.alpha, model.s, model.beta),
        price=(np.nan, price.mean, 0.0) if isinstance(price, MeanMoney) else (price.p, price.q, price.v),
        window_days=float(window_days),
        horizon_days=float(horizon_days),
        annual_discount_rate=float(head.annual_discount_rate),
        margin=float(head.margin),
        value_without_purchase=float(head.value_without_purchase),
    )
