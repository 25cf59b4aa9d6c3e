"""What every test may ask for, and the environment that none of them inherits."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_configure() -> None:
    """Take the developer's own settings out of the environment before anything of ours is imported."""
    kept = {"NUDGE_DATA"}
    for name in [name for name in os.environ if name.startswith(("NUDGE_", "MLFLOW_", "FEAST_")) and name not in kept]:
        del os.environ[name]
    os.environ["MPLBACKEND"] = "Agg"
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["FEAST_USAGE"] = "False"
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in the Makefile: waiting threads sleep


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The folder that holds pyproject.toml."""
    return ROOT


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real public data; a test that asks for it is skipped where the folder is absent."""
    folder = Path(os.environ.get("NUDGE_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"real data not found in {folder}: set NUDGE_DATA")
    return folder
