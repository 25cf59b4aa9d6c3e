"""One uplift learner on the data of a folder, in a process of its own: seconds, peak memory and how well it knows the true uplift, as JSON.

Run by `peers.py` with this project's Python for ours and with that of `.venv-peers` for the peers: nothing of ours is imported at the top.
Every learner is given LightGBM with the same settings on one thread, and is told that the exposure was randomised half and half. What a
learner makes of them is its own: ours takes fewer and larger steps where rows are many (`estimators.trees.effect_settings`).
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SETTINGS: dict[str, Any] = {
    "n_estimators": 60,
    "learning_rate": 0.07,
    "num_leaves": 6,
    "min_child_samples": 300,
    "reg_lambda": 20.0,
    "colsample_bytree": 0.7,
}
"""This project's own for uplift (`estimators.trees.REGULARISED`), in the names of LightGBM's scikit-learn interface."""

FOLDS, WARM_UP = 3, 100_000
"""The warm-up has enough rows for a learner to load all that it uses for many: ours asks its trees about 20,000 as compiled code."""


def _boosted(classifier: bool = False) -> Any:
    from lightgbm import LGBMClassifier, LGBMRegressor

    return (LGBMClassifier if classifier else LGBMRegressor)(**SETTINGS, n_jobs=1, verbose=-1, random_state=7)


def _ours(X: Any, y: Any, w: Any) -> Any:
    from estimators.uplift import DoublyRobustUplift

    return DoublyRobustUplift(cv=FOLDS, n_jobs=1, random_state=7).fit(X, None, y, w).predict(X)


def _causalml_dr(X: Any, y: Any, w: Any) -> Any:
    from causalml.inference.meta import BaseDRLearner

    arms = {"control_outcome_learner": _boosted(), "treatment_outcome_learner": _boosted(), "treatment_effect_learner": _boosted()}
    return BaseDRLearner(**arms, control_name=0).fit_predict(X, w, y, p=np.full(len(y), 0.5))


def _causalml_x(X: Any, y: Any, w: Any) -> Any:
    from causalml.inference.meta import BaseXClassifier

    model = BaseXClassifier(outcome_learner=_boosted(classifier=True), effect_learner=_boosted(), control_name=0)
    return model.fit_predict(X, w, y, p=np.full(len(y), 0.5))


def _causalml_t(X: Any, y: Any, w: Any) -> Any:
    from causalml.inference.meta import BaseTClassifier

    return BaseTClassifier(_boosted(classifier=True), control_name=0).fit_predict(X, w, y)


def _econml_dr(X: Any, y: Any, w: Any) -> Any:
    from econml.dr import DRLearner
    from sklearn.dummy import DummyClassifier

    parts = {"model_propensity": DummyClassifier(), "model_regression": _boosted(), "model_final": _boosted()}
    return DRLearner(**parts, cv=FOLDS, random_state=7).fit(y, w, X=X).effect(X)


def _econml_x(X: Any, y: Any, w: Any) -> Any:
    from econml.metalearners import XLearner
    from sklearn.dummy import DummyClassifier

    return XLearner(models=_boosted(), cate_models=_boosted(), propensity_model=DummyClassifier()).fit(y, w, X=X).effect(X)


LEARNERS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "Nudge": _ours,
    "causalml DR": _causalml_dr,
    "causalml X": _causalml_x,
    "causalml T": _causalml_t,
    "EconML DR": _econml_dr,
    "EconML X": _econml_x,
}


def main(name: str, folder: Path) -> None:
    """Load the data, learn, predict the same rows, and print one line of JSON."""
    X, y, w, uplift = (np.load(folder / f"{part}.npy") for part in ("X", "y", "w", "uplift"))
    LEARNERS[name](X[:WARM_UP], y[:WARM_UP], w[:WARM_UP])  # imports and compilation are no training
    before = _resident()
    wall, cpu = time.perf_counter(), time.process_time()
    found = np.asarray(LEARNERS[name](X, y, w), dtype=np.float64).ravel()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    said = {
        "seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - cpu,
        "gigabytes": (peak - before) / 1024**3,
        "gigabytes_in_all": peak / 1024**3,
        "correlation": float(np.corrcoef(found, uplift)[0, 1]),
    }
    print(json.dumps(said), flush=True)


def _resident() -> int:
    """Bytes of this process in memory: libraries and data."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
