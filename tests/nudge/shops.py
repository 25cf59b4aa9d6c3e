"""Small workspaces written from scratch, and the command line run inside the test's process."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml

from nudge.cli import main

CONTACTS = "SELECT 'c-' || i AS contact_id, 18 + i % 60 AS age, i % 3 = 0 AS \"Has Loan\", 'city ' || i % 40 AS city FROM range(200) r(i)"
CONSENTS = """SELECT 'c-' || i AS contact_id, 'email_marketing' AS purpose, CASE WHEN i % 4 = 0 THEN 'revoked' ELSE 'granted' END AS status,
  TIMESTAMP '2026-10-01' AS changed_at FROM range(150) r(i)"""
CATALOG: dict[str, Any] = {
    "version": "1",
    "currency": "PLN",
    "time_zone": "Europe/Warsaw",
    "channels": {
        "web": {"direction": "inbound", "placements": ["home_hero"]},
        "email": {"direction": "outbound", "cost": 0.5, "purpose": "email_marketing"},
    },
    "outcomes": {
        "sale": {"kind": "conversion", "window_days": 30},
        "reject": {"kind": "response", "behaviour": "negative", "window_days": 7},
    },
    "actions": [
        {
            "id": "loan",
            "goal": "sale",
            "value": "10 * age",
            "eligibility": "age >= 21 AND NOT has_loan",
            "cold_start": {"propensity": 0.05, "uplift": 0.02},
            "treatments": [{"id": "loan_email", "channel": "email"}, {"id": "loan_hero", "channel": "web", "placement": "home_hero"}],
        }
    ],
    "constraints": [{"id": "budget", "measure": "cost", "max": 20}, {"id": "heroes", "channel": "web", "measure": "contacts", "max": 30}],
}


@dataclass(frozen=True)
class Answer:
    """What a command left: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Answer:
    """`nudge ARGUMENTS` in this process: one of its own would have to load every library anew."""
    monkeypatch.setattr(sys, "argv", ["nudge", *arguments])
    capsys.readouterr()
    code = 0
    try:
        main()
    except SystemExit as end:
        code = int(end.code or 0)
    written = capsys.readouterr()
    return Answer(code, written.out, written.err)


class Shop:
    """A workspace in a folder, and the command line on it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def write(self, *, catalog: Any = None, sources: dict[str, str] | None = None, **config: Any) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        tracking = f"sqlite:///{self.folder}/mlflow.db"
        whole = {
            "name": "shop",
            "sources": sources or {"contacts": CONTACTS, "consents": CONSENTS},
            "stores": {"tracking": tracking},
            **config,
        }
        (self.folder / "nudge.yaml").write_text(yaml.safe_dump(whole), encoding="utf-8")
        (self.folder / "catalog.yaml").write_text(yaml.safe_dump(CATALOG if catalog is None else catalog), encoding="utf-8")

    def run(self, *arguments: str, json_output: bool = True) -> Answer:
        options = ["--json", "--quiet"] if json_output else ["--quiet"]
        return command(self._capsys, self._monkeypatch, *arguments, "-w", str(self.folder), *options)

    def tables(self) -> dict[str, bytes]:
        """The contract tables as they lie on disk."""
        return {path.name: path.read_bytes() for path in sorted((self.folder / "data").glob("*.parquet"))}


Fill: TypeAlias = Callable[[Shop], Shop]
"""Writes and ingests what the tests of a file look at."""

Shared: TypeAlias = Callable[[Fill], Shop]
