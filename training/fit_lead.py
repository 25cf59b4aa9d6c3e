"""P(won) of a lead -> LeadBundle, judged on contacts that it has not seen, beside the points card and the catalogue's own points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_auc_score

from decisioning.control import hash_to_unit
from decisioning.vocabulary import FloatArray
from estimators.bundle_lead import LeadBundle
from estimators.calibration import expected_calibration_error, log_losses
from estimators.encoding import FeatureEncoder
from estimators.lead import LeadModel
from features.store import FeatureDoor
from training.dataset import model_dtypes
from training.lead_rows import LeadRows

TEST_SHARE = 0.25
RESAMPLES = 200
_SALT = "which contacts the lead score is tested on"


@dataclass(frozen=True, eq=False)
class FittedLead:
    """The score as it will be served, and how a fit on three contacts in four did on the fourth."""

    bundle: LeadBundle
    metrics: dict[str, float]
    facts: dict[str, object]


def fit_lead(rows: LeadRows, door: FeatureDoor, *, seed: int) -> FittedLead:
    """Fit, judge and fit again on all rows.

    Metrics: AUC with its interval by contact, log loss, calibration error; `card_auc` of the learned points card, `points_auc` of the
    catalogue's points.
    """
    tested = hash_to_unit(rows.contact_id, f"{seed} {_SALT}") < TEST_SHARE
    metrics: dict[str, float] = {}
    test = rows.take(tested)
    if 0 < test.won.sum() < len(test.won) and rows.won[~tested].sum() > 0:
        judge = _fitted(rows.take(~tested), door, seed)
        encoded = judge.encode(test.features, test.moment)
        metrics = _judged(test, judge.head.probability(encoded), judge.head.points(encoded).astype(np.float64), seed)
    facts = {"rows": len(rows.won), "won": int(rows.won.sum()), "test_rows": len(test.won), "source": rows.source}
    return FittedLead(_fitted(rows, door, seed), metrics, facts)


def _fitted(rows: LeadRows, door: FeatureDoor, seed: int) -> LeadBundle:
    encoder = FeatureEncoder.fit(rows.features, model_dtypes(door.contract), rows.moment)
    encoded = encoder.encode(rows.features, rows.moment)
    model = LeadModel.for_encoder(encoder, random_state=seed).fit(encoded.trees, rows.won, X_linear=encoded.linear)
    return LeadBundle(door.contract.hash, encoder, model.head_, len(rows.won))


def _judged(test: LeadRows, p: FloatArray, card: FloatArray, seed: int) -> dict[str, float]:
    low, high = _interval(test, p, seed)
    return {
        "auc": float(roc_auc_score(test.won, p)),
        "auc_low": low,
        "auc_high": high,
        "card_auc": float(roc_auc_score(test.won, card)),
        "points_auc": float(roc_auc_score(test.won, test.by_hand)),
        "log_loss": float(log_losses(test.won, p).mean()),
        "calibration_error": expected_calibration_error(test.won, p),
        "won_rate": float(test.won.mean()),
    }


def _interval(test: LeadRows, p: FloatArray, seed: int) -> tuple[float, float]:
    """95 % of the AUC by a bootstrap of contacts: one contact's rows stay together."""
    rng = np.random.default_rng([seed, 0x1EAD])
    contact = np.unique(test.contact_id.astype(str), return_inverse=True)[1]
    found = []
    for _ in range(RESAMPLES):
        weight = rng.multinomial(int(contact.max()) + 1, np.full(int(contact.max()) + 1, 1.0 / (contact.max() + 1)))[contact]
        if 0 < (weight * test.won).sum() < weight.sum():
            found.append(roc_auc_score(test.won, p, sample_weight=weight))
    return (float(np.quantile(found, 0.025)), float(np.quantile(found, 0.975))) if found else (float("nan"), float("nan"))
