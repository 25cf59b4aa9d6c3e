"""Uplift on a real randomised experiment: 64,000 contacts, a third each to the men's e-mail, the women's e-mail and nothing."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from estimators.arrays import BoolArray, FloatArray
from estimators.encoding import Encoded, FeatureEncoder
from estimators.uplift import DoublyRobustUplift
from tests.estimators.worlds import NOW

NUMBERS = ("recency", "history", "mens", "womens", "newbie")
TEXTS = ("history_segment", "zip_code", "channel")
DTYPES = {**dict.fromkeys(NUMBERS, "float"), **dict.fromkeys(TEXTS, "string")}


@pytest.fixture(scope="module")
def hillstrom(data_dir: Path) -> dict[str, Any]:
    path = data_dir / "hillstrom.csv"
    if not path.is_file():
        pytest.skip(f"{path} is not there: set NUDGE_DATA")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns: dict[str, Any] = {name: np.array([float(row[name]) for row in rows]) for name in (*NUMBERS, "visit")}
    columns.update({name: np.array([row[name] for row in rows], dtype=object) for name in (*TEXTS, "segment")})
    return columns


def qini_coefficient(y: FloatArray, w: BoolArray, tau: FloatArray) -> float:
    """Area between the Qini curve and the straight line, as a share of that of the perfect ranking."""

    def area(score: FloatArray) -> float:
        order = np.argsort(-score, kind="stable")
        treated, control = np.cumsum(w[order]), np.cumsum(~w[order])
        gain = np.cumsum(y[order] * w[order]) - np.cumsum(y[order] * ~w[order]) * treated / np.maximum(control, 1)
        return float(gain.mean() - gain[-1] / 2)

    return area(tau) / area(y * w - y * ~w)


def halves(segment: Any, seed: int) -> BoolArray:
    rng = np.random.default_rng(seed)
    train = np.zeros(len(segment), dtype=bool)
    for arm in np.unique(segment.astype(str)):
        members = rng.permutation(np.flatnonzero(segment == arm))
        train[members[: len(members) // 2]] = True
    return train


def uplift_of(rows: Encoded, y: FloatArray, w: BoolArray, train: BoolArray, categorical: tuple[int, ...]) -> DoublyRobustUplift:
    model = DoublyRobustUplift(categorical, cv=3)
    return model.fit(rows.trees[train], rows.linear[train], y[train], w[train].astype(float))


def test_the_effects_of_both_emails_are_found_and_the_womens_is_ranked(hillstrom: dict[str, Any]) -> None:
    train = halves(hillstrom["segment"], seed=0)
    features = {name: hillstrom[name] for name in DTYPES}
    encoder = FeatureEncoder.fit({name: column[train] for name, column in features.items()}, DTYPES, NOW)
    rows, y = encoder.encode(features, NOW), hillstrom["visit"]
    taus = {}
    for email, effect, least_qini in (("Mens E-Mail", 0.0766, -0.01), ("Womens E-Mail", 0.0452, 0.03)):
        w = hillstrom["segment"] == email
        pair = w | (hillstrom["segment"] == "No E-Mail")
        model = uplift_of(rows, y, w, train & pair, encoder.categorical_indices)
        test = ~train & pair
        taus[email] = model.predict(rows.trees, rows.linear)
        assert model.average_effect_ == pytest.approx(effect, abs=3 * model.average_effect_se_)
        assert 0.003 < model.average_effect_se_ < 0.006
        assert qini_coefficient(y[test], w[test], taus[email][test]) > least_qini
    best = np.where(taus["Mens E-Mail"] > taus["Womens E-Mail"], "Mens E-Mail", "Womens E-Mail")
    followed = ~train & (hillstrom["segment"] == best)
    everyone_mens = ~train & (hillstrom["segment"] == "Mens E-Mail")
    assert y[followed].mean() > y[everyone_mens].mean() - 0.005
