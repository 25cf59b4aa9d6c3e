"""Which held-out predictions of a version the gate finds: its own, and those that lie beside its challengers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from decisioning.errors import NotFound
from nudge.verbs.evidence import held_out_of
from tests.training.test_gate import N, a_log
from training.champion_said import CHAMPION_FILE
from training.comparison import CHALLENGER, CHAMPION
from training.gate_verdict import judged
from training.held_out import HELD_OUT_FILE, HeldOut


@dataclass
class Files:
    """What lies beside versions."""

    kept: dict[tuple[str, int, str], HeldOut]

    def table(self, model: str, version: int, name: str) -> bytes | None:
        found = self.kept.get((model, version, name))
        return None if found is None else found.to_bytes()


def a_workspace(kept: dict[tuple[str, int, str], HeldOut]) -> Any:
    return SimpleNamespace(tracker=Files(kept))


SYSTEMS = {CHAMPION: {"propensity": 1, "uplift": 1}, CHALLENGER: {"propensity": 1, "uplift": 2}}
OLD, NEW = a_log(1, noise=1.0, n=N // 2), a_log(2, n=N // 2, first=N)
SAID_OF_NEW = replace(a_log(2, noise=1.0, n=N // 2, first=N), said_by={"propensity": 1, "uplift": 1})
OWN = {("propensity", 1, HELD_OUT_FILE): OLD, ("uplift", 1, HELD_OUT_FILE): OLD, ("uplift", 2, HELD_OUT_FILE): NEW}


def test_a_nightly_challenger_is_judged_on_rows_that_the_champion_was_asked_about_at_its_training() -> None:
    evidence = held_out_of(a_workspace(OWN | {("uplift", 2, CHAMPION_FILE): SAID_OF_NEW}), SYSTEMS)

    assert set(evidence.contact) == set(NEW.contact)
    assert judged(evidence).passed


def test_what_was_kept_of_a_champion_that_has_since_stepped_down_counts_for_nothing() -> None:
    other = replace(SAID_OF_NEW, said_by={"propensity": 3, "uplift": 3})

    with pytest.raises(NotFound, match="no interaction in common"):
        held_out_of(a_workspace(OWN | {("uplift", 2, CHAMPION_FILE): other}), SYSTEMS)


def test_rows_that_both_held_out_when_they_were_tested_count_beside_them() -> None:
    challenger = a_log(1, n=N // 2).with_rows_of(NEW)
    kept = OWN | {("uplift", 2, HELD_OUT_FILE): challenger, ("uplift", 2, CHAMPION_FILE): SAID_OF_NEW}

    assert set(held_out_of(a_workspace(kept), SYSTEMS).contact) == set(np.concatenate([OLD.contact, NEW.contact]))
