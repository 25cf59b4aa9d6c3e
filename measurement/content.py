"""Does content go with buying? Mean revenue of buyers who regularly consume it over that of buyers who do not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from measurement.arrays import column
from measurement.intervals import LEVEL, Interval

REGULARLY = 3
"""From so many consumptions on, somebody consumes content regularly, where nothing else is asked for."""


@dataclass(frozen=True)
class ContentEffect:
    """B / A and what it is made of. It is no effect: who reads more may buy more anyway."""

    ratio: Interval
    consumers: int
    others: int
    mean_of_consumers: float
    mean_of_others: float


def content_effectiveness(
    revenue: npt.ArrayLike, consumed: npt.ArrayLike, *, regularly: float = REGULARLY, level: float = LEVEL
) -> ContentEffect | None:
    r"""B / A over buyers: the mean revenue of those with at least `regularly` consumptions over that of the rest.

    The interval is that of the logarithm: :math:`\ln(B/A) \pm q \sqrt{s_B^2 / (n_B B^2) + s_A^2 / (n_A A^2)}`. None where either side has
    no buyer or no revenue.

    Parameters
    ----------
    revenue : array-like, shape (n_buyers,)
        Of each buyer, above 0: others do not count.
    consumed : array-like, shape (n_buyers,)
        How often each consumed content before buying.

    Examples
    --------
    >>> content_effectiveness([1_500.0, 1_500.0, 1_000.0, 1_000.0], [5, 3, 0, 1]).ratio.value
    1.5
    """
    money = np.asarray(revenue, dtype=np.float64)
    if money.size == 0:
        return None
    money = column("revenue", money)
    often = column("consumed", consumed, money.size) >= regularly
    with_it, without = money[often & (money > 0)], money[~often & (money > 0)]
    if with_it.size == 0 or without.size == 0:
        return None
    b, a = float(with_it.mean()), float(without.mean())
    parts = [float(one.std(ddof=1) / one.mean()) ** 2 / one.size if one.size > 1 else np.inf for one in (with_it, without)]
    ratio, error = b / a, float(np.sqrt(sum(parts)))
    reach = float(np.exp(min(float(stats.norm.ppf((1 + level) / 2)) * error, 700.0)))
    return ContentEffect(Interval(ratio, ratio / reach, ratio * reach, ratio * error), with_it.size, without.size, b, a)
