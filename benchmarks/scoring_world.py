"""Models of the size that a workspace of 20 actions on 3 channels serves, made by hand: fitting them properly would take minutes."""

from __future__ import annotations

from typing import Any

import lightgbm
import numpy as np

from decisioning.candidates import Situation
from decisioning.catalog import parse_catalog
from decisioning.compiled_catalog import compile_catalog
from estimators.bundle import ClvBundle, OptOutHead, PropensityBundle, UpliftBundle
from estimators.clv_blend import BlendedClvHead, ColumnsRead, Corrections, blend_rows
from estimators.clv_gamma_gamma import GammaGammaParams
from estimators.clv_heads import BtydClvHead, BuyingHistory
from estimators.clv_pareto_nbd import ParetoNbdParams
from estimators.encoding import FeatureEncoder
from estimators.heads import ResponseHead
from estimators.scores import ChannelContrast, CurvedScore, LinearScore, TreeScore
from estimators.uplift_head import UpliftHead, UpliftMember
from serving.realtime.scorer import Models, Scorer

ACTIONS, CHANNELS = [f"action_{k}" for k in range(20)], ("email", "phone", "app")
NOW = np.datetime64("2026-11-22T10:00", "us")
_BOUGHT = ("days_since_first_purchase", "purchase_count", "repeat_purchase_days", "last_gap_days", "repeat_purchase_value_mean")


def contacts(n: int, *, seed: int = 0) -> dict[str, Any]:
    """40 features: 28 numbers and flags, 7 categories and 5 of purchases, NULLs in each."""
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {}
    for k in range(28):
        columns[f"number_{k}"] = rng.normal(size=n) if k % 3 else (rng.random(n) < 0.3).astype(float)
        columns[f"number_{k}"][rng.random(n) < 0.05] = np.nan
    for k in range(7):
        levels = np.array([None, *(f"level {j}" for j in range(3 + 4 * k))], dtype=object)
        columns[f"category_{k}"] = levels[rng.integers(0, len(levels), n)]
    repeat, first = rng.poisson(2, n).astype(float), rng.integers(0, 900, n).astype(float)
    bought = (first, repeat + 1, repeat, np.where(repeat > 0, np.floor(first / 2), 0.0), np.where(repeat > 0, rng.gamma(3, 20, n), np.nan))
    return columns | dict(zip(_BOUGHT, bought, strict=True))


def scorer() -> Scorer:
    """Propensity, uplift and CLV of 20 actions on 3 channels: about 3,000 trees and 130 linear scores."""
    columns = contacts(4_000, seed=1)
    dtypes = {name: "string" if name.startswith("category") else "float" for name in columns}
    made = _Parts(FeatureEncoder.fit(columns, dtypes, NOW), columns)
    bundles = (made.propensity(), made.uplift(), made.clv())
    channels = {name: {"direction": "outbound", "cost": 0.1, "purpose": f"{name}_marketing"} for name in CHANNELS}
    actions = [
        {"id": one, "goal": "sale", "value": 30, "treatments": [{"id": f"{one}_{channel}", "channel": channel} for channel in CHANNELS]}
        for one in ACTIONS
    ]
    catalog = {"version": "1", "currency": "EUR", "time_zone": "UTC", "channels": channels, "actions": actions}
    catalog["outcomes"] = {"sale": {"kind": "conversion", "window_days": 30}}
    models = Models(*bundles, versions={"propensity": 1, "uplift": 1, "clv": 1})
    return Scorer(models, compile_catalog(parse_catalog(catalog), dtypes))  # type: ignore[arg-type]


def situation(columns: dict[str, Any], rows: slice) -> Situation:
    """Some of the contacts, now."""
    some = {name: column[rows] for name, column in columns.items()}
    return Situation(np.array([str(k) for k in range(len(some[_BOUGHT[0]]))], dtype=object), some, NOW, {})


class _Parts:
    def __init__(self, encoder: FeatureEncoder, columns: dict[str, Any]) -> None:
        self.encoder, self.columns, self.rng = encoder, columns, np.random.default_rng(2)
        self.rows = encoder.encode(columns, NOW)

    def linear(self) -> LinearScore:
        return LinearScore(-2.0, 0.1 * np.asarray(self.rng.normal(size=self.rows.linear.shape[1])))

    def curved(self) -> CurvedScore:
        return CurvedScore(-2.0, self.linear().coef, np.arange(20), self.rng.normal(size=20) * 0.05)

    def trees(self, rounds: int, leaves: int, matrix: Any = None) -> TreeScore:
        X = self.rows.trees if matrix is None else matrix
        y = np.nan_to_num(X[:, self.rng.integers(X.shape[1])]) + self.rng.normal(size=len(X))
        parameters = {"verbose": -1, "num_leaves": leaves, "num_threads": 1, "feature_fraction": 0.5, "min_data_in_leaf": 20, "max_bin": 63}
        data = lightgbm.Dataset(X, y, categorical_feature=list(self.encoder.categorical_indices), params=parameters)
        return TreeScore(lightgbm.train(parameters, data, num_boost_round=rounds).model_to_string())

    def propensity(self) -> PropensityBundle:
        heads = {one: ResponseHead(0.1, (0.0, 0.5, 0.5), self.linear(), self.trees(90, 12), None, 1_000, 100) for one in ACTIONS}
        opt_out = OptOutHead(ResponseHead(0.01, (0.0, 1.0, 0.0), self.linear(), None, None, 1_000, 10), {"phone": 0.5})
        return PropensityBundle("", self.encoder, heads, {(ACTIONS[0], "phone"): 0.2}, opt_out)

    def uplift(self) -> UpliftBundle:
        unexposed, heads = self.curved(), {}
        for k, action in enumerate(ACTIONS):
            exposed: dict[str | None, CurvedScore] = {channel: self.curved() for channel in (None, *CHANNELS)}
            contrast = ChannelContrast(unexposed, exposed, dict.fromkeys(CHANNELS, 1 / 3))
            members = [UpliftMember("effects", 0.8, 0.0, contrast)]
            if k % 2:
                members.append(UpliftMember("trees", 0.2, 0.0, self.trees(60, 6)))
            heads[action] = UpliftHead(0.02, 0.01, tuple(members), 1_000, contrast)
        return UpliftBundle("", self.encoder, heads)

    def clv(self) -> ClvBundle:
        btyd = BtydClvHead(ParetoNbdParams(0.55, 74.0, 0.6, 81.0), GammaGammaParams(6.0, 4.0, 15.0), 0.3, 0.1, 12.0)
        read = tuple(range(len(self.encoder.dtypes)))
        matrix = blend_rows(self.rows, btyd.outlook(BuyingHistory.of(self.columns, NOW), 180.0, 365.0)).trees
        sizes = {"count_offset": (120, 6), "money_offset": (120, 6), "money_features": (200, 8)}
        corrections = Corrections({name: self.trees(*size, matrix) for name, size in sizes.items()})
        head = BlendedClvHead(btyd, 180.0, ColumnsRead(read), corrections, np.ones(3) / 3, np.ones(4) / 4)
        return ClvBundle("", self.encoder, head, 365.0, 4_000)
