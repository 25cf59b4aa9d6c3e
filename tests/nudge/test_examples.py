"""`nudge init`: what is copied, what is filled in, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from decisioning.errors import Conflict, RequestError
from nudge.ground.workspace import Workspace
from nudge.verbs.examples import available, init_workspace


@pytest.mark.parametrize("example", available())
def test_every_example_is_a_workspace_whose_catalogue_parses(example: str, tmp_path: Path) -> None:
    init_workspace(tmp_path / "w", example, {})
    assert Workspace.open(tmp_path / "w", {}).catalog.actions


def test_a_setting_that_is_a_file_works_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.csv").write_text("x\n")
    monkeypatch.chdir(tmp_path)
    init_workspace(Path("w"), "hillstrom", {"data": "mine.csv"})
    assert str(tmp_path / "mine.csv") in (tmp_path / "w" / "nudge.yaml").read_text()


def test_without_the_setting_the_file_is_expected_in_the_workspace(tmp_path: Path) -> None:
    init_workspace(tmp_path / "w", "hillstrom", {})
    assert "raw.csv" in (tmp_path / "w" / "nudge.yaml").read_text()


def test_an_unknown_example_or_setting_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="did you mean 'hillstrom'"):
        init_workspace(tmp_path / "w", "hilstrom", {})
    with pytest.raises(RequestError, match="--set dta: unknown setting; allowed: data"):
        init_workspace(tmp_path / "w", "hillstrom", {"dta": "x"})
    assert not (tmp_path / "w").exists()


def test_a_workspace_is_never_overwritten(tmp_path: Path) -> None:
    init_workspace(tmp_path / "w", "demo", {})
    with pytest.raises(Conflict, match="already holds a workspace"):
        init_workspace(tmp_path / "w", "demo", {})


def test_an_apostrophe_in_a_path_harms_nothing(tmp_path: Path) -> None:
    from nudge.verbs.ingesting import ingest_workspace

    folder = tmp_path / "o'brien"
    folder.mkdir()
    rows = "recency,history_segment,history,mens,womens,zip_code,newbie,channel,segment,visit,conversion,spend\n"
    for place in range(60):
        rows += f"1,a,{place}.5,1,0,Urban,0,Web,{['Mens E-Mail', 'Womens E-Mail', 'No E-Mail'][place % 3]},{place % 2},0,0\n"
    (folder / "raw's.csv").write_text(rows)
    init_workspace(folder / "w", "hillstrom", {"data": str(folder / "raw's.csv")})
    document = ingest_workspace(Workspace.open(folder / "w", {}), quarantine=False, progress=lambda _: None)
    assert document["tables"]["contacts"]["rows"] == 60
