"""Buy-till-you-die on the purchases, corrected by LightGBM where a back-test says that it pays -> the served ClvBundle.

Where the purchases identify no buy-till-you-die model LightGBM alone learns the money of a window, and is served if it can be learned.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from decisioning.catalog import Catalog
from decisioning.vocabulary import BoolArray, Columns, FloatArray
from estimators.bundle import ClvBundle
from estimators.clv import Horizon, TweedieClv, fit_btyd, value_of_non_buyers
from estimators.clv_blend import BlendedClvHead, ClvHead, blend_matrix
from estimators.clv_correction import correction_columns, needed
from estimators.clv_heads import BtydClvHead
from estimators.clv_intervals import COVERAGES, RatioIntervals
from estimators.encoding import FeatureEncoder
from features.store import FeatureDoor
from training.backtest import Backtest, Past, PastReader, Population, moments_before, run_backtest
from training.dataset import model_dtypes
from training.spending import purchase_span

FEWEST_PURCHASES = 50
LONGEST_WINDOW_SHARE = 1 / 3
SHORTEST_WINDOW_DAYS = 7.0

BTYD, BLEND, TREES = "btyd", "blend", "lightgbm"


@dataclass(frozen=True, eq=False)
class FittedClv:
    """The bundle, and the predictions at the newest tested moment.

    Attributes
    ----------
    money, count : float arrays, shape (n,)
        What the contacts spent in the test window, and on how many days.
    predicted, predicted_count : mapping of method to float array, shape (n,)
        `count` only of methods that know of purchases.
    served : str
        Which of the methods the bundle holds.
    window_days : float
        Length of the test window.
    features : Columns
        Of the contacts at as_of.
    coverage : mapping of float to float
        Nominal -> measured coverage of the intervals: learned on one half of the contacts, measured on the other.
    facts : mapping
        What was chosen, for the model card.
    notes : tuple of str
        What limits the model.
    """

    bundle: ClvBundle
    money: FloatArray
    count: FloatArray
    predicted: dict[str, FloatArray]
    predicted_count: dict[str, FloatArray]
    served: str
    window_days: float
    features: Columns
    coverage: dict[float, float] = field(default_factory=dict)
    facts: dict[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def fit_clv(data_dir: Path, catalog: Catalog, door: FeatureDoor, as_of: np.datetime64, *, seed: int) -> FittedClv | str:
    """The CLV model, or the reason why there is none."""
    span = purchase_span(data_dir, as_of)
    if span.purchases < FEWEST_PURCHASES:
        return f"{span.purchases} purchases (events with value > 0); {FEWEST_PURCHASES} are needed"
    window_days = float(min(catalog.horizon_days, np.floor(span.history_days * LONGEST_WINDOW_SHARE)))
    if window_days < SHORTEST_WINDOW_DAYS:
        return f"{span.history_days:.0f} days of purchases; {3 * SHORTEST_WINDOW_DAYS:.0f} are needed"
    moments = moments_before(as_of, window_days, span.history_days)
    door.build_populations([as_of, *moments])
    now = Population.read(door, as_of, np.random.default_rng([seed, 0xC14]), most=None)
    encoder = FeatureEncoder.fit(now.columns, model_dtypes(door.contract), as_of)
    columns = correction_columns(encoder.feature_names, list(encoder.dtypes.values()))
    reader = PastReader(data_dir, door, encoder, columns, window_days, seed)
    pasts = [reader.read(at) for at in moments]
    return _Fit(catalog, door.contract.hash, now, encoder, columns, pasts, window_days, seed).run()


@dataclass(frozen=True, eq=False)
class _Fit:
    catalog: Catalog
    contract_hash: str
    now: Population
    encoder: FeatureEncoder
    columns: tuple[int, ...]
    pasts: list[Past]
    window_days: float
    seed: int

    @property
    def horizon(self) -> Horizon:
        settings = self.catalog.clv
        return Horizon(self.catalog.horizon_days, settings.margin, settings.annual_discount_rate)

    @property
    def categorical(self) -> tuple[int, ...]:
        """Positions of categories among the chosen columns."""
        return tuple(k for k, column in enumerate(self.columns) if column in self.encoder.categorical_indices)

    def run(self) -> FittedClv | str:
        try:
            test = run_backtest(self.pasts, self.window_days, self.categorical, self.seed)
            btyd = fit_btyd(self.now.history, self.horizon, value_without_purchase=self._newcomers(), kinds=test.kinds)
        except ValueError as error:
            return self._trees(str(error))
        expected = test.kinds[0]
        notes = (
            [] if btyd.transactions.kind == expected else [f"{btyd.transactions.kind} stands in: {expected} is not identified as of now"]
        )
        head, notes = self._blended(test, btyd, notes)
        return self._fitted(test, head, notes)

    def _newcomers(self) -> float:
        """What a contact without a purchase turned out to be worth after the newest moment."""
        newest = self.pasts[0]
        return value_of_non_buyers(newest.money, newest.history.is_buyer, self.horizon.factor(self.window_days))

    def _blended(self, test: Backtest, btyd: BtydClvHead, notes: list[str]) -> tuple[BtydClvHead | BlendedClvHead, list[str]]:
        """BTYD with the corrections that proved themselves, refitted as late as they can be, at BTYD's level as of now."""
        names = needed(test.verdicts["count"].weights, test.verdicts["money"].weights)
        if not names:
            why = "does not lower the error of a later window" if test.folds else "cannot be tested: the history is too short"
            return btyd, [*notes, f"a correction by LightGBM {why}"]
        corrections = test.corrections(names)
        buyers = self.now.history.is_buyer
        outlook = btyd.outlook(self.now.history, self.window_days, self.window_days).take(buyers)
        matrix = blend_matrix(self.encoder.trees(self.now.columns, self.now.at)[buyers][:, list(self.columns)], outlook)
        weights = [test.weights("count", corrections.counts(matrix, outlook)), test.weights("money", corrections.moneys(matrix, outlook))]
        return BlendedClvHead(btyd, self.window_days, self.columns, corrections, *weights), notes

    def _fitted(self, test: Backtest, head: BtydClvHead | BlendedClvHead, notes: list[str]) -> FittedClv:
        past, moment = test.moments[0]
        newcomers = self._earlier_newcomers(test)
        predicted = {BTYD: self._of_all(past, moment.outlook.money, newcomers)}
        counts = {BTYD: self._of_all(past, moment.outlook.count, 0.0)}
        if test.folds and test.folds[0].past is past:
            for name, found in (("money", predicted), ("count", counts)):
                found[BLEND] = self._of_all(past, test.predicted(name), newcomers if name == "money" else 0.0)
        served = BLEND if isinstance(head, BlendedClvHead) else BTYD
        expected = np.where(past.history.is_buyer, counts[served], np.nan)
        intervals, coverage = intervals_of(expected, predicted[served], past.money)
        bundle = ClvBundle(self.contract_hash, self.encoder, head, self.catalog.horizon_days, len(self.now.contact_ids), intervals)
        facts: dict[str, object] = {"moments": ", ".join(str(one.at)[:10] for one, _ in test.moments), "transaction_model": head_kind(head)}
        for name, verdict in test.verdicts.items():
            facts[f"weights_{name}"] = ", ".join(f"{weight:.2f}" for weight in verdict.weights)
            facts[f"deviance_gain_{name}"] = f"{verdict.gain:.5g} +- {verdict.standard_error:.2g}"
            facts[f"level_{name}"] = "own" if test.own_level[name] else "of BTYD"
        return FittedClv(
            bundle, past.money, past.count, predicted, counts, served, self.window_days, self.now.columns, coverage, facts, tuple(notes)
        )

    def _earlier_newcomers(self, test: Backtest) -> float:
        """Money over the window of contacts without a purchase, as it was known at the newest moment."""
        window = np.timedelta64(round(self.window_days * 86_400_000_000), "us")
        closed = [past for past in self.pasts if past.at + window <= test.moments[0][0].at]
        return value_of_non_buyers(closed[0].money, closed[0].history.is_buyer, 1.0) if closed else 0.0

    def _of_all(self, past: Past, of_buyers: FloatArray, of_others: float) -> FloatArray:
        predicted = np.full(len(past.money), of_others)
        predicted[past.history.is_buyer] = of_buyers
        return predicted

    def _trees(self, why: str) -> FittedClv | str:
        """LightGBM alone: the purchases identify no BTYD model."""
        newest = self.pasts[0]
        closed = [past for past in self.pasts if past.at + np.timedelta64(round(self.window_days * 86_400_000_000), "us") <= newest.at]
        predicted: dict[str, FloatArray] = {}
        try:
            if closed:
                predicted[TREES] = self._tweedie().fit(closed[0].trees, closed[0].money).predict(newest.trees)
            head = self._tweedie().fit(newest.trees, newest.money).head(self.horizon.factor(self.window_days))
        except ValueError as error:
            return f"{why}; {error}"
        head = replace(head, columns=self.columns)
        intervals, coverage = intervals_of(predicted[TREES], predicted[TREES], newest.money) if predicted else (None, {})
        bundle = ClvBundle(self.contract_hash, self.encoder, head, self.catalog.horizon_days, len(newest.money), intervals)
        notes = (f"LightGBM alone: {why}",)
        return FittedClv(bundle, newest.money, newest.count, predicted, {}, TREES, self.window_days, self.now.columns, coverage, {}, notes)

    def _tweedie(self) -> TweedieClv:
        return TweedieClv(categorical=self.categorical, n_jobs=1, random_state=self.seed)


def head_kind(head: ClvHead) -> str:
    """The model of transactions, or lightgbm."""
    btyd = head.btyd if isinstance(head, BlendedClvHead) else head
    return btyd.transactions.kind if isinstance(btyd, BtydClvHead) else TREES


def intervals_of(key: FloatArray, expected: FloatArray, came: FloatArray) -> tuple[RatioIntervals | None, dict[float, float]]:
    """Intervals from all contacts, and their coverage: learned on every other contact, measured on the rest."""
    even: BoolArray = np.arange(len(came)) % 2 == 0
    try:
        intervals = RatioIntervals.fit(key, expected, came)
        half = RatioIntervals.fit(key[even], expected[even], came[even])
    except ValueError:
        return None, {}
    coverage = {}
    for nominal in COVERAGES:
        low, high = half.of(key[~even], expected[~even], nominal)
        coverage[nominal] = float(((came[~even] >= low - 1e-9) & (came[~even] <= high + 1e-9)).mean())
    return intervals, coverage
