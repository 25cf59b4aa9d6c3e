"""The living candidates of a population as offers, gathered chunk by chunk: what a plan keeps once a chunk's arrays are gone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from decisioning.allocation import Limits, Offers
from decisioning.allocation.problem import blocks, spans
from decisioning.arbitration import drop_unprofitable
from decisioning.candidates import Situation
from decisioning.catalog import Constraint
from decisioning.coded import Words
from decisioning.compiled_catalog import CompiledCatalog
from decisioning.control import NO_LEVERS, hash_to_unit, members, skips_arbitration
from decisioning.explanation import explain_no_actions, segments
from decisioning.exploration.thompson import Belief
from decisioning.history import History
from decisioning.policy_room import PolicyRoom
from decisioning.stages import Appraisal
from decisioning.vocabulary import BoolArray, FloatArray, IntArray, TextArray

_OF_OFFERS: dict[str, type[np.generic]] = {
    "contact": np.int32,
    "treatment": np.int32,
    "action": np.int32,
    "profile": np.int32,
    "preference": np.float64,
    "allocated": np.float64,
    "in_turn": np.bool_,
    "worth_it": np.bool_,
    "segment": np.int8,
}
_CONTACTS_TURNED = 50_000
_OF_BELIEF = ("propensity", "value", "context_weight")
_OF_CONTACTS: dict[str, type[np.generic]] = {
    "turn": np.float64,
    "clv": np.float64,
    "control_group": np.int8,
    "segment": np.int8,
    "reason": np.int32,
}
_TURN = "the order in which a plan serves equals"


def limits_of(catalog: CompiledCatalog) -> Limits:
    """The catalogue's constraints as arrays."""
    constraints = catalog.catalog.constraints
    most = [np.inf if one.max is None else one.max for one in constraints]
    return Limits(np.array(most, dtype=np.float64), np.array([one.min or 0.0 for one in constraints], dtype=np.float64))


def asked_for(catalog: CompiledCatalog) -> BoolArray:
    """The treatments that count towards a minimum, shape (n_treatments,): they need not beat no_action to be kept."""
    wanted = np.zeros(len(catalog.treatments), dtype=np.bool_)
    for one in catalog.catalog.constraints:
        if one.min:
            wanted |= catalog.use_per_contact[one.id] > 0
    return wanted


@dataclass(frozen=True)
class Profiles:
    """What offers use of the constraints: one row a treatment in each market that a constraint names, and one in all others."""

    markets: tuple[str, ...]
    uses: FloatArray

    @classmethod
    def of(cls, catalog: CompiledCatalog) -> Profiles:
        """The profiles of a catalogue."""
        constraints = catalog.catalog.constraints
        markets = tuple(dict.fromkeys(one.market for one in constraints if one.market is not None))
        uses = [_uses(one, markets, catalog).ravel() for one in constraints]
        return cls(markets, np.column_stack(uses) if uses else np.zeros((len(catalog.treatments) * (len(markets) + 1), 0)))

    def of_candidates(self, appraisal: Appraisal, row: IntArray, column: IntArray) -> IntArray:
        """The profile of each candidate."""
        market = appraisal.situation.columns.get("market")
        number = np.full(len(appraisal.situation.contact_ids), len(self.markets), dtype=np.int64)
        for place, name in enumerate(self.markets if market is not None else ()):
            number[np.asarray(market == name, dtype=np.bool_)] = place
        return np.asarray(column * (len(self.markets) + 1) + number[row], dtype=np.int32)


def _uses(constraint: Constraint, markets: tuple[str, ...], catalog: CompiledCatalog) -> FloatArray:
    """What each treatment uses of `constraint` in each market and in all others, shape (n_treatments, n_markets + 1)."""
    inside = [constraint.market in (None, one) for one in markets]
    return np.outer(catalog.use_per_contact[constraint.id], [*inside, constraint.market is None]).astype(np.float64)


class Shelf:
    """Where the columns of all offers are kept while a plan is made: in memory. Another one may keep them elsewhere."""

    def __init__(self) -> None:
        self._parts: dict[str, list[Any]] = {}

    def put(self, name: str, part: np.ndarray) -> None:
        """Append to a column."""
        self._parts.setdefault(name, []).append(part)

    def column(self, name: str, dtype: type[np.generic]) -> np.ndarray:
        """All that was put into a column, which is no longer there then."""
        # pop: the parts of a column go as soon as they are one
        return _join(self._parts.pop(name, []), dtype)  # type: ignore[no-any-return]

    def empty(self, n: int, dtype: type[np.generic]) -> np.ndarray:
        """A new array to be filled, shape (n,)."""
        return np.empty(n, dtype=dtype)

    def kept(self, values: np.ndarray) -> np.ndarray:
        """An array as it is kept here."""
        return values


class Taken(NamedTuple):
    """What is kept of a chunk: columns of its living candidates, whose contacts are counted from 0, and of its contacts."""

    situation: Situation
    history: History
    offers: dict[str, Any]
    contacts: dict[str, Any]
    reason: list[str]
    seeds: TextArray | None
    evidence: FloatArray | None


@dataclass
class Gathered:
    """One entry a living candidate and one a contact, on the shelf; what random draws derive from only where the plan draws."""

    catalog: CompiledCatalog
    profiles: Profiles
    room: PolicyRoom
    shelf: Shelf = field(default_factory=Shelf)
    contacts: int = 0
    reasons: Words = field(default_factory=Words)
    seeds: list[TextArray] = field(default_factory=list)
    evidence: FloatArray | None = None

    @classmethod
    def nobody(cls, catalog: CompiledCatalog, shelf: Shelf) -> Gathered:
        """Before the first chunk."""
        return cls(catalog, Profiles.of(catalog), PolicyRoom(catalog, catalog.catalog.treatments_per_contact), shelf)

    def taken(self, appraisal: Appraisal) -> Taken:
        """The living candidates of a chunk, sorted by contact, and one line a contact; changes nothing.

        Of a candidate no more is kept than the allocation needs: there may be a hundred million of them.
        """
        row, column = np.nonzero(appraisal.candidates.alive)
        segment = segments(appraisal)
        best = np.where(np.isnan(appraisal.economics.priority), -np.inf, appraisal.economics.priority)
        contacts = {
            "turn": hash_to_unit(appraisal.situation.contact_ids, _TURN),
            "clv": appraisal.scores.clv,
            "control_group": appraisal.groups,
            "segment": segment[np.arange(len(segment)), best.argmax(axis=1)],
        }
        offers = self._offers(appraisal, row, column, segment)
        reason = _reasons(appraisal, self.catalog)
        seeds = np.asarray(appraisal.situation.seeds_or_ids, dtype=np.object_) if self.explores else None
        return Taken(appraisal.situation, appraisal.history, offers, contacts, reason, seeds, appraisal.scores.evidence)

    def add(self, taken: Taken) -> None:
        """Keep what was taken of the next chunk."""
        for name, column in taken.offers.items():
            self.shelf.put(name, column + np.int32(self.contacts) if name == "contact" else column)
        self.room.add(taken.situation, taken.history)
        reason = np.array([self.reasons.code(one) for one in taken.reason], dtype=np.int32)
        for name, values in (taken.contacts | {"reason": reason}).items():
            self.shelf.put(_of_contacts(name), values.astype(_OF_CONTACTS[name], copy=False))
        if taken.seeds is not None:
            self.seeds.append(taken.seeds)
        self.contacts += len(reason)
        self.evidence = taken.evidence

    def _offers(self, appraisal: Appraisal, row: IntArray, column: IntArray, segment: IntArray) -> dict[str, Any]:
        economics, catalog = appraisal.economics, self.catalog
        in_turn = skips_arbitration(appraisal.groups)[row]
        preference, priority = appraisal.preference[row, column], economics.priority[row, column]
        found = {
            "contact": row,
            "treatment": column,
            "action": _action_of_each(catalog)[column],
            "profile": self.profiles.of_candidates(appraisal, row, column),
            "preference": np.nan_to_num(preference),
            "allocated": np.nan_to_num(np.where(members(appraisal.groups, NO_LEVERS)[row], preference, priority)),
            "in_turn": in_turn,
            "worth_it": (preference > 0) | in_turn | catalog.mandatory[column],
            "segment": segment[row, column],
        }
        typed = {name: values.astype(_OF_OFFERS[name], copy=False) for name, values in found.items()}
        if not self.believes:
            return typed
        scores = appraisal.scores
        belief = {"propensity": scores.propensity, "value": scores.value, "context_weight": economics.context_weight}
        return typed | {name: of_all[row, column] for name, of_all in belief.items()}

    @property
    def explores(self) -> bool:
        """Whether this plan may draw."""
        return self.catalog.catalog.exploration.budget > 0

    @property
    def believes(self) -> bool:
        """Whether its draws ask what is believed of each offer."""
        return self.explores and self.catalog.catalog.exploration.method == "thompson"

    def joined(self) -> Everybody:
        """All chunks in one."""
        names = (*_OF_OFFERS, *(_OF_BELIEF if self.believes else ()))
        kept = {name: self.shelf.column(name, _OF_OFFERS.get(name, np.float64)) for name in names}
        of_contacts = {name: self.shelf.column(_of_contacts(name), dtype) for name, dtype in _OF_CONTACTS.items()}
        seeds = np.concatenate(self.seeds) if self.seeds else None
        return Everybody(self.catalog, self.shelf, kept, of_contacts, self.reasons.texts, seeds, self.evidence)


@dataclass(frozen=True)
class Everybody:
    """The candidates of all chunks, one array a column, and the contacts.

    Attributes
    ----------
    contacts : mapping name -> array, shape (n_contacts,)
        `turn`, what contacts are put in order by; `clv`; `control_group`, an index into `control.GROUPS`; `segment`, of the best candidate;
        `reason`, why there is nothing to choose, an index into `reasons`: 0, the empty one, where there is.
    seeds : array of str, shape (n_contacts,), or None
        What draws derive from, where the plan may draw.
    """

    catalog: CompiledCatalog
    shelf: Shelf
    offers: dict[str, Any]
    contacts: dict[str, Any]
    reasons: tuple[str, ...]
    seeds: TextArray | None
    evidence: FloatArray | None

    def __len__(self) -> int:
        return len(self.contacts["turn"])

    def in_group(self, name: str) -> BoolArray:
        """Which contacts belong to a control group, shape (n_contacts,)."""
        return members(self.contacts["control_group"], name)

    def turned(self, turn: IntArray) -> Everybody:
        """The same contacts in the order `turn`, shape (n_contacts,), with their offers; this one keeps none, to save memory."""
        starts = np.searchsorted(self.offers["contact"], np.arange(len(turn) + 1, dtype=np.int32))
        ends = np.append(0, np.cumsum((starts[1:] - starts[:-1])[turn]))
        turned = {name: self.shelf.empty(int(ends[-1]), column.dtype.type) for name, column in self.offers.items()}
        for some in blocks(len(turn), _CONTACTS_TURNED):
            order, here = spans(starts[turn[some]], starts[turn[some] + 1]), slice(int(ends[some.start]), int(ends[some.stop]))
            for name, column in self.offers.items():
                turned[name][here] = column[order]
            turned["contact"][here] = np.repeat(np.arange(some.start, some.stop), np.diff(ends[some.start : some.stop + 1]))
        self.offers.clear()
        of_contacts = {name: self.shelf.kept(column[turn]) for name, column in self.contacts.items()}
        return replace(self, offers=turned, contacts=of_contacts, seeds=None if self.seeds is None else self.seeds[turn])

    def as_offers(self, uses: FloatArray) -> Offers:
        """What there is to allocate: mandatory treatments first, then what the control groups rank in their own way."""
        kept, catalog = self.offers, self.catalog
        first, preference = kept["in_turn"], kept["preference"]
        mandatory = catalog.mandatory[kept["treatment"]] if catalog.mandatory.any() else np.zeros(0, dtype=np.bool_)
        if mandatory.any():
            first, preference = mandatory | first, preference + np.where(mandatory, 2.0 * (np.abs(preference).max() + 1.0), 0.0)
        return Offers(
            contact=kept["contact"],
            treatment=kept["treatment"],
            value=kept["allocated"],
            profile=kept["profile"],
            uses=uses,
            first=first,
            action=kept["action"],
            preference=preference,
        )

    def belief(self) -> Belief:
        """What is believed of the response to each offer, for Thompson sampling."""
        kept = self.offers
        treatment = kept["treatment"]
        slope = kept["context_weight"] * self.catalog.lever[treatment] * kept["value"]
        evidence = np.full(len(treatment), np.inf) if self.evidence is None else self.evidence[treatment]
        return Belief(np.clip(np.nan_to_num(kept["propensity"]), 0.0, 1.0), evidence, np.nan_to_num(slope))


def _action_of_each(catalog: CompiledCatalog) -> IntArray:
    """The place of each treatment's action, shape (n_treatments,)."""
    return np.array([place for place, one in enumerate(catalog.actions) for _ in one.columns], dtype=np.int64)


def _of_contacts(name: str) -> str:
    """The name on the shelf of a column of contacts."""
    return f"contacts' {name}"


def _join(parts: list[Any], dtype: Any) -> Any:
    return np.concatenate(parts).astype(dtype, copy=False) if parts else np.zeros(0, dtype=dtype)


def _reasons(appraisal: Appraisal, catalog: CompiledCatalog) -> list[str]:
    """Why each contact of a chunk gets nothing; empty where something may still come of it by its own worth."""
    drop_unprofitable(appraisal.candidates, catalog, appraisal.preference, skips_arbitration(appraisal.groups)[:, None])
    nothing = np.flatnonzero(~appraisal.candidates.alive.any(axis=1))
    reasons = [""] * len(appraisal.groups)
    for row, answer in zip(nothing.tolist(), explain_no_actions(appraisal, catalog, nothing), strict=True):
        reasons[row] = f"{answer.reason}: {answer.detail}"
    return reasons
