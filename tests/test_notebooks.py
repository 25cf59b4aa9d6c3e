"""The notebooks run from top to bottom, and are committed without outputs. All but the first look share one small bank."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.conftest import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SECONDS_A_CELL = 300


FIRST_LOOK = ROOT / "notebooks" / "00_first_look.ipynb"


def run(notebook: Path, folder: Path) -> list[Any]:
    """The outputs of a notebook, run with `folder` for its temporary files."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TMPDIR", str(folder))
        environment.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
        document = nbformat.read(notebook, as_version=4)
        NotebookClient(document, timeout=SECONDS_A_CELL, resources={"metadata": {"path": str(ROOT)}}).execute()
    return [output for cell in document.cells for output in cell.get("outputs", [])]


@pytest.fixture(scope="session")
def first_look(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    """The bank that the first look makes from nothing, and what it shows; the others look at the same bank."""
    folder = tmp_path_factory.mktemp("first-look")
    outputs = run(FIRST_LOOK, folder)
    (bank,) = folder.glob("nudge-*/bank")
    return bank, outputs


def test_the_first_look_runs_from_top_to_bottom(first_look: tuple[Path, list[Any]]) -> None:
    assert any(output.output_type == "display_data" for output in first_look[1])


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_is_committed_without_outputs(notebook: Path) -> None:
    cells = nbformat.read(notebook, as_version=4).cells
    assert [cell.id for cell in cells if cell.cell_type == "code" and (cell.outputs or cell.execution_count)] == []


@pytest.mark.parametrize("notebook", [one for one in NOTEBOOKS if one != FIRST_LOOK], ids=lambda path: path.stem)
def test_the_notebook_runs_from_top_to_bottom(
    notebook: Path, first_look: tuple[Path, list[Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUDGE_DEMO", str(first_look[0]))

    assert any(output.output_type == "display_data" for output in run(notebook, tmp_path))
