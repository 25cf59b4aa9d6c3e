"""The catalogue's conditions take the same candidates out of one contact, judged in plain Python, as out of a population, by arrays."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from decisioning.arbitration import context_weights
from decisioning.candidates import Candidates, Situation
from decisioning.compiled_catalog import CompiledCatalog
from decisioning.eligibility import apply_conditions, keep_requested_placements
from tests.decisioning.strategies import compiled, make_action, make_catalog, situation_of

N = 4
PARTS = st.sampled_from(
    ["age >= 18", "has_loan", "NOT coalesce(has_loan, false)", "city LIKE 'Ł%'", "debt_ratio < 0.5", "context.intent = 'a'"]
)
CONDITIONS = st.lists(PARTS, min_size=1, max_size=3).map(" AND ".join)
VALUES = st.sampled_from([100.0, "debt_ratio * 100", "age / (age - 17)", "observed"])
ACTIONS = st.fixed_dictionaries(
    {"value": VALUES},
    optional={
        "eligibility": CONDITIONS,
        "applicability": CONDITIONS,
        "suitability": CONDITIONS,
        "context_weights": st.lists(
            st.fixed_dictionaries({"when": CONDITIONS, "weight": st.sampled_from([0.5, 1.1, 3.0])}), min_size=1, max_size=3
        ),
    },
)
CATALOGS = st.lists(ACTIONS, min_size=1, max_size=5).map(
    lambda actions: compiled(make_catalog([make_action(f"a{i}", **more) for i, more in enumerate(actions)]))
)
NUMBERS = st.lists(st.sampled_from([0.0, 1.0, 17.0, 40.0, np.nan]), min_size=N, max_size=N)
SITUATIONS = st.builds(
    lambda age, loan, ratio, city, intent, channel: situation_of(
        N,
        columns={
            "age": np.array(age),
            "has_loan": np.array(loan),
            "debt_ratio": np.array(ratio),
            "city": np.array(city, dtype=object),
        },
        context={"intent": intent},
        channel=channel,
    ),
    NUMBERS,
    st.lists(st.sampled_from([0.0, 1.0, np.nan]), min_size=N, max_size=N),
    NUMBERS,
    st.lists(st.sampled_from(["Łódź", "Gdynia", None]), min_size=N, max_size=N),
    st.sampled_from(["a", "b", None]),
    st.sampled_from(["web", None]),
)


def alone(situation: Situation, row: int) -> Situation:
    """One of the contacts."""
    own = slice(row, row + 1)
    columns = {name: column[own] for name, column in situation.columns.items()}
    return situation_of(1, contact_ids=situation.contact_ids[own], columns=columns, context=situation.context, channel=situation.channel)


def judged(catalog: CompiledCatalog, situation: Situation, eligibility_only: np.ndarray) -> list[list[tuple[str, str, str] | None]]:
    """What took each candidate out, and what it saw."""
    candidates = Candidates(len(situation.contact_ids), len(catalog.treatments))
    keep_requested_placements(candidates, catalog, situation)
    apply_conditions(candidates, catalog, situation, eligibility_only=eligibility_only)
    found = []
    for row in range(len(situation.contact_ids)):
        removals = [candidates.removal(row, column) for column in range(len(catalog.treatments))]
        found.append([None if one is None else (one.stage, one.rule, one.detail(row)) for one in removals])
    return found


@settings(max_examples=300)
@given(CATALOGS, SITUATIONS, st.lists(st.booleans(), min_size=N, max_size=N))
def test_one_contact_is_judged_as_among_many(catalog: CompiledCatalog, situation: Situation, eligibility_only: list[bool]) -> None:
    only = np.array(eligibility_only)
    together = judged(catalog, situation, only)
    assert [judged(catalog, alone(situation, row), only[row : row + 1])[0] for row in range(N)] == together


@settings(max_examples=300)
@given(CATALOGS, SITUATIONS, st.lists(st.booleans(), min_size=N, max_size=N))
def test_the_first_part_that_fails_in_the_actions_own_order_is_the_one_that_is_named(
    catalog: CompiledCatalog, situation: Situation, eligibility_only: list[bool]
) -> None:
    found = judged(catalog, situation, np.array(eligibility_only))
    for row in range(N):
        stages = ("eligibility",) if eligibility_only[row] else ("eligibility", "applicability", "suitability")
        for action in catalog.actions:
            failing = [(stage, part) for stage in stages for part in action.conditions[stage] if not part.holds(situation.rows)[row]]
            expected = (failing[0][0], failing[0][1].text, failing[0][1].reads(situation.rows, row)) if failing else None
            for column in action.columns:
                elsewhere = situation.channel not in (None, catalog.treatments[column][1].channel)
                assert (found[row][column] or ("",))[0] == "placement" if elsewhere else found[row][column] == expected


@settings(max_examples=300)
@given(CATALOGS, SITUATIONS)
def test_weights_and_values_are_those_of_each_action(catalog: CompiledCatalog, situation: Situation) -> None:
    weights, values = context_weights(catalog, situation), catalog.stated_values.on(situation.rows)
    for row in range(N):
        single = alone(situation, row)
        np.testing.assert_array_equal(context_weights(catalog, single)[0], weights[row])
        np.testing.assert_array_equal(catalog.stated_values.on(single.rows)[0], values[row])
        for action in catalog.actions:
            holding = [w for parts, w in action.context_weights if all(part.holds(situation.rows)[row] for part in parts)]
            np.testing.assert_allclose(weights[row, list(action.columns)], np.prod(holding), rtol=1e-15)
            stated = action.value.numbers(situation.rows)[row] if not isinstance(action.value, float | str) else action.value
            expected = np.nan if stated == "observed" else stated
            np.testing.assert_array_equal(values[row, list(action.columns)], np.full(len(action.columns), expected))
