"""How the commands speak: results on stdout, everything else on stderr; `--json` and `--quiet` silence what machines do not want."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Table

_FILE_WIDTH = 160
"""Columns of a table that goes to a file or a pipe: rich would assume 80."""

_SMALL = 10


class Figure(str):
    """A number that its owner has already made a text of: it stands to the right like one."""


class Terminal:
    """One command's voice.

    Parameters
    ----------
    as_json : bool
        Print the result as one JSON document and nothing else on stdout.
    quiet : bool
        Leave progress and remarks out.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json = as_json
        self.quiet = quiet
        width = None if sys.stdout.isatty() else _FILE_WIDTH
        self.out = Console(highlight=False, soft_wrap=True, width=width)
        self.err = Console(stderr=True, highlight=False, soft_wrap=True)

    @contextmanager
    def working(self, text: str) -> Iterator[Any]:
        """A spinner with `text` while the block runs; yields a function that changes the text."""
        if self.quiet:
            yield lambda message: None
        elif self.err.is_terminal:
            with self.err.status(text) as status:
                yield lambda message: status.update(f"{text}: {message}")
        else:
            self.err.print(text, markup=False)
            yield lambda message: None

    def say(self, text: str) -> None:
        """A remark for people, on stderr."""
        if not self.quiet:
            self.err.print(text, markup=False)

    def warn(self, text: str) -> None:
        """Something a person should look at, on stderr."""
        if not self.quiet:
            self.err.print(f"[yellow]warning:[/yellow] {_escaped(text)}")

    def result(self, document: Mapping[str, Any]) -> bool:
        """Print the JSON document if that is what was asked for; says whether it was."""
        if self.as_json:
            sys.stdout.write(json.dumps(document, ensure_ascii=False, allow_nan=False, default=str) + "\n")
        return self.as_json

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A table on stdout; numbers and `Figure`s stand to the right, those of one column with as many decimals as each other."""
        table = Table(title=title, title_justify="left", header_style="bold")
        columns = [[row[index] for row in rows] for index in range(len(header))]
        for name, cells in zip(header, columns, strict=True):
            numeric = all(isinstance(cell, int | float | Figure) or cell is None for cell in cells) and bool(rows)
            table.add_column(name, justify="right" if numeric else "left")
        for row in zip(*[_column(cells) for cells in columns], strict=True):
            table.add_row(*[_escaped(cell) for cell in row])
        self.out.print(table)

    def print(self, text: str) -> None:
        """A line of the result on stdout."""
        self.out.print(text, markup=False)


def _column(cells: Sequence[object]) -> list[str]:
    """Money and other large figures with two decimals, a column of small ones with four."""
    floats = [abs(cell) for cell in cells if isinstance(cell, float)]
    decimals = 2 if max(floats, default=0.0) >= _SMALL else 4
    return [_shown(cell, decimals) for cell in cells]


def _shown(cell: object, decimals: int) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, float):
        return f"{cell:,.{decimals}f}"
    return f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell)


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")
