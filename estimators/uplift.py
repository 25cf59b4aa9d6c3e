"""Uplift: what the contact changes in the probability of the goal, learned doubly robustly and shrunk to the average where data is thin."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from estimators.action_uplifts import ActionUplift, UpliftSettings, fit_action_uplifts
from estimators.arrays import AnyInts, BoolArray, FloatArray
from estimators.effect_levels import Place
from estimators.effect_rows import NOTHING, LoggedActions
from estimators.encoding import Encoded, EncodedLater, Rows, blocks_of
from estimators.encoding_numbers import NumberEncoding
from estimators.pair_learners import MEMBERS
from estimators.trees import REGULARISED, TreeSettings
from estimators.validation import check_labels

HELD_ROWS = 100_000
"""With many rows the learners are weighed on about so many."""

SCALED_ROWS = 50_000


class DoublyRobustUplift(BaseEstimator):
    """tau(x) = E[y | x, contacted] - E[y | x, not contacted], in the pair {action, no_action} of a logged policy.

    `fit_action_uplifts` for a single action: see there for the steps.

    Parameters
    ----------
    categorical : tuple of int
        Positions of the category columns in the tree matrix.
    settings : TreeSettings
        Of nuisances and of the final LightGBM, scaled down for few rows.
    cv : int
        Folds.
    n_jobs : int
        Threads of LightGBM.
    random_state : int
    most_rows : int
        More rows than so many only refine what these have chosen.

    Attributes
    ----------
    head_ : UpliftHead
        What is served.
    average_effect_, average_effect_se_ : float
        As measured; the head's is shrunk.
    stack_weights_ : dict of str to float
        Of the members; "constant" has the rest.
    evidence_ : float
        The t-statistic of the difference between contacts.
    pseudo_outcomes_, weights_, oof_tau_ : arrays, shape (n,)
        psi; the balancing weights; the uplift by models that have not seen the row (NaN where there is none: with more than `most_rows`
        rows, on all but about `HELD_ROWS`).
    numbers_ : NumberEncoding or None
        Of the columns of `X_trees` but categories, where there was no `X_linear`.

    References
    ----------
    Kennedy, "Towards Optimal Doubly Robust Estimation of Heterogeneous Causal Effects", 2020.
    """

    def __init__(
        self,
        categorical: tuple[int, ...] = (),
        settings: TreeSettings = REGULARISED,
        cv: int = 4,
        n_jobs: int = 1,
        random_state: int = 0,
        most_rows: int = 200_000,
    ) -> None:
        self.categorical = categorical
        self.settings = settings
        self.cv = cv
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.most_rows = most_rows

    def fit(
        self,
        X_trees: FloatArray,
        X_linear: FloatArray | None,
        y: FloatArray,
        w: FloatArray,
        *,
        assignment_weight: FloatArray | None = None,
    ) -> DoublyRobustUplift:
        """Fit on n logged interactions.

        Parameters
        ----------
        X_trees : array, shape (n, d)
        X_linear : array, shape (n, m), or None
            Standardised columns; None standardises those of `X_trees` where they are read, which needs no second matrix.
        y : array, shape (n,)
            1 where the goal happened, else 0.
        w : array, shape (n,)
            1 where the contact got the action, 0 where no_action.
        assignment_weight : array, shape (n,), optional
            1 / selection_prob of what was chosen; without it each arm is taken as a random sample of the population.

        Raises
        ------
        ValueError
            If an arm is empty, the lengths differ, y or w is not 0 or 1, or a weight is not positive and finite.
        """
        y = check_labels(y, len(X_trees))
        exposed = check_labels(w, len(y)) == 1.0
        weight = check_weights(assignment_weight, exposed)
        folds = _stratified_folds(2 * exposed + y, self.cv, self.random_state)
        settings = UpliftSettings(self.categorical, self.settings, 1, self.n_jobs, self.random_state, self.most_rows)
        self.numbers_ = self._numbers(X_trees) if X_linear is None else None
        judged = None
        if len(y) > self.most_rows:
            judged = np.random.default_rng([self.random_state, 1]).random(len(y)) < min(0.5, HELD_ROWS / len(y))
        fitted = fit_action_uplifts(self._rows(X_trees, X_linear), _one_action(y, exposed), weight, folds, settings, judged)
        return self._keep(fitted.by_action[0])

    def predict(self, X_trees: FloatArray, X_linear: FloatArray | None = None) -> FloatArray:
        """The uplift of each row, shape (n,)."""
        check_is_fitted(self, "head_")
        return self._in_blocks(self.head_.effect, self._rows(X_trees, X_linear))

    def standard_errors(self, X_trees: FloatArray, X_linear: FloatArray | None = None) -> FloatArray:
        """The standard error of each row's uplift, shape (n,)."""
        check_is_fitted(self, "head_")
        return self._in_blocks(self.head_.standard_errors, self._rows(X_trees, X_linear))

    def _numbers(self, matrix: FloatArray) -> NumberEncoding:
        numbers = np.setdiff1d(np.arange(matrix.shape[1]), self.categorical)
        some = matrix[:: max(1, len(matrix) // SCALED_ROWS)][:, numbers]
        return NumberEncoding.fit([str(j) for j in numbers.tolist()], some.T, min_count=10)

    def _rows(self, X_trees: FloatArray, X_linear: FloatArray | None) -> Rows:
        if X_linear is not None:
            return Encoded(X_trees, X_linear)
        if self.numbers_ is None:
            raise ValueError("X_linear was given to fit, so it is needed here too; got None. Hint: fit with X_linear=None")
        numbers, columns = self.numbers_, [int(name) for name in self.numbers_.names]
        every = len(columns) == X_trees.shape[1]
        return EncodedLater(X_trees, lambda part: numbers.transform(part if every else part[:, columns]))

    @staticmethod
    def _in_blocks(number: Callable[[Encoded], FloatArray], rows: Rows) -> FloatArray:
        parts = [number(rows.take(block)) for block in blocks_of(len(rows))]
        return np.concatenate(parts) if parts else np.empty(0)

    def _keep(self, found: ActionUplift) -> DoublyRobustUplift:
        self.head_ = found.head
        self.average_effect_, self.average_effect_se_ = found.stack.average, found.stack.standard_error
        weights = dict(zip(MEMBERS, found.stack.weights.tolist(), strict=True))
        self.stack_weights_ = {"constant": 1.0 - sum(weights.values()), **weights}
        self.evidence_ = found.stack.evidence
        self.pseudo_outcomes_, self.weights_, self.oof_tau_ = found.pseudo_outcome, found.weight, found.tau
        return self


def check_weights(assignment_weight: FloatArray | None, exposed: BoolArray) -> FloatArray:
    """The assignment weights as float64; ones where there are none.

    Raises
    ------
    ValueError
        If an arm is empty, the lengths differ or a weight is not positive and finite.
    """
    if exposed.all() or not exposed.any():
        arm = "no_action" if exposed.all() else "the action"
        raise ValueError(f"uplift needs rows of both arms; got none of {arm}. Hint: without a control arm only propensity can be learned")
    if assignment_weight is None:
        return np.broadcast_to(1.0, len(exposed))  # without a copy for every row
    weight = np.asarray(assignment_weight, dtype=np.float64)
    if weight.shape != exposed.shape:
        raise ValueError(f"assignment_weight must hold one weight a row; got shape {weight.shape} for {len(exposed)} rows")
    if not (np.isfinite(weight).all() and (weight > 0).all()):
        raise ValueError("assignment_weight must be positive and finite: it is 1 / selection_prob")
    return weight


def _one_action(y: FloatArray, exposed: BoolArray) -> LoggedActions:
    return LoggedActions(
        places=(Place("action"),),
        channels=(),
        goal_of=np.zeros(1, dtype=np.int64),
        action=np.where(exposed, np.int8(0), np.int8(NOTHING)),
        channel=np.broadcast_to(np.int8(NOTHING), len(y)),
        labels=y[:, None],
        open=np.broadcast_to(np.True_, (len(y), 1)),
        weight=np.broadcast_to(1.0, len(y)),
    )


def _stratified_folds(strata: FloatArray, cv: int, random_state: int) -> AnyInts:
    """The fold of each row: every stratum is spread evenly over 0 .. cv - 1."""
    rng = np.random.default_rng(random_state)
    folds = np.zeros(len(strata), dtype=np.int16)
    for stratum in np.unique(strata):
        rows = rng.permutation(np.flatnonzero(strata == stratum))
        folds[rows] = (np.arange(len(rows)) + rng.integers(cv)) % cv
    return folds
