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


def test_no_label_of_the_train_part_looks_into_the_test_part() -> None:
    at = START + np.arange(1000) % 200 * DAY

    split = split_rows(some_contacts(1000), at, window_days=30, seed=7)

    assert split.kind == "time"
    assert (at[split.train] + 30 * DAY).max() < at[split.test].min()
    assert at[split.test].min() == split.cut
    assert split.test.mean() == pytest.approx(0.25, abs=0.02)


def test_without_time_no_contact_is_in_both_parts() -> None:
    contacts = some_contacts(3000)

    split = split_rows(contacts, np.full(3000, np.datetime64("NaT", "us")), window_days=30, seed=7)

    assert split.kind == "contact"
    assert set(contacts[split.train]) & set(contacts[split.test]) == set()
    assert (split.train ^ split.test).all()
    assert split.test.mean() == pytest.approx(0.25, abs=0.05)


def test_a_campaign_of_one_week_is_split_by_contact() -> None:
    at = START + np.arange(1000) % 7 * DAY

    assert split_rows(some_contacts(1000), at, window_days=30, seed=7).kind == "contact"


def test_another_seed_gives_another_split_and_the_same_seed_the_same() -> None:
    contacts, at = some_contacts(500), np.full(500, np.datetime64("NaT", "us"))
    first, again, other = (split_rows(contacts, at, window_days=1, seed=seed) for seed in (1, 1, 2))

    assert (first.test == again.test).all()
    assert (first.test != other.test).any()


@given(days=st.lists(st.integers(0, 400), min_size=1, max_size=60), window_days=st.integers(1, 90))
def test_a_row_is_never_in_both_parts(days: list[int], window_days: int) -> None:
    at = START + np.array(days) * DAY

    split = split_rows(some_contacts(len(days)), at, window_days=window_days, seed=7)

    assert not (split.train & split.test).any()
    if split.kind == "time":
        assert split.train.any()
        assert split.test.any()
