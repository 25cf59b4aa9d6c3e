"""A big catalogue that nobody wrote: 300 actions, 900 treatments and 200 distinct rules, with contacts, their pasts and fixed scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from decisioning.candidates import Scores, Situation
from decisioning.compiled_catalog import CompiledCatalog
from decisioning.history import History
from decisioning.stages import House
from decisioning.vocabulary import BoolArray, Columns, Dtype, FloatArray

NOW = np.datetime64("2026-11-22T10:00:00", "us")
MICROSECONDS_A_DAY = 86_400_000_000
CITIES = ("Łódź", "Kraków", "Gdynia", "Warszawa", "Poznań")
INTENTS = ("borrow", "save", "travel", "insure", "leave")
N_NUMBERS, N_FLAGS, N_TEXTS = 24, 8, 6

DTYPES: dict[str, Dtype] = {
    **{f"amount_{i}": "float" for i in range(N_NUMBERS)},
    **{f"has_{i}": "bool" for i in range(N_FLAGS)},
    **{f"city_{i}": "string" for i in range(N_TEXTS)},
    "opened": "date",
    "last_seen": "timestamp",
}
GRANTED = ("marketing", "phone")
CHANNELS: dict[str, dict[str, Any]] = {
    "email": {"direction": "outbound", "cost": 0.02, "purpose": "marketing"},
    "call": {"direction": "outbound", "cost": 4.0, "purpose": "phone"},
    "web": {"direction": "inbound", "placements": ["hero", "strip", "footer"]},
}
POLICIES: list[dict[str, Any]] = [
    {"id": "email_week", "channel": "email", "max": 2, "per_days": 7},
    {"id": "any_month", "max": 12, "per_days": 30},
    {"id": "each", "action": "*", "max": 1, "per_days": 14},
    {"id": "group_week", "group": "g3", "max": 1, "per_days": 7},
    {"id": "after_reject", "action": "*", "after": "reject", "suppress_days": 30},
    {"id": "hush", "issue": "i1", "after": "reject", "suppress_days": 2},
]


def rule_texts() -> dict[str, list[str]]:
    """200 distinct texts by their use: 60 + 50 + 40 conditions, 30 of context, 20 values."""

    def number(i: int) -> str:
        return f"amount_{i % N_NUMBERS}"

    return {
        "eligibility": [f"{number(i)} >= {18 + i} AND NOT coalesce(has_{i % N_FLAGS}, false)" for i in range(30)]
        + [f"{number(i)} BETWEEN {i} AND {900 - i} OR city_{i % N_TEXTS} IN ('Łódź', 'Kraków', 'Gdynia')" for i in range(30)],
        "applicability": [f"last_seen >= TIMESTAMP '2026-0{1 + i % 9}-01 00:00' AND {number(i)} < {990 - i}" for i in range(25)]
        + [f"lower(city_{i % N_TEXTS}) LIKE '%{'aeiouk'[i % 6]}%' OR {number(i)} / 3 > {i}" for i in range(25)],
        "suitability": [f"CASE WHEN has_{i % N_FLAGS} THEN {number(i)} ELSE {number(i + 1)} END < {995 - i}" for i in range(20)]
        + [f"round({number(i)} * 0.5, 1) <> {i} AND year(opened) > {1990 + i % 20}" for i in range(20)],
        "when": [f"context.intent = '{INTENTS[i % 5]}' AND {number(i)} > {i}" for i in range(30)],
        "value": [f"0.{1 + i:02} * greatest({number(i)}, {number(i + 7)}) + {i}" for i in range(20)],
    }


def catalog_data(n_actions: int = 300) -> dict[str, Any]:
    """The catalogue as a YAML reader gives it: three treatments an action, most with several rules, many of them shared."""
    texts = rule_texts()
    return {
        "version": "1",
        "currency": "PLN",
        "time_zone": "Europe/Warsaw",
        "channels": CHANNELS,
        "outcomes": {
            "sale": {"kind": "conversion", "window_days": 30},
            "reject": {"kind": "response", "behaviour": "negative", "window_days": 7},
        },
        "actions": [_action(i, texts) for i in range(n_actions)],
        "contact_policy": POLICIES,
        "constraints": [
            {"id": "budget", "measure": "cost", "max": 1000},
            {"id": "calls", "measure": "contacts", "channel": "call", "max": 9},
        ],
        "controls": {"holdout": 0.02, "salt": "s"},
    }


def _action(i: int, texts: dict[str, list[str]]) -> dict[str, Any]:
    placements = CHANNELS["web"]["placements"]
    return {
        "id": f"a{i}",
        "issue": f"i{i % 4}",
        "group": f"g{i % 20}",
        "goal": "sale",
        "value": texts["value"][i % 20] if i % 2 else 100.0 + i,
        **({"valid": ["2026-01-01", "2026-12-31"]} if i % 3 else {}),
        "eligibility": texts["eligibility"][i % 60],
        "applicability": texts["applicability"][i % 50],
        "suitability": texts["suitability"][i % 40],
        "context_weights": [{"when": texts["when"][i % 30], "weight": 1.5}],
        "treatments": [
            {"id": f"a{i}_email", "channel": "email", "content": "e"},
            {"id": f"a{i}_call", "channel": "call"},
            {"id": f"a{i}_web", "channel": "web", "placement": placements[i % 3], "content": "w"},
        ],
    }


def contact_columns(n: int, rng: np.random.Generator) -> Columns:
    """`n` contacts' features; one value in fifty is NULL."""

    def holed(values: np.ndarray, null: object) -> np.ndarray:
        values[rng.random(n) < 0.02] = null
        return values

    def times(unit: int, days: int) -> np.ndarray:
        back = rng.integers(0, days * MICROSECONDS_A_DAY // unit, n) * unit
        return holed(NOW - back.astype("timedelta64[us]"), np.datetime64("NaT", "us"))

    return {
        **{f"amount_{i}": holed(rng.uniform(0, 1000, n), np.nan) for i in range(N_NUMBERS)},
        **{f"has_{i}": holed(rng.integers(0, 2, n).astype(float), np.nan) for i in range(N_FLAGS)},
        **{f"city_{i}": holed(rng.choice(np.array(CITIES, dtype=object), n), None) for i in range(N_TEXTS)},
        "opened": times(MICROSECONDS_A_DAY, 9000),
        "last_seen": times(1, 500),
    }


@dataclass(frozen=True)
class FixedScores:
    """Everybody responds alike to each treatment; what a response is worth stands in the catalogue."""

    catalog: CompiledCatalog
    propensity: FloatArray
    uplift: FloatArray
    opt_out_risk: FloatArray
    base_rate: FloatArray

    @classmethod
    def of(cls, catalog: CompiledCatalog) -> FixedScores:
        """Propensities from 2 to 32 %, 0.4 of which are uplift."""
        k = len(catalog.treatments)
        propensity = 0.02 + 0.3 * np.arange(k) / k
        return cls(catalog, propensity, propensity * 0.4, np.full(k, 0.001), np.full(k, 0.1))

    def __call__(self, situation: Situation, _alive: BoolArray) -> Scores:
        """The scores of all candidates."""
        n = len(situation.contact_ids)
        return Scores(
            propensity=self.propensity[None].repeat(n, axis=0),
            uplift=self.uplift[None].repeat(n, axis=0),
            value=self.catalog.stated_values.on(situation.rows),
            opt_out_risk=self.opt_out_risk[None].repeat(n, axis=0),
            clv=np.full(n, 500.0),
            base_rate=self.base_rate,
            traffic=("model",) * len(self.propensity),
        )


def house_of(catalog: CompiledCatalog) -> House:
    """The house with fixed scores and a price on both constraints."""
    return House(catalog, FixedScores.of(catalog), {"budget": 0.5, "calls": 1.0})


def situation_of(columns: Columns, rows: slice) -> Situation:
    """Some of the contacts, who have granted everything and want to borrow."""
    own = {name: column[rows] for name, column in columns.items()}
    ids = np.array([f"c-{i}" for i in range(rows.start, rows.stop)], dtype=object)
    return Situation(ids, own, NOW, {purpose: np.ones(len(ids), dtype=np.bool_) for purpose in GRANTED}, {"intent": "borrow"})


def history_of(situation: Situation, rng: np.random.Generator, touches_each: int = 8) -> History:
    """Some touches a contact, and a rejection for one in four."""
    n = len(situation.contact_ids)

    def past(count: int, name: str, words: tuple[str, ...]) -> Columns:
        return {
            "contact_id": situation.contact_ids[rng.integers(0, n, count)],
            "action_id": np.array([f"a{i}" for i in rng.integers(0, 300, count)], dtype=object),
            name: rng.choice(np.array(words, dtype=object), count),
            "at": NOW - rng.integers(1, 60 * MICROSECONDS_A_DAY, count).astype("timedelta64[us]"),
        }

    touches, outcomes = past(touches_each * n, "channel", tuple(CHANNELS)), past(-(-n // 4), "outcome", ("reject", "sale"))
    return History.of(situation.contact_ids.tolist(), touches, outcomes)
