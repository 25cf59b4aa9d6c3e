"""What came of it, as the outcomes table: reactions to a touch carry its interaction, goals reached carry the contact alone.

The bank's books do not know why a loan was taken: whether a touch caused it is for the reader to find out.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from decisioning.vocabulary import FloatArray, IntArray
from simulation.actions import ACTIONS
from simulation.pilot import Bank, Log
from simulation.tables import numbered, pick, times

REACTIONS: tuple[tuple[str, str, str], ...] = (
    ("click", "positive", "clicked_at"),
    ("reject", "negative", "rejected_at"),
    ("unsubscribe", "negative", "opted_out_at"),
)
"""Outcome, behaviour, and the column of the pilot's log that says when."""

MONEY_NOISE = 0.25
"""Standard deviation of the log of a response's money about its expectation."""


KINDS: tuple[str, ...] = (*(outcome for outcome, _, _ in REACTIONS), *(action.goal for action in ACTIONS))
BEHAVIOURS: tuple[str, ...] = (*(behaviour for _, behaviour, _ in REACTIONS), *("positive" for _ in ACTIONS))


@dataclass(frozen=True)
class Happened:
    """Outcomes of one kind or of all: kind, interaction (-1: none) and contact as codes, days from the start, PLN (NaN: none)."""

    kind: IntArray
    interaction: IntArray
    contact: IntArray
    at: FloatArray
    value: FloatArray


def outcomes_table(rng: np.random.Generator, bank: Bank, log: Log, ids: npt.NDArray[np.str_]) -> pa.Table:
    """Every reaction and every goal reached before the end of the period, in time order."""
    parts = [_reaction(bank, log, kind) for kind in range(len(REACTIONS))]
    parts += [_goal(rng, bank, place) for place in range(len(ACTIONS))]
    columns = {field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Happened)}
    order = np.argsort(columns["at"], kind="stable")
    all_of_them = Happened(**{name: values[order] for name, values in columns.items()})
    return pa.table(
        {
            "event_id": numbered("o-", np.arange(len(order)), width=9),
            "interaction_id": numbered("i-", all_of_them.interaction, width=8),
            "contact_id": pick(ids, all_of_them.contact),
            "outcome": pick(KINDS, all_of_them.kind),
            "occurred_at": times(bank.start, all_of_them.at),
            "value": pa.array(all_of_them.value, from_pandas=True),
            "behaviour": pick(BEHAVIOURS, all_of_them.kind),
        }
    )


def _reaction(bank: Bank, log: Log, kind: int) -> Happened:
    at = getattr(log, REACTIONS[kind][2])
    rows = np.nonzero(at < bank.days)[0]
    return Happened(np.full(len(rows), kind), rows, log.contact[rows], at[rows], np.full(len(rows), np.nan))


def _goal(rng: np.random.Generator, bank: Bank, action: int) -> Happened:
    contact, at = bank.responses.rows(action, bank.people.leaves, float(bank.days))
    kind = np.full(len(contact), len(REACTIONS) + action)
    return Happened(kind, np.full(len(contact), -1), contact, at, _money(rng, bank, action, contact, at))


def _money(rng: np.random.Generator, bank: Bank, action: int, contact: IntArray, at: FloatArray) -> FloatArray:
    """What each response brought, in PLN: the catalogue's value as of then, times a noise of mean 1; NaN where it is not defined."""
    expected = bank.rules.value(
        action,
        {
            "age": bank.people.fixed["age"][contact].astype(np.float64),
            **bank.people.changing(contact, at),
            "account_annual_turnover": bank.people.firm_attribute("annual_turnover", contact),
        },
    )
    noise = rng.lognormal(-(MONEY_NOISE**2) / 2, MONEY_NOISE, len(contact))
    return np.where(expected > 0, np.round(expected * noise, 2), np.nan)
