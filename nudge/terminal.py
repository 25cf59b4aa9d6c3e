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
        """A table on stdout; numbers stand to the right."""
        table = Table(title=title, title_justify="left", header_style="bold")
        for index, name in enumerate(header):
            numeric = all(isinstance(row[index], int | float) or row[index] is None for row in rows) and bool(rows)
            table.add_column(name, justify="right" if numeric else "left")
        for row in rows:
            table.add_row(*[_escaped(_shown(cell)) for cell in row])
        self.out.print(table)

    def print(self, text: str) -> None:
        """A line of the result on stdout."""
        self.out.print(text, markup=False)


def _shown(cell: object) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, float):
        return f"{cell:,.4f}" if abs(cell) < 10 else f"{cell:,.2f}"
    return f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell)


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")
