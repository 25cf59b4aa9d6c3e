"""What contacting was worth: the difference between those who were treated and those who were kept as a control, a contact and in all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import stats

from measurement.arrays import FloatArray, between, column
from measurement.cuped import adjust
from measurement.intervals import LEVEL, Interval
from measurement.sequences import asymptotic_reach


@dataclass(frozen=True)
class Arm:
    """One side of a comparison: how many contacts, and their mean outcome before any adjustment."""

    contacts: int
    mean: float


@dataclass(frozen=True, eq=False)
class Lift:
    """Treated against control.

    Attributes
    ----------
    treated, control : Arm
    per_contact : Interval
        Mean of the treated less mean of the control; for one look, at a moment fixed in advance.
    always_valid : Interval
        The same, to be looked at as often as one likes.
    total : Interval
        What the treated brought in more than they would have, in all: `per_contact` times their number.
    relative : Interval or None
        The difference as a fraction of the control's mean; None where that mean is not clearly above zero.
    variance_reduction : float
        The fraction of the difference's variance that the covariates took away.
    covariates_used : int
    per_row : array, shape (n,)
        What each contact adds to the difference: its mean is `per_contact.value`.
    """

    treated: Arm
    control: Arm
    per_contact: Interval
    always_valid: Interval
    total: Interval
    relative: Interval | None
    variance_reduction: float
    covariates_used: int
    per_row: FloatArray


@dataclass(frozen=True, eq=False)
class Known:
    """What else is known of the contacts of a comparison.

    Parameters
    ----------
    covariates : array, shape (n, n_covariates), optional
        Known before the treatment began: they only take noise away.
    weight : array, shape (n,), optional
        How much each row stands for, such as one over the probability of what it got; all alike where None.
    cluster : array, shape (n,), optional
        Whose row it is, where several rows of one contact or firm belong together.
    """

    covariates: npt.ArrayLike | None = None
    weight: npt.ArrayLike | None = None
    cluster: npt.NDArray[np.generic] | None = None


@dataclass(frozen=True)
class Looking:
    """How intervals are made: the share of them that hold the truth, and about how many contacts the always-valid one is tightest at.

    The latter must be chosen before the data are seen.
    """

    level: float = LEVEL
    tightest_at: int = 10_000


def lift(outcome: npt.ArrayLike, exposed: npt.ArrayLike, known: Known | None = None, looking: Looking | None = None) -> Lift:
    r"""The difference in means of treated and control, with its intervals.

    :math:`\hat\Delta = \bar y_1 - \bar y_0` of the outcome that `cuped.adjust` leaves. Its standard error sums what each contact (cluster)
    adds, :math:`\pm w_i (y_i - \bar y_a) / \sum_a w`, with n - 1 a group and one degree of freedom less a covariate; the quantile is
    Student's with Welch's degrees of freedom, so that a small holdout is not taken for more than it is.

    Parameters
    ----------
    outcome : array-like, shape (n,)
        Of one contact: profit, revenue, 0/1 for a response.
    exposed : array-like, shape (n,)
        1 for treated, 0 for control.
    known : Known, optional
    looking : Looking, optional

    Raises
    ------
    ValueError
        An arm has no contact, or the columns differ in length.

    References
    ----------
    Bernard Welch. "The generalization of 'Student's' problem when several different population variances are involved.", 1947. For the
    always-valid interval: Waudby-Smith and others, see `sequences.asymptotic_sequence`.

    Examples
    --------
    >>> found = lift([3.0, 5.0, 4.0, 1.0, 2.0, 3.0], [1, 1, 1, 0, 0, 0])
    >>> found.per_contact.value, found.total.value, found.control.mean
    (2.0, 6.0, 2.0)
    """
    facts, how = known or Known(), looking or Looking()
    y = column("outcome", outcome)
    exposed_rows = between("exposed", column("exposed", exposed, y.size), 0.0, 1.0)
    w = exposed_rows == 1.0
    if (exposed_rows[~w] > 0.0).any() or w.all() or not w.any():
        raise ValueError(f"exposed: got {int(w.sum()):,} treated of {y.size:,} rows, expected 0 and 1 and both at least once")
    weight = np.ones(y.size) if facts.weight is None else between("weight", column("weight", facts.weight, y.size), 0.0, np.inf)
    adjusted, used = (y, 0) if facts.covariates is None else _adjusted(y, w, facts.covariates)
    rows = _rows(adjusted, w, weight)
    error, freedom = _error(rows, w, weight, facts.cluster, used)
    plain, _ = _error(_rows(y, w, weight), w, weight, facts.cluster, 0)
    value = float(rows.mean())
    per_contact = _student(value, error, freedom, how.level)
    reach = asymptotic_reach(error * np.sqrt(y.size), y.size, level=how.level, tightest_at=how.tightest_at)
    means = [float(np.average(y[arm], weights=weight[arm])) for arm in (w, ~w)]
    treated, control = Arm(int(w.sum()), means[0]), Arm(int((~w).sum()), means[1])
    return Lift(
        treated,
        control,
        per_contact,
        Interval(value, value - reach, value + reach, error),
        _times(per_contact, treated.contacts),
        _relative(rows, adjusted, w, weight, per_contact),
        1.0 - (error / plain) ** 2 if plain > 0 and np.isfinite(plain) else 0.0,
        used,
        rows,
    )


@dataclass(frozen=True)
class Sums:
    """What one arm's outcomes add up to: how many contacts, the sum over them, and the sum of the squares."""

    contacts: int
    total: float
    squares: float


def difference(treated: Sums, control: Sums, *, level: float = LEVEL) -> Interval:
    """The difference in means from the arms' sums alone: `lift(...).per_contact` without covariates, where rows are too many to hand over.

    Raises
    ------
    ValueError
        An arm has fewer than two contacts.

    Examples
    --------
    >>> found = difference(Sums(3, 12.0, 50.0), Sums(3, 6.0, 14.0))
    >>> found.value, round(found.standard_error, 4)
    (2.0, 0.8165)
    """
    arms = (treated, control)
    if min(one.contacts for one in arms) < 2:
        raise ValueError(f"an arm has fewer than two contacts; got {treated.contacts} treated and {control.contacts} control")
    means = [one.total / one.contacts for one in arms]
    deviations = [max(one.squares - one.total * mean, 0.0) for one, mean in zip(arms, means, strict=True)]
    freedoms = [one.contacts - 1.0 for one in arms]
    parts = [left / freedom / one.contacts for one, left, freedom in zip(arms, deviations, freedoms, strict=True)]
    spread = sum(part**2 / freedom for part, freedom in zip(parts, freedoms, strict=True))
    freedom = sum(parts) ** 2 / spread if spread > 0 else float("inf")
    return _student(means[0] - means[1], float(np.sqrt(sum(parts))), freedom, level)


@dataclass(frozen=True, eq=False)
class Layers:
    """Each comparison by the name of its control group; groups that are too small for one by name, with their size."""

    lifts: Mapping[str, Lift] = field(default_factory=dict)
    too_small: Mapping[str, int] = field(default_factory=dict)


def layers(
    outcome: npt.ArrayLike, group: npt.NDArray[np.generic], treated: str | int, known: Known | None = None, looking: Looking | None = None
) -> Layers:
    """Those of the group `treated` against each other group in turn: the holdout tells what the programme is worth, each layer its part.

    Parameters
    ----------
    outcome : array-like, shape (n,)
    group : array of str or int, shape (n,)
        The control group that each contact is in, by its name or by a number, which takes a fraction of the time.
    treated : str or int
        The group that gets the whole decision.

    Examples
    --------
    >>> groups = np.array(["nudge"] * 4 + ["holdout"] * 2 + ["random"])
    >>> found = layers([5.0, 5.0, 7.0, 7.0, 2.0, 4.0, 1.0], groups, "nudge")
    >>> found.lifts["holdout"].per_contact.value, dict(found.too_small)
    (3.0, {'random': 1})
    """
    y = column("outcome", outcome)
    if group.shape != y.shape:
        raise ValueError(f"group: got shape {group.shape}, expected {y.shape}")
    facts, ours = known or Known(), group == treated
    names, sizes = np.unique(group[~ours], return_counts=True)
    found, small = {}, {}
    for name, size in zip(names.tolist(), sizes.tolist(), strict=True):
        if size < 2 or ours.sum() < 2:
            small[str(name)] = int(size)
            continue
        both = ours | (group == name)
        found[str(name)] = lift(y[both], ours[both], _part(facts, both), looking)
    return Layers(found, small)


def _part(facts: Known, rows: npt.NDArray[np.bool_]) -> Known:
    return Known(*(None if one is None else np.asarray(one)[rows] for one in (facts.covariates, facts.weight, facts.cluster)))


def _adjusted(y: FloatArray, w: npt.NDArray[np.bool_], covariates: npt.ArrayLike) -> tuple[FloatArray, int]:
    found = adjust(y, w, covariates)
    return found.outcome, found.used


def _rows(y: FloatArray, w: npt.NDArray[np.bool_], weight: FloatArray) -> FloatArray:
    """What each row adds: the difference, and its own deviation from the arm's mean as often as the arm is smaller than all."""
    sums = [weight[arm].sum() for arm in (w, ~w)]
    if min(sums) <= 0:
        raise ValueError("weight: an arm has no weight at all")
    means = [float(weight[arm] @ y[arm] / total) for arm, total in zip((w, ~w), sums, strict=True)]
    deviation = np.where(w, y - means[0], means[1] - y) * weight * y.size / np.where(w, sums[0], sums[1])
    return np.asarray(means[0] - means[1] + deviation)


def _error(
    rows: FloatArray, w: npt.NDArray[np.bool_], weight: FloatArray, cluster: npt.NDArray[np.generic] | None, used: int
) -> tuple[float, float]:
    """The standard error of the mean of `rows`, and its degrees of freedom."""
    left = (rows - rows.mean()) / rows.size
    if cluster is not None and cluster.shape != rows.shape:
        raise ValueError(f"cluster: got shape {cluster.shape}, expected {rows.shape}")
    code = None if cluster is None else np.unique(cluster, return_inverse=True)[1]
    sizes = [np.unique(code[arm]).size if code is not None else weight[arm].sum() ** 2 / (weight[arm] ** 2).sum() for arm in (w, ~w)]
    freedoms = [size - 1.0 - used for size in sizes]
    if min(freedoms) <= 0:
        return float("inf"), 1.0
    scales = [np.sqrt(size / freedom) for size, freedom in zip(sizes, freedoms, strict=True)]
    left = left * np.where(w, scales[0], scales[1])
    sums = [left * arm if code is None else np.bincount(code, weights=left * arm) for arm in (w, ~w)]
    parts = [float(one @ one) for one in sums]
    spread = sum(part**2 / freedom for part, freedom in zip(parts, freedoms, strict=True))
    together = sums[0] + sums[1]  # a cluster may have rows in both arms
    error = float(np.sqrt(together @ together))
    return error, float(sum(parts) ** 2 / spread) if spread > 0 else float("inf")


def _student(value: float, error: float, freedom: float, level: float) -> Interval:
    if not 0.0 < level < 1.0:
        raise ValueError(f"level: got {level:g}, expected a share between 0 and 1, such as 0.95")
    quantile = stats.t.ppf((1.0 + level) / 2.0, freedom) if np.isfinite(freedom) else stats.norm.ppf((1.0 + level) / 2.0)
    return Interval(value, value - float(quantile) * error, value + float(quantile) * error, error)


def _times(one: Interval, number: float) -> Interval:
    return Interval(one.value * number, one.low * number, one.high * number, one.standard_error * number)


def _relative(rows: FloatArray, y: FloatArray, w: npt.NDArray[np.bool_], weight: FloatArray, difference: Interval) -> Interval | None:
    """Difference over the control's mean, by Fieller's theorem: the ratios that the data do not contradict."""
    control = float(np.average(y[~w], weights=weight[~w]))
    left = np.where(w, 0.0, (y - control) * weight / weight[~w].sum())
    variance = float(left @ left)
    together = float(((rows - rows.mean()) / rows.size) @ left)
    if not np.isfinite(difference.standard_error) or control <= 0:
        return None
    quantile = (difference.high - difference.value) / difference.standard_error if difference.standard_error > 0 else 0.0
    a = control**2 - quantile**2 * variance
    b = difference.value * control - quantile**2 * together
    c = difference.value**2 - quantile**2 * difference.standard_error**2
    under = b**2 - a * c
    if a <= 0 or under < 0:
        return None
    value = difference.value / control
    error = float(np.sqrt(max(difference.standard_error**2 - 2 * value * together + value**2 * variance, 0.0)) / control)
    return Interval(value, (b - float(np.sqrt(under))) / a, (b + float(np.sqrt(under))) / a, error)
