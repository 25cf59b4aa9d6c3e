"""`nudge init`: a new workspace from an example."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from decisioning.errors import Conflict, RequestError, nearest

_PLACEHOLDER = re.compile(r"\{\{\s*([a-z0-9_]+)\s*(?:\|([^}]*))?\}\}")
_PACKAGE = Path(__file__).resolve().parents[1]


def examples_folder() -> Path:
    """Where the examples are: beside the packages in a checkout, inside this one when installed."""
    checkout = _PACKAGE.parent / "examples"
    return checkout if checkout.is_dir() else _PACKAGE / "examples"


def available() -> list[str]:
    """The names of the examples."""
    return sorted(path.parent.name for path in examples_folder().glob("*/nudge.yaml"))


def init_workspace(folder: Path, example: str, settings: Mapping[str, str]) -> None:
    """Copy `example` to `folder` and put `settings` into its `{{key}}` and `{{key|default}}` places.

    A setting that names an existing file becomes an absolute path, so that the workspace works from anywhere.

    Raises
    ------
    Conflict
        `folder` already holds a workspace, or is a file.
    RequestError
        No such example; or it knows no such setting, or a place has neither setting nor default.
    """
    if example not in available():
        raise RequestError(
            "there is no such example", field="--example", got=example, allowed=", ".join(available()), hint=nearest(example, available())
        )
    if folder.exists() and not folder.is_dir():
        raise Conflict(f"{folder} is a file")
    if (folder / "nudge.yaml").exists():
        raise Conflict(f"{folder} already holds a workspace", hint="choose another folder, or remove it first")
    source = examples_folder() / example
    config = (source / "nudge.yaml").read_text(encoding="utf-8")
    filled = _fill(config, settings)
    shutil.copytree(
        source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "data", "state", "exports", "raw", "truth")
    )
    (folder / "nudge.yaml").write_text(filled, encoding="utf-8")


def _fill(text: str, settings: Mapping[str, str]) -> str:
    places = dict(_PLACEHOLDER.findall(text))
    for name in settings:
        if name not in places:
            listed = ", ".join(sorted(places)) or "this example has no settings"
            raise RequestError("unknown setting", field=f"--set {name}", allowed=listed, hint=nearest(name, places))

    def value(match: re.Match[str]) -> str:
        name, default = match.group(1), match.group(2)
        if name in settings:
            given = settings[name]
            return (str(Path(given).resolve()) if given and Path(given).exists() else given).replace("'", "''")  # it stands in an SQL text
        if default is None:
            raise RequestError(f"the example needs a setting: --set {name}=…")
        return default

    return _PLACEHOLDER.sub(value, text)
