"""A decision's candidates as its record keeps them, read by all who ask what was open to a contact and what was said of it.

Most candidates are taken out by a few rules before they are scored. So a rule stands once, with the places of those that it took
(`removed_by`), and the scores stand for the places in `scored` alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

TRACED = ("propensity", "uplift", "value", "expected_profit", "priority")
"""The numbers of a candidate that are kept, in the order of its row."""

OF_SCORED = tuple(name for name in TRACED if name != "value")
"""Those that only candidates have which were scored."""


def full_columns(kept: object) -> Mapping[str, list[Any]] | None:
    """The columns of all candidates, null where nothing was said of one; None where none are kept, or as rows as in the first versions.

    Examples
    --------
    >>> scores = {"propensity": [0.5], "uplift": [0.1], "expected_profit": [1.0], "priority": [1.5]}
    >>> kept = {"treatment_id": ["a", "b"], "removed_by": {"consent: phone": [0]}, "value": [9.0, 9.0], "scored": [1], **scores}
    >>> full = full_columns(kept)
    >>> full["removed_by"], full["uplift"]
    (['consent: phone', None], [None, 0.1])
    """
    if not isinstance(kept, Mapping):
        return None
    if "scored" not in kept:  # an earlier version's: the columns are full
        return kept
    n = len(kept["treatment_id"])
    full: dict[str, list[Any]] = {"treatment_id": kept["treatment_id"], "removed_by": [None] * n}
    for word, places in kept["removed_by"].items():
        for place in places:
            full["removed_by"][place] = word
    for name in TRACED:
        full[name] = kept[name] if name == "value" else [None] * n
    for name in OF_SCORED:
        for place, number in zip(kept["scored"], kept[name], strict=True):
            full[name][place] = number
    return full


def candidate_rows(kept: Mapping[str, Any] | Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The candidates, one a row; decisions of earlier versions were kept as full columns, or as rows.

    Examples
    --------
    >>> candidate_rows({"treatment_id": ["a", "b"], "priority": [1.5, None]})
    [{'treatment_id': 'a', 'priority': 1.5}, {'treatment_id': 'b', 'priority': None}]
    """
    columns = full_columns(kept)
    if columns is None:
        return list(kept)  # type: ignore[arg-type]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
