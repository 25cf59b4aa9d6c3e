"""Off-policy value on real rewards, from a log that preferred some e-mails for some customers (`benchmarks/hillstrom_log.py`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.hillstrom_log import errors


@pytest.fixture(scope="module")
def found(data_dir: Path) -> dict[str, np.ndarray]:
    return errors(data_dir)


def test_dr_is_within_five_percent_and_nearly_unbiased(found: dict[str, np.ndarray]) -> None:
    assert np.sqrt(np.mean(found["dr"] ** 2)) <= 0.05
    assert abs(found["dr"].mean()) <= 0.01


def test_the_naive_mean_of_the_log_is_not(found: dict[str, np.ndarray]) -> None:
    assert abs(found["naive"].mean()) > 0.1
    assert np.sqrt(np.mean(found["ips"] ** 2)) < 0.06 > np.sqrt(np.mean(found["snips"] ** 2))
