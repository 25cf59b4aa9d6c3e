"""Feast is imported without the rewriting of its classes, and typeguard works as before for everybody else."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import typeguard
before = typeguard.typechecked
import features.feast_repo.definitions
import feast
rewritten = [
    name
    for of in (feast.FileSource, feast.FeatureView, feast.Entity, feast.Field, feast.FeatureService)
    for name, method in vars(of).items()
    if hasattr(method, "__code__") and "check_argument_types" in method.__code__.co_names
]
assert not rewritten, rewritten
assert typeguard.typechecked is before
print("as before")
"""


def test_feast_comes_unrewritten_and_typeguard_is_left_as_it_was() -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "as before", done.stderr
