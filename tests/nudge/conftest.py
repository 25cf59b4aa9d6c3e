from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.nudge.shops import Fill, Shared, Shop


@pytest.fixture
def shop(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, mlflow_tables: Path) -> Shop:
    made = Shop(tmp_path / "shop", capsys, monkeypatch)
    made.write()
    shutil.copy(mlflow_tables, made.folder)
    return made


@pytest.fixture(scope="module")
def folder_of_the_file(tmp_path_factory: pytest.TempPathFactory, mlflow_tables: Path) -> Path:
    """Where the tests of a file that change nothing share a shop."""
    folder = tmp_path_factory.mktemp("shared") / "shop"
    folder.mkdir()
    shutil.copy(mlflow_tables, folder)
    return folder


@pytest.fixture
def shared(folder_of_the_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shared:
    """The shop in which the tests of a file only look; filled by the first of them."""

    def made(fill: Fill) -> Shop:
        shop = Shop(folder_of_the_file, capsys, monkeypatch)
        return shop if (shop.folder / "data").exists() else fill(shop)

    return made


@pytest.fixture
def shared_shop(shared: Shared) -> Shop:
    """A shop that was ingested, and in which the tests of a file only look."""

    def ingested(shop: Shop) -> Shop:
        shop.write()
        assert shop.run("ingest").code == 0
        return shop

    return shared(ingested)
