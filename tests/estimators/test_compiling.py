"""What is compiled is kept for the next process, and forgotten when anything that it uses has changed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

OUTER = """
from estimators.compiling import compiled
from inner import ADDED, twice

@compiled
def outer(x):
    return twice(x) + ADDED

print(outer(10), sum(outer.stats.cache_hits.values()))
"""

INNER = """
from estimators.compiling import compiled

ADDED = {added}

@compiled
def twice(x):
    return {factor} * x
"""


def test_a_kept_function_is_compiled_again_when_what_it_calls_or_reads_in_another_file_has_changed(tmp_path: Path) -> None:
    inner = tmp_path / "inner.py"

    def run(factor: int, added: int) -> list[str]:
        text = INNER.format(factor=factor, added=added)
        if not inner.exists() or inner.read_text(encoding="utf-8") != text:
            inner.write_text(text, encoding="utf-8")
        paths = os.pathsep.join([str(tmp_path), str(ROOT)])
        environment = {**os.environ, "PYTHONPATH": paths, "NUMBA_CACHE_DIR": str(tmp_path / "kept"), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run([sys.executable, str(tmp_path / "outer.py")], capture_output=True, text=True, check=True, env=environment)
        return done.stdout.split()

    (tmp_path / "outer.py").write_text(OUTER, encoding="utf-8")
    assert run(2, 1) == ["21", "0"]
    assert run(2, 1) == ["21", "1"]
    assert run(3, 1) == ["31", "0"]
    assert run(3, 5) == ["35", "0"]
