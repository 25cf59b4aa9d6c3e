"""How the commands speak to somebody who looks at them."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import NoReturn

import pytest
from rich.console import Console

from nudge import cli
from nudge.ground.terminal import Terminal
from nudge.verbs import planning


def test_a_bar_is_gone_when_what_is_done_next_has_no_steps_to_count() -> None:
    terminal, screen = Terminal(as_json=False, quiet=False), io.StringIO()
    terminal.err = Console(file=screen, force_terminal=True, width=100)
    with terminal.working("planning") as say:
        say("decided 3 of 3 contacts", 3, 3)
    with terminal.working("planning") as say:
        say("decided 3 of 3 contacts", 3, 3)
        say("writing the files")
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    assert "3/3" in shown
    assert "writing the files" in shown
    assert "/3" not in shown.rpartition("writing the files")[2]


def test_who_interrupts_a_command_is_told_that_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(planning, "plan_workspace", interrupted)
    monkeypatch.setattr("nudge.commands.deciding.open_workspace", lambda folder: type("Found", (), {"folder": folder, "catalog": None}))
    monkeypatch.setattr(sys, "argv", ["nudge", "plan", "-w", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err.endswith("nudge: stopped\n")
