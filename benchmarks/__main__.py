"""Run the benchmarks, or one of them: `python -m benchmarks [NAME]` (`make bench ONLY=NAME`)."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.results import merged, read_rows, rows_of, table, write_rows, write_table
from benchmarks.suite import BENCHMARKS, OPTIONAL

HERE = Path(__file__).resolve().parent


def main(arguments: list[str] | None = None) -> int:
    """Measure, keep the rows of the others, and show what was measured."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure, and write results.json and the tables of README.md."
    )
    parser.add_argument(
        "name",
        nargs="?",
        choices=sorted({**BENCHMARKS, **OPTIONAL}),
        help="one benchmark (default: all that need nothing more than make setup)",
    )
    only = parser.parse_args(arguments).name
    for name in [only] if only else BENCHMARKS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        when = datetime.now(tz=UTC).isoformat(timespec="seconds")
        measured = rows_of({**BENCHMARKS, **OPTIONAL}[name](), command=f"make bench ONLY={name}", when=when)
        rows = merged(read_rows(HERE / "results.json"), measured, benchmark=name)
        write_rows(HERE / "results.json", rows)
        write_table(HERE / "README.md", rows)
        print(table(measured))
    return 0


if __name__ == "__main__":
    sys.exit(main())
