"""Which features move a model's answers: LightGBM's own SHAP values, and coefficient times spread for linear parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from decisioning.vocabulary import Columns, FloatArray
from estimators.bundle import Bundle, ClvBundle, LeadBundle, PropensityBundle, UpliftBundle
from estimators.clv_blend import MONEY_PARTS, BlendedClvHead, blend_rows
from estimators.clv_heads import BuyingHistory, OwnClvHead, TreeClvHead
from estimators.encoding import Encoded, FeatureEncoder
from estimators.own_score import OwnEffect, OwnMoney, OwnScore
from estimators.scores import ChannelContrast, CurvedScore, LinearScore, Score, TreeScore
from training.narrow import SomeRows

Moment: TypeAlias = np.datetime64 | npt.NDArray[np.datetime64]
"""One for all rows, or one a row."""

OF_BTYD = ("expected purchases (buy till you die)", "expected money (buy till you die)", "P(alive)", "expected price")
"""The last columns that the corrections of CLV read."""

MOST_ROWS = 1_000
"""SHAP values are averaged over so many rows: a summary needs no more."""


def feature_importance(bundle: Bundle, columns: Columns, as_of: Moment, *, seed: int) -> dict[str, float]:
    """Mean absolute contribution of each feature, summed over the parts of the model by their weight, as shares of 1; largest first.

    Trees: mean |SHAP| (LightGBM's `pred_contrib`). A linear part: |coefficient| times the standard deviation of its column, summed over
    the columns of the feature; of a contrast of two logistic models the coefficients' difference in probability at the mean row. Parts of a
    stack are on scales of their own and are each brought to 1 before they are weighed. Empty where the model reads no features.

    References
    ----------
    Scott Lundberg, Gabriel Erion and Su-In Lee. "Consistent Individualized Feature Attribution for Tree Ensembles.", 2018.
    """
    length = len(next(iter(columns.values()), ()))
    rows = np.sort(np.random.default_rng([seed, 0x5A9]).permutation(length)[:MOST_ROWS])
    moment = as_of[rows] if isinstance(as_of, np.ndarray) and as_of.ndim else as_of
    if not length:
        return {}
    some = dict(SomeRows(columns, rows))
    total: dict[str, float] = {}
    for weight, found in _parts(bundle, some, bundle.encode(some, moment), moment):
        scale = sum(found.values())
        for name, value in found.items() if scale > 0 else ():
            total[name] = total.get(name, 0.0) + weight * value / scale
    whole = sum(total.values())
    return dict(sorted(((name, value / whole) for name, value in total.items() if value > 0), key=lambda pair: (-pair[1], pair[0])))


def _parts(bundle: Bundle, columns: Columns, sample: Encoded, as_of: Moment) -> Iterator[tuple[float, dict[str, float]]]:
    """The weight and the contributions of each part of the model; the parts of an action weigh as many as it has rows."""
    if isinstance(bundle, ClvBundle):
        yield from _parts_of_clv(bundle, columns, sample, as_of)
        return
    for weight, score in _scores(bundle):
        yield weight, _contributions(score, sample, bundle.encoder)


def _scores(bundle: PropensityBundle | UpliftBundle | LeadBundle) -> Iterator[tuple[float, Score]]:
    if isinstance(bundle, UpliftBundle):
        for effect in bundle.heads.values():
            yield from ((member.weight * effect.evidence, member.score) for member in effect.members)
        return
    heads = [bundle.head.response] if isinstance(bundle, LeadBundle) else list(bundle.heads.values())
    for head in heads:
        pairs = zip(head.weights[1:], (head.linear, head.trees), strict=True)
        yield from ((weight * head.evidence, score) for weight, score in pairs if score is not None and weight > 0)


def _parts_of_clv(bundle: ClvBundle, columns: Columns, sample: Encoded, as_of: Moment) -> Iterator[tuple[float, dict[str, float]]]:
    """What learners make of CLV; what a buy-till-you-die model alone makes of a history is its formula, not an importance."""
    head, names, owners = bundle.head, bundle.encoder.feature_names, bundle.encoder.linear_features
    if isinstance(head, TreeClvHead):
        read = list(range(len(names))) if head.columns is None else list(head.columns)
        yield 1.0, _shap(head.score, sample.trees[:, read], [names[k] for k in read])
    elif isinstance(head, BlendedClvHead):
        history = BuyingHistory.of(columns, as_of)
        outlook = head.btyd.outlook(history, head.window_days, bundle.horizon_days)
        rows = blend_rows(head.columns.of(sample), outlook)
        for part, weight in zip(MONEY_PARTS, head.money_weights[1:].tolist(), strict=True):
            score = head.corrections.scores.get(part)
            if weight > 0 and isinstance(score, TreeScore):
                yield weight, _shap(score, rows.trees, [*(names[k] for k in head.columns.trees), *OF_BTYD])
            elif weight > 0 and isinstance(score, OwnMoney):
                # Only buyers are asked: of nobody else does BTYD expect anything.
                yield weight, _shuffled(score, rows.take(history.is_buyer), [*(owners[k] for k in head.columns.linear), *OF_BTYD])
    elif isinstance(head, OwnClvHead):
        read = list(head.columns)
        yield 1.0, _shuffled(head.score, Encoded(sample.trees, sample.linear[:, read]), [owners[k] for k in read])


def _shap(score: TreeScore, matrix: FloatArray, names: Sequence[str]) -> dict[str, float]:
    values = np.asarray(score.booster.predict(matrix, pred_contrib=True, num_threads=1))[:, :-1]
    return dict(zip(names, np.abs(values).mean(axis=0).tolist(), strict=True))


def _contributions(score: Score, sample: Encoded, encoder: FeatureEncoder) -> dict[str, float]:
    if isinstance(score, TreeScore):
        return _shap(score, sample.trees, encoder.feature_names)
    if isinstance(score, OwnScore | OwnEffect):
        return _shuffled(score, sample, encoder.linear_features)
    moved = np.abs(_slopes(score, sample)) * sample.linear.std(axis=0)
    found: dict[str, float] = {}
    for name, value in zip(encoder.linear_features, moved.tolist(), strict=True):
        found[name] = found.get(name, 0.0) + value
    return found


def _shuffled(score: OwnScore | OwnEffect | OwnMoney, sample: Encoded, owners: Sequence[str]) -> dict[str, float]:
    """How far the answer moves where a feature is another contact's: nothing more is known of an estimator of a user's own."""
    others = np.roll(np.arange(len(sample)), 1)
    if not len(sample):
        return {}
    said = score.of(sample)
    found = {}
    for name in dict.fromkeys(owners):
        columns = [place for place, one in enumerate(owners) if one == name]
        linear = sample.linear.copy()
        linear[:, columns] = linear[others][:, columns]
        found[name] = float(np.abs(score.of(Encoded(sample.trees, linear)) - said).mean())
    return found


def _slopes(score: Score, sample: Encoded) -> FloatArray:
    """How the score changes with each column of the linear matrix, at the mean row, shape (m,)."""
    if isinstance(score, LinearScore):
        return score.coef
    if isinstance(score, ChannelContrast):
        mixed = [share * _logistic_slope(score.exposed[channel], sample) for channel, share in score.shares.items()]
        return np.sum(mixed, axis=0) - _logistic_slope(score.unexposed, sample)
    return score.coef if isinstance(score, CurvedScore) else np.zeros(sample.linear.shape[1])


def _logistic_slope(score: CurvedScore, sample: Encoded) -> FloatArray:
    """Mean slope of the probability; squares of columns have none at the middle."""
    p = expit(score.of(sample))
    slope: FloatArray = float((p * (1.0 - p)).mean()) * score.coef
    return slope


def top_features(shares: Mapping[str, float], most: int = 20) -> dict[str, float]:
    """The first features and what is left, as `the other N`."""
    names = list(shares)
    kept = {name: shares[name] for name in names[:most]}
    rest = len(names) - most
    return {**kept, f"the other {rest}": sum(shares[name] for name in names[most:])} if rest > 0 else kept
