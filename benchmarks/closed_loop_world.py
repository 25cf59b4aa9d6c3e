"""A shop that nobody knows anything of yet: contacts, three offers, and the truth about what each offer changes.

Who is likely to respond anyway is plain to see, and it is those whom an offer moves least: so ranking by response earns a fraction of what
there is. Every effect is known here, so the profit of a decision is read off and not estimated.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

Array = npt.NDArray[np.float64]

CONTACTS = 4_000
WINDOW_DAYS = 3
CITIES = ("north", "middle", "south")
DISTRICTS = 8
ACTIONS = ("fund", "card", "insurance")
VALUE, COST = np.array([30.0, 26.0, 28.0]), np.array([1.0, 0.8, 0.9])
LEVEL, ANYWAY = -0.5, 2.0
"""Log-odds of a response without any offer, and how much the trait that each offer goes by adds to them."""
SURE_THINGS_GAIN_LESS, BESIDE = 1.5, 1.5
"""How much the same trait takes from the effect of the offer, in log odds, and how much others add to it or take."""
NOBODY_KNOWS: dict[str, Any] = {"propensity": 0.3, "uplift": 0.05, "evidence": 50}
"""What the marketer guesses of every offer alike."""
PILOT_DAYS = 20
PILOT, LATER = {"holdout": 0.1, "random": 0.3}, {"holdout": 0.02, "random": 0.02}
"""The control groups while hardly anything is known, and from then on: who gets an offer by chance speaks about every policy."""


@dataclass(frozen=True)
class World:
    """n contacts and the truth about them.

    Parameters
    ----------
    attributes : mapping of name to column, shape (n,)
        What the shop knows.
    baseline, propensity : array, shape (n, 3)
        P(response | nothing offered), P(response | offered).
    """

    ids: list[str]
    attributes: dict[str, npt.NDArray[Any]]
    baseline: Array
    propensity: Array
    often: Array

    @classmethod
    def drawn(cls, seed: int, contacts: int = CONTACTS) -> World:
        """Other contacts for every seed; what offers change is the same of the same traits."""
        rng = np.random.default_rng([seed, 1])
        age, income = rng.uniform(18, 80, contacts), rng.lognormal(8.5, 0.5, contacts)
        tenure, kids = rng.exponential(5, contacts).clip(0, 30), rng.poisson(0.8, contacts).clip(0, 4)
        app, city = rng.random(contacts) < 0.5, rng.integers(0, len(CITIES), contacts)
        a, i, t = (age - 49) / 18, np.log(income / 4900) / 0.5, (np.log1p(tenure) - 1.5) / 0.8
        k, d = (kids - 0.8) / 0.9, 2.0 * app - 1.0
        goes_by = np.column_stack([i, -a, t])
        beside = np.column_stack([0.6 * a, 0.6 * d, 0.5 * (city == 1) - 0.4 * (city == 2) - 0.3 * k])
        log_odds = LEVEL + ANYWAY * goes_by
        effect = BESIDE * beside - SURE_THINGS_GAIN_LESS * goes_by
        attributes = {
            "age": age.round(1),
            "income": income.round(0),
            "tenure_years": tenure.round(2),
            "kids": kids,
            "app_user": app,
            "city": np.array(CITIES)[city],
            "district": np.array([f"d{one}" for one in rng.integers(0, DISTRICTS, contacts)]),
            "newsletters_read": rng.poisson(2.0, contacts),
        }
        often = rng.gamma(2.0, 1.0, contacts)
        ids = [f"c-{one}" for one in range(contacts)]
        return cls(ids, attributes, _probability(log_odds), _probability(log_odds + effect), often / often.sum())

    @property
    def profit(self) -> Array:
        """True incremental profit of each offer: `uplift * value - cost`, shape (n, 3), PLN."""
        return (self.propensity - self.baseline) * VALUE - COST

    def visitors(self, count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Who comes to the site on a day: places of contacts, some more often than others, nobody twice."""
        return rng.choice(len(self.ids), count, replace=False, p=self.often).astype(np.int64)

    def respond(self, contact: int, action_id: str | None, rng: np.random.Generator) -> list[str]:
        """The goals that a contact reaches within the window, with or without an offer."""
        chance = self.baseline[contact].copy()
        if action_id is not None:
            k = ACTIONS.index(action_id)
            chance[k] = self.propensity[contact, k]
        return [f"{ACTIONS[k]}_taken" for k in np.flatnonzero(rng.random(len(ACTIONS)) < chance).tolist()]

    def write(self, folder: Path, *, seed: int) -> None:
        """The workspace: contacts and a catalogue, no history at all."""
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"contact_id": self.ids, **self.attributes}), folder / "contacts.parquet")
        config = {
            "name": "loop",
            "seed": seed,
            "sources": {"contacts": f"SELECT * FROM '{folder}/contacts.parquet'"},
            "stores": {"tracking": f"sqlite:///{folder}/mlflow.db"},
        }
        (folder / "nudge.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        write_catalog(folder, seed, PILOT)


def write_catalog(folder: Path, seed: int, controls: dict[str, float]) -> None:
    """Write it whole, in one step: a server may be looking."""
    written = folder / "catalog.yaml.new"
    written.write_text(yaml.safe_dump(catalog(seed, controls)), encoding="utf-8")
    written.replace(folder / "catalog.yaml")


def catalog(seed: int, controls: dict[str, float]) -> dict[str, Any]:
    """Three offers on the home page of a site, none of which anybody has tried."""
    return {
        "version": "1",
        "currency": "PLN",
        "time_zone": "Europe/Warsaw",
        "channels": {"web": {"direction": "inbound", "placements": ["home"]}},
        "outcomes": {f"{name}_taken": {"kind": "conversion", "window_days": WINDOW_DAYS} for name in ACTIONS},
        "actions": [
            {
                "id": name,
                "goal": f"{name}_taken",
                "value": float(value),
                "cost": float(cost),
                "cold_start": NOBODY_KNOWS,
                "treatments": [{"id": f"{name}_home", "channel": "web", "placement": "home"}],
            }
            for name, value, cost in zip(ACTIONS, VALUE, COST, strict=True)
        ],
        "controls": {**controls, "salt": f"loop {seed}"},
        "exploration": {"method": "squarecb", "budget": 4_000.0, "gamma": 5},
    }


def _probability(log_odds: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-log_odds))
