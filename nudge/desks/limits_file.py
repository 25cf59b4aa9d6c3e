"""Other limits for catalog.yaml: the number of a `max` is written over in its place, and nothing else in the file is touched."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from decisioning.catalog import Constraint, parse_catalog
from decisioning.errors import RequestError, Unavailable, nearest
from nudge.ground.workspace import Workspace
from nudge.ground.yaml_files import read_yaml

_FILE = "catalog.yaml"
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


def change_limits(workspace: Workspace, limits: Mapping[str, float]) -> None:
    """Give constraints another `max` (by id): comments, order and layout of the file stay.

    Raises
    ------
    RequestError
        The catalogue has no such constraint, or its `max` is not a number in the file (it may come from the environment).
    ConfigError
        The catalogue would not be one any more: the file stays as it is.
    Unavailable
        The file cannot be written.
    """
    path = workspace.folder / _FILE
    known = {one.id: one for one in parse_catalog(read_yaml(path, workspace.environment)).constraints}
    text = path.read_text(encoding="utf-8")
    places = _places(text)
    for name in sorted(limits, key=lambda one: -places.get(one, (0, 0))[0]):  # from the end, so that earlier places stay where they are
        begin, end = _place(name, known, places)
        text = text[:begin] + _written(limits[name]) + text[end:]
    _put(path, text, workspace)


def _place(name: str, known: Mapping[str, Constraint], places: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    if name not in known:
        raise RequestError("is no constraint of the catalogue", field="constraint", got=name, hint=nearest(name, known))
    if name not in places:
        raise RequestError(f"the limit of {name} is not written as a number in {_FILE}", field=name, hint=f"change it in {_FILE}")
    return places[name]


def _places(text: str) -> dict[str, tuple[int, int]]:
    """Where in the text the number of each constraint's `max` stands."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    listed = next((value for key, value in getattr(root, "value", ()) if key.value == "constraints"), None)
    found: dict[str, tuple[int, int]] = {}
    for one in listed.value if isinstance(listed, yaml.SequenceNode) else ():
        entry: dict[str, Any] = {inner.value: node for inner, node in one.value} if isinstance(one, yaml.MappingNode) else {}
        limit, name = entry.get("max"), entry.get("id")
        if limit is not None and name is not None and limit.tag in _NUMBERS:
            found[name.value] = (limit.start_mark.index, limit.end_mark.index)
    return found


def _written(amount: float) -> str:
    return str(int(amount)) if amount == int(amount) and abs(amount) < 1e15 else repr(float(amount))


def _put(path: Path, text: str, workspace: Workspace) -> None:
    """The file as a whole or not at all, and only where it still is a catalogue."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            temporary.write_text(text, encoding="utf-8")
            parse_catalog(read_yaml(temporary, workspace.environment))
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise Unavailable(f"{_FILE} cannot be written", got=error.strerror) from None
