"""The real Hillstrom data through the public commands."""

from __future__ import annotations

from pathlib import Path

from benchmarks.hillstrom_plan import play


def test_the_plan_is_not_below_the_best_single_e_mail_within_noise(tmp_path: Path, data_dir: Path) -> None:
    split = play(tmp_path / "hillstrom", data_dir, seed=1)
    assert split.contacts == 64_000
    assert sum(split.actions.values()) == 64_000
    assert split.difference >= -2 * split.standard_error
