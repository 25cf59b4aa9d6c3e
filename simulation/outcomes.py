"""What came of it, as the outcomes table: reactions to a touch carry its interaction, goals reached carry the contact alone.

The bank's books do not know why a loan was taken: whether a touch caused it is for the reader to find out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from decisioning.vocabulary import FloatArray, IntArray
from simulation.actions import ACTIONS
from simulation.pilot import Bank, Log
from simulation.tables import interaction_names, pick, times

REACTIONS: tuple[tuple[str, str, str], ...] = (
    ("click", "positive", "clicked_at"),
    ("reject", "negative", "rejected_at"),
    ("unsubscribe", "negative", "opted_out_at"),
)
"""Outcome, behaviour, and the column of the pilot's log that says when."""

MONEY_NOISE = 0.25
"""Standard deviation of the log of a response's money about its expectation."""


def outcomes_table(rng: np.random.Generator, bank: Bank, log: Log, ids: npt.NDArray[np.str_]) -> pa.Table:
    """Every reaction and every goal reached before the end of the period, in time order."""
    parts = [_reaction(bank, log, ids, reaction) for reaction in REACTIONS]
    parts += [_goal(rng, bank, ids, place) for place in range(len(ACTIONS))]
    table = pa.concat_tables(parts).sort_by([("occurred_at", "ascending"), ("contact_id", "ascending"), ("outcome", "ascending")])
    numbers = np.char.add("o-", np.char.zfill(np.arange(1, table.num_rows + 1).astype(str), 9))
    return table.append_column("event_id", pa.array(numbers.tolist(), type=pa.string()))


def _reaction(bank: Bank, log: Log, ids: npt.NDArray[np.str_], reaction: tuple[str, str, str]) -> pa.Table:
    outcome, behaviour, column = reaction
    at = getattr(log, column)
    rows = np.nonzero(at < bank.days)[0]
    return pa.table(
        {
            "interaction_id": interaction_names(len(at)).take(pa.array(rows)),
            "contact_id": pick(ids, log.contact[rows]),
            "outcome": pa.array([outcome] * len(rows), type=pa.string()),
            "occurred_at": times(bank.start, at[rows]),
            "value": pa.nulls(len(rows), pa.float64()),
            "behaviour": pa.array([behaviour] * len(rows), type=pa.string()),
        }
    )


def _goal(rng: np.random.Generator, bank: Bank, ids: npt.NDArray[np.str_], action: int) -> pa.Table:
    contact, at = bank.responses.rows(action, bank.people.leaves, float(bank.days))
    return pa.table(
        {
            "interaction_id": pa.nulls(len(contact), pa.string()),
            "contact_id": pick(ids, contact),
            "outcome": pa.array([ACTIONS[action].goal] * len(contact), type=pa.string()),
            "occurred_at": times(bank.start, at),
            "value": pa.array(_money(rng, bank, action, contact, at), from_pandas=True),
            "behaviour": pa.array(["positive"] * len(contact), type=pa.string()),
        }
    )


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
