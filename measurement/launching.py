"""Before and during a comparison: the smallest effect that it can show, the contacts that it takes, and whether its groups are sound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from measurement.intervals import LEVEL
from measurement.sequences import asymptotic_reach

POWER = 0.8
"""Share of comparisons that show an effect of the stated size, where nothing else is asked for."""

ALARM = 0.001
"""Sizes of groups so unlike their shares are an error in the assignment or in the data, not chance."""


@dataclass(frozen=True)
class Design:
    """How a comparison is to be made.

    Parameters
    ----------
    spread : float
        Standard deviation of the outcome between contacts; for a rate p it is sqrt(p (1 - p)), see `rate_spread`.
    control_share : float
        The share of the contacts that is kept as control.
    variance_reduction : float
        What pre-period covariates are expected to take away, a fraction.
    level, power : float
    always_valid : bool
        Whether one wants to look as often as one likes; that takes more contacts.
    """

    spread: float
    control_share: float
    variance_reduction: float = 0.0
    level: float = LEVEL
    power: float = POWER
    always_valid: bool = False

    def __post_init__(self) -> None:
        if not self.spread >= 0 or not np.isfinite(self.spread):
            raise ValueError(f"spread: got {self.spread:g}, expected a standard deviation of at least 0")
        for name in ("control_share", "level", "power"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise ValueError(f"{name}: got {getattr(self, name):g}, expected a share between 0 and 1")
        if not 0.0 <= self.variance_reduction < 1.0:
            raise ValueError(f"variance_reduction: got {self.variance_reduction:g}, expected a fraction in [0, 1)")


def rate_spread(rate: float) -> float:
    """The standard deviation of a 0/1 outcome that is 1 at this rate.

    Examples
    --------
    >>> rate_spread(0.5)
    0.5
    """
    if not 0.0 <= rate <= 1.0:
        raise ValueError(f"rate: got {rate:g}, expected a fraction")
    return float(np.sqrt(rate * (1.0 - rate)))


def minimum_detectable_effect(design: Design, contacts: int) -> float:
    r"""The smallest difference a contact that `contacts` contacts, both groups together, would show with the stated power.

    :math:`(q + z_{power}) \, s \sqrt{(1 - r) / (n h (1 - h))}` with control share h, variance reduction r, and q the quantile of the
    two-sided interval, :math:`z_{(1+level)/2}`, or that of the always-valid one.

    References
    ----------
    Ron Kohavi, Diane Tang and Ya Xu. "Trustworthy Online Controlled Experiments.", 2020, chapter 17.

    Examples
    --------
    >>> round(minimum_detectable_effect(Design(spread=1.0, control_share=0.5), 3_140), 3)
    0.1
    """
    if contacts < 2:
        return float("inf")
    share = design.control_share
    spread = design.spread * float(np.sqrt((1.0 - design.variance_reduction) / (share * (1.0 - share))))
    reach = (
        asymptotic_reach(spread, contacts, level=design.level, tightest_at=contacts)
        if design.always_valid
        else float(stats.norm.ppf((1.0 + design.level) / 2.0)) * spread / float(np.sqrt(contacts))
    )
    return reach + float(stats.norm.ppf(design.power)) * spread / float(np.sqrt(contacts))


def required_contacts(design: Design, effect: float) -> int:
    """How many contacts, both groups together, would show a difference of `effect` a contact with the stated power.

    Raises
    ------
    ValueError
        An effect of zero takes more contacts than there are.

    Examples
    --------
    >>> required_contacts(Design(spread=1.0, control_share=0.5), 0.1)
    3140
    """
    if not abs(effect) > 0 or not np.isfinite(effect):
        raise ValueError(f"effect: got {effect:g}, expected a difference other than 0")
    if design.spread == 0:
        return 2
    # The effect shrinks with the square root of the contacts, whichever interval is asked for.
    at_one = minimum_detectable_effect(design, 1_000_000) * 1_000.0
    return int(np.ceil(round((at_one / abs(effect)) ** 2, 6)))


@dataclass(frozen=True)
class RatioCheck:
    """Whether groups are as large as they were meant to be: `p_value` of the sizes, `alarm` where chance does not explain them."""

    observed: Mapping[str, int]
    expected: Mapping[str, float]
    p_value: float
    alarm: bool


def sample_ratio(observed: Mapping[str, int], shares: Mapping[str, float], *, alarm: float = ALARM) -> RatioCheck:
    """The sample ratio mismatch: the observed sizes of groups against their shares, by the chi-squared test (two groups: exactly).

    A group that was to be empty and is not, is an alarm by itself.

    Parameters
    ----------
    observed : mapping of str to int
        Contacts a group.
    shares : mapping of str to float
        The share each was meant to have; they are taken relative to each other.
    alarm : float
        The p-value below which it is one.

    References
    ----------
    Aleksander Fabijan and others. "Diagnosing Sample Ratio Mismatch in Online Controlled Experiments.", 2019.

    Examples
    --------
    >>> sample_ratio({"nudge": 9_600, "holdout": 400}, {"nudge": 0.95, "holdout": 0.05}).alarm
    True
    >>> sample_ratio({"nudge": 9_510, "holdout": 490}, {"nudge": 0.95, "holdout": 0.05}).alarm
    False
    """
    names = list(dict.fromkeys([*shares, *observed]))
    counts, meant = [observed.get(name, 0) for name in names], np.array([shares.get(name, 0.0) for name in names])
    total, whole = sum(counts), float(meant.sum())
    if whole <= 0 or (meant < 0).any():
        raise ValueError("shares: got none above 0, expected what each group was meant to have")
    expected = dict(zip(names, (meant / whole * total).tolist(), strict=True))
    p_value = _p_value([count for count, share in zip(counts, meant, strict=True) if share > 0], meant[meant > 0] / whole)
    unwanted = any(count and share == 0 for count, share in zip(counts, meant, strict=True))
    p_value = 0.0 if unwanted else p_value
    return RatioCheck(dict(zip(names, counts, strict=True)), expected, p_value, p_value < alarm)


def _p_value(counts: list[int], shares: np.ndarray) -> float:
    total = sum(counts)
    if total == 0 or len(counts) < 2:
        return 1.0
    if len(counts) == 2:
        return float(stats.binomtest(counts[0], total, float(shares[0])).pvalue)
    return float(stats.chisquare(counts, shares * total).pvalue)


def contacts_left(design: Design, effect: float, contacts: int) -> int:
    """How many more contacts than the `contacts` so far a difference of `effect` takes; 0 where they are enough."""
    return max(0, required_contacts(design, effect) - contacts)
