"""A small house that plans: its population, and plans made binding for the real time beside them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from serving.plans.planner import PlannedPopulation, make_plan
from serving.plans.population import Population
from serving.plans.publication import publish, publish_prices
from serving.realtime.feature_rows import to_datetime64
from serving.realtime.price_books import from_json
from tests.serving.small_house import House


def make(house: House, contacts: Sequence[str], moment: np.datetime64 | None = None, *, in_place: bool = False) -> PlannedPopulation:
    """A plan for `contacts` that nobody knows of yet, for `moment` or else for now; `in_place` of every plan before, where it says so."""
    columns, _ = house.known.online(contacts)
    when = to_datetime64(house.clock.now) if moment is None else moment
    population = Population(np.array(contacts, dtype=object), columns, when, "the same data")
    return make_plan(population, house.snapshots.current, house.ledger, house.clock.now, in_place=in_place)


def bind(house: House, planned: PlannedPopulation, *, prices_only: bool = False) -> PlannedPopulation:
    """The plan as it holds, kept and published, and known to real time."""
    if prices_only:
        publish_prices(planned, house.ledger, reserved=False)
    else:
        planned = publish(planned, house.ledger)
    book = house.ledger.prices()
    assert book is not None
    house.source.publish(from_json(book))
    house.snapshots.refresh()
    return planned


def treatments(planned: PlannedPopulation) -> dict[str, list[str]]:
    """The treatments of each contact that gets any."""
    found: dict[str, list[str]] = {}
    names = [*(treatment.id for _, treatment in planned.snapshot.catalog.treatments), None]
    for place, column in zip(planned.plan.contact.tolist(), planned.plan.treatment.tolist(), strict=True):
        treatment_id = names[column]
        if treatment_id is not None:
            found.setdefault(planned.population.contact_ids[place], []).append(treatment_id)
    return found
