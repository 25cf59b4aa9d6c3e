"""The image and the compose file fit the project: what they name is there, what they run exists."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
import typer
import yaml

from nudge.cli import app
from nudge.ground.config import parse_config
from nudge.ground.yaml_files import read_yaml
from tests.conftest import ROOT

DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
README = (DEPLOY / "README.md").read_text(encoding="utf-8")


def _nudge(words: list[str]) -> set[str]:
    """The options among `words` that the command they name does not have."""
    command: Any = typer.main.get_command(app)
    left = list(words)
    while hasattr(command, "commands"):
        name = left.pop(0)
        assert name in command.commands
        command = command.commands[name]
    known = {option for parameter in command.params for option in parameter.opts}
    return {word for word in left if word.startswith("-")} - known


def test_what_the_containers_run_exists() -> None:
    (cmd,) = re.findall(r"^CMD (\[.*\])$", DOCKERFILE, flags=re.MULTILINE)
    assert _nudge(SERVICES["nudge"]["command"]) == set()
    assert _nudge(yaml.safe_load(cmd)) == set()
    lines = re.findall(r"^docker compose run --rm nudge ([^#\n]+)", README, flags=re.MULTILINE)
    assert lines
    for line in lines:
        assert _nudge(shlex.split(line)) == set()


def test_mlflow_knows_the_options_it_is_given() -> None:
    from mlflow.cli import cli

    name, *given = SERVICES["mlflow"]["command"]
    known = {option for parameter in cli.commands[name].params for option in parameter.opts}
    assert {word.split("=")[0] for word in given} <= known


def test_what_is_mounted_and_what_is_waited_for_is_there() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or source.startswith("${") or (DEPLOY / source).exists()
        for name, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}
            assert "healthcheck" in SERVICES[name]


def test_no_password_is_written_down() -> None:
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    assert (
        len(re.findall(r"PASSWORD: \"?\$\{POSTGRES_PASSWORD:\?", text)) + len(re.findall(r":\$\{POSTGRES_PASSWORD:\?[^}]*\}@", text)) == 3
    )


def test_the_image_is_locked_and_runs_as_nobody_of_importance() -> None:
    assert "--require-hashes -r requirements.lock" in DOCKERFILE
    assert DOCKERFILE.index("USER nudge") < DOCKERFILE.index("ENTRYPOINT")
    for script in re.findall(r"python (scripts/\w+\.py)", DOCKERFILE):
        assert (ROOT / script).is_file()
    assert "HEALTHCHECK" in DOCKERFILE and "/health/ready" in DOCKERFILE


def test_the_workspace_of_the_readme_reads_with_what_compose_sets(tmp_path: Any) -> None:
    (block,) = re.findall(r"^```yaml\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "nudge.yaml").write_text(block, encoding="utf-8")
    environment = {name: str(value) for name, value in SERVICES["nudge"]["environment"].items()}
    stores = parse_config(read_yaml(tmp_path / "nudge.yaml", environment)).stores
    assert (stores.online.connection_string, stores.tracking) == ("redis:6379", "http://mlflow:5000")
    assert stores.ledger.startswith("postgresql://nudge:")


@pytest.mark.parametrize("name", ["psycopg", "redis", "mlflow"])
def test_what_the_servers_are_reached_with_is_in_the_lock(name: str) -> None:
    assert re.search(rf"^{name}==", (ROOT / "requirements.lock").read_text(encoding="utf-8"), flags=re.MULTILINE)
