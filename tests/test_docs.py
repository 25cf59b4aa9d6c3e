"""What the documents say is true: links lead somewhere, commands exist, examples parse and run, figures are those that were measured."""

from __future__ import annotations

import doctest
import json
import re
import shlex
from pathlib import Path
from typing import Any

import duckdb
import pytest
import typer
import yaml

from decisioning.catalog import parse_catalog
from nudge.cli import app
from nudge.ground.config import parse_config
from tests.conftest import ROOT

DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted((ROOT / "docs").glob("*.md"))
WORKSPACE = ROOT / "docs" / "workspace.md"


def _named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _blocks(document: Path, language: str) -> list[str]:
    """The code blocks of a document in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def _targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))


@pytest.mark.parametrize("document", DOCUMENTS, ids=_named)
def test_every_link_and_every_picture_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=_named)
def test_every_file_that_is_named_with_its_room_is_there(document: Path) -> None:
    named = re.findall(
        r"`((?:docs|notebooks|benchmarks|tests|decisioning|estimators|serving|training|features)/[\w/]+\.\w+)`", document.read_text()
    )
    assert [name for name in named if not (ROOT / name).is_file() and "NAME" not in name] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=_named)
def test_every_make_target_that_is_named_exists(document: Path) -> None:
    named = set(re.findall(r"(?:`|^)make ([a-z]+)", document.read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert named <= _targets()


@pytest.mark.parametrize("document", DOCUMENTS, ids=_named)
def test_the_python_examples_run(document: Path) -> None:
    for number, block in enumerate(_blocks(document, "python"), start=1):
        example = doctest.DocTestParser().get_doctest(block, {}, f"{document.name} block {number}", str(document), 0)
        assert example.examples, "a Python block shows a session with >>>, so that it can be run"
        assert doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS).run(example).failed == 0


def _nudge_lines() -> list[str]:
    lines = [line for document in DOCUMENTS for block in _blocks(document, "bash") for line in block.splitlines()]
    return [line.split("#")[0].strip() for line in lines if line.startswith("nudge ")]


@pytest.mark.parametrize("line", _nudge_lines())
def test_every_nudge_command_of_the_documents_exists_with_its_options(line: str) -> None:
    command: Any = typer.main.get_command(app)
    _, *words = shlex.split(line)
    while hasattr(command, "commands"):
        name = words.pop(0)
        assert name in command.commands
        command = command.commands[name]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= options


def test_make_help_lists_the_commands_of_the_readme() -> None:
    assert {"setup", "demo", "test", "check", "bench", "help"} <= _targets()


def test_the_example_configuration_is_one_that_nudge_reads() -> None:
    config, catalog = (yaml.safe_load(block) for block in _blocks(WORKSPACE, "yaml"))
    assert parse_config(config).name == "shop"
    assert parse_catalog(catalog).action_by_id["winback"].goal == "purchase"


def test_the_example_query_counts_only_what_happened_before() -> None:
    (query,) = _blocks(WORKSPACE, "sql")
    connection = duckdb.connect()
    connection.execute("CREATE TABLE entities AS SELECT 'c-1' AS contact_id, TIMESTAMP '2026-03-01' AS as_of")
    connection.execute(
        "CREATE TABLE events AS SELECT 'c-1' AS contact_id, 'basket_left' AS event_type, unnest(["
        "TIMESTAMP '2026-02-01', TIMESTAMP '2026-03-01', TIMESTAMP '2026-04-01']) AS occurred_at"
    )
    (row,) = connection.execute(query).fetchall()
    assert (row[0], row[2]) == ("c-1", 1)


def test_the_figures_of_the_readme_are_the_measured_ones() -> None:
    measured = {row["name"]: row["value"] for row in json.loads((ROOT / "benchmarks" / "results.json").read_text(encoding="utf-8"))}
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+?) \| (-?\d+\.\d\d) \| ([+-]?\d+\.\d\d) \|$", text, flags=re.MULTILINE)
    silence = measured["small_effects.no contact at all"]
    assert len(rows) == 6
    for policy, profit, beyond in rows:
        value = measured[f"small_effects.{policy.strip('*')}"]
        assert (float(profit), float(beyond)) == (round(value, 2), round(value - silence, 2))
