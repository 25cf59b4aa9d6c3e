"""Figures are judged against their goals, kept beside the others', and shown even where a goal is missed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.results import BEGIN, END, Figure, merged, read_rows, rows_of, table, write_rows, write_table

COLUMNS = ["name", "value", "unit", "peer", "peer_value", "ratio", "goal", "holds", "command", "when", "machine"]


def _rows(*figures: Figure) -> list[dict[str, object]]:
    return rows_of(figures, command="make bench ONLY=a", when="2026-11-22T10:00:00+00:00")


@pytest.mark.parametrize(
    ("figure", "holds"),
    [
        (Figure("a.b", 0.3, "money", goal=">= 0.25"), True),
        (Figure("a.b", 0.2, "money", goal=">= 0.25"), False),
        (Figure("a.b", -0.0004, "visits", goal=">= -.001"), True),
        (Figure("a.b", 5e-6, "gap", goal="<= 1e-5"), True),
        (Figure("a.b", 50.0, "1/s", peer="peer", peer_value=2.0, goal=">= 20 x"), True),
        (Figure("a.b", 50.0, "1/s", peer="peer", peer_value=5.0, goal=">= 20 x"), False),
        (Figure("a.b", 50.0, "1/s", goal=">= 20 x"), False),
        (Figure("a.b", 50.0, "1/s"), None),
    ],
)
def test_a_goal_is_held_by_the_value_or_by_the_ratio_to_the_peer(figure: Figure, holds: bool | None) -> None:
    assert figure.holds is holds


def test_a_goal_that_cannot_be_judged_is_refused() -> None:
    with pytest.raises(ValueError, match=re.escape("goal of a.b: got 'fast'; allowed: '>= 0.25', '<= 0.01', '>= 20 x'")):
        Figure("a.b", 1.0, "s", goal="fast")


def test_a_row_of_the_results_has_the_columns_of_the_contract() -> None:
    (row,) = _rows(Figure("a.b", 3.0, "s", peer="peer", peer_value=2.0, goal="<= 1 x"))
    assert list(row) == COLUMNS
    assert (row["ratio"], row["holds"]) == (1.5, False)


def test_measuring_one_benchmark_keeps_the_figures_of_the_others(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write_rows(path, merged(read_rows(path), _rows(Figure("a.one", 1.0, "s"), Figure("a.two", 2.0, "s")), benchmark="a"))
    write_rows(path, merged(read_rows(path), _rows(Figure("b.one", 3.0, "s")), benchmark="b"))
    write_rows(path, merged(read_rows(path), _rows(Figure("a.one", 9.0, "s")), benchmark="a"))
    assert [(row["name"], row["value"]) for row in read_rows(path)] == [("a.one", 9.0), ("b.one", 3.0)]
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]


def test_a_missed_goal_stays_in_the_table_and_says_no(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    rows = _rows(Figure("a.b", 0.1, "money", goal=">= 0.25"))
    write_table(readme, rows)
    text = readme.read_text(encoding="utf-8")
    assert "| a.b | 0.1 money |  |  | >= 0.25 | **no** |" in text
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    write_table(readme, rows)
    assert readme.read_text(encoding="utf-8") == text


def test_the_committed_table_is_the_one_of_the_committed_results(project_root: Path) -> None:
    text = (project_root / "benchmarks" / "README.md").read_text(encoding="utf-8")
    shown = text.split(BEGIN)[1].split(END)[0].strip()
    assert shown == table(read_rows(project_root / "benchmarks" / "results.json")).strip()
