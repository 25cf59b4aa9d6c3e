"""One shop of the closed loop, from its first visitor to its last night: `python -m benchmarks.closed_loop_shop FOLDER SEED DAYS`."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt

from benchmarks import closed_loop_server as moved
from benchmarks.closed_loop_world import ACTIONS, COST, LATER, PILOT_DAYS, VALUE, WINDOW_DAYS, World, write_catalog
from benchmarks.commands import ROOT

VISITORS = 400
BEGINS = datetime(2026, 3, 2, 9, tzinfo=UTC)
AT_ONCE, VISITORS_AT_ONCE = 200, 50
_SWAPPED_WITHIN_S = 600
"""A server looks for new models every second; the first that it reads it also compiles for, minutes where the machine is busy."""


@dataclass
class Day:
    """One day and the night after it.

    Parameters
    ----------
    earned : mapping of policy to PLN a decision
        The true profit of the day's decisions, and of what others would have done for the same visitors.
    improbable : float
        The share of decisions that were made with a probability below a half: how much was tried.
    cpu : float
        Seconds that deciding (the client's part), training and the gate took.
    night : list
        What training and the gate said.
    """

    earned: dict[str, float]
    improbable: float
    cpu: float = 0.0
    night: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Shop:
    """The workspace and its server, with what has not happened yet."""

    world: World
    folder: Path
    port: int
    rng: np.random.Generator
    visitors: int = VISITORS
    to_come: list[tuple[datetime, dict[str, Any]]] = field(default_factory=list)

    def ask(self, path: str, body: Any) -> Any:
        """Post JSON; the answer's."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = json.loads(answer.read())
        if answer.status >= 300:
            raise RuntimeError(f"{path} answers {answer.status}: {content}")
        return content

    def decided_with(self) -> str:
        """The versions that the server decides with, as its metrics say them."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=60) as answer:
            lines = answer.read().decode().splitlines()
        return next(line for line in lines if line.startswith("nudge_snapshot_info{"))

    def await_swap(self, before: str | None = None) -> None:
        """Wait until the server decides with every model's champion, and with other versions than `before`."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v1/models", timeout=60) as answer:
            models = json.loads(answer.read())["models"]
        champions = [f'{one["name"].removeprefix("loop-")}="{one["champion"]}"' for one in models if one["champion"] is not None]
        until = time.monotonic() + _SWAPPED_WITHIN_S
        while (now := self.decided_with()) == before or not all(champion in now for champion in champions):
            if time.monotonic() > until:
                raise RuntimeError(f"the server still decides with {now}; the champions are {champions}")
            time.sleep(0.1)

    def open_day(self, now: datetime) -> Day:
        """What has happened by now is told, and who comes is decided for."""
        moved.set_clock(self.folder, now)
        due = [outcome for at, outcome in self.to_come if at <= now]
        self.to_come = [one for one in self.to_come if one[0] > now]
        for start in range(0, len(due), AT_ONCE):
            told = self.ask("/v1/outcomes", due[start : start + AT_ONCE])
            if told["rejected"]:
                raise RuntimeError(f"an outcome is refused: {told['rejected'][0]}")
        who = self.world.visitors(self.visitors, self.rng)
        done = [each for start in range(0, len(who), VISITORS_AT_ONCE) for each in self._decide(who[start : start + VISITORS_AT_ONCE])]
        profit = self.world.profit[who]
        rows = np.arange(len(who))
        by_response = np.argmax(self.world.propensity[who] * VALUE - COST, axis=1)
        earned = {
            "random": profit.mean(),
            "propensity-greedy": profit[rows, by_response].mean(),
            "nudge": np.mean([0.0 if k is None else one[k] for one, (k, _) in zip(profit, done, strict=True)]),
            "oracle": np.maximum(profit.max(axis=1), 0.0).mean(),
        }
        return Day({name: float(value) for name, value in earned.items()}, float(np.mean([prob < 0.5 for _, prob in done])))

    def _decide(self, who: npt.NDArray[np.int64]) -> list[tuple[int | None, float]]:
        """The offer that each visitor is shown, and with what probability; what follows is kept for its time."""
        home = {"channel": "web", "placements": ["home"], "limit": 1}
        answers = self.ask("/v1/decisions:batch", [{"contact_id": self.world.ids[contact], **home} for contact in who.tolist()])
        return [self._followed(contact, answer) for contact, answer in zip(who.tolist(), answers, strict=True)]

    def _followed(self, contact: int, answer: dict[str, Any]) -> tuple[int | None, float]:
        chosen = answer["actions"][0] if answer["actions"] else None
        action_id = None if chosen is None else str(chosen["action_id"])
        decided_at = datetime.fromisoformat(answer["decided_at"])
        for goal in self.world.respond(contact, action_id, self.rng):
            at = decided_at + timedelta(days=float(self.rng.uniform(0.01, WINDOW_DAYS - 0.01)))
            outcome = {"event_id": f"{answer['decision_id']} {goal}", "decision_id": answer["decision_id"], "outcome": goal}
            self.to_come.append((at, outcome | {"occurred_at": at.isoformat()}))
        return (None, 1.0) if chosen is None or action_id is None else (ACTIONS.index(action_id), float(chosen["selection_prob"]))


def command(*arguments: object) -> dict[str, Any]:
    """A `nudge` command in this process, whose imports sixty nights share; {"refused": why} where it ends with an error."""
    from nudge.cli import main

    out, err = io.StringIO(), io.StringIO()
    argv = patch.object(sys, "argv", ["nudge", *map(str, arguments), "--json", "--quiet"])
    with argv, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), contextlib.suppress(SystemExit):
        main()
    return dict(json.loads(out.getvalue())) if out.getvalue().strip() else {"refused": err.getvalue().strip()}


def night(folder: Path) -> list[dict[str, Any]]:
    """Learn from the ledger, and ask the gate about each model that was learned."""
    trained = command("train", "-w", folder)
    if "refused" in trained:
        return [{"refused": trained["refused"]}]
    names = [one["name"].removeprefix("loop-") for one in trained["models"] if one["alias"] == "challenger"]
    said = [command("promote", name, "-w", folder) | {"asked": name} for name in ("uplift", "propensity") if name in names]
    first = [{"asked": one["name"], "promoted": True, "reason": "first"} for one in trained["models"] if one["alias"] == "champion"]
    return [{key: one.get(key) for key in ("asked", "promoted", "reason", "gain", "gain_low", "rows", "refused")} for one in first + said]


def loop(world: World, seed: int, folder: Path, days: int, say: Callable[[Day], None], *, visitors: int = VISITORS) -> None:
    """All of it for one seed; each day is told when its night is over."""
    world.write(folder, seed=seed)
    moved.set_clock(folder, BEGINS)
    for arguments in (["ingest"], ["features", "build"], ["features", "materialize"]):
        done = command(*arguments, "-w", folder)
        if "refused" in done:
            raise RuntimeError(f"{arguments}: {done['refused']}")
    with served(folder) as port:
        shop = Shop(world, folder, port, np.random.default_rng([seed, 2]), visitors)
        for day in range(days):
            if day == PILOT_DAYS:
                before = shop.decided_with()
                write_catalog(folder, seed, LATER)
                shop.await_swap(before)
            began = time.process_time()
            today = shop.open_day(BEGINS + timedelta(days=day))
            today.night = night(folder)
            today.cpu = time.process_time() - began
            shop.await_swap()
            say(today)


@contextlib.contextmanager
def served(folder: Path) -> Iterator[int]:
    """The server; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = int(found.getsockname()[1])
    program = [sys.executable, "-m", "uvicorn", "--factory", "benchmarks.closed_loop_server:app", "--log-level", "warning"]
    own = {**os.environ, "OMP_NUM_THREADS": "1", moved.FOLDER: str(folder)}
    with subprocess.Popen([*program, "--port", str(port)], cwd=ROOT, env=own) as process:
        try:
            _await(port, process)
            yield port
        finally:
            process.terminate()


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(1_200):
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5):
                return
        except OSError:
            time.sleep(0.25)
    raise RuntimeError("the server never answered")


if __name__ == "__main__":
    own_seed = int(sys.argv[2])
    loop(World.drawn(own_seed), own_seed, Path(sys.argv[1]), int(sys.argv[3]), lambda seen: print(json.dumps(asdict(seen)), flush=True))
