"""The published figures of the CDNOW 1/10 sample: weeks 1-39 fit, weeks 40-78 predicted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from estimators.arrays import FloatArray
from estimators.clv_bg_nbd import BetaGeo
from estimators.clv_gamma_gamma import GammaGamma

CUT = np.datetime64("1997-09-30")


@pytest.fixture(scope="module")
def sample(data_dir: Path) -> FloatArray:
    """One row a customer: repeat days, last gap and age in weeks, mean money of the repeat days, purchase days after the cut."""
    path = data_dir / "cdnow_sample.txt"
    if not path.is_file():
        pytest.skip(f"{path} is not there: set NUDGE_DATA")
    days_of: dict[str, dict[np.datetime64, float]] = {}
    for line in path.read_text(encoding="ascii").splitlines():
        _, customer, day, _, dollars = line.split()
        date = np.datetime64(f"{day[:4]}-{day[4:6]}-{day[6:]}")
        spent = days_of.setdefault(customer, {})
        spent[date] = spent.get(date, 0.0) + float(dollars)
    return np.array([_statistics(spent) for spent in days_of.values()])


def _statistics(spent: dict[np.datetime64, float]) -> list[float]:
    past = sorted(day for day in spent if day <= CUT)
    week = np.timedelta64(7, "D")
    money = float(np.mean([spent[day] for day in past[1:]])) if len(past) > 1 else np.nan
    return [len(past) - 1, (past[-1] - past[0]) / week, (CUT - past[0]) / week, money, len(spent) - len(past)]


def test_bg_nbd_gives_the_published_parameters(sample: FloatArray) -> None:
    model = BetaGeo().fit(*sample[:, :3].T)
    fitted = [model.params_.r, model.params_.alpha, model.params_.a, model.params_.b]
    assert fitted == pytest.approx([0.243, 4.414, 0.793, 2.426], abs=6e-4)
    assert model.log_likelihood_ == pytest.approx(-9582.43, abs=0.05)
    assert model.dropout_identified_


def test_bg_nbd_gives_the_published_expectation_of_one_customer(sample: FloatArray) -> None:
    params = BetaGeo().fit(*sample[:, :3].T).params_
    assert params.expected_transactions(39.0, np.array(2), np.array(30.43), np.array(38.86)) == pytest.approx(1.226, abs=1e-3)


def test_the_second_39_weeks_are_predicted_as_published(sample: FloatArray) -> None:
    expected = BetaGeo().fit(*sample[:, :3].T).params_.expected_transactions(39.0, *sample[:, :3].T)
    assert np.corrcoef(expected, sample[:, 4])[0, 1] == pytest.approx(0.626, abs=0.005)


def test_gamma_gamma_gives_the_published_parameters(sample: FloatArray) -> None:
    params = GammaGamma().fit(sample[:, 0], sample[:, 3]).params_
    assert [params.p, params.q, params.v] == pytest.approx([6.25, 3.74, 15.44], abs=0.01)
