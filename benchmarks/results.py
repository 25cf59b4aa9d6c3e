"""One figure, its goal, and where figures are kept: `results.json` and the tables of `README.md` written from it."""

from __future__ import annotations

import json
import operator
import os
import platform
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

GOAL = re.compile(r"^(?P<sign><=|>=) (?P<bound>-?[\d.]+(?:e-?\d+)?)(?P<ratio> x)?$")
SIGNS = {"<=": operator.le, ">=": operator.ge}
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"


@dataclass(frozen=True)
class Figure:
    """A measured number, beside a peer's where there is one, and the goal it is held to.

    Parameters
    ----------
    name : str
        ``benchmark.figure``, unique.
    value, unit : float, str
        The number and what it counts.
    peer, peer_value : str | None, float | None
        What it is compared with, measured in the same run or published.
    goal : str | None
        ``>= 0.25`` for the value, ``>= 20 x`` for the ratio of value to peer_value.

    Examples
    --------
    >>> Figure("score.one", 50.0, "decisions/s", peer="Booster.predict", peer_value=2.0, goal=">= 20 x").holds
    True
    >>> Figure("small_effects.gain", 0.18, "money a contact", goal=">= 0.25").holds
    False
    """

    name: str
    value: float
    unit: str
    peer: str | None = None
    peer_value: float | None = None
    goal: str | None = None

    def __post_init__(self) -> None:
        if self.goal is not None and GOAL.match(self.goal) is None:
            raise ValueError(f"goal of {self.name}: got '{self.goal}'; allowed: '>= 0.25', '<= 0.01', '>= 20 x'")

    @property
    def ratio(self) -> float | None:
        """`value / peer_value`, where there is a peer."""
        return self.value / self.peer_value if self.peer_value else None

    @property
    def holds(self) -> bool | None:
        """Whether the goal is reached; None where there is no goal."""
        match = GOAL.match(self.goal) if self.goal else None
        if match is None:
            return None
        judged = self.ratio if match["ratio"] else self.value
        return judged is not None and bool(SIGNS[match["sign"]](judged, float(match["bound"])))


def machine() -> str:
    """The machine in a few words: what figures of two runs may differ by."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def rows_of(figures: Iterable[Figure], *, command: str, when: str) -> list[dict[str, object]]:
    """The figures as rows of `results.json`."""
    return [
        {
            "name": figure.name,
            "value": figure.value,
            "unit": figure.unit,
            "peer": figure.peer,
            "peer_value": figure.peer_value,
            "ratio": figure.ratio,
            "goal": figure.goal,
            "holds": figure.holds,
            "command": command,
            "when": when,
            "machine": machine(),
        }
        for figure in figures
    ]


def read_rows(path: Path) -> list[dict[str, object]]:
    """The rows kept so far; none where nothing was measured yet."""
    return list(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else []


def merged(kept: Sequence[dict[str, object]], measured: Sequence[dict[str, object]], *, benchmark: str) -> list[dict[str, object]]:
    """The kept rows, with those of one benchmark replaced by what was just measured."""
    others = [row for row in kept if str(row["name"]).split(".")[0] != benchmark]
    return sorted([*others, *measured], key=lambda row: str(row["name"]).split(".")[0])


def write_rows(path: Path, rows: Sequence[dict[str, object]]) -> None:
    """Replace `results.json` in one step: a reader sees the old rows or the new ones."""
    fresh = path.with_suffix(".json.new")
    fresh.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    fresh.replace(path)


def table(rows: Sequence[dict[str, object]]) -> str:
    """The rows as Markdown, a table a run under its command, date and machine; a goal that is not reached says **no**."""
    runs = [(run, list(found)) for run, found in groupby(rows, key=lambda row: (row["command"], str(row["when"])[:10], row["machine"]))]
    return "\n\n".join(f"`{command}`, {day}, {machine}\n\n{_table(found)}" for (command, day, machine), found in runs)


def _table(rows: Sequence[dict[str, object]]) -> str:
    lines = ["| figure | value | peer | ratio | goal | reached |", "|---|---|---|---|---|---|"]
    for row in rows:
        value = f"{_number(row['value'])} {row['unit']}"
        peer = f"{row['peer']}: {_number(row['peer_value'])}" if row["peer"] else ""
        reached = "" if row["holds"] is None else "yes" if row["holds"] else "**no**"
        lines.append(f"| {row['name']} | {value} | {peer} | {_number(row['ratio'])} | {row['goal'] or ''} | {reached} |")
    return "\n".join(lines)


def write_table(readme: Path, rows: Sequence[dict[str, object]]) -> None:
    """Put the table between the two markers of the README."""
    text = readme.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN, maxsplit=1)
    after = rest.split(END, maxsplit=1)[1]
    readme.write_text(f"{before}{BEGIN}\n{table(rows)}\n{END}{after}", encoding="utf-8")


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else ""
