"""What `nudge train` says to people about the uplift gate."""

from __future__ import annotations

from typing import Any

import pytest

from estimators import gate
from nudge.answers.training import HARDLY, trained
from nudge.ground.terminal import Terminal

ORDER = "hardly anybody's action changes: differences order the audience"
PERSONAL = "personal: each contact's own uplift counts"


def verdicts(capsys: pytest.CaptureFixture[str], trust: dict[str, float], **whole: float) -> dict[str, str]:
    """The verdict on each action, as the table shows it."""
    metrics = {f"gate.{name}": value for name, value in whole.items()}
    metrics |= {f"gate.{action}.trust": value for action, value in trust.items()}
    metrics |= {f"gate.{action}.{name}": 0.0 for action in trust for name in ("gain", "gain_low", "gain_high", "changed")}
    model: dict[str, Any] = {"name": "shop-uplift", "version": 1, "alias": "champion", "cached": False, "seconds": 1.0, "headline": None}
    model |= {"metrics": metrics, "findings": ["personalising pays"], "warnings": []}
    trained(Terminal(), {"models": [model], "warnings": ["beware"]})
    answer = capsys.readouterr()
    assert "personalising pays" in answer.out
    assert answer.err == "warning: beware\n"
    rows = [line.strip("│ ").split("│") for line in answer.out.splitlines()]
    return {row[0].strip(): row[-1].strip() for row in rows if row[0].strip() in trust}


def test_differences_that_change_nobodys_action_are_not_called_personal(capsys: pytest.CaptureFixture[str]) -> None:
    assert verdicts(capsys, {"mail": 1.0}, passed=1.0, changed=0.0, decided_changed=0.0) == {"mail": ORDER}
    assert verdicts(capsys, {"mail": 1.0}, passed=1.0, changed=0.3, decided_changed=0.3) == {"mail": PERSONAL}
    assert gate.HARDLY == HARDLY


def test_an_action_that_keeps_its_differences_is_called_personal_though_the_whole_does_not_pass(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = verdicts(capsys, {"mail": 1.0, "call": 0.05}, passed=0.0, changed=0.5, decided_changed=0.3)
    assert found["mail"] == PERSONAL
    assert found["call"].startswith("not enough evidence: its average effect decides")


def test_figures_of_an_earlier_version_are_read_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert verdicts(capsys, {"mail": 1.0}, passed=1.0, changed=0.0) == {"mail": ORDER}
