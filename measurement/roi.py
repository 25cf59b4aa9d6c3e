"""The figures of a business: each is one sum over another, under one of four heads, by whatever one likes to slice.

Sums (tallies) are columns with one row a group: an action, a channel, a month, the whole. A figure is made of them by `KPIS` and is never
added up from the figures of smaller groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import stats

from measurement.arrays import FloatArray, column
from measurement.intervals import LEVEL

Head: TypeAlias = Literal["value", "performance", "response", "activity"]
Unit: TypeAlias = Literal["money", "rate", "ratio", "count", "days", "number"]

HEADS: tuple[Head, ...] = ("value", "performance", "response", "activity")

TALLIES: Mapping[str, str] = {
    "contacts": "contacts who were touched, each once",
    "touches": "touches: every interaction but a logged control",
    "sends": "outbound touches",
    "impressions": "inbound touches that were shown",
    "triggers": "touches that an event of the contact called for",
    "opens": "touches that were opened, each once",
    "clicks": "touches with a click or another positive response, each once",
    "rejections": "touches that were turned down, each once",
    "unsubscribes": "contacts who withdrew from being contacted, each once",
    "complaints": "contacts who complained, each once",
    "visits": "visits of contacts to our own pages: distinct sessions, or events where sessions are not known",
    "conversions": "conversions that followed a touch within their window",
    "converters": "contacts with such a conversion, each once",
    "new_customers": "converters who had not converted before",
    "reconversions": "conversions of contacts who had converted before",
    "revenue": "money of all sales, by whomever they came",
    "attributed_revenue": "money of the sales that followed a touch within its window",
    "incremental_revenue": "money of the sales that would not have been made without the touch: by comparison with a control group",
    "incremental_profit": "incremental revenue less what the touches cost",
    "marketing_cost": "what the touches cost",
    "clv_before": "customer lifetime value of the contacts at the beginning",
    "clv_after": "the same at the end",
    "clv_contacts": "contacts of whom both are known",
    "cycle_days": "days from the first touch to the sale, summed over sales",
    "cycles": "sales with a touch before them",
    "leads_qualified": "leads handed over",
    "leads_accepted": "leads that sales took on",
    "leads_rejected": "leads that sales sent back",
    "leads_won": "leads that became a sale",
    "lead_revenue": "money of the leads that became a sale",
    "lead_days": "days from handing a lead over to the sale, summed over leads that were won",
}
"""What can be summed, and what each sum means."""


@dataclass(frozen=True)
class Kpi:
    """One figure: the sum of `top` (less those that begin with `-`), over `bottom` where there is one.

    `per_one` says that each unit of `bottom` counts at most once in `top`: then the figure is a share, and has an interval.
    """

    id: str
    head: Head
    unit: Unit
    meaning: str
    top: tuple[str, ...]
    bottom: str | None = None
    per_one: bool = False

    @property
    def needs(self) -> tuple[str, ...]:
        """The tallies that it is made of."""
        names = [*(name.removeprefix("-") for name in self.top), *([] if self.bottom is None else [self.bottom])]
        return tuple(dict.fromkeys(names))


def _count(name: str, head: Head, unit: Unit = "count") -> Kpi:
    return Kpi(name, head, unit, TALLIES[name], (name,))


KPIS: tuple[Kpi, ...] = (
    Kpi(
        "incremental_roi",
        "value",
        "ratio",
        "(incremental revenue - marketing cost) / marketing cost: what marketing brought in itself",
        ("incremental_revenue", "-marketing_cost"),
        "marketing_cost",
    ),
    Kpi(
        "attributed_roi",
        "value",
        "ratio",
        "the same on attributed revenue: sales that would have been made anyway count as well",
        ("attributed_revenue", "-marketing_cost"),
        "marketing_cost",
    ),
    _count("incremental_profit", "value", "money"),
    _count("incremental_revenue", "value", "money"),
    _count("attributed_revenue", "value", "money"),
    _count("revenue", "value", "money"),
    _count("marketing_cost", "value", "money"),
    Kpi("cac", "value", "money", "customer acquisition cost: marketing cost a new customer", ("marketing_cost",), "new_customers"),
    Kpi("clv_change", "value", "money", "change of lifetime value a contact", ("clv_after", "-clv_before"), "clv_contacts"),
    Kpi("conversion_rate", "performance", "rate", "contacts who converted, of those touched", ("converters",), "contacts", per_one=True),
    _count("conversions", "performance"),
    _count("new_customers", "performance"),
    _count("reconversions", "performance"),
    Kpi(
        "reconversion_rate",
        "performance",
        "rate",
        "conversions of contacts who had converted before",
        ("reconversions",),
        "conversions",
        True,
    ),
    Kpi("cycle_days", "performance", "days", "days from the first touch to the sale", ("cycle_days",), "cycles"),
    Kpi("unsubscribe_rate", "performance", "rate", "contacts who withdrew, of those touched", ("unsubscribes",), "contacts", per_one=True),
    Kpi("complaint_rate", "performance", "rate", "contacts who complained, of those touched", ("complaints",), "contacts", per_one=True),
    _count("leads_qualified", "performance"),
    _count("leads_accepted", "performance"),
    _count("leads_rejected", "performance"),
    Kpi(
        "lead_acceptance",
        "performance",
        "rate",
        "leads that sales took on, of those handed over",
        ("leads_accepted",),
        "leads_qualified",
        True,
    ),
    _count("leads_won", "performance"),
    Kpi(
        "lead_win_rate",
        "performance",
        "rate",
        "leads that became a sale, of those that sales took on",
        ("leads_won",),
        "leads_accepted",
        True,
    ),
    Kpi("lead_cycle_days", "performance", "days", "days from handing a lead over to the sale", ("lead_days",), "leads_won"),
    _count("lead_revenue", "value", "money"),
    _count("visits", "response"),
    _count("opens", "response"),
    Kpi("open_rate", "response", "rate", "touches that were opened", ("opens",), "touches", per_one=True),
    _count("clicks", "response"),
    Kpi("click_rate", "response", "rate", "touches with a click", ("clicks",), "touches", per_one=True),
    _count("rejections", "response"),
    _count("unsubscribes", "response"),
    _count("complaints", "response"),
    _count("contacts", "activity"),
    _count("touches", "activity"),
    _count("sends", "activity"),
    _count("impressions", "activity"),
    _count("triggers", "activity"),
    Kpi("touches_per_contact", "activity", "number", "touches a contact who was touched", ("touches",), "contacts"),
)
"""Every figure, head by head."""

KPI_BY_ID: Mapping[str, Kpi] = {one.id: one for one in KPIS}


@dataclass(frozen=True, eq=False)
class Figures:
    """A figure of each group: arrays of shape (n_groups,), NaN where it is not defined (nobody was touched, nothing was spent).

    `low` and `high` are NaN where the figure is no share.
    """

    value: FloatArray
    low: FloatArray
    high: FloatArray


def figures(kpi: Kpi, tallies: Mapping[str, npt.ArrayLike], *, level: float = LEVEL) -> Figures | None:
    """The figure of every group; None where a tally that it needs is not there.

    Parameters
    ----------
    kpi : Kpi
    tallies : mapping of str to array, shape (n_groups,)
        Names of `TALLIES`.

    Examples
    --------
    >>> found = figures(KPI_BY_ID["incremental_roi"], {"incremental_revenue": [300_000.0], "marketing_cost": [60_000.0]})
    >>> found.value.tolist()
    [4.0]
    """
    if any(name not in tallies for name in kpi.needs):
        return None
    columns = {name: np.asarray(tallies[name], dtype=np.float64) for name in kpi.needs}
    top = np.sum([-columns[name[1:]] if name.startswith("-") else columns[name] for name in kpi.top], axis=0)
    unknown = np.full(top.shape, np.nan)
    if kpi.bottom is None:
        return Figures(top, unknown, unknown)
    bottom = columns[kpi.bottom]
    value = np.divide(top, bottom, out=unknown.copy(), where=bottom > 0)
    if not kpi.per_one:
        return Figures(value, unknown, unknown)
    low, high = share_interval(top, bottom, level=level)
    return Figures(value, low, high)


def share_interval(part: npt.ArrayLike, whole: npt.ArrayLike, *, level: float = LEVEL) -> tuple[FloatArray, FloatArray]:
    """Wilson's interval of shares, which stays within 0 and 1 and is there at 0 of n as well; NaN where the whole is 0.

    References
    ----------
    Edwin Wilson. "Probable Inference, the Law of Succession, and Statistical Inference.", 1927.

    Examples
    --------
    >>> low, high = share_interval([0.0, 50.0], [100.0, 100.0])
    >>> low.round(3).tolist(), high.round(3).tolist()
    ([0.0, 0.404], [0.037, 0.596])
    """
    k, n = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    quantile = float(stats.norm.ppf((1.0 + level) / 2.0))
    safe = np.where(n > 0, n, np.nan)
    share = np.clip(k / safe, 0.0, 1.0)
    under = 1.0 + quantile**2 / safe
    centre = (share + quantile**2 / (2 * safe)) / under
    reach = quantile * np.sqrt(share * (1 - share) / safe + quantile**2 / (4 * safe**2)) / under
    return np.clip(centre - reach, 0.0, 1.0), np.clip(centre + reach, 0.0, 1.0)


def ranked(names: Sequence[str], tallies: Mapping[str, npt.ArrayLike]) -> list[str]:
    """Best first by the money that is left, on the best footing that is known: incremental, else attributed, else revenue, less cost.

    Leads, clicks and opens never decide: they are no money.

    Examples
    --------
    >>> ranked(["A", "B"], {"leads_qualified": [400, 50], "revenue": [10_000.0, 300_000.0]})
    ['B', 'A']
    """
    footing = next((one for one in ("incremental_revenue", "attributed_revenue", "revenue") if one in tallies), None)
    if footing is None:
        raise ValueError(f"tallies: got {', '.join(tallies) or 'none'}, expected one of incremental_revenue, attributed_revenue, revenue")
    money = column(footing, tallies[footing], len(names))
    cost = column("marketing_cost", tallies.get("marketing_cost", np.zeros(len(names))), len(names))
    return [names[place] for place in np.argsort(cost - money, kind="stable").tolist()]
