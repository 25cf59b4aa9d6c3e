"""Other limits written into catalog.yaml: the number changes in its place and nothing else does."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from decisioning.errors import ConfigError, RequestError
from nudge.desks.limits_file import change_limits
from nudge.ground.workspace import Workspace
from tests.nudge.shops import CATALOG

LIMITS = """
constraints:                       # what the marketer may spend
  - {id: budget, measure: cost, max: 6300}   # agreed in March
  - id: "calls"
    channel: web
    measure: contacts
    max: 320.0
  - id: most
    measure: contacts
    max: ${MOST}
  - {id: band, measure: contacts, min: 10, max: 90}
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "nudge.yaml").write_text("name: shop\nsources: {contacts: SELECT 1 AS contact_id}\n", encoding="utf-8")
    rest = yaml.safe_dump({name: value for name, value in CATALOG.items() if name != "constraints"})
    (tmp_path / "catalog.yaml").write_text(f"# ours: żółć\n{rest}{LIMITS}", encoding="utf-8")
    return Workspace.open(tmp_path, {"MOST": "50"})


def limits(workspace: Workspace) -> dict[str, float | None]:
    return {one.id: one.max for one in workspace.read_catalog().constraints}


def test_only_the_numbers_change(workspace: Workspace) -> None:
    path = workspace.folder / "catalog.yaml"
    before = path.read_text(encoding="utf-8")
    change_limits(workspace, {"budget": 7000.5, "calls": 12.0, "band": 80.0})
    assert limits(workspace) == {"budget": 7000.5, "calls": 12.0, "most": 50.0, "band": 80.0}
    assert path.read_text(encoding="utf-8") == before.replace("6300", "7000.5").replace("320.0", "12").replace("max: 90", "max: 80")
    assert [one.name for one in workspace.folder.iterdir() if one.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"bugdet": 1.0}, RequestError, "budget"),
        ({"most": 60.0}, RequestError, "not written as a number"),
        ({"band": 5.0}, ConfigError, "min"),
    ],
)
def test_what_cannot_be_changed_leaves_the_file_as_it_is(
    workspace: Workspace, change: dict[str, float], error: type[Exception], words: str
) -> None:
    before = (workspace.folder / "catalog.yaml").read_bytes()
    with pytest.raises(error, match=words):
        change_limits(workspace, {"budget": 1.0, **change})
    assert (workspace.folder / "catalog.yaml").read_bytes() == before
