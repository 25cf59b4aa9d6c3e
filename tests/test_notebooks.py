"""The notebooks run from top to bottom, and are committed without outputs. All but the first look share one small bank."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from nudge.demo import make_bank
from nudge.ingesting import ingest_workspace
from nudge.training_command import train_workspace
from nudge.workspace import Workspace
from tests.conftest import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SECONDS_A_CELL = 300


@pytest.fixture(scope="session")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make demo SERVE=0` leaves, of fewer contacts."""
    folder = tmp_path_factory.mktemp("notebooks") / "bank"
    make_bank(folder, contacts=1200, days=120, seed=7)
    with (folder / "nudge.yaml").open("a", encoding="utf-8") as config:
        config.write("stores: {tracking: sqlite:///state/mlflow.db}\n")
    workspace = Workspace.open(folder)
    ingest_workspace(workspace, quarantine=False, progress=lambda *_: None)
    train_workspace(workspace, as_of=None, only=None, say=lambda *_: None)
    return folder


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_is_committed_without_outputs(notebook: Path) -> None:
    cells = nbformat.read(notebook, as_version=4).cells
    assert [cell.id for cell in cells if cell.cell_type == "code" and (cell.outputs or cell.execution_count)] == []


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_runs_from_top_to_bottom(notebook: Path, bank: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUDGE_DEMO", str(bank))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    document = nbformat.read(notebook, as_version=4)
    NotebookClient(document, timeout=SECONDS_A_CELL, resources={"metadata": {"path": str(ROOT)}}).execute()
    assert any(output.output_type == "display_data" for cell in document.cells for output in cell.get("outputs", []))
