"""The workspace as the console looks at it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from decisioning.errors import NotFound, Unavailable
from features.finding import contacts_like
from nudge.desks.limits_file import change_limits
from nudge.desks.what_if_beside import beside
from nudge.ground.workspace import Workspace
from nudge.verbs.planning import count_contacts
from nudge.verbs.what_if import LimitChange
from serving.service import Service

_LONGEST_SECONDS = 1_800.0
_PATIENCE_SECONDS = 60.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class WorkspaceConsole:
    """`serving.ports.console.ConsoleDesk` of one workspace, beside the service that decides for it."""

    def __init__(self, workspace: Workspace, service: Service) -> None:
        self._workspace = workspace
        self._service = service
        self._pictures: dict[tuple[str, int], list[str]] = {}

    @property
    def name(self) -> str:
        """As nudge.yaml says it."""
        return self._workspace.config.name

    def contacts_like(self, text: str, limit: int) -> list[str]:
        """See `features.finding.contacts_like`."""
        return contacts_like(self._workspace.folder / "data", text, limit)

    def freshness(self) -> dict[str, Any] | None:
        """{as_of, contacts, days}; `as_of` and `days` are None where nothing in the data has a time."""
        held = self._workspace.door.materialised()
        if held is None:
            return None
        now, as_of = datetime.now(UTC), None if self._timeless() else _EPOCH + timedelta(microseconds=held.as_of)
        days = None if as_of is None else max(0.0, (now - as_of).total_seconds() / 86_400)
        return {"as_of": None if as_of is None else as_of.isoformat(), "contacts": held.contacts, "days": days}

    def evaluation(self) -> dict[str, Any]:
        """`nudge evaluate --json` as a process of its own: it computes for long, and decisions must not wait for it.

        Raises
        ------
        Unavailable
            It says why there is nothing to evaluate, or takes too long.
        """
        environment = {**self._workspace.environment, "PYTHONUTF8": "1"}
        command = [sys.executable, "-m", "nudge", "evaluate", "-w", str(self._workspace.folder), "--json", "--quiet"]
        try:
            done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=_LONGEST_SECONDS, env=environment, check=False)
        except subprocess.TimeoutExpired:
            raise Unavailable("the models take too long to evaluate", hint="run nudge evaluate") from None
        if done.returncode != 0:
            said = done.stderr.strip().splitlines()
            raise Unavailable(said[-1].removeprefix("nudge: ") if said else "the models cannot be evaluated")
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def pictures(self, model: str, version: int) -> list[str]:
        """The plots of the run behind a version; they never change, and are looked up once."""
        key = (model, version)
        if key not in self._pictures:
            self._pictures[key] = [one for one in self._workspace.tracker.tables(model, version, "plots") if one.endswith(".png")]
        return self._pictures[key]

    def picture(self, model: str, version: int, name: str) -> bytes | None:
        """A plot of the run behind a version."""
        return self._workspace.tracker.table(model, version, f"plots/{name}")

    def what_if(self, limits: Mapping[str, float], contacts: int) -> dict[str, Any]:
        """In this process, since whoever asks waits for it: a sample takes a second or two."""
        everybody = count_contacts(self._workspace, None)
        changes = [LimitChange(name, max=most) for name, most in limits.items()]
        return self._service.of_sample(partial(beside, changes, everybody), contacts, patience=_PATIENCE_SECONDS)

    def change_limits(self, limits: Mapping[str, float]) -> None:
        """See `nudge.limits_file.change_limits`."""
        change_limits(self._workspace, limits)

    def _timeless(self) -> bool:
        try:
            return self._workspace.data.timeless
        except NotFound:
            return False
