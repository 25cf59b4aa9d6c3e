"""Until when a training run reads, by what was ingested, what the ledger has, and what is asked."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from decisioning.errors import NotFound
from tests.training.test_labels import INTERACTION_TYPES, touch, write
from training.labels import read_labelled
from training.moments import Moments

INGESTED = np.datetime64("2026-03-01", "us")
JUST_AFTER = np.datetime64("2026-03-01T00:00:00.000001")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "manifest.json").write_text(json.dumps({"newest_at": f"{INGESTED}Z"}))
    return tmp_path


def decided(days: int) -> SimpleNamespace:
    """A log of Nudge's own whose newest row is so many days after the ingested ones."""
    return SimpleNamespace(newest_at=(INGESTED + np.timedelta64(days, "D")).astype(object))


def test_by_default_all_rows_count_and_the_ingested_ones_are_known_until_they_end(data: Path) -> None:
    own = decided(10)

    assert Moments.of(data, None, None) == Moments(JUST_AFTER, JUST_AFTER, JUST_AFTER)
    assert Moments.of(data, own, None) == Moments(np.datetime64("2026-03-11T00:00:00.000001"), JUST_AFTER, JUST_AFTER)  # type: ignore[arg-type]


def test_the_default_named_again_reads_the_same(data: Path) -> None:
    found = Moments.of(data, decided(10), None)  # type: ignore[arg-type]

    again = Moments.of(data, decided(10), found.interactions)  # type: ignore[arg-type]

    assert (again.interactions, again.ingested_until) == (found.interactions, found.ingested_until)


def test_a_moment_after_every_row_closes_the_windows_of_a_campaign_that_was_ingested_whole(data: Path) -> None:
    write(data / "interactions.parquet", INTERACTION_TYPES, [touch("i1", "2026-02-20")])

    def label(as_of: np.datetime64 | None) -> float:
        moments = Moments.of(data, None, as_of)
        _, labels = read_labelled(data, {"sale": 30.0}, moments.interactions, ingested_until=moments.ingested_until)
        return float(labels.happened["sale"][0])

    assert np.isnan(label(None))
    assert label(np.datetime64("2026-04-01")) == 0.0


def test_without_a_manifest_the_moment_must_be_named(tmp_path: Path) -> None:
    at = np.datetime64("2026-04-01", "us")

    assert Moments.of(tmp_path, None, at) == Moments(at, at, None)
    with pytest.raises(NotFound, match="give as_of"):
        Moments.of(tmp_path, None, None)
