"""How the commands speak: results on stdout, everything else on stderr; `--json` and `--quiet` silence what machines do not want."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

_FILE_WIDTH = 160
"""Columns of a table that goes to a file or a pipe: rich would assume 80."""

_SMALL = 10


class Telling(Protocol):
    """How long work says what it does, and how many of how many steps are behind it."""

    def __call__(self, message: str, done: int = 0, total: int = 0, /) -> None:
        """Say it."""


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
    progress : bool
        Say progress as JSON lines on stderr, `{"message", "done", "total"}`, for whoever started the command.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False, progress: bool = False) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.progress = progress
        width = None if sys.stdout.isatty() else _FILE_WIDTH
        self.out = Console(highlight=False, soft_wrap=True, width=width)
        self.err = Console(stderr=True, highlight=False, soft_wrap=True)

    @contextmanager
    def working(self, text: str) -> Iterator[Telling]:
        """A spinner with `text` while the block runs; yields a function that changes the text, and shows a bar where it is given counts."""
        if self.progress:
            _progress_line(text)
            yield _progress_line
        elif self.quiet:
            yield _silent
        elif self.err.is_terminal:
            columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), _CountColumn(), TimeElapsedColumn())
            with Progress(*columns, console=self.err, transient=True) as bar:
                task = bar.add_task(text, total=None)

                def tell(message: str, done: int = 0, total: int = 0, /) -> None:
                    bar.update(task, description=f"{text}: {message}", completed=done)
                    bar.tasks[0].total = total or None  # `update` takes None for "as it was"

                yield tell
        else:
            self.err.print(text, markup=False)
            yield _silent

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


class _CountColumn(ProgressColumn):
    """A bar with its count, for work that says how many steps it has."""

    def __init__(self) -> None:
        super().__init__()
        self._bar = BarColumn(bar_width=20)

    def render(self, task: Task) -> Table | Text:
        """Nothing where there is nothing to count."""
        if task.total is None:
            return Text("")
        grid = Table.grid(padding=(0, 1))
        grid.add_row(self._bar.render(task), Text(f"{task.completed:.0f}/{task.total:.0f}"))
        return grid


def _progress_line(message: str, done: int = 0, total: int = 0, /) -> None:
    sys.stderr.write(json.dumps({"message": message, "done": done, "total": total}) + "\n")
    sys.stderr.flush()


def _silent(message: str, done: int = 0, total: int = 0, /) -> None:
    """Progress that nobody sees."""


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
