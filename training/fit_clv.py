"""Buy-till-you-die on the purchases, corrected by LightGBM where a back-test says that it pays -> the served ClvBundle.

Where the purchases identify no buy-till-you-die model LightGBM alone learns the money of a window, and is served if it can be learned.
A regressor of the user's own takes LightGBM's place in what the features alone say of the money, in the blend and alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from decisioning.catalog import Catalog
from decisioning.errors import ConfigError
from decisioning.vocabulary import BoolArray, Columns, FloatArray
from estimators.bundle import ClvBundle
from estimators.clv import Horizon, TweedieClv, fit_btyd, value_of_non_buyers
from estimators.clv_blend import BlendedClvHead, ClvHead, ColumnsRead, blend_rows
from estimators.clv_correction import correction_columns, needed
from estimators.clv_heads import BtydClvHead, OwnClvHead, TreeClvHead
from estimators.clv_intervals import COVERAGES, RatioIntervals
from estimators.encoding import FeatureEncoder
from estimators.own_score import OwnEstimatorFailed, OwnMoney
from features.store import FeatureDoor
from training.backtest import Backtest, Learning, Past, PastReader, Population, columns_read, moments_before, run_backtest, some_known
from training.dataset import model_dtypes
from training.memory import give_back
from training.own_models import OwnEstimator, refuse_untrusted
from training.spending import purchase_span

MANY_CONTACTS = 50_000
"""After more of them are read, memory is given back: the interactions are read meanwhile."""

FEWEST_PURCHASES = 50
LONGEST_WINDOW_SHARE = 1 / 3
SHORTEST_WINDOW_DAYS = 7.0

BTYD, BLEND, TREES, OWN = "btyd", "blend", "lightgbm", "own"
FIELD = "models.clv"


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


def fit_clv(
    data_dir: Path, catalog: Catalog, door: FeatureDoor, as_of: np.datetime64, *, seed: int, own: OwnEstimator | None = None
) -> FittedClv | str:
    """The CLV model, or the reason why there is none.

    Raises
    ------
    ConfigError
        The user's own regressor cannot be fitted, answers with anything but numbers, or holds types that are not trusted.
    """
    span = purchase_span(data_dir, as_of)
    if span.purchases < FEWEST_PURCHASES:
        return f"{span.purchases} purchases (events with value > 0); {FEWEST_PURCHASES} are needed"
    window_days = float(min(catalog.horizon_days, np.floor(span.history_days * LONGEST_WINDOW_SHARE)))
    if window_days < SHORTEST_WINDOW_DAYS:
        return f"{span.history_days:.0f} days of purchases; {3 * SHORTEST_WINDOW_DAYS:.0f} are needed"
    moments = moments_before(as_of, window_days, span.history_days)
    drawn = [some_known(door, at, np.random.default_rng([seed, 0xC14, int(at.astype(np.int64)) % 2**31])) for at in moments]
    everybody = door.known(as_of)
    asked = [(everybody, as_of), *zip(drawn, moments, strict=True)]
    door.build_missing(asked)
    now, *earlier = Population.read_each(door, asked)
    if len(everybody) > MANY_CONTACTS:
        give_back()
    encoder = FeatureEncoder.fit(now.columns, model_dtypes(door.contract), as_of)
    columns = _columns(encoder, own)
    reader = PastReader(data_dir, encoder, columns, window_days)
    pasts = [reader.read(people) for people in earlier]
    found = _fitted(_Fit(catalog, door.contract.hash, now, encoder, columns, pasts, window_days, seed, own), own)
    if own is not None and isinstance(found, FittedClv):
        heard = own_part(found.bundle.head)
        refuse_untrusted([] if heard is None else [heard.estimator], own, FIELD)
    return found


def _fitted(fit: _Fit, own: OwnEstimator | None) -> FittedClv | str:
    """The fit; what a regressor of the user's own makes of it is said as a matter of nudge.yaml."""
    try:
        return fit.run()
    except OwnEstimatorFailed as error:
        words = "" if own is None else own.words
        raise ConfigError("the estimator cannot be fitted", field=FIELD, got=f"{words}: {error}") from error


def _columns(encoder: FeatureEncoder, own: OwnEstimator | None) -> ColumnsRead:
    """What corrections read: no column that grows with the calendar, of the linear matrix only what a regressor of the user's own needs."""
    trees = correction_columns(encoder.feature_names, list(encoder.dtypes.values()))
    owners = encoder.linear_features
    linear = () if own is None else correction_columns(owners, [encoder.dtypes[name] for name in owners])
    return ColumnsRead(trees, linear)


@dataclass(frozen=True, eq=False)
class _Fit:
    catalog: Catalog
    contract_hash: str
    now: Population
    encoder: FeatureEncoder
    columns: ColumnsRead
    pasts: list[Past]
    window_days: float
    seed: int
    own: OwnEstimator | None = None

    @property
    def horizon(self) -> Horizon:
        settings = self.catalog.clv
        return Horizon(self.catalog.horizon_days, settings.margin, settings.annual_discount_rate)

    @property
    def categorical(self) -> tuple[int, ...]:
        """Positions of categories among the chosen columns."""
        return tuple(k for k, column in enumerate(self.columns.trees) if column in self.encoder.categorical_indices)

    def run(self) -> FittedClv | str:
        try:
            how = Learning(self.categorical, self.seed, None if self.own is None else self.own.estimator)
            test = run_backtest(self.pasts, self.window_days, how)
            btyd = fit_btyd(self.now.history, self.horizon, value_without_purchase=self._newcomers(), kinds=test.kinds)
        except ValueError as error:
            return self._alone(str(error))
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
            return btyd, [*notes, f"a correction by LightGBM{'' if self.own is None else ' or by the regressor of your own'} {why}"]
        corrections = test.corrections(names)
        buyers = self.now.history.is_buyer
        outlook = btyd.outlook(self.now.history, self.window_days, self.window_days).take(buyers)
        rows = blend_rows(columns_read(self.encoder, self.columns, self.now).take(buyers), outlook)
        weights = [test.weights("count", corrections.counts(rows, outlook)), test.weights("money", corrections.moneys(rows, outlook))]
        head = BlendedClvHead(btyd, self.window_days, self.columns, corrections, *weights)
        if self.own is not None and head.own is None:
            notes = [*notes, "the regressor of your own has no weight: it does not lower the error of a later window"]
        return head, notes

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

    def _alone(self, why: str) -> FittedClv | str:
        """LightGBM or the user's own regressor alone: the purchases identify no BTYD model."""
        newest = self.pasts[0]
        closed = [past for past in self.pasts if past.at + np.timedelta64(round(self.window_days * 86_400_000_000), "us") <= newest.at]
        predicted: dict[str, FloatArray] = {}
        name, every = (TREES if self.own is None else OWN), self.columns.alone
        try:
            if closed:
                predicted[name] = self._learned(closed[0], 1.0, every).clv(newest.columns)
            head = self._learned(newest, self.horizon.factor(self.window_days), self.columns)
        except ValueError as error:
            return f"{why}; {error}"
        intervals, coverage = intervals_of(predicted[name], predicted[name], newest.money) if predicted else (None, {})
        bundle = ClvBundle(self.contract_hash, self.encoder, head, self.catalog.horizon_days, len(newest.money), intervals)
        notes = (f"{'LightGBM' if self.own is None else 'the regressor of your own'} alone: {why}",)
        return FittedClv(bundle, newest.money, newest.count, predicted, {}, name, self.window_days, self.now.columns, coverage, {}, notes)

    def _learned(self, past: Past, factor: float, read: ColumnsRead) -> TreeClvHead | OwnClvHead:
        """From the money of everybody at a moment, to be asked about rows of which it reads these columns."""
        trees = TweedieClv(categorical=self.categorical, n_jobs=1, random_state=self.seed)
        if self.own is None:
            return replace(trees.fit(past.columns.trees, past.money).head(factor), columns=read.trees)
        money = np.maximum(past.money, 0.0)
        if len(money) < trees.fewest_rows or money.sum() <= 0:
            raise ValueError(f"{len(money)} contacts, who spent {money.sum():g}; {trees.fewest_rows} are needed, and somebody who spent")
        return OwnClvHead(OwnMoney.fitted(self.own.estimator, past.columns.linear, money), factor, read.linear)


def head_kind(head: ClvHead) -> str:
    """The model of transactions, or lightgbm, or own."""
    btyd = head.btyd if isinstance(head, BlendedClvHead) else head
    if isinstance(btyd, BtydClvHead):
        return btyd.transactions.kind
    return OWN if isinstance(btyd, OwnClvHead) else TREES


def own_part(head: ClvHead) -> OwnMoney | None:
    """What of a head is a user's own regressor."""
    if isinstance(head, OwnClvHead):
        return head.score
    return head.own if isinstance(head, BlendedClvHead) else None


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
