"""The notebooks run from top to bottom, and are committed without outputs. All but the first look share one small bank; all share a kernel.

A kernel's libraries take as long to load as a notebook to run: each notebook begins with an empty namespace instead of a new kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient

from tests.conftest import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FIRST_LOOK = ROOT / "notebooks" / "00_first_look.ipynb"
SECONDS_A_CELL = 300

Run: TypeAlias = Callable[[Path, str], list[Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the notebooks make their temporary files."""
    return tmp_path_factory.mktemp("notebooks")


@pytest.fixture(scope="module")
def run(folder: Path) -> Iterator[Run]:
    """Runs a notebook after a first cell of ours; returns the notebook's outputs."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TMPDIR", str(folder))
        environment.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
        manager, client = start_new_kernel(cwd=str(ROOT))
    client.stop_channels()

    def outputs(notebook: Path, first: str) -> list[Any]:
        document = nbformat.read(notebook, as_version=4)
        document.cells.insert(0, nbformat.v4.new_code_cell(f"%reset -f\n{first}"))
        NotebookClient(document, km=manager, timeout=SECONDS_A_CELL).execute()
        return [output for cell in document.cells[1:] for output in cell.get("outputs", [])]

    yield outputs
    manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def first_look(run: Run, folder: Path) -> tuple[Path, list[Any]]:
    """The bank that the first look makes from nothing, and what it shows; the others look at the same bank."""
    outputs = run(FIRST_LOOK, "")
    (bank,) = folder.glob("nudge-*/bank")
    return bank, outputs


def test_the_first_look_runs_from_top_to_bottom(first_look: tuple[Path, list[Any]]) -> None:
    assert any(output.output_type == "display_data" for output in first_look[1])


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_is_committed_without_outputs(notebook: Path) -> None:
    cells = nbformat.read(notebook, as_version=4).cells
    assert [cell.id for cell in cells if cell.cell_type == "code" and (cell.outputs or cell.execution_count)] == []


@pytest.mark.parametrize("notebook", [one for one in NOTEBOOKS if one != FIRST_LOOK], ids=lambda path: path.stem)
def test_the_notebook_runs_from_top_to_bottom(notebook: Path, run: Run, first_look: tuple[Path, list[Any]]) -> None:
    outputs = run(notebook, f"%env NUDGE_DEMO={first_look[0]}")

    assert any(output.output_type == "display_data" for output in outputs)
