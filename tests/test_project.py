"""The rules of the house that no linter knows: purity, sizes, words about itself, nothing of one machine."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import LONGEST, ROOT

PURE_ROOMS = ("decisioning", "estimators", "measurement")
ROOMS = (*PURE_ROOMS, "features", "ledger", "training", "serving", "simulation", "nudge")
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60

CLOCKS = {"time.time", "time.monotonic", "time.perf_counter", "datetime.now", "datetime.utcnow", "datetime.today", "date.today"}
FILES = {"open", "read_text", "write_text", "read_bytes", "write_bytes", "mkdir", "unlink"}
GENERATORS = {"default_rng", "Generator", "SeedSequence", "PCG64", "Philox", "BitGenerator"}


def _python_files(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def _tracked_files() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listing.returncode != 0:
        pytest.skip("not a git checkout: the tracked files are not known")
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


def _dotted(node: ast.expr) -> str:
    """`np.random.default_rng` for the expression that says so, and '' for anything that is not a plain dotted name."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def _calls(tree: ast.AST) -> Iterator[tuple[str, str, ast.Call]]:
    """Each call's dotted name, its last part, and the call."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            last = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            yield _dotted(node.func), last, node


def impurities(source: str, *, may_open_files: bool = False) -> list[str]:
    """What a pure room must not do: ask the clock, touch a file, or draw from a generator that nobody passed in.

    >>> impurities("now = datetime.now(tz=UTC)")
    ['line 1: datetime.now is a clock']
    >>> impurities("x = np.random.rand(3); y = rng.random(3)")
    ['line 1: np.random.rand draws from the global generator']
    >>> impurities("rng = np.random.default_rng()")
    ['line 1: np.random.default_rng without a seed']
    >>> impurities("Path('a').read_text()")
    ['line 1: read_text touches a file']
    """
    found: list[str] = []
    for name, last, call in _calls(ast.parse(source)):
        where = f"line {call.lineno}: "
        if name and any(name == clock or name.endswith(f".{clock}") for clock in CLOCKS):
            found.append(f"{where}{name} is a clock")
        elif last in FILES and not may_open_files:
            found.append(f"{where}{last} touches a file")
        elif name.startswith(("np.random.", "numpy.random.")):
            if last not in GENERATORS:
                found.append(f"{where}{name} draws from the global generator")
            elif last == "default_rng" and not (call.args or call.keywords):
                found.append(f"{where}{name} without a seed")
    return found


def test_the_pure_rooms_ask_no_clock_touch_no_file_and_draw_only_from_what_they_are_given() -> None:
    found = []
    for path in _python_files(*PURE_ROOMS):
        relative = path.relative_to(ROOT).as_posix()
        may_open_files = relative.startswith("estimators/bundle")
        found += [f"{relative}: {line}" for line in impurities(path.read_text(encoding="utf-8"), may_open_files=may_open_files)]
    assert found == []


def _function_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    docstring = ast.get_docstring(node, clean=False)
    return (node.end_lineno or node.lineno) - node.lineno + 1 - (docstring.count("\n") + 1 if docstring else 0)


def test_every_file_and_every_function_can_be_held_in_the_head() -> None:
    too_long = []
    for path in _python_files(*ROOMS, "benchmarks", "tests"):
        relative, source = path.relative_to(ROOT), path.read_text(encoding="utf-8")
        if source.count("\n") > MAX_FILE_LINES:
            too_long.append(f"{relative}: {source.count(chr(10))} lines")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _function_lines(node) > MAX_FUNCTION_LINES:
                too_long.append(f"{relative}:{node.lineno} {node.name}: {_function_lines(node)} lines")
    assert too_long == []


def _rooms_and_alcoves() -> list[str]:
    """Each room, and each folder of its own in the three largest."""
    alcoves = [
        path.parent.relative_to(ROOT).as_posix()
        for room in ("decisioning", "serving", "nudge")
        for path in sorted((ROOT / room).glob("*/__init__.py"))
    ]
    return [*ROOMS, *alcoves]


@pytest.mark.parametrize("room", _rooms_and_alcoves())
def test_a_room_says_what_question_it_answers_and_lists_its_files(room: str) -> None:
    docstring = ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert "?" in docstring, f"{room}/__init__.py does not say the one question that the room answers"
    files = [path.stem for path in sorted((ROOT / room).glob("*.py")) if not path.stem.startswith("_")]
    files += [path.parent.name for path in sorted((ROOT / room).glob("*/__init__.py"))]
    unlisted = [name for name in files if not re.search(rf"\b{re.escape(name)}\b", docstring)]
    assert unlisted == [], f"{room}/__init__.py does not list these files"


def test_the_files_that_run_first_are_there() -> None:
    assert [name for name in LONGEST if not (ROOT / name).is_file()] == []


def test_the_version_is_the_newest_of_the_changelog() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    newest = re.search(r"^## \[([^\]]+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert newest is not None
    assert newest.group(1) == project["version"]


def test_the_lock_pins_every_dependency_by_hash_and_names_no_address() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock
    entries = [entry for entry in re.split(r"\n(?=\S)", lock) if not entry.startswith("#")]
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    names = {re.split(r"[\[<>=!~ ]", requirement)[0].lower() for requirement in wanted}
    assert names - {entry.split("==")[0].split("[")[0] for entry in entries} == set()


def test_nothing_tracked_names_a_package_registry_or_somebodys_home() -> None:
    registries = ["pypi" + ".org", "python" + "hosted.org", "npmjs" + ".org", "/" + "simple/"]
    unwanted = re.compile("|".join([*map(re.escape, registries), r"/(?:home|Users)/[a-z]\w*/"]))
    named = []
    for path in _tracked_files():
        text = path.read_bytes().decode("utf-8", errors="ignore")
        named += [f"{path.relative_to(ROOT)}: {match.group()}" for match in unwanted.finditer(text)]
    assert named == []


def test_no_data_no_model_and_no_notebook_output_is_committed() -> None:
    tracked = [path.relative_to(ROOT).as_posix() for path in _tracked_files()]
    stores = [name for name in tracked if name.endswith((".parquet", ".db", ".csv", ".pkl", ".pickle", ".joblib"))]
    assert stores == []
    assert {name for name in tracked if name.startswith("mlruns/")} <= {"mlruns/README.md", "mlruns/.gitignore"}
    assert [name for name in tracked if name.endswith(".ipynb") and (ROOT / name).stat().st_size > 100_000] == []
