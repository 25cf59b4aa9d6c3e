from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.splits import split_rows

DAY = np.timedelta64(86_400_000_000, "us")
START = np.datetime64("2026-01-01", "us")


def some_contacts(n: int, seed: int = 0) -> np.ndarray:
    return np.array([f"c{i}" for i in np.random.default_rng(seed).integers(0, max(1, n // 3), n)], dtype=object)


NEVER = np.datetime64("2100-01-01", "us")


def test_three_quarters_of_the_rows_with_known_labels_are_before_the_cut() -> None:
    at = START + np.arange(1000) % 200 * DAY
    as_of = START + 200 * DAY

    split = split_rows(some_contacts(1000), at, as_of=as_of, window_days=30, seed=7)

    assert split.kind == "time"
    assert at[split.train].max() < split.cut <= at[split.test].min()
    known = at + 30 * DAY < as_of
    assert split.test[known].mean() == pytest.approx(0.25, abs=0.02)


def test_rows_that_nobody_has_heard_of_yet_move_no_cut_and_are_said() -> None:
    at = START + np.arange(1000) % 200 * DAY
    before = split_rows(some_contacts(1000), at, as_of=START + 200 * DAY, window_days=30, seed=7)
    later = np.concatenate([at, np.full(5000, START + 500 * DAY)])
    heard_until = np.where(np.arange(6000) < 1000, START + 200 * DAY, START + 501 * DAY)

    split = split_rows(some_contacts(6000), later, as_of=heard_until, window_days=30, seed=7)

    assert (split.kind, split.cut, split.unheard) == ("time", before.cut, before.unheard + 5000)
    assert split.description.endswith(f"of {split.unheard} in all the windows are still open")


def test_without_time_no_contact_is_in_both_parts() -> None:
    contacts = some_contacts(3000)

    split = split_rows(contacts, np.full(3000, np.datetime64("NaT", "us")), as_of=NEVER, window_days=30, seed=7)

    assert split.kind == "contact"
    assert set(contacts[split.train]) & set(contacts[split.test]) == set()
    assert (split.train ^ split.test).all()
    assert split.test.mean() == pytest.approx(0.25, abs=0.05)


def test_a_campaign_shorter_than_its_window_is_split_by_contact() -> None:
    at = START + np.arange(1000) % 7 * DAY

    assert split_rows(some_contacts(1000), at, as_of=NEVER, window_days=30, seed=7).kind == "contact"


def test_another_seed_gives_another_split_and_the_same_seed_the_same() -> None:
    contacts, at = some_contacts(500), np.full(500, np.datetime64("NaT", "us"))
    first, again, other = (split_rows(contacts, at, as_of=NEVER, window_days=1, seed=seed) for seed in (1, 1, 2))

    assert (first.test == again.test).all()
    assert (first.test != other.test).any()


@given(days=st.lists(st.integers(0, 400), min_size=1, max_size=60), window_days=st.integers(1, 90))
def test_every_row_is_in_one_part(days: list[int], window_days: int) -> None:
    at = START + np.array(days) * DAY

    split = split_rows(some_contacts(len(days)), at, as_of=NEVER, window_days=window_days, seed=7)

    assert (split.train ^ split.test).all()
    if split.kind == "time":
        assert split.train.any()
        assert split.test.any()
