"""BG/NBD x Gamma-Gamma against LightGBM, on a split in time -> the served ClvBundle.

Three moments, `window_days` apart: LightGBM learns from the features at the first and the money until the second; both models are judged at
the second by the money until the third, as_of. What proves better is refitted as late as it can be and served.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from decisioning.catalog import Catalog
from decisioning.vocabulary import Columns, Dtype, FloatArray
from estimators.bundle import ClvBundle
from estimators.clv import Horizon, TweedieClv, btyd_money, fit_btyd, value_of_non_buyers
from estimators.clv_heads import BtydClvHead, BuyingHistory, ClvHead
from estimators.encoding import FeatureEncoder
from features.store import FeatureDoor
from training.dataset import model_dtypes
from training.spending import money_between, purchase_span

FEWEST_PURCHASES = 50
LONGEST_WINDOW_SHARE = 1 / 3
SHORTEST_WINDOW_DAYS = 7.0
MOST_CONTACTS = 50_000
"""The models are judged, and LightGBM is fitted, on so many contacts at most."""

BTYD, TREES = "bg_nbd x gamma_gamma", "lightgbm"


@dataclass(frozen=True, eq=False)
class FittedClv:
    """The bundle, and the predictions on the test window that chose its model.

    Attributes
    ----------
    money : float array, shape (n,)
        What the contacts spent in the test window.
    predicted : mapping of method to float array, shape (n,)
    window_days : float
        Length of the test window.
    features : Columns
        Of the contacts at as_of.
    notes : tuple of str
        Why a model was not in the race.
    """

    bundle: ClvBundle
    money: FloatArray
    predicted: dict[str, FloatArray]
    window_days: float
    features: Columns
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class _Moment:
    """The contacts known at a moment, and their features then."""

    at: np.datetime64
    contact_ids: npt.NDArray[np.object_]
    columns: Columns


def fit_clv(data_dir: Path, catalog: Catalog, door: FeatureDoor, as_of: np.datetime64, *, seed: int) -> FittedClv | str:
    """The better CLV model, or the reason why there is none."""
    span = purchase_span(data_dir, as_of)
    if span.purchases < FEWEST_PURCHASES:
        return f"{span.purchases} purchases (events with value > 0); {FEWEST_PURCHASES} are needed"
    window_days = min(catalog.horizon_days, np.floor(span.history_days * LONGEST_WINDOW_SHARE))
    if window_days < SHORTEST_WINDOW_DAYS:
        return f"{span.history_days:.0f} days of purchases; {3 * SHORTEST_WINDOW_DAYS:.0f} are needed"
    window = np.timedelta64(round(window_days * 86_400_000_000), "us")
    rng = np.random.default_rng([seed, 0xC14])
    early, middle = (_moment(door, as_of - k * window, rng) for k in (2, 1))
    return _Race(data_dir, catalog, door, as_of, window_days, seed).run(early, middle, _moment(door, as_of, rng))


@dataclass(frozen=True, eq=False)
class _Race:
    data_dir: Path
    catalog: Catalog
    door: FeatureDoor
    as_of: np.datetime64
    window_days: float
    seed: int

    @property
    def horizon(self) -> Horizon:
        settings = self.catalog.clv
        return Horizon(self.catalog.horizon_days, settings.margin, settings.annual_discount_rate)

    def run(self, early: _Moment, middle: _Moment, now: _Moment) -> FittedClv | str:
        money_early = money_between(self.data_dir, early.contact_ids, early.at, middle.at)
        money_middle = money_between(self.data_dir, middle.contact_ids, middle.at, self.as_of)
        predicted: dict[str, FloatArray] = {}
        notes: list[str] = []
        history = BuyingHistory.of(middle.columns, middle.at)
        try:
            head = fit_btyd(history, self.horizon, value_without_purchase=0.0)
            predicted[BTYD] = btyd_money(head, history, self.window_days)
        except ValueError as error:
            notes.append(f"{BTYD}: {error}")
        try:
            encoder, model = self._trees(early, money_early)
            predicted[TREES] = model.predict(encoder.trees(middle.columns, middle.at))
        except ValueError as error:
            notes.append(f"{TREES}: {error}")
        if not predicted:
            return "; ".join(notes)
        method = _better(predicted, money_middle)
        bundle = self._bundle(method, middle, money_middle, now)
        return FittedClv(bundle, money_middle, predicted, self.window_days, now.columns, tuple(notes))

    def _trees(self, at: _Moment, money: FloatArray) -> tuple[FeatureEncoder, TweedieClv]:
        encoder = FeatureEncoder.fit(at.columns, self._dtypes, at.at)
        model = TweedieClv(categorical=encoder.categorical_indices, n_jobs=2, random_state=self.seed)
        return encoder, model.fit(encoder.trees(at.columns, at.at), money)

    @property
    def _dtypes(self) -> dict[str, Dtype]:
        return model_dtypes(self.door.contract)

    def _bundle(self, method: str, middle: _Moment, money: FloatArray, now: _Moment) -> ClvBundle:
        factor = self.horizon.factor(self.window_days)
        head: ClvHead
        if method == BTYD:
            new = value_of_non_buyers(money, BuyingHistory.of(middle.columns, middle.at).is_buyer, factor)
            encoder = FeatureEncoder.fit(now.columns, self._dtypes, now.at)
            head = fit_btyd(BuyingHistory.of(now.columns, now.at), self.horizon, value_without_purchase=new)
        else:
            encoder, model = self._trees(middle, money)
            head = model.head(factor)
        evidence = len(now.contact_ids) if isinstance(head, BtydClvHead) else len(middle.contact_ids)
        return ClvBundle(self.door.contract.hash, encoder, head, self.catalog.horizon_days, evidence)


def _moment(door: FeatureDoor, at: np.datetime64, rng: np.random.Generator) -> _Moment:
    contact_ids, columns = door.population(at)
    if len(contact_ids) > MOST_CONTACTS:
        rows = np.sort(rng.permutation(len(contact_ids))[:MOST_CONTACTS])
        contact_ids, columns = contact_ids[rows], {name: column[rows] for name, column in columns.items()}
    return _Moment(at, contact_ids, columns)


def _better(predicted: dict[str, FloatArray], money: FloatArray) -> str:
    """BG/NBD x Gamma-Gamma, unless LightGBM's squared error is lower by more than a standard error of the difference."""
    if len(predicted) == 1:
        return next(iter(predicted))
    gain = (predicted[BTYD] - money) ** 2 - (predicted[TREES] - money) ** 2
    standard_error = float(gain.std(ddof=1) / np.sqrt(len(gain)))
    return TREES if float(gain.mean()) > standard_error else BTYD
