"""Which features drift in time, and what dropping them gains on later rows: a report, and the list of what is not served."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.special import expit

from decisioning.catalog import Catalog
from decisioning.vocabulary import FloatArray, IntArray
from estimators.encoding import Encoded, FeatureEncoder
from estimators.folds import Fold, forward_folds
from estimators.lasting import levelled_loss, t_over_parts
from estimators.propensity import forward_share
from estimators.response_members import PENALTIES, LabelledRows
from estimators.trees import RESPONSE, BinnedRows, TreeSettings, faster, response_bins, response_settings
from training.feature_shift import stability_indices, two_sample_auc
from training.labels import days_of
from training.prepared import Prepared

MOVED = 0.25
"""A feature with a larger stability index drifts."""
LATER_SHARE = 0.3
MOST_ROWS = 12_000
"""More rows are thinned to these at random: a report needs no more."""
FEWEST_ROWS = 1_000
MOST_ALONE = 12
"""So many drifting features, those that moved most, are also dropped one at a time."""
FOLDS = 4
NEWEST_FOLDS = 2
"""What a report alone is for is measured on so many, with half the trees at twice the rate."""


@dataclass(frozen=True)
class Gain:
    """What dropping features lowers the log loss of later rows by, a row, and its standard error; the level is put right first."""

    value: float
    standard_error: float

    @property
    def sure(self) -> bool:
        """Above its standard error."""
        return self.value > self.standard_error


@dataclass(frozen=True)
class DriftReport:
    """What moved between the earlier and the later rows.

    Attributes
    ----------
    indices : mapping of feature to float
        Population stability index of every feature.
    area, area_error : float
        AUC of a classifier that tells later rows from earlier ones, and its standard error.
    alone : mapping of feature to Gain
        What dropping a drifting feature alone gains a logistic regression.
    together : Gain or None
        What dropping all of them gains a logistic regression averaged with trees; None where nothing drifts or nothing can be said.
    dropped : tuple of str
        Features that the served model does not read, because it predicts later rows better without them.
    dropped_gain : Gain or None
    """

    indices: Mapping[str, float]
    area: float
    area_error: float
    alone: Mapping[str, Gain] = field(default_factory=dict)
    together: Gain | None = None
    dropped: tuple[str, ...] = ()
    dropped_gain: Gain | None = None

    @property
    def drifting(self) -> tuple[str, ...]:
        """The features that moved, most first."""
        moved = [name for name, index in self.indices.items() if index > MOVED]
        return tuple(sorted(moved, key=lambda name: -self.indices[name]))

    @property
    def warnings(self) -> list[str]:
        """The report in sentences; none where nothing moved."""
        if not self.drifting:
            return []
        named = ", ".join(f"{name} ({self.indices[name]:.2f})" for name in self.drifting)
        lines = [f"features that drift in time (stability index above {MOVED}): {named}. Retrain often"]
        if self.together is not None:
            lines.append(f"without all of these, later rows are predicted {_words(self.together)}")
        if self.dropped and self.dropped_gain is not None:
            lines.append(f"not served, because later rows are predicted {_words(self.dropped_gain)} without: {', '.join(self.dropped)}")
        return lines

    @property
    def metrics(self) -> dict[str, float]:
        """The report as numbers by name."""
        found = {"drift.two_sample_auc": self.area, "drift.two_sample_auc_se": self.area_error, "drift.features": float(len(self.drifting))}
        found |= {f"drift.psi.{name}": self.indices[name] for name in self.drifting}
        for name, gain in self.alone.items():
            found |= {f"drift.gain_without.{name}": gain.value, f"drift.gain_without_se.{name}": gain.standard_error}
        if self.together is not None:
            found |= {"drift.gain_without_all": self.together.value, "drift.gain_without_all_se": self.together.standard_error}
        return {**found, "drift.dropped": float(len(self.dropped))}


def drift_report(prepared: Prepared, catalog: Catalog, *, seed: int, judged: DriftReport | None = None) -> DriftReport | None:
    """The drift of the features of the labelled rows; None in a one-shot experiment and where there are too few rows or instants.

    Parameters
    ----------
    prepared : Prepared
    catalog : Catalog
    seed : int
    judged : DriftReport, optional
        Of the earlier of these rows: the features that it dropped stay dropped, since the model without them is the one that was judged,
        and what dropping them gains is not measured again. Which features have moved by now is.
    """
    days = days_of(prepared.data.rows)
    if days is None:
        return None
    y = _responses(prepared, catalog)
    rows = np.flatnonzero(~np.isnan(y))
    if len(rows) > MOST_ROWS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MOST_ROWS, replace=False))
    later = days[rows] > np.quantile(days[rows], 1.0 - LATER_SHARE) if len(rows) else np.empty(0, dtype=np.bool_)
    if len(rows) < FEWEST_ROWS or not 0 < later.sum() < len(rows):
        return None
    encoder, trees = prepared.encoder, prepared.encoded.trees[rows]
    indices = stability_indices(trees, encoder.categorical_indices, later)
    area, error = two_sample_auc(trees, encoder.categorical_indices, later, seed=seed)
    report = DriftReport(dict(zip(encoder.feature_names, indices.tolist(), strict=True)), area, error)
    known = judged if judged is not None and judged.drifting else None
    report = report if known is None else _as_judged(report, known)
    if report.together is not None:
        return report
    window = max((catalog.outcomes[action.goal].window_days for action in catalog.actions if action.goal is not None), default=0.0)
    share = forward_share(int(min(y[rows].sum(), len(rows) - y[rows].sum())))
    folds = forward_folds(days[rows], y[rows], cv=FOLDS, share=share, gap=window)
    if not report.drifting or not folds:
        return report
    if known is None:
        return _with_gains(report, _Trial(prepared, rows, y[rows], folds, seed))
    trial = _Trial(prepared, rows, y[rows], folds[-NEWEST_FOLDS:], seed, faster(RESPONSE))
    return replace(report, together=trial.without(report.drifting))


def without(encoder: FeatureEncoder, encoded: Encoded, rows: IntArray, features: Collection[str]) -> Encoded:
    """A copy of some rows with some features made constant, so that no model fitted on them reads these."""
    some = encoded.take(rows)
    if features:
        some.trees[:, [name in features for name in encoder.feature_names]] = 0.0
        some.linear[:, [name in features for name in encoder.linear_features]] = 0.0
    return some


@dataclass(frozen=True, eq=False)
class _Trial:
    """Labelled rows and the folds by which sets of features are compared."""

    prepared: Prepared
    rows: IntArray
    y: FloatArray
    folds: list[Fold]
    seed: int
    trees: TreeSettings = RESPONSE

    def losses(self, dropped: Collection[str], *, trees: bool) -> list[FloatArray]:
        """Levelled log loss of each row of each part."""
        encoder = self.prepared.encoder
        encoded = without(encoder, self.prepared.encoded, self.rows, dropped)
        actions = self.prepared.data.rows.action_id[self.rows].astype(str)
        of_action = (actions[:, None] == np.unique(actions)).astype(np.float64)
        binned = BinnedRows(
            np.column_stack([encoded.trees, of_action.argmax(axis=1)]),
            categorical=(*encoder.categorical_indices, encoded.trees.shape[1]),
            n_jobs=1,
            random_state=self.seed,
            max_bin=response_bins(len(self.y)),
        )
        weight = self.prepared.data.rows.sample_weight[self.rows]
        settings = response_settings(self.trees, len(self.y), int(min(self.y.sum(), len(self.y) - self.y.sum())))
        labelled = LabelledRows(binned, settings, np.column_stack([encoded.linear, of_action]), self.y, weight / weight.mean())
        return [_loss(labelled, fold, trees) for fold in self.folds]

    def without(self, names: Collection[str]) -> Gain:
        """What leaving these features out of both models gains."""
        return self.gain(self.losses((), trees=True), self.losses(names, trees=True))

    def gain(self, before: list[FloatArray], after: list[FloatArray]) -> Gain:
        """The mean difference a row, and its standard error."""
        gains = [one - other for one, other in zip(before, after, strict=True)]
        mean, t = float(np.concatenate(gains).mean()), t_over_parts(gains)
        return Gain(mean, mean / t if t else 0.0)


def _with_gains(report: DriftReport, trial: _Trial) -> DriftReport:
    straight = trial.losses((), trees=False)
    alone = {name: trial.gain(straight, trial.losses((name,), trees=False)) for name in report.drifting[:MOST_ALONE]}
    blended = trial.losses((), trees=True)
    lost = tuple(name for name, gain in alone.items() if gain.sure)
    tried = {names: trial.gain(blended, trial.losses(names, trees=True)) for names in dict.fromkeys((report.drifting, lost)) if names}
    best = max(tried, key=lambda names: tried[names].value)
    dropped = best if tried[best].sure else ()
    return replace(report, alone=alone, together=tried[report.drifting], dropped=dropped, dropped_gain=tried[best] if dropped else None)


def _as_judged(report: DriftReport, judged: DriftReport) -> DriftReport:
    together = judged.together if set(judged.drifting) == set(report.drifting) else None  # else it is of other features: to be measured
    return replace(report, alone=judged.alone, together=together, dropped=judged.dropped, dropped_gain=judged.dropped_gain)


def _loss(rows: LabelledRows, fold: Fold, trees: bool) -> FloatArray:
    past, test = fold
    line = rows.line(len(PENALTIES) - 1, past)
    p = expit(rows.linear[test] @ line.coef + line.intercept)
    if trees:
        p = (p + rows.binned.predict(rows.binned.fit(rows.settings, "binary", past, rows.y, rows.weight), test)) / 2.0
    return levelled_loss((rows.y[test], rows.weight[test]), p)


def _responses(prepared: Prepared, catalog: Catalog) -> FloatArray:
    """The label of each row's own action's goal, NaN where it has none."""
    y = np.full(len(prepared), np.nan)
    for action in catalog.actions:
        if action.goal is not None:
            mine = prepared.of_action(action.id)
            y[mine] = prepared.data.labels.happened[action.goal][mine]
    return y


def _words(gain: Gain) -> str:
    way = "better" if gain.value > 0 else "worse"
    sure = "" if abs(gain.value) > gain.standard_error else ", within its error"
    return f"{way} (log loss {-gain.value:+.4f} a row, SE {gain.standard_error:.4f}{sure})"
