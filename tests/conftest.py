"""What every test may ask for, and the environment that none of them inherits."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings

from tests import postgres

ROOT = Path(__file__).resolve().parent.parent

LAW_CASES = int(os.environ.get("LAW_CASES") or (300 if os.environ.get("CI") else 100))
"""How many random cases each law of the core is held against; `make laws` takes thousands."""

LONGEST = (
    "tests/acceptance/test_demo.py",
    "tests/test_notebooks.py",
    "tests/training/test_run.py",
    "tests/training/test_own_models.py",
    "tests/training/test_reproducible.py",
    "tests/serving/test_racing.py",
    "tests/console/test_in_a_browser.py",
    "tests/acceptance/test_bank_marketing.py",
)
"""The files that take most CPU time, the dearest first."""

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files: the last to end, on whichever process, are then short ones."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.nodeid.split("::")[0], len(LONGEST)))


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


@pytest.fixture(scope="session")
def mlflow_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with MLflow's tables and nothing in them, to be copied: its migrations take seconds for each new file."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow-tables") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}", f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture(scope="session")
def new_postgres_database() -> Iterator[Callable[[], str]]:
    """Makes an empty PostgreSQL database and returns its URL; skipped where PostgreSQL is not installed, never in CI."""
    programs = postgres.binaries()
    if programs is None:
        assert not os.environ.get("CI"), "PostgreSQL is not installed: .ci/run installs it"
        pytest.skip("PostgreSQL's programs (initdb, postgres) are not installed")
    numbers = itertools.count()
    with postgres.server(programs) as url:

        def made() -> str:
            name = f"nudge_{next(numbers)}"
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name}")
            return url.rsplit("/", 1)[0] + f"/{name}"

        yield made
