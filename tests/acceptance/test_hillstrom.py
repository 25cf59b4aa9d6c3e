"""The real Hillstrom data through the public commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import hillstrom_plan
from tests.acceptance.conftest import Run


def test_the_plan_is_not_below_the_best_single_e_mail_within_noise(
    tmp_path: Path, data_dir: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hillstrom_plan, "run", run)
    split = hillstrom_plan.play(tmp_path / "hillstrom", data_dir, seed=1)
    assert split.contacts == 64_000
    assert sum(split.actions.values()) == 64_000
    assert split.difference >= -2 * split.standard_error
