"""nudge.yaml: typed values, or the path of the key that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from decisioning.errors import ConfigError, NotFound, NotSupportedYet
from nudge.ground.config import parse_config
from nudge.ground.workspace import Workspace
from nudge.ground.yaml_files import read_yaml

GOOD: dict[str, Any] = {"name": "shop", "sources": {"contacts": "SELECT 1 AS contact_id"}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sorces": {}}, "sorces: unknown key. Hint: did you mean 'sources'?"),
        ({"stores": {"onlin": {}}}, "stores.onlin: unknown key. Hint: did you mean 'online'?"),
        ({"stores": {"online": {"type": "mongo"}}}, "stores.online.type: should be 'sqlite' or 'redis'; got 'mongo'"),
        ({"name": "My Shop"}, "name: String should match pattern"),
        ({"sources": {"contcts": "x"}}, "sources.contacts: is missing"),
        ({"training": {"sensitiv": ["gender"]}}, "training.sensitiv: unknown key. Hint: did you mean 'sensitive'?"),
        ({"training": {"tuning_minutes": -1}}, "training.tuning_minutes: "),
        ({"models": {"propensty": {}}}, "models.propensty: unknown key. Hint: did you mean 'propensity'?"),
        ({"models": {"propensity": {"clas": "a.B"}}}, "models.propensity.clas: unknown key. Hint: did you mean 'class'?"),
        ({"models": {"propensity": {"class": "B"}}}, "models.propensity.class: String should match pattern"),
        ({"seed": "seven"}, "seed: should be a whole number"),
    ],
)
def test_a_wrong_key_is_named_with_its_path(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_config({**GOOD, **changes})
    assert message in str(refused.value)


@pytest.mark.parametrize("content", [None, [], "text", 3])
def test_what_is_no_mapping_is_refused(content: object) -> None:
    with pytest.raises(ConfigError, match=r"nudge\.yaml: is not a mapping of keys"):
        parse_config(content)


@pytest.mark.parametrize(("changes", "key"), [({"engine": {"type": "ray"}}, "engine.type")])
def test_what_comes_later_is_refused_by_its_key(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(NotSupportedYet, match=f"{key}: not supported yet"):
        parse_config({**GOOD, **changes})


def write(folder: Path, text: str) -> Path:
    path = folder / "nudge.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_name_from_the_environment_is_put_in(tmp_path: Path) -> None:
    path = write(tmp_path, "stores: {ledger: 'postgresql://${DB_HOST}/nudge'}\n")
    assert read_yaml(path, {"DB_HOST": "db"}) == {"stores": {"ledger": "postgresql://db/nudge"}}


def test_a_name_that_is_not_set_is_named_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"stores\.ledger: the environment variable DB_HOST is not set"):
        read_yaml(write(tmp_path, "stores: {ledger: 'x${DB_HOST}'}\n"), {})


def test_a_key_given_twice_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nudge\.yaml line 2: not readable as YAML: the key 'name' is given twice"):
        read_yaml(write(tmp_path, "name: a\nname: b\n"), {})


def test_broken_yaml_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nudge\.yaml line \d+: not readable as YAML"):
        read_yaml(write(tmp_path, "name: [a\nb: c\n"), {})


def test_a_folder_without_a_workspace_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nudge init"):
        Workspace.open(tmp_path, {})


def test_a_workspace_keeps_its_own_id(tmp_path: Path) -> None:
    write(tmp_path, "name: shop\nsources: {contacts: SELECT 1}\n")
    first = Workspace.open(tmp_path, {}).workspace_id
    assert Workspace.open(tmp_path, {}).workspace_id == first


def test_an_alias_that_refers_to_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nudge\.yaml: is nested too deeply"):
        read_yaml(write(tmp_path, "name: x\nsources: &a {contacts: *a}\n"), {})
