"""The catalogue's conditions and values on a snapshot, as the world knows them: SQL evaluated by DuckDB."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from decisioning.vocabulary import BoolArray, FloatArray
from simulation.actions import ACTIONS, OBSERVED

OBSERVED_VALUE = "70 + 0.8 * coalesce(age, 40)"
"""PLN per response of an action whose value the catalogue leaves to be learned."""


class Rules:
    """One DuckDB connection and the queries that answer for every action."""

    def __init__(self) -> None:
        self._connection = duckdb.connect(config={"threads": 1})
        parts = []
        for place, action in enumerate(ACTIONS):
            allowed = f"({action.eligibility}) AND ({action.applicability}) AND ({action.suitability})"
            parts += [f"coalesce({allowed}, false) AS allowed_{place}", f"{_value(place)} AS value_{place}"]
        self._query = f"SELECT {', '.join(parts)} FROM state"

    def evaluate(self, columns: dict[str, FloatArray]) -> tuple[BoolArray, FloatArray]:
        """Whether each action is allowed, and the value of a response in PLN (0 where NULL), both (n, actions)."""
        answer = self._run(self._query, columns)
        allowed = np.column_stack([np.ma.getdata(answer[f"allowed_{place}"]) for place in range(len(ACTIONS))])
        value = np.column_stack([_filled(answer[f"value_{place}"], 0.0) for place in range(len(ACTIONS))])
        return allowed.astype(bool), value

    def value(self, action: int, columns: dict[str, FloatArray]) -> FloatArray:
        """The value of a response to one action in PLN, NaN where NULL; `columns` need only those that values read."""
        return _filled(self._run(f"SELECT {_value(action)} AS value FROM state", columns)["value"], np.nan)

    def _run(self, query: str, columns: dict[str, FloatArray]) -> dict[str, Any]:
        table = {
            name: pa.array(values == 1) if name.startswith("has_") else pa.array(values, from_pandas=True)  # NaN becomes NULL
            for name, values in columns.items()
        }
        self._connection.register("state", pa.table(table))
        answer: dict[str, Any] = self._connection.execute(query).fetchnumpy()
        self._connection.unregister("state")
        return answer


def _value(action: int) -> str:
    value = OBSERVED_VALUE if ACTIONS[action].value == OBSERVED else ACTIONS[action].value
    return f"CAST({value} AS DOUBLE)"


def _filled(values: np.ndarray[Any, Any], null: float) -> FloatArray:
    return np.asarray(np.ma.filled(values.astype(np.float64), null))
