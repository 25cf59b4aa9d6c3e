"""What decisions of every version have kept of their candidates reads alike."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.candidates import candidate_rows, full_columns

SCORES = {"propensity": [0.5], "uplift": [0.1], "expected_profit": [1.0], "priority": [1.5]}
NOW = {"treatment_id": ["a", "b", "c"], "removed_by": {"consent: phone": [0, 2]}, "value": [9.0, 8.0, None], "scored": [1], **SCORES}
COLUMNS = {
    "treatment_id": ["a", "b", "c"],
    "removed_by": ["consent: phone", None, "consent: phone"],
    "propensity": [None, 0.5, None],
    "uplift": [None, 0.1, None],
    "value": [9.0, 8.0, None],
    "expected_profit": [None, 1.0, None],
    "priority": [None, 1.5, None],
}
ROWS = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)]


@pytest.mark.parametrize("kept", [NOW, COLUMNS, ROWS])
def test_the_candidates_of_every_version_are_the_same_rows(kept: Any) -> None:
    assert candidate_rows(kept) == ROWS


def test_columns_are_had_of_what_was_kept_as_columns() -> None:
    assert full_columns(NOW) == full_columns(COLUMNS) == COLUMNS
    assert full_columns(ROWS) is None
    assert full_columns(None) is None
