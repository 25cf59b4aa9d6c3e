"""`nudge simulate` and `nudge demo`: the simulated bank, and the whole job once through on it."""

from __future__ import annotations

import math
import os
import re
import shutil
from pathlib import Path
from typing import Any

from decisioning.errors import Conflict, NotFound, Unavailable
from nudge.ground.terminal import Terminal
from nudge.ground.workspace import PROJECT, Workspace
from nudge.verbs.evaluating import evaluate_workspace
from nudge.verbs.examples import init_workspace
from nudge.verbs.ingesting import ingest_workspace
from nudge.verbs.planning import PlanOptions, plan_workspace
from nudge.verbs.training import train_workspace
from simulation.world import World

REFERENCE_CONTACTS = 20_000
"""The population that the example's budgets and capacities are made for."""

_MAX = re.compile(r"(max:\s*)(\d+(?:\.\d+)?)")


def simulate_into(folder: Path, *, contacts: int, days: int, seed: int) -> dict[str, int]:
    """Write a simulated bank's raw tables to `folder/raw` and its truth to `folder/truth`; returns rows a table.

    Raises
    ------
    Unavailable
        The folder cannot be written.
    RequestError
        A number of contacts or days that makes no world.
    """
    world = World.generate(contacts=contacts, days=days, seed=seed)
    try:
        world.write(folder / "raw")
    except OSError as error:
        raise Unavailable(f"{folder} cannot be written", got=error.strerror) from None
    return dict(world.counts)


def run_demo(folder: Path, *, seed: int, contacts: int, days: int, terminal: Terminal) -> dict[str, Any]:
    """Init, simulate, ingest, train, plan and judge; an earlier demo in `folder` is replaced.

    Returns
    -------
    dict
        {workspace, plan_id, currency, models, evaluation (of `nudge evaluate`), policies: [{policy, contacted, true_profit, per_contact,
        share_of_oracle}]}
    """
    from nudge.verbs.judging import judge

    with terminal.working(f"1/6 simulating a bank with {contacts:,} contacts over {days} days"):
        make_bank(folder, contacts=contacts, days=days, seed=seed)
    workspace = Workspace.open(folder)
    with terminal.working("2/6 ingesting") as say:
        ingest_workspace(workspace, quarantine=False, progress=say)
    with terminal.working("3/6 learning propensity, uplift and CLV") as say:
        trained = train_workspace(workspace, as_of=None, only=None, say=say)
    for warning in trained["warnings"]:
        terminal.warn(warning)
    for finding in (finding for model in trained["models"] for finding in model["findings"]):
        terminal.say(finding)
    with terminal.working("4/6 evaluating them beside simple policies") as say:
        evaluation = evaluate_workspace(workspace, say=say)
    with terminal.working("5/6 planning under budgets and capacities") as say:
        planned = plan_workspace(workspace, out=workspace.folder / "exports", options=PlanOptions(), say=say)
    with terminal.working("6/6 asking the world what each policy truly earns"):
        policies = judge(workspace, workspace.folder / "exports" / planned["plan_id"] / "plan.parquet")
    return {
        "workspace": str(folder),
        "plan_id": planned["plan_id"],
        "currency": workspace.catalog.currency,
        "models": trained["models"],
        "evaluation": evaluation,
        "policies": policies,
    }


def make_bank(folder: Path, *, contacts: int, days: int, seed: int) -> None:
    """The demo's workspace with a simulated bank's raw data, its limits made for so many contacts; an earlier demo in `folder` is replaced.

    Raises
    ------
    Conflict
        The folder holds something else.
    """
    _make_way(folder)
    init_workspace(folder, "demo", {})
    simulate_into(folder, contacts=contacts, days=days, seed=seed)
    _scale_limits(folder, contacts)


def demo_workspace() -> Workspace:
    """The workspace that `make demo` left: `demo/` of the project, or the folder that the environment's NUDGE_DEMO names.

    Raises
    ------
    NotFound
        There is none.
    """
    folder = Path(os.environ.get("NUDGE_DEMO") or PROJECT / "demo")
    if not (folder / "nudge.yaml").exists():
        raise NotFound("there is no demo workspace", got=str(folder), hint="run make demo SERVE=0, or set NUDGE_DEMO")
    return Workspace.open(folder)


def _make_way(folder: Path) -> None:
    """Remove an earlier demo; anything else is left alone."""
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not (folder / "truth").is_dir() or not (folder / "nudge.yaml").exists():
        raise Conflict(f"{folder} is not an earlier demo and is left alone", hint="choose another folder with -w")
    shutil.rmtree(folder)


def _scale_limits(folder: Path, contacts: int) -> None:
    """Scale the example's constraints to another population, so that they bind alike."""
    path = folder / "catalog.yaml"
    lines, within = [], False
    sized = f"sized for {contacts:,} contacts"
    for line in path.read_text(encoding="utf-8").replace(f"sized for {REFERENCE_CONTACTS:,} contacts", sized).splitlines():
        within = line.startswith("constraints:") or (within and not re.match(r"\w", line))
        lines.append(
            _MAX.sub(lambda found: f"{found[1]}{math.ceil(float(found[2]) * contacts / REFERENCE_CONTACTS)}", line) if within else line
        )
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
