"""The economics of what a plan chose, computed again for the chosen alone: keeping them of every candidate would take a plan's memory.

Scores do not depend on who is scored together, so these are the numbers that the choice was made with.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from decisioning.allocation.problem import Empty
from decisioning.arbitration import appraise
from decisioning.candidates import Situation
from decisioning.history import History
from decisioning.stages import House
from decisioning.vocabulary import FloatArray, IntArray

FACTORS = ("propensity", "baseline", "uplift", "value", "opt_out_risk", "cost", "context_weight", "profit")
"""The economics of a treatment."""

PRIORITY = "priority"


def chosen_economics(
    house: House,
    chunks: Iterable[tuple[Situation, History]],
    contact: IntArray,
    treatment: IntArray,
    each: Any = map,
    empty: Empty = np.empty,
) -> dict[str, FloatArray]:
    """`FACTORS` and `PRIORITY` of each row of a plan, shape (n_rows,); NaN where it is no_action.

    Parameters
    ----------
    house : House
    chunks : the contacts, as the plan was given them
    contact : array of int, ascending, shape (n_rows,)
        Their places.
    treatment : array of int, shape (n_rows,)
        -1 for no_action.
    each : `plan.Each`
    empty : Empty
        Makes the arrays.
    """
    found = {name: empty(len(contact), np.float64) for name in (*FACTORS, PRIORITY)}
    for values in found.values():
        values[:] = np.nan

    def of_rows(part: tuple[Situation, IntArray, IntArray]) -> tuple[IntArray, dict[str, FloatArray]]:
        situation, rows, places = part
        return rows, _economics(house, situation.take(places), treatment[rows])

    for rows, numbers in each(of_rows, _parts(chunks, contact, treatment)):
        for name, values in numbers.items():
            found[name][rows] = values
    return found


def _parts(
    chunks: Iterable[tuple[Situation, History]], contact: IntArray, treatment: IntArray
) -> Iterator[tuple[Situation, IntArray, IntArray]]:
    """Each chunk with the plan's rows that have a treatment, and the places of their contacts in it."""
    start = 0
    for situation, _ in chunks:
        stop = start + len(situation.contact_ids)
        rows = np.arange(*np.searchsorted(contact, [start, stop]))
        rows = rows[treatment[rows] >= 0]
        yield situation, rows, contact[rows] - start
        start = stop


def _economics(house: House, situation: Situation, treatment: IntArray) -> dict[str, FloatArray]:
    """Of one treatment a row of `situation`."""
    chosen = np.arange(len(treatment)), treatment
    only = np.zeros((len(treatment), len(house.catalog.treatments)), dtype=np.bool_)
    only[chosen] = True
    scores = house.score(situation, only)
    economics = appraise(house.catalog, situation, scores, {})
    of_scores = {name: getattr(scores, name) for name in ("propensity", "baseline", "uplift", "value", "opt_out_risk")}
    of_economics = {name: getattr(economics, name) for name in ("cost", "context_weight", "profit", PRIORITY)}
    return {name: np.broadcast_to(numbers, only.shape)[chosen] for name, numbers in (of_scores | of_economics).items()}
