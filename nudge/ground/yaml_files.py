"""YAML files as plain values: `${NAME}` from the environment, a key given twice refused, errors with their line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from decisioning.errors import ConfigError, NotFound

_REFERENCE = re.compile(r"\$\{([^}]*)\}")


class _UniqueKeys(yaml.SafeLoader):
    """YAML's last-one-wins on a repeated key would silently drop an action's rule."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str | int | float | bool) and key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key '{key}' is given twice", key_node.start_mark)
            seen.add(key if isinstance(key, str | int | float | bool) else None)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path, environment: Mapping[str, str]) -> Any:
    """The content of `path` with every `${NAME}` replaced.

    Raises
    ------
    NotFound
        There is no such file.
    ConfigError
        It is not YAML, repeats a key, or names an environment variable that is not set.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFound(
            f"there is no {path.name} in {path.parent}", hint="is this a workspace? `nudge init DIR --example demo` makes one"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("cannot be read as UTF-8 text", field=path.name, got=type(error).__name__) from None
    try:
        content = yaml.load(text, Loader=_UniqueKeys)  # noqa: S506 - a subclass of SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path.name} line {mark.line + 1}" if mark else path.name
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError(f"not readable as YAML: {problem}", field=where) from None
    try:
        return replace_references(content, environment, "")
    except RecursionError:
        raise ConfigError("is nested too deeply, or an alias refers to itself", field=path.name) from None


def replace_references(value: Any, environment: Mapping[str, str], path: str) -> Any:
    """`value` with every `${NAME}` in its texts replaced; `path` names the place for the error.

    Examples
    --------
    >>> replace_references({"ledger": "postgresql://${HOST}/n"}, {"HOST": "db"}, "")
    {'ledger': 'postgresql://db/n'}
    """
    if isinstance(value, dict):
        return {key: replace_references(one, environment, f"{path}.{key}" if path else str(key)) for key, one in value.items()}
    if isinstance(value, list):
        return [replace_references(one, environment, f"{path}[{index}]") for index, one in enumerate(value)]
    if not isinstance(value, str):
        return value

    def look_up(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in environment:
            raise ConfigError(f"the environment variable {name} is not set", field=path, hint=f"export {name}=…")
        return environment[name]

    return _REFERENCE.sub(look_up, value)
