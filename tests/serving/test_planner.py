"""A plan's sums hold for whomever it is made, be it nobody."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from serving.plans.audiences import summary
from tests.serving.planning import make
from tests.serving.small_house import CATALOG, small_house

IN_POLAND = {**CATALOG, "constraints": [{"id": "poland", "measure": "contacts", "market": "pl", "max": 5}]}


@pytest.mark.parametrize("contacts", [[], ["c-1", "c-2"]])
def test_a_limit_on_a_market_counts_those_of_it(tmp_path: Path, contacts: list[str]) -> None:
    with small_house(tmp_path, IN_POLAND) as house:
        house.consent("c-1", "c-2")
        planned = make(house, contacts)
        markets = np.array(["pl", "de"], dtype=object)[: len(contacts)]
        population = replace(planned.population, columns={**planned.population.columns, "market": markets})
        [limit] = summary(replace(planned, population=population))["constraints"]
        assert (planned.chosen.sum(), limit["used"]) == (len(contacts), len(contacts[:1]))
