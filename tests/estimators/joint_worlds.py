"""Bundles made of every kind of part, by hand: nothing is fitted but a few small trees."""

from __future__ import annotations

from functools import cache
from typing import Any

import lightgbm
import numpy as np

from estimators.arrays import FloatArray
from estimators.bundle import ClvBundle, OptOutHead, PropensityBundle, UpliftBundle
from estimators.calibration import Calibrator, IsotonicCalibrator, PlattCalibrator
from estimators.clv_bg_nbd import BetaGeoParams
from estimators.clv_blend import BlendedClvHead, ColumnsRead, Corrections, blend_rows
from estimators.clv_gamma_gamma import GammaGammaParams, MeanMoney
from estimators.clv_heads import BtydClvHead, BuyingHistory, TreeClvHead
from estimators.clv_pareto_nbd import ParetoNbdParams
from estimators.encoding import Encoded, FeatureEncoder
from estimators.heads import ResponseHead, ValueHead
from estimators.scores import ChannelContrast, CurvedScore, LinearScore, TreeScore
from estimators.uplift_head import UpliftHead, UpliftMember
from tests.estimators.worlds import DTYPES, NOW, mixed_columns

N = 600
ARMS = [(action, channel) for action in ("loan", "card", "fund", "unknown") for channel in ("call", "email", "letter", None)]
VALUED = ("loan", "card", "fund")
PARETO = ParetoNbdParams(0.55, 74.0, 0.6, 81.0)
GAMMA = GammaGammaParams(6.0, 4.0, 15.0)


@cache
def columns() -> dict[str, Any]:
    rng = np.random.default_rng(4)
    found: dict[str, Any] = dict(mixed_columns(N))
    bought = rng.random(N) < 0.7
    repeat = np.where(bought, rng.poisson(2, N), np.nan)
    first = np.where(bought, rng.integers(0, 900, N), np.nan).astype(float)
    found["purchase_count"] = np.where(bought, np.nan_to_num(repeat) + 1, 0.0)
    found["days_since_first_purchase"], found["repeat_purchase_days"] = first, repeat
    found["last_gap_days"] = np.where(repeat > 0, np.floor(first * rng.random(N)), 0.0)
    found["repeat_purchase_value_mean"] = np.where(repeat > 0, rng.gamma(3, 20, N), np.nan)
    return found


@cache
def encoder(min_count: int = 10) -> FeatureEncoder:
    return FeatureEncoder.fit(columns(), DTYPES, NOW, min_count=min_count)


def trees(matrix: FloatArray, seed: int, categorical: tuple[int, ...] = ()) -> TreeScore:
    y = np.random.default_rng(seed).normal(size=len(matrix)) + np.nan_to_num(matrix[:, seed % matrix.shape[1]])
    parameters = {"verbose": -1, "num_leaves": 5, "min_data_in_leaf": 5, "num_threads": 1, "seed": seed}
    data = lightgbm.Dataset(matrix, y, categorical_feature=list(categorical), params=parameters)
    return TreeScore(lightgbm.train(parameters, data, num_boost_round=7).model_to_string())


class Makes:
    """Random parts on the matrices of one encoder."""

    def __init__(self, of: FeatureEncoder, seed: int) -> None:
        self.encoder, self.rows, self.rng = of, of.encode(columns(), NOW), np.random.default_rng(seed)

    def linear(self) -> LinearScore:
        coef = 0.4 * np.asarray(self.rng.normal(size=self.rows.linear.shape[1]))
        return LinearScore(float(self.rng.normal()), coef)

    def curved(self) -> CurvedScore:
        line, bent = self.linear(), np.array([0, 2, 1])
        return CurvedScore(line.intercept, line.coef, bent, self.rng.normal(size=3) * 0.2)

    def trees(self) -> TreeScore:
        return trees(self.rows.trees, int(self.rng.integers(1_000)), self.encoder.categorical_indices)

    def response(self, weights: tuple[float, float, float], calibrator: Calibrator | None, shift: float = 0.0) -> ResponseHead:
        return ResponseHead(0.2, weights, self.linear(), self.trees(), calibrator, 100, 20, shift)


def propensity() -> PropensityBundle:
    makes = Makes(encoder(), 1)
    knots = IsotonicCalibrator(np.array([0.1, 0.3, 0.31, 0.8]), np.array([0.0, 0.2, 0.25, 0.6]))
    heads = {
        "loan": makes.response((0.2, 0.5, 0.3), PlattCalibrator(-0.3, 1.2), 0.4),
        "card": makes.response((0.0, 1.0, 0.0), knots),
        "fund": makes.response((0.0, 0.0, 1.0), None, -0.7),
    }
    offsets = {("loan", "call"): 0.3, ("fund", "email"): -1.0, ("loan", None): 0.1}
    opt_out = OptOutHead(makes.response((1.0, 0.0, 0.0), None), {"call": 0.4})
    values = {"loan": ValueHead(50.0, makes.linear(), 5.0, 90.0, 10, -3.0), "card": ValueHead(20.0, None, 1.0, 2.0, 5)}
    return PropensityBundle("a81e", encoder(), heads, offsets, opt_out, values)


def uplift(min_count: int = 10) -> UpliftBundle:
    makes = Makes(encoder(min_count), 2)
    unexposed = makes.curved()
    contrast = ChannelContrast(
        unexposed, {None: makes.curved(), "call": makes.curved(), "email": makes.curved()}, {"call": 0.7, "email": 0.3}
    )
    linear, by_trees = UpliftMember("ridge", 0.2, 0.0, makes.linear()), UpliftMember("trees", 0.1, 0.2, makes.trees())
    members = (UpliftMember("effects", 0.6, 0.1, contrast), linear, by_trees)
    heads = {
        "loan": UpliftHead(0.03, 0.01, members, 100, contrast, None, 0.8),
        "card": UpliftHead(-0.02, 0.01, (UpliftMember("trees", 0.3, 0.1, makes.trees()),), 100),
        "fund": UpliftHead(0.9, 0.01, (UpliftMember("curved", 0.3, -0.5, makes.curved()),), 100),
    }
    return UpliftBundle("a81e", encoder(min_count), heads)


def clv(kind: str) -> ClvBundle:
    makes = Makes(encoder(5), 3)
    money = MeanMoney(40.0) if "mean money" in kind else GAMMA
    btyd = BtydClvHead(
        BetaGeoParams(0.24, 31.0, 0.79, 2.4) if kind == "bg_nbd" else PARETO, money, 0.3, 0.0 if "undiscounted" in kind else 0.1, 12.0
    )
    if kind == "trees":
        read = (1, 0, 2)
        return ClvBundle("a81e", encoder(5), TreeClvHead(trees(makes.rows.trees[:, list(read)], 5), 2.0, read), 365.0, N)
    if not kind.startswith("blend"):
        return ClvBundle("a81e", encoder(5), btyd, 365.0, N)
    columns_read = ColumnsRead((0, 2))
    outlook = btyd.outlook(BuyingHistory.of(columns(), NOW), 200.0, 365.0)
    matrix = blend_rows(columns_read.of(makes.rows), outlook).trees[np.asarray(columns()["purchase_count"]) > 0]
    names = (
        ("count_offset", "money_features") if "partial" in kind else ("count_offset", "money_offset", "money_features", "count_features")
    )
    scores = {name: trees(matrix, place) for place, name in enumerate(names)}
    weights = np.array([0.2, 0.3, 0.4 * ("partial" not in kind), 0.1])
    return ClvBundle("a81e", encoder(5), BlendedClvHead(btyd, 200.0, columns_read, Corrections(scores), np.ones(3) / 3, weights), 365.0, N)


CLV_KINDS = ("btyd", "btyd of mean money", "btyd undiscounted", "blend", "blend partial", "trees")

__all__ = ["ARMS", "CLV_KINDS", "NOW", "VALUED", "Encoded", "N", "clv", "columns", "propensity", "uplift"]
