"""Which leads will be won? The lead score and its points card beside scikit-learn's logistic regression and LightGBM, defaults each.

X Education's 9,240 leads without what salesmen wrote down afterwards; 5 x stratified 5-fold; "Select" means missing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import RepeatedStratifiedKFold
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks.commands import ROOT
from benchmarks.results import Figure
from estimators.encoding import FeatureEncoder
from estimators.lead import LeadModel

FOLDS, REPEATS = 5, 5
AFTERWARDS = (
    "Tags",
    "Lead Quality",
    "Lead Profile",
    "Last Notable Activity",
    "Asymmetrique Activity Index",
    "Asymmetrique Profile Index",
    "Asymmetrique Activity Score",
    "Asymmetrique Profile Score",
)
_NOW = np.datetime64("2026-01-01", "us")  # there are no times among the columns


def read_leads(path: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """The attributes that are known before, with NULL for "Select", and whether the lead was won."""
    raw = pd.read_parquet(path)
    won = raw["Converted"].to_numpy(dtype=np.float64)
    known = raw.drop(columns=["Prospect ID", "Lead Number", "Converted", *AFTERWARDS]).replace({"Select": None})
    return known, won


def _ours(train: pd.DataFrame, won: np.ndarray, test: pd.DataFrame) -> dict[str, np.ndarray]:
    dtypes = {str(name): "string" if train[name].dtype == object else "float" for name in train}
    columns = [{str(name): frame[name].to_numpy() for name in frame} for frame in (train, test)]
    encoder = FeatureEncoder.fit(columns[0], dtypes, _NOW)
    rows, new = encoder.encode(columns[0], _NOW), encoder.encode(columns[1], _NOW)
    head = LeadModel.for_encoder(encoder).fit(rows.trees, won, X_linear=rows.linear).head_
    return {"the lead score": head.probability(new), "the points card": head.card.probability(new)}


def _peers(train: pd.DataFrame, won: np.ndarray, test: pd.DataFrame) -> dict[str, np.ndarray]:
    texts = [str(name) for name in train if train[name].dtype == object]
    numbers = [str(name) for name in train if name not in texts]
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(train[texts].fillna("missing"))
    scaler, middle = StandardScaler().fit(train[numbers]), train[numbers].median()
    wide = [
        np.column_stack((one_hot.transform(frame[texts].fillna("missing")), scaler.transform(frame[numbers].fillna(middle))))
        for frame in (train, test)
    ]
    logistic = LogisticRegression(max_iter=1000).fit(wide[0], won)
    levels = {name: pd.CategoricalDtype(sorted(train[name].dropna().unique())) for name in texts}
    boosted = lightgbm.LGBMClassifier(n_jobs=1, verbose=-1).fit(train.astype(levels), won)
    return {
        "logistic regression": logistic.predict_proba(wide[1])[:, 1],
        "LightGBM": np.asarray(boosted.predict_proba(test.astype(levels)))[:, 1],
    }


def measure(repeats: int = REPEATS) -> Sequence[Figure]:
    """AUC and log loss of each, and the paired differences to the better peer with their standard errors."""
    data_dir = Path(os.environ.get("NUDGE_DATA") or ROOT.parent / "shared" / "data")
    leads, won = read_leads(data_dir / "leads.parquet")
    auc: dict[str, list[float]] = {}
    nats: dict[str, list[float]] = {}
    for train, test in RepeatedStratifiedKFold(n_splits=FOLDS, n_repeats=repeats, random_state=7).split(leads, won):
        said = [of(leads.iloc[train], won[train], leads.iloc[test]) for of in (_ours, _peers)]
        for name, p in {**said[0], **said[1]}.items():
            auc.setdefault(name, []).append(float(roc_auc_score(won[test], p)))
            nats.setdefault(name, []).append(float(log_loss(won[test], p)))
    return [*_beside(auc, "AUC", sign=1.0, card_may_lose=0.015), *_beside(nats, "log loss", sign=-1.0, card_may_lose=0.03)]


def _beside(scores: dict[str, list[float]], what: str, *, sign: float, card_may_lose: float) -> list[Figure]:
    """Each figure with the standard error of its mean, and ours less the better peer's (better is positive)."""
    peers = ("logistic regression", "LightGBM")
    best = max(peers, key=lambda name: sign * float(np.mean(scores[name])))
    figures = []
    for name, found in scores.items():
        unit = f"{what} (SE {_standard_error(np.array(found)):.2g})"
        peer, value = (None, None) if name in peers else (best, float(np.mean(scores[best])))
        figures.append(Figure(f"leads.{name}: {what}", float(np.mean(found)), unit, peer=peer, peer_value=value))
    for name, least in (("the lead score", 0.0), ("the points card", -card_may_lose)):
        gain = sign * (np.array(scores[name]) - np.array(scores[best]))
        unit = f"{what} (SE {_standard_error(gain):.2g})"
        figures.append(Figure(f"leads.{name} beyond {best}: {what}", float(gain.mean()), unit, goal=f">= {least:g}"))
    return figures


def _standard_error(found: np.ndarray) -> float:
    """Of a mean over repeated splits, whose training parts overlap (Nadeau and Bengio, "Inference for the Generalization Error", 2003)."""
    return float(found.std(ddof=1) * np.sqrt(1.0 / len(found) + 1.0 / (FOLDS - 1)))
