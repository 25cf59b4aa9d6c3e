"""The command line in the test's process, and small demo banks, each made once for all tests that look at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pytest

import nudge.ground.workspace
from nudge.ground.terminal import Terminal
from nudge.ground.workspace import Workspace
from nudge.verbs.demo import run_demo
from tests.nudge.shops import command

Run: TypeAlias = Callable[..., dict[str, Any]]

CONTACTS, DAYS = 6_000, 120


@dataclass(frozen=True)
class Bank:
    """A demo workspace after the whole job, and the table it ended with."""

    workspace: Workspace
    document: dict[str, Any]


@pytest.fixture(scope="session")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], Bank]]:
    """The bank of a seed."""
    made: dict[int, Bank] = {}
    with pytest.MonkeyPatch.context() as patch:

        def of(seed: int) -> Bank:
            root: Path = tmp_path_factory.mktemp(f"bank{seed}") if seed not in made else made[seed].workspace.folder.parent
            patch.setattr(nudge.ground.workspace, "PROJECT", root)  # MLflow's root of this world alone
            patch.chdir(root)
            if seed not in made:
                document = run_demo(root / "demo", seed=seed, contacts=CONTACTS, days=DAYS, terminal=Terminal(quiet=True))
                made[seed] = Bank(Workspace.open(root / "demo"), document)
            return made[seed]

        yield of


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """`nudge ARGUMENTS --json --quiet`; its document."""

    def document(*arguments: object) -> dict[str, Any]:
        answer = command(capsys, monkeypatch, *map(str, arguments), "--json", "--quiet")
        assert answer.code == 0, answer.err
        return answer.document

    return document
