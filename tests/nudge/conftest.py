from __future__ import annotations

from pathlib import Path

import pytest

from tests.nudge.shops import Shop


@pytest.fixture
def shop(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shop:
    made = Shop(tmp_path / "shop", capsys, monkeypatch)
    made.write()
    return made
