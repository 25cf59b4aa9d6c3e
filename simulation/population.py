"""Who the contacts are: latent traits that drive what they do, attributes that show some of it, and the firms they work for.

Traits are standard normal and never written to a raw table; attributes are noisy views of them, with NULLs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from decisioning.vocabulary import FloatArray, IntArray
from simulation import names

AnyArray = npt.NDArray[np.generic]

FIRM_SHARE = 0.08
"""Share of the contacts who belong to a firm."""
CHANGE_SHARE = 0.2
"""Share of the contacts whose balance, income and limit change once within the period."""
NEW_SHARE = 0.1
"""Share of the contacts who join within the period."""
CHURN_PER_DAY = 1 / 1400
"""Mean rate at which contacts silently stop using the bank."""


@dataclass(frozen=True)
class Population:
    """Every contact's traits, attributes and life line; times in days from the start of the period.

    traits: each (n,), latent. fixed: attributes that never change. before, after: attributes as they are before and from
    `change_at` (inf: never). joined, leaves, churn_per_day: (n,) life line. firm: (n,) row of `firms`, -1 for none.
    """

    traits: dict[str, FloatArray]
    fixed: dict[str, AnyArray]
    before: dict[str, FloatArray]
    after: dict[str, FloatArray]
    change_at: FloatArray
    joined: FloatArray
    leaves: FloatArray
    churn_per_day: FloatArray
    firm: IntArray
    firms: dict[str, AnyArray]

    @property
    def size(self) -> int:
        """How many contacts there are."""
        return len(self.joined)

    def changing(self, contact: IntArray, at: FloatArray | float) -> dict[str, FloatArray]:
        """The changing attributes of the rows `contact` as they are at the times `at`."""
        changed = self.change_at[contact] <= at
        return {name: np.where(changed, self.after[name][contact], self.before[name][contact]) for name in self.before}

    def firm_attribute(self, name: str, contact: IntArray) -> FloatArray:
        """A numeric attribute of the contacts' firms, NaN for contacts without one."""
        column = np.append(self.firms[name].astype(np.float64), np.nan)
        return np.asarray(column[self.firm[contact]])


def draw_population(rng: np.random.Generator, *, contacts: int, days: int) -> Population:
    """Draw `contacts` contacts whose period is `days` long."""
    traits = _traits(rng, contacts)
    before = _money(rng, traits)
    change_at = np.where(rng.random(contacts) < CHANGE_SHARE, rng.uniform(0, days, contacts), np.inf)
    after = {name: np.round(values * np.exp(rng.normal(0.05, 0.4, contacts)), 2) for name, values in before.items()}
    after["preapproved_limit"] = np.round(after["preapproved_limit"], -2)
    tenure = rng.gamma(1.5, 800, contacts) * np.exp(0.45 * traits["loyal"]) + 1
    joined = np.where(rng.random(contacts) < NEW_SHARE, rng.uniform(0, 0.9 * days, contacts), -tenure)
    churn = CHURN_PER_DAY * rng.gamma(2.0, 0.5, contacts) * np.exp(-0.4 * traits["loyal"] + 0.3 * traits["irritable"])
    firm, firms = _firms(rng, contacts)
    return Population(
        traits=traits,
        fixed=_fixed(rng, traits, firm),
        before=before,
        after=after,
        change_at=change_at,
        joined=joined,
        leaves=np.maximum(joined, 0) + rng.exponential(1 / churn),
        churn_per_day=churn,
        firm=firm,
        firms=firms,
    )


def _traits(rng: np.random.Generator, n: int) -> dict[str, FloatArray]:
    age = np.clip(18 + rng.gamma(3.0, 9.5, n), 18, 92).round()
    young = (44 - age) / 16
    noise = rng.normal(size=(6, n))
    wealth = -0.25 * young + 0.95 * noise[1]
    return {
        "age": age,
        "young": young,
        "digital": 0.5 * young + 0.85 * noise[0],
        "wealth": wealth,
        "credit": 0.25 * young - 0.35 * wealth + 0.9 * noise[2],
        "deal": noise[3],
        "irritable": noise[4],
        "loyal": -0.3 * young + 0.95 * noise[5],
    }


def _money(rng: np.random.Generator, traits: dict[str, FloatArray]) -> dict[str, FloatArray]:
    n = len(traits["age"])
    income = np.exp(8.55 + 0.4 * traits["wealth"] + rng.normal(0, 0.15, n))
    limit = np.where(rng.random(n) < 0.8, np.round(income * rng.uniform(3, 7, n), -2), 0.0)
    money = {
        "income": np.round(income, 2),
        "balance": np.round(np.exp(8.6 + 1.1 * traits["wealth"] + rng.normal(0, 0.4, n)), 2),
        "preapproved_limit": limit,
    }
    for name, share in (("income", 0.04), ("balance", 0.01), ("preapproved_limit", 0.05)):
        money[name][rng.random(n) < share] = np.nan
    return money


def _fixed(rng: np.random.Generator, traits: dict[str, FloatArray], firm: IntArray) -> dict[str, AnyArray]:
    n = len(firm)
    city = _ranked(rng, names.CITIES, n)
    flags = {
        "has_loan": -1.2 + 0.7 * traits["credit"],
        "has_credit_card": -0.4 + 0.3 * traits["wealth"] + 0.3 * traits["digital"],
        "has_savings": -0.6 + 0.5 * traits["wealth"],
        "has_mobile_app": 0.3 + 0.9 * traits["digital"],
        "has_e_statement": 0.2 + 0.5 * traits["digital"],
    }
    satisfaction = np.clip(np.round(7 - 1.6 * traits["irritable"] + 0.5 * traits["loyal"] + rng.normal(0, 1, n)), 0, 10)
    return {
        "age": _with_nulls(rng, traits["age"], 0.01),
        "gender": _strings(rng, ("f", "m"), n, null_share=0.02),
        "city": city,
        "branch": np.asarray(names.BRANCHES, dtype=object)[(_codes(city) * 7 + rng.integers(0, 3, n)) % len(names.BRANCHES)],
        "segment": _segment(rng, traits),
        "employment": _strings(rng, names.EMPLOYMENT, n, null_share=0.06, weights=(0.52, 0.14, 0.12, 0.14, 0.05, 0.03)),
        "market": np.asarray(names.MARKETS, dtype=object)[_codes(city) % len(names.MARKETS)],
        "time_zone": _strings(rng, names.TIME_ZONES, n, null_share=0.0, weights=(0.97, 0.02, 0.01)),
        "debt_ratio": _with_nulls(rng, np.round(_sigmoid(-1.1 + 0.7 * traits["credit"] + rng.normal(0, 0.3, n)), 4), 0.04),
        "discount_share": _with_nulls(rng, np.round(_sigmoid(-0.8 + 0.8 * traits["deal"] + rng.normal(0, 0.4, n)), 4), 0.05),
        "risk_score": _with_nulls(rng, np.round(560 + 60 * traits["wealth"] - 40 * traits["credit"] + rng.normal(0, 40, n), 1), 0.1),
        "satisfaction": _with_nulls(rng, satisfaction, 0.35),
        "children": _with_nulls(rng, rng.poisson(0.8, n).astype(np.float64), 0.15),
        "last_branch_visit_days": _with_nulls(rng, rng.exponential(300 * np.exp(0.3 * traits["digital"]), n), 0.4),
        **{name: (rng.random(n) < _sigmoid(logit)).astype(np.float64) for name, logit in flags.items()},
    }


def _segment(rng: np.random.Generator, traits: dict[str, FloatArray]) -> AnyArray:
    wealth = traits["wealth"] + rng.normal(0, 0.3, len(traits["wealth"]))
    code = np.select([traits["age"] < 25, traits["age"] >= 65, wealth > 1.6, wealth > 0.7], [0, 4, 3, 2], default=1)
    segment = np.asarray(names.SEGMENTS, dtype=object)[code]
    segment[rng.random(len(code)) < 0.03] = None
    return segment


def _firms(rng: np.random.Generator, contacts: int) -> tuple[IntArray, dict[str, AnyArray]]:
    count = max(1, round(contacts * FIRM_SHARE / 3))
    employees = np.ceil(rng.lognormal(2.0, 1.0, count))
    weights = np.sqrt(employees) / np.sqrt(employees).sum()
    firm = np.where(rng.random(contacts) < FIRM_SHARE, rng.choice(count, contacts, p=weights), -1)
    turnover = np.round(employees * rng.lognormal(11.8, 0.5, count), 2)
    return firm, {
        "employees": _with_nulls(rng, employees, 0.05),
        "annual_turnover": _with_nulls(rng, turnover, 0.08),
        "industry": _strings(rng, names.INDUSTRIES, count, null_share=0.04),
        "exporter": (rng.random(count) < 0.25).astype(np.float64),
        "founded_days_ago": np.floor(rng.gamma(2.0, 1800, count)) + 200,
    }


def _sigmoid(logit: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-logit)))


def _with_nulls(rng: np.random.Generator, values: FloatArray, share: float) -> FloatArray:
    return np.where(rng.random(len(values)) < share, np.nan, values)


def _strings(
    rng: np.random.Generator, levels: tuple[str, ...], n: int, *, null_share: float, weights: tuple[float, ...] | None = None
) -> AnyArray:
    values = np.asarray(levels, dtype=object)[rng.choice(len(levels), n, p=weights)]
    values[rng.random(n) < null_share] = None
    return values


def _ranked(rng: np.random.Generator, levels: tuple[str, ...], n: int) -> AnyArray:
    """Levels drawn by Zipf's law: the first is the most frequent."""
    weights = 1 / (np.arange(len(levels)) + 3.0)
    return np.asarray(levels, dtype=object)[rng.choice(len(levels), n, p=weights / weights.sum())]


def _codes(values: AnyArray) -> IntArray:
    return np.unique(values.astype(str), return_inverse=True)[1].astype(np.int64)
