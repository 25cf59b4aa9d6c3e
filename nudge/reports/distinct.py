"""How many different contacts there are in every group that one slices by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nudge.reports.facts import Facts

DIMENSIONS: Mapping[str, str] = {
    "all": "'all'",
    "channel": "coalesce(channel, 'unknown')",
    "issue": "coalesce(issue, 'unknown')",
    "action": "action_id",
    "stage": "stage",
    "market": "coalesce(market, 'unknown')",
    "period": "year(occurred_at) * 100 + month(occurred_at)",
}
"""Ways to slice, as SQL over `touched`."""

_FLAGS = {"contacts": "TRUE", "unsubscribes": "left_us", "complaints": "complained", "converters": "conversions > 0"}


def count_contacts(facts: Facts) -> None:
    """The table `who`: the contacts of every group, each once; of months, by market as well.

    Counted by sorting numbers, in a seventh of the time of `count(DISTINCT ...)` by each dimension.
    """
    levels: dict[str, list[str | None]] = {}
    for name in DIMENSIONS:
        texts = f"SELECT DISTINCT coalesce(by_{name}::VARCHAR, '') FROM cube ORDER BY 1"
        levels[name] = [row[0] or None for row in facts.db.execute(texts).fetchall()]
        facts.db.execute(f"DROP TYPE IF EXISTS level_{name}; CREATE TYPE level_{name} AS ENUM ({texts})")
    codes = ", ".join(f"enum_code(coalesce(({sql})::VARCHAR, '')::level_{name}) AS {name}" for name, sql in DIMENSIONS.items())
    flags = ", ".join(f"coalesce({sql}, FALSE) AS {name}" for name, sql in _FLAGS.items())
    table = facts.db.execute(f"SELECT contact_id AS contact, {codes}, {flags} FROM touched").fetchnumpy()
    rows: dict[str, npt.NDArray[Any]] = {name: np.asarray(column) for name, column in table.items()}
    contact = _ranks(rows["contact"])
    groups = {name: (rows[name].astype(np.int64), [("", one) for one in of]) for name, of in levels.items()}
    months = levels["period"]
    cells = groups["market"][0] * max(len(months), 1) + groups["period"][0]
    groups["period of a market"] = (cells, [(str(market), month) for market in levels["market"] for month in months])
    found: dict[str, list[Any]] = {name: [] for name in ("dimension", "market", "name", *_FLAGS)}
    for name, (code, of) in groups.items():
        for market, level in of:
            found["market"].append(market)
            found["name"].append(level)
        found["dimension"] += [name.split()[0]] * len(of)
        for flag in _FLAGS:
            found[flag] += _distinct(code[rows[flag]], contact[rows[flag]], len(of)).tolist()
    kinds = {**dict.fromkeys(_FLAGS, pa.int64()), **dict.fromkeys(("dimension", "market", "name"), pa.string())}
    facts.db.register("arriving", pa.table({name: pa.array(values, type=kinds[name]) for name, values in found.items()}))
    facts.db.execute("CREATE OR REPLACE TEMP TABLE who AS SELECT * FROM arriving")
    facts.db.unregister("arriving")


def _ranks(values: npt.NDArray[np.generic]) -> npt.NDArray[np.int64]:
    """Each value's number, equal ones the same, from 0."""
    order = np.argsort(values, kind="stable")
    ranks = np.empty(len(values), dtype=np.int64)
    ranks[order] = np.cumsum(np.concatenate([[0], values[order][1:] != values[order][:-1]])) if len(values) else 0
    return ranks


def _distinct(group: npt.NDArray[np.int64], member: npt.NDArray[np.int64], groups: int) -> npt.NDArray[np.int64]:
    """How many different members each group has, shape (groups,).

    Examples
    --------
    >>> _distinct(np.array([0, 0, 0, 1]), np.array([5, 5, 7, 5]), 3).tolist()
    [2, 1, 0]
    """
    if not len(group):
        return np.zeros(groups, dtype=np.int64)
    width = int(member.max()) + 1
    keys = np.sort(group * width + member)
    first = np.concatenate([[True], keys[1:] != keys[:-1]])
    return np.bincount(keys[first] // width, minlength=groups)
