"""The demo: what policies truly earn in simulated banks that nobody tuned for."""

from __future__ import annotations

from pathlib import Path

import pytest

import nudge.workspace
from nudge.demo import run_demo
from nudge.terminal import Terminal

SEEDS = (1, 2)
"""Two small banks here; `make bench ONLY=demo_banks` takes five of the full size."""


@pytest.mark.parametrize("seed", SEEDS)
def test_nudge_earns_clearly_more_than_ranking_by_response(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nudge.workspace, "PROJECT", tmp_path)  # MLflow's root of this world alone
    monkeypatch.chdir(tmp_path)
    done = run_demo(tmp_path / "demo", seed=seed, contacts=6_000, days=120, terminal=Terminal(quiet=True))
    earned = {row["policy"]: row["true_profit"] for row in done["policies"]}
    assert earned["oracle"] > earned["Nudge"] > max(earned["random"], 0.0)
    assert earned["Nudge"] - earned["propensity-greedy"] > 0.2 * earned["oracle"]
