"""How the corrections of BTYD are learned, and their weights: LightGBM on earlier moments, a blend that a later moment must confirm."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import lightgbm
import numpy as np
from scipy.optimize import minimize

from estimators.arrays import BoolArray, FloatArray
from estimators.clv_blend import OWN_PART, Corrections, blend_rows, floored
from estimators.clv_heads import Outlook
from estimators.encoding import Encoded
from estimators.own_score import OwnMoney
from estimators.scores import TreeScore
from estimators.trees import CLV, CLV_OFFSET, TreeSettings, faster, tree_parameters, tree_score

FEWEST_BUYERS = 200
"""Below so many buyers LightGBM corrects nothing."""

GATE_ERRORS = 1.0
"""A blend must beat BTYD in the back-test by so many standard errors, or BTYD is served alone."""

POISSON, TWEEDIE = 1.0, 1.5
_PULL = 0.02  # towards equal weights, as a share of BTYD's deviance: few back-tests cannot tell good weights from lucky ones


@dataclass(frozen=True, eq=False)
class Moment:
    """The buyers of an earlier moment, what was expected of them then, and what came.

    Parameters
    ----------
    columns : Encoded
        The columns of the matrices that the corrections read; the linear ones where a user's own regressor does.
    outlook : Outlook
        Of the window after the moment, by a BTYD fitted on what was known then.
    count, money : arrays, shape (n,)
        Purchase days and money in that window.
    """

    columns: Encoded
    outlook: Outlook
    count: FloatArray
    money: FloatArray

    @property
    def rows(self) -> Encoded:
        """What the corrections read."""
        return blend_rows(self.columns, self.outlook)


CORRECTIONS: dict[str, tuple[TreeSettings, str]] = {
    "count_offset": (CLV_OFFSET, "poisson"),
    "count_features": (CLV, "poisson"),
    "money_offset": (CLV_OFFSET, "tweedie"),
    "money_features": (CLV, "tweedie"),
}
"""Settings and objective of each; a name begins with what it is learned from, and an offset starts from what BTYD expects."""


MANY_BUYERS = 40_000
"""From more rows half the trees at twice the rate learn as much."""


def fit_corrections(
    moments: Sequence[Moment],
    categorical: Sequence[int],
    *,
    names: Collection[str] = tuple(CORRECTIONS),
    own: Any | None = None,
    seed: int = 0,
) -> Corrections:
    """Poisson on purchases and Tweedie on money, each with BTYD's expectation as offset and with it as a feature.

    Parameters
    ----------
    moments : sequence of Moment
        Their rows are learned from together.
    categorical : sequence of int
        Positions of categories among the columns of `Moment.trees`.
    names : collection of str
        Which of `CORRECTIONS`.
    own : regressor, optional
        A user's own, not fitted: it learns the money in the place of LightGBM's `OWN_PART`.

    Raises
    ------
    OwnEstimatorFailed
        If the user's own regressor cannot be fitted.
    ValueError
        If there are fewer than `FEWEST_BUYERS` rows, or none of them bought in its window.
    """
    rows = [moment.rows for moment in moments]
    matrix, linear = np.concatenate([one.trees for one in rows]), np.concatenate([one.linear for one in rows])
    count, money = (np.concatenate([np.maximum(getattr(moment, name), 0.0) for moment in moments]) for name in ("count", "money"))
    if len(matrix) < FEWEST_BUYERS or count.sum() == 0 or money.sum() == 0:
        bought = int((count > 0).sum())
        raise ValueError(
            f"LightGBM correction: too few buyers; got {len(matrix)}, {bought} of whom bought again; allowed: {FEWEST_BUYERS} or more"
        )
    expected = [floored(moment.outlook) for moment in moments]
    came = {"count": count, "money": money}
    base = {name: np.log(np.concatenate([pair[k] for pair in expected])) for k, name in enumerate(came)}
    learn = _Learner(matrix, tuple(categorical), seed)
    scores: dict[str, TreeScore | OwnMoney] = {}
    for name, (settings, objective) in CORRECTIONS.items():
        subject, _, start = name.partition("_")
        if name in names and name == OWN_PART and own is not None:
            scores[name] = OwnMoney.fitted(own, linear, money)
        elif name in names:
            scores[name] = learn.score(settings, objective, came[subject], base[subject] if start == "offset" else None)
    return Corrections(scores)


@dataclass(frozen=True, eq=False)
class _Learner:
    matrix: FloatArray
    categorical: tuple[int, ...]
    seed: int
    binned: dict[int, lightgbm.Dataset] = field(default_factory=dict)

    def score(self, settings: TreeSettings, objective: str, y: FloatArray, offset: FloatArray | None) -> TreeScore:
        smallest = int(np.clip(len(y) // 50, 20, settings.min_child_samples))
        settings = replace(faster(settings) if len(y) > MANY_BUYERS else settings, min_child_samples=smallest)
        parameters: dict[str, Any] = {**tree_parameters(1, self.seed), **settings.parameters(), "objective": objective}
        if objective == "tweedie":
            parameters["tweedie_variance_power"] = TWEEDIE
        data = self._with_leaves_of(smallest)
        data.set_label(y)
        data.set_field("init_score", offset)
        return tree_score(lightgbm.train(parameters, data, num_boost_round=parameters.pop("n_estimators")))

    def _with_leaves_of(self, smallest: int) -> lightgbm.Dataset:
        """The rows in bins, once for all corrections with as small leaves: columns that cannot be split into such are left out."""
        if smallest not in self.binned:
            parameters = {**tree_parameters(1, self.seed), "min_child_samples": smallest}
            zeros = np.zeros(len(self.matrix), dtype=np.float32)  # each correction brings what came
            data = lightgbm.Dataset(self.matrix, zeros, categorical_feature=list(self.categorical), params=parameters, free_raw_data=False)
            self.binned[smallest] = data.construct()
        return self.binned[smallest]


def deviances(y: FloatArray, mean: FloatArray, power: float) -> FloatArray:
    """Unit deviance of each row: Poisson (power 1) or Tweedie (power 1.5); least where `mean` is the expectation.

    Examples
    --------
    >>> deviances(np.array([2.0, 0.0]), np.array([2.0, 1.0]), 1.0).tolist()
    [0.0, 2.0]
    """
    y, m = np.maximum(y, 0.0), np.maximum(mean, 1e-9)
    if power == POISSON:
        return np.asarray(2.0 * (y * np.log(np.maximum(y, 1e-300) / m) - y + m), dtype=np.float64)
    return np.asarray(4.0 * (np.sqrt(m) - np.sqrt(y) + y / np.sqrt(m) - np.sqrt(y)), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class BlendVerdict:
    """Which weights the back-test chose, and what they gained.

    Parameters
    ----------
    weights : array, shape (members,)
        All on BTYD where the blend does not prove better.
    gain, standard_error : float
        Of the blend over BTYD, in unit deviance a buyer.
    """

    weights: FloatArray
    gain: float
    standard_error: float


def choose_weights(members: FloatArray, y: FloatArray, power: float) -> BlendVerdict:
    """Weights of levelled members by the deviance of a later window, pulled towards equal ones; BTYD alone unless they beat it.

    Parameters
    ----------
    members : array, shape (n, k)
        Predictions at a moment after those that the members were learned on, each with the total of the first, which is BTYD's.
    y : array, shape (n,)
        What came.
    """
    k = members.shape[1]
    equal = np.full(k, 1.0 / k)
    alone = deviances(y, members[:, 0], power)
    pull = _PULL * float(alone.mean())

    def loss(weights: FloatArray) -> float:
        return float(deviances(y, members @ weights, power).mean()) + pull * float(((weights - equal) ** 2).sum())

    total: dict[str, Any] = {"type": "eq", "fun": lambda weights: weights.sum() - 1.0}
    found = minimize(loss, equal, method="SLSQP", bounds=[(0.0, 1.0)] * k, constraints=[total], options={"ftol": 1e-9})
    weights = np.clip(found.x if found.success else equal, 0.0, 1.0)
    weights = np.where(weights < _LEAST_WEIGHT, 0.0, weights)
    weights /= weights.sum()
    gains = alone - deviances(y, members @ weights, power)
    error = float(gains.std(ddof=1) / np.sqrt(len(gains))) if len(gains) > 1 else np.inf
    if float(gains.mean()) <= GATE_ERRORS * error:
        weights = np.eye(k)[0]
    return BlendVerdict(weights, float(gains.mean()), error)


_LEAST_WEIGHT = 0.02  # a member below it is not worth its place in the bundle


def level_factors(members: FloatArray) -> FloatArray:
    """What gives each member the total of the first, shape (members,): what BTYD says of all buyers together stands."""
    totals = members.sum(axis=0)
    return np.asarray(np.where(totals > 0, totals[0] / np.where(totals > 0, totals, 1.0), 0.0), dtype=np.float64)


def needed(count: FloatArray, money: FloatArray) -> set[str]:
    """The names of the corrections that have a weight in either blend."""
    from_count = {"count_offset": count[1], "count_features": count[2]}
    from_money = {"count_offset": money[1], "money_offset": money[2], "money_features": money[3]}
    return {name for part in (from_count, from_money) for name, weight in part.items() if weight > 0}


AGE_COLUMNS = ("tenure_days", "days_since_first_purchase", "last_gap_days")
"""Standard features that only grow with the calendar: at as_of they are larger than at any moment that a correction learned from."""


def correction_columns(names: Sequence[str], dtypes: Sequence[str]) -> tuple[int, ...]:
    """Positions of the features (or of their columns) that a correction may read: not those that grow with the calendar."""
    grows: BoolArray = np.array([name in AGE_COLUMNS or dtype in ("date", "timestamp") for name, dtype in zip(names, dtypes, strict=True)])
    return tuple(int(position) for position in np.flatnonzero(~grows))
