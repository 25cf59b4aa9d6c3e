"""Composition two: the population, under budgets. The same stages as `decide.py`, chunk by chunk, and then one allocation."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np

from decisioning.allocation import Allocation, Offers, allocate
from decisioning.allocation.problem import NONE
from decisioning.arbitration import SEGMENTS
from decisioning.candidates import Situation
from decisioning.catalog import Constraint
from decisioning.coded import Coded
from decisioning.control import GROUPS, RANDOM, TREATED
from decisioning.errors import Clashing, Infeasible
from decisioning.history import History
from decisioning.plan_economics import FACTORS, PRIORITY, chosen_economics
from decisioning.plan_exploration import Explored, explore_plan
from decisioning.plan_offers import Everybody, Gathered, Shelf, Taken, asked_for, limits_of
from decisioning.plan_reasons import Solved, reasons_of
from decisioning.stages import House, appraise_candidates
from decisioning.vocabulary import FloatArray, IntArray


@dataclass(frozen=True)
class Plan:
    """The decisions of a population: one row a chosen treatment, and one a contact that gets none, in the order of the contacts.

    With one treatment a contact, row i is contact i. All arrays have shape (n_rows,).

    Attributes
    ----------
    contact : array of int
        The place of the row's contact in the population, ascending.
    rank : array of int
        1 for a contact's best treatment, 2 for the next; 1 where there is none.
    clv, control_group : of the row's contact.
    segment : that of the chosen or else the best candidate.
    reason : Coded
        Why there is no action; where there is one that is worth less than none, that a minimum asked for it or that it was drawn.
    treatment : array of int
        Column of the chosen treatment, -1 for no_action.
    factors : mapping name -> array
        The economics of the chosen treatment, NaN for no_action.
    priority, shadow_cost : arrays
        After shadow prices, money; 0 for no_action.
    selection_prob : array
        The probability with which this was chosen, before any draw.
    allocation : Allocation
        Its offers are in the order of a hash of their contacts.
    expected_cost : float
        Money of expected profit that exploring gives up, before the draw.
    """

    contact: IntArray
    rank: IntArray
    clv: FloatArray
    control_group: Coded
    segment: Coded
    reason: Coded
    treatment: IntArray
    factors: dict[str, FloatArray]
    priority: FloatArray
    shadow_cost: FloatArray
    selection_prob: FloatArray
    allocation: Allocation
    expected_cost: float = 0.0


Chunk: TypeAlias = tuple[Situation, History]
_Part = TypeVar("_Part")
_Done = TypeVar("_Done")


class Each(Protocol):
    """`map`, or what does the same with several threads: the results come in the order of the parts."""

    def __call__(self, work: Callable[[_Part], _Done], parts: Iterable[_Part], /) -> Iterator[_Done]:
        """What `work` makes of each part."""


def plan(house: House, chunks: Collection[Chunk], *, shelf: Shelf | None = None, each: Each = map) -> Plan:
    """The plan for the contacts of all `chunks`, within the catalogue's constraints.

    The chunks are gone through twice: to choose, and for the economics of what was chosen. A plan finds its own prices: those of
    `house` do not count. Equals are served in the order of a hash of their contact ids, so that the plan does not depend on the order in
    which contacts come. What is kept of the candidates is kept on the `shelf`, in memory unless one is given. Where the catalogue
    explores, `house.allowance` is what the plan as a whole may give up; a plan of several treatments a contact does not explore.

    Raises
    ------
    Infeasible
        The constraints contradict one another: it names which, and by how much.
    """
    unpriced, catalog = replace(house, prices={}, room={}), house.catalog
    gathered = Gathered.nobody(catalog, shelf or Shelf())
    wanted_anyway = asked_for(catalog)

    def taken(chunk: Chunk) -> Taken:
        return gathered.taken(appraise_candidates(unpriced, *chunk, wanted_anyway=wanted_anyway))

    for of_chunk in each(taken, chunks):
        gathered.add(of_chunk)
    everybody = gathered.joined()
    turn = everybody.contacts["turn"].argsort(kind="stable")
    everybody = everybody.turned(turn)
    offers, limits = everybody.as_offers(gathered.profiles.uses), limits_of(catalog)
    caps, per_contact = [replace(cap, unit_of=cap.unit_of[turn]) for cap in gathered.room.caps()], gathered.room.per_contact

    def allocated(what: Offers) -> Allocation:
        return allocate(what, limits, len(turn), per_contact=per_contact, caps=caps, empty=everybody.shelf.empty)

    try:
        allocation = allocated(offers)
    except Infeasible as error:
        raise _in_words(error, catalog.catalog.constraints) from None
    explored = _explored(house, everybody, offers, allocation) if per_contact == 1 else None
    if explored is not None:
        try:
            allocation = _as_of_all(allocated(_as_drawn(offers, explored)), explored)
        except Infeasible:  # what was drawn leaves too little for a minimum: then this plan explores nobody
            explored = None
    rows = _rows(everybody, offers, allocation, turn)
    treatment = everybody.shelf.kept(_of_choice(everybody.offers["treatment"], rows.chosen, NONE).astype(np.int64))
    economics = chosen_economics(unpriced, chunks, rows.place, treatment, each, everybody.shelf.empty)
    return _as_plan(everybody, Solved(offers, allocation, caps, explored), rows, treatment, economics)


def _explored(house: House, everybody: Everybody, offers: Offers, allocation: Allocation) -> Explored | None:
    settings, seeds = house.catalog.catalog.exploration, everybody.seeds
    if seeds is None or house.allowance <= 0:
        return None
    who = everybody.in_group(TREATED), seeds
    belief = everybody.belief() if settings.method == "thompson" else None
    return explore_plan(offers, allocation, settings, house.allowance, who, belief)


def _as_drawn(offers: Offers, explored: Explored) -> Offers:
    """The offers that stay after the draw, those that were drawn served first."""
    kept = offers.reordered(explored.kept, offers.contact[explored.kept])
    return replace(kept, first=kept.first | explored.drawn)


def _as_of_all(allocation: Allocation, explored: Explored) -> Allocation:
    """The allocation of the offers that stayed, in terms of all offers."""
    has = allocation.choice != NONE
    choice = np.where(has, explored.kept[np.where(has, allocation.choice, 0)] if len(explored.kept) else NONE, NONE)
    return replace(allocation, taken=explored.kept[allocation.taken], choice=choice)


class _Rows(NamedTuple):
    """The rows of a plan, in the order of the population: a contact's place in it and in `everybody`, its offer (`NONE`: none), what that
    offer's limits cost, and where it stands among the contact's own."""

    place: IntArray
    contact: IntArray
    chosen: IntArray
    shadow_cost: FloatArray
    rank: IntArray


def _rows(everybody: Everybody, offers: Offers, allocation: Allocation, turn: IntArray) -> _Rows:
    taken, shelf = allocation.taken, everybody.shelf
    shadow = (offers.uses @ allocation.shadow_prices)[offers.profile[taken]]
    place = turn[offers.contact[taken]]
    order = np.lexsort((taken, -_rank_key(everybody, offers, taken, shadow), place))
    times = np.bincount(place, minlength=len(turn))
    ends = np.cumsum(np.maximum(times, 1))
    owner = np.repeat(np.arange(len(turn)), np.maximum(times, 1))
    rank = np.arange(len(owner)) - (ends - np.maximum(times, 1))[owner] + 1
    filled = (times > 0)[owner]
    chosen, shadow_cost = shelf.empty(len(owner), np.int64), shelf.empty(len(owner), np.float64)
    chosen[:], shadow_cost[:] = NONE, 0.0
    chosen[filled], shadow_cost[filled] = taken[order], shadow[order]
    turned_back = np.empty(len(turn), dtype=np.int64)
    turned_back[turn] = np.arange(len(turn))
    return _Rows(shelf.kept(owner), shelf.kept(turned_back[owner]), chosen, shadow_cost, shelf.kept(rank))


def _as_plan(everybody: Everybody, solved: Solved, rows: _Rows, treatment: IntArray, economics: dict[str, FloatArray]) -> Plan:
    kept, of_contacts, shelf = everybody.offers, everybody.contacts, everybody.shelf
    contact, chosen, shadow_cost = rows.contact, rows.chosen, rows.shadow_cost
    has = chosen != NONE
    segment = np.where(has, _of_choice(kept["segment"], chosen, NONE), of_contacts["segment"][contact])
    return Plan(
        contact=rows.place,
        rank=rows.rank,
        clv=shelf.kept(of_contacts["clv"][contact]),
        control_group=Coded(shelf.kept(of_contacts["control_group"][contact]), GROUPS),
        segment=Coded(shelf.kept(segment.astype(np.int8)), (*SEGMENTS, None)),
        reason=reasons_of(everybody, solved, contact, chosen),
        treatment=treatment,
        factors={name: economics[name] for name in FACTORS},
        priority=shelf.kept(np.where(has, np.nan_to_num(economics[PRIORITY]) - shadow_cost, 0.0)),
        shadow_cost=shadow_cost,
        selection_prob=shelf.kept(_selection_prob(everybody, solved, contact, chosen)),
        allocation=solved.allocation,
        expected_cost=0.0 if solved.explored is None else solved.explored.expected_cost,
    )


def _selection_prob(everybody: Everybody, solved: Solved, contact: IntArray, chosen: IntArray) -> FloatArray:
    """1 but for what was drawn: by exploration, or, in the control group of random actions, among all that a contact could still get."""
    offers, explored = solved.offers, solved.explored
    prob = np.ones(len(chosen)) if explored is None else explored.selection_prob(contact, chosen)
    at_random = np.flatnonzero(everybody.in_group(RANDOM)[contact] & (chosen != NONE))
    above: dict[int, list[int]] = {}
    for row in at_random.tolist():
        begin, end = np.searchsorted(offers.contact, [contact[row], contact[row] + 1])
        taken = above.setdefault(int(contact[row]), [])
        prob[row] = 1.0 / (end - begin - np.isin(offers.action[begin:end], taken).sum())
        taken.append(int(offers.action[chosen[row]]))
    return prob


def _rank_key(everybody: Everybody, offers: Offers, taken: IntArray, shadow: FloatArray) -> FloatArray:
    """What a contact's chosen treatments are ranked by: first of all those served first, then the worth after prices."""
    first = offers.first[taken]
    worth = np.where(everybody.offers["in_turn"][taken], everybody.offers["preference"][taken], offers.value[taken] - shadow)
    return worth + np.where(first, 2.0 * (np.abs(worth).max(initial=0.0) + 1.0), 0.0)


def _of_choice(per_offer: Any, chosen: IntArray, otherwise: float) -> Any:
    has = chosen != NONE
    return np.where(has, per_offer[np.where(has, chosen, 0)], otherwise) if len(per_offer) else np.full(len(chosen), otherwise)


def _in_words(error: Infeasible, constraints: Sequence[Constraint]) -> Infeasible:
    """The refusal with the constraints' own names."""
    if not error.clash:
        names = ", ".join(f"`{one.id}`" for one in constraints if one.min)
        return Infeasible(f"no plan of whole contacts was found that meets {names}, though shares of contacts would", hint=error.hint)
    sentences = [_sentence(one, error.clash, constraints) for one in error.clash if one.side == "least"]
    ways = [_way_out(one, constraints[one.limit]) for one in error.clash]
    return Infeasible("; ".join(sentences), clash=error.clash, hint=", or ".join(ways))


def _sentence(one: Clashing, clash: Sequence[Clashing], constraints: Sequence[Constraint]) -> str:
    asking = constraints[one.limit]
    asked = f"`{asking.id}` asks for {_amount(one.bound, asking)} and "
    possible = f"at most {_amount(one.bound - one.by, asking)}"
    others = [f"`{constraints[other.limit].id}`" for other in clash if other is not one]
    if not others:
        return f"{asked}the population has room for {possible}: it is out of reach by {_amount(one.by, asking)}"
    leave = "leaves" if len(others) == 1 else "leave"
    return f"{asked}{' and '.join(others)} {leave} room for {possible}: they clash by {_amount(one.by, asking)}"


def _way_out(one: Clashing, constraint: Constraint) -> str:
    """How much this bound alone would have to give way."""
    bound = one.bound - one.by if one.side == "least" else one.bound + one.by
    verb, key = ("lower", "min") if one.side == "least" else ("raise", "max")
    return f"{verb} the `{key}` of `{constraint.id}` to {_amount(bound, constraint)}"


def _amount(amount: float, constraint: Constraint) -> str:
    number = f"{amount:,.2f}".removesuffix(".00")
    return f"{number} contacts" if constraint.measure == "contacts" else f"{number} of cost"
