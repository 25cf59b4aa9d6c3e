"""Random businesses: catalogues, what is known and scored of their contacts, their past, and offers under limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from decisioning.allocation import Limits, LocalCap, Offers
from decisioning.allocation.problem import Problem
from decisioning.candidates import Scores, Situation
from decisioning.catalog import parse_catalog
from decisioning.compiled_catalog import CompiledCatalog, compile_catalog
from decisioning.history import History
from decisioning.stages import House
from decisioning.vocabulary import BoolArray, Columns, Dtype, FloatArray

NOW = np.datetime64("2026-11-22T10:00:00", "us")
DAY = np.timedelta64(86_400_000_000, "us")
DTYPES: dict[str, Dtype] = {"age": "int", "has_loan": "bool", "debt_ratio": "float", "city": "string", "market": "string"}
CHANNELS: dict[str, dict[str, Any]] = {
    "email": {"direction": "outbound", "cost": 0.5, "purpose": "marketing"},
    "call": {"direction": "outbound", "cost": 4.0, "purpose": "phone"},
    "web": {"direction": "inbound", "placements": ["hero", "strip"]},
}
OUTCOMES: dict[str, dict[str, Any]] = {
    "sale": {"kind": "conversion", "window_days": 30},
    "reject": {"kind": "response", "behaviour": "negative", "window_days": 7},
}
CONDITIONS = ["age >= 18", "NOT coalesce(has_loan, false)", "debt_ratio < 0.6 AND age < 60", "city IN ('Łódź', 'Kraków')"]
POLICIES: list[dict[str, Any]] = [
    {"id": "email_week", "channel": "email", "max": 1, "per_days": 7},
    {"id": "any_month", "max": 3, "per_days": 30},
    {"id": "each", "action": "*", "max": 1, "per_days": 14},
    {"id": "after_reject", "action": "*", "after": "reject", "suppress_days": 30},
    {"id": "hush", "issue": "sales", "after": "reject", "suppress_days": 2},
]


def make_action(action_id: str, **more: Any) -> dict[str, Any]:
    """An action rendered once for each channel, unless `more` says otherwise."""
    treatments = [{"id": f"{action_id}_{channel}", "channel": channel} for channel in CHANNELS]
    treatments[-1]["placement"] = "hero"
    return {"id": action_id, "issue": "sales", "goal": "sale", "value": 100, "treatments": treatments} | more


def make_catalog(actions: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    """A small catalogue as YAML gives it, to be changed at will."""
    given = {"version": "1", "currency": "PLN", "time_zone": "Europe/Warsaw", "channels": CHANNELS, "outcomes": OUTCOMES}
    return given | {"actions": actions or [make_action("loan"), make_action("card")]} | more


def compiled(data: dict[str, Any]) -> CompiledCatalog:
    """`data` parsed and compiled against the columns of this module."""
    return compile_catalog(parse_catalog(data), DTYPES)


def columns_of(length: int, **given: Any) -> Columns:
    """`length` rows of adults without a loan, but for what is given."""
    defaults: dict[str, Any] = {"age": 40.0, "has_loan": 0.0, "debt_ratio": 0.2, "city": "Łódź", "market": "PL"}
    return {
        name: np.array(value, dtype=object if DTYPES[name] == "string" else float)
        for name, value in ({key: [one] * length for key, one in defaults.items()} | given).items()
    }


def situation_of(length: int = 1, **more: Any) -> Situation:
    """`length` contacts who have granted everything."""
    everyone = np.ones(length, dtype=np.bool_)
    ids = np.array([f"c-{row}" for row in range(length)], dtype=object)
    given = {"contact_ids": ids, "columns": columns_of(length), "now": NOW, "granted": {"marketing": everyone, "phone": everyone}}
    return Situation(**(given | more))


def history_of(
    situation: Situation, touches: list[tuple[int, str, str, np.datetime64]] = (), outcomes: list[tuple[int, str, str, np.datetime64]] = ()
) -> History:
    """A past of touches (row, action, channel, at) and outcomes (row, action, outcome, at)."""
    ids = situation.contact_ids

    def columns(rows: list[tuple[int, str, str, np.datetime64]], third: str) -> Columns:
        return {
            "contact_id": np.array([ids[row] for row, *_ in rows], dtype=object),
            "action_id": np.array([action for _, action, _, _ in rows], dtype=object),
            third: np.array([one for _, _, one, _ in rows], dtype=object),
            "at": np.array([at for *_, at in rows], dtype="datetime64[us]"),
        }

    return History.of(ids.tolist(), columns(list(touches), "channel"), columns(list(outcomes), "outcome"))


@dataclass(frozen=True)
class FixedScores:
    """A score function that looks its answers up by contact, so that a contact scores the same alone and among others."""

    row_of: dict[str, int]
    scores: Scores

    def __call__(self, situation: Situation, _alive: BoolArray) -> Scores:
        rows = np.array([self.row_of[one] for one in situation.contact_ids.tolist()], dtype=np.int64)
        known = self.scores
        return Scores(
            known.propensity[rows],
            known.uplift[rows],
            known.value[rows],
            known.opt_out_risk[rows],
            known.clv[rows],
            known.base_rate,
            known.traffic,
            known.evidence,
            known.uplift_error,
        )


def scores_of(shape: tuple[int, int], **given: float | FloatArray) -> Scores:
    """Scores of that shape: each contact responds with 0.1, 0.05 of it because of us, to a value of 100, without any risk."""
    known = {"propensity": 0.1, "uplift": 0.05, "value": 100.0, "opt_out_risk": 0.0} | {k: v for k, v in given.items() if k != "clv"}
    arrays = {name: np.broadcast_to(np.asarray(value, dtype=float), shape).copy() for name, value in known.items()}
    clv = np.broadcast_to(np.asarray(given.get("clv", 1000.0), dtype=float), shape[:1]).copy()
    return Scores(**arrays, clv=clv, base_rate=np.full(shape[1], 0.05), traffic=("model",) * shape[1])


def house_of(catalog: CompiledCatalog, situation: Situation, scores: Scores | None = None, **more: Any) -> House:
    """The house that scores the contacts of `situation` with `scores`."""
    known = scores if scores is not None else scores_of((len(situation.contact_ids), len(catalog.treatments)))
    rows = {str(one): row for row, one in enumerate(situation.contact_ids)}
    return House(catalog, FixedScores(rows, known), **more)


@dataclass(frozen=True)
class Business:
    """A house, its contacts and their past."""

    house: House
    situation: Situation
    history: History


@st.composite
def catalogs(draw: st.DrawFn, *, constraints: bool = False) -> dict[str, Any]:
    """Catalogues of one to four actions with some of the rules, policies and controls."""
    actions = []
    for place in range(draw(st.integers(1, 4))):
        more: dict[str, Any] = {"kind": draw(st.sampled_from(["default", "default", "default", "mandatory", "transactional"]))}
        more["issue"] = draw(st.sampled_from(["sales", "service"]))
        more["lever"] = draw(st.sampled_from([1.0, 1.0, 0.5, 2.0]))
        for stage in ("eligibility", "applicability", "suitability"):
            if draw(st.integers(0, 3)) == 0:
                more[stage] = draw(st.sampled_from(CONDITIONS))
        if draw(st.integers(0, 4)) == 0:
            more["valid"] = draw(st.sampled_from([["2026-01-01", "2026-12-31"], ["2027-01-01", "2027-12-31"]]))
        actions.append(make_action(f"a{place}", **more))
    data = make_catalog(actions, contact_policy=draw(st.lists(st.sampled_from(POLICIES), unique_by=lambda policy: policy["id"])))
    data["contact_policy"] = [
        policy for policy in data["contact_policy"] if policy.get("issue") in (None, *[one["issue"] for one in actions])
    ]
    data["controls"] = {"holdout": draw(st.sampled_from([0.0, 0.3])), "salt": draw(st.sampled_from(["s", "t"]))}
    if constraints:
        budget, capacity = draw(st.sampled_from([0, 1, 6, 20])), draw(st.integers(0, 4))
        data["constraints"] = [
            {"id": "budget", "measure": "cost", "max": budget},
            {"id": "calls", "measure": "contacts", "channel": "call", "max": capacity},
            {"id": "abroad", "measure": "contacts", "market": "DE", "max": 1},
        ]
    return data


@st.composite
def businesses(draw: st.DrawFn, *, constraints: bool = False) -> Business:
    """Random catalogues with random contacts, scores (unknown and equal ones among them), consents and pasts."""
    catalog = compiled(draw(catalogs(constraints=constraints)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_contacts, n_treatments = int(rng.integers(1, 9)), len(catalog.treatments)
    situation = situation_of(
        n_contacts,
        columns={
            "age": _holed(rng, rng.integers(10, 70, n_contacts).astype(float)),
            "has_loan": _holed(rng, rng.integers(0, 2, n_contacts).astype(float)),
            "debt_ratio": _holed(rng, rng.random(n_contacts)),
            "city": rng.choice(np.array(["Łódź", "Kraków", "Gdynia", None], dtype=object), n_contacts),
            "market": rng.choice(np.array(["PL", "DE", None], dtype=object), n_contacts),
        },
        granted={"marketing": rng.random(n_contacts) < 0.7, "phone": rng.random(n_contacts) < 0.7},
    )
    shape = (n_contacts, n_treatments)
    scores = scores_of(
        shape,
        propensity=_holed(rng, rng.choice([0.05, 0.1, 0.2], shape)),
        uplift=_holed(rng, rng.choice([-0.02, 0.0, 0.01, 0.05, 0.09], shape)),
        value=_holed(rng, rng.choice([10.0, 100.0, 1000.0], shape)),
        opt_out_risk=_holed(rng, rng.choice([0.0, 0.01], shape)),
        clv=_holed(rng, rng.choice([0.0, 500.0], n_contacts)),
    )
    return Business(house_of(catalog, situation, scores), situation, _past(rng, catalog, situation))


def _holed(rng: np.random.Generator, values: FloatArray) -> FloatArray:
    return np.where(rng.random(values.shape) < 0.1, np.nan, values)


def _past(rng: np.random.Generator, catalog: CompiledCatalog, situation: Situation) -> History:
    names = [one.action.id for one in catalog.actions]

    def some(kinds: list[str]) -> list[tuple[int, str, str, np.datetime64]]:
        return [
            (
                int(rng.integers(len(situation.contact_ids))),
                str(rng.choice(names)),
                str(rng.choice(kinds)),
                NOW - DAY * int(rng.integers(0, 40)),
            )
            for _ in range(int(rng.integers(0, 12)))
        ]

    return history_of(situation, some(list(CHANNELS)), some(list(OUTCOMES)))


@st.composite
def allocations(draw: st.DrawFn, *, mandatory: bool = True, minimums: bool = True, plain: bool = False) -> Problem:
    """Offers under limits and caps: ties, zero limits, unused limits, minimums, extreme scales and contacts without offers."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_contacts, n_treatments, n_limits = draw(st.integers(0, 30)), draw(st.integers(1, 5)), draw(st.integers(0, 3))
    contact, treatment = (part.ravel() for part in np.mgrid[:n_contacts, :n_treatments])
    kept = rng.random(len(contact)) < draw(st.sampled_from([0.4, 1.0]))
    contact, treatment = contact[kept], treatment[kept]
    values = draw(st.sampled_from([[1.0], [1.0, 2.0, 3.0], [-1.0, 0.0, 2.0], None]))
    value = rng.exponential(10.0, len(contact)) if values is None else rng.choice(values, len(contact))
    uses = rng.choice(draw(st.sampled_from([[1.0], [0.0, 1.0], [0.02, 0.12, 18.0], [0.0, 0.3, 7.7]])), (2 * n_treatments, n_limits))
    profile = 2 * treatment + rng.integers(0, 2, n_contacts)[contact]
    total = uses[profile].sum(axis=0)
    most = np.where(rng.random(n_limits) < 0.8, total * rng.choice([0.0, 0.05, 0.2, 0.5, 2.0], n_limits), np.inf)
    least = np.minimum(total * rng.choice([0.0, 0.0, 0.02, 0.1], n_limits), most) if minimums else np.zeros(n_limits)
    money, unit = draw(st.sampled_from([1.0, 1e6, 1e-4])), draw(st.sampled_from([1.0, 1e-4, 1e5]))
    first = rng.random(len(contact)) < (draw(st.sampled_from([0.0, 0.2])) if mandatory else 0.0)
    action = treatment // draw(st.sampled_from([1, 2]))
    offers = Offers(contact, treatment, value * money, profile, uses * unit, first, action)
    per_contact = 1 if plain else draw(st.sampled_from([1, 1, 2, 3]))
    caps = () if plain else tuple(_caps(rng, n_contacts, n_treatments)[: draw(st.integers(0, 2))])
    return Problem(offers, Limits(most * unit, least * unit), n_contacts, per_contact, caps)


def _caps(rng: np.random.Generator, n_contacts: int, n_treatments: int) -> list[LocalCap]:
    """A cap of accounts, to which not everybody belongs, and one of every contact for itself."""
    accounts = LocalCap(rng.integers(-1, 4, n_contacts), rng.integers(0, 4, 4), rng.random(n_treatments) < 0.7)
    return [accounts, LocalCap(np.arange(n_contacts), rng.integers(0, 3, n_contacts), rng.random(n_treatments) < 0.5)]
