"""Scoring: one LightGBM model for all candidates of a contact, and all that three bundles say of 20 actions on 3 channels.

Times are CPU, the median of many calls, ours and the peer's by turns in one process; answers are compared before anything is measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import lightgbm
import numpy as np

from benchmarks.results import Figure
from benchmarks.scoring_world import NOW, contacts, scorer, situation
from estimators.forest_candidates import CandidateForest
from serving.realtime.scorer import Asked, Scorer, plain_answers

FEATURES, CONTACTS, ROUNDS = 40, 200, 9
THEIRS = (37, 38, 39)
PEER = "Booster.predict, one thread"


def measure() -> Sequence[Figure]:
    """Candidates of one contact, a decision's scores, and a population's."""
    return [*_candidates(), *_bundles()]


def _candidates() -> list[Figure]:
    """300 trees of 31 leaves on 40 features, of which 3 are the candidate's."""
    rng = np.random.default_rng(0)
    booster, rows = _model(rng)
    text, figures = booster.model_to_string(), []
    for many in (60, 120):
        pairs = [[action, channel, exposed] for exposed in (1.0, 0.0) for action in range(20) for channel in range(3)]
        candidates = np.array(pairs[:many], dtype=np.float64)
        shared = CandidateForest.of_text(text, THEIRS, candidates)
        matrices = np.repeat(rows[:CONTACTS, None], many, axis=1)
        matrices[:, :, THEIRS] = candidates

        def theirs(k: int, matrices: np.ndarray = matrices) -> np.ndarray:
            return np.asarray(booster.predict(matrices[k], raw_score=True, num_threads=1))

        def ours(k: int, shared: CandidateForest = shared) -> np.ndarray:
            return shared.scores(rows[k : k + 1])[0]

        for k in range(CONTACTS):
            np.testing.assert_array_equal(ours(k), theirs(k))
        fast, slow = _by_turns(ours, theirs)
        batch = _cpu(lambda shared=shared: shared.scores(rows)) / len(rows)  # type: ignore[misc]
        name = f"scoring.{many} candidates"
        figures.append(Figure(f"{name} of a contact", 1 / fast, "contacts/s CPU", PEER, 1 / slow, ">= 20 x"))
        figures.append(
            Figure(f"{name} a contact, a population", many / batch, "candidates/s CPU", f"{PEER}, contact by contact", many / slow)
        )
    return figures


def _model(rng: np.random.Generator) -> tuple[lightgbm.Booster, np.ndarray]:
    X = rng.normal(size=(30_000, FEATURES))
    X[rng.random(X.shape) < 0.05] = np.nan
    for column, levels in ((36, 30), (37, 20), (38, 3), (39, 2)):
        X[:, column] = rng.integers(0, levels, len(X))
    effect = (X[:, 0] > 0) * X[:, 39] + 0.3 * np.sin(X[:, 37]) * X[:, 38]
    y = effect + np.nan_to_num(X[:, 1]) + rng.normal(size=len(X))
    parameters = {"verbose": -1, "num_leaves": 31, "num_threads": 1, "learning_rate": 0.05}
    data = lightgbm.Dataset(X, y, categorical_feature=[36, 37, 38], params=parameters)
    return lightgbm.train(parameters, data, num_boost_round=300), X[:2_000].copy()


def _bundles() -> list[Figure]:
    one, columns = scorer(), contacts(2_000)
    everybody, width = situation(columns, slice(None)), len(one.catalog.treatments)
    alone = [situation(columns, slice(k, k + 1)) for k in range(CONTACTS)]
    alive = np.ones((1, width), dtype=np.bool_)
    _check(one, columns)

    def ours(k: int) -> object:
        return one(alone[k], alive)

    def theirs(k: int) -> object:
        return _plainly(one, alone[k].columns, 1)

    fast, slow = _by_turns(ours, theirs)
    many = np.ones((2_000, width), dtype=np.bool_)
    batch, plain = _cpu(lambda: one(everybody, many)), _cpu(lambda: _plainly(one, columns, 2_000))
    peer = "the bundles one by one, Booster.predict a head"
    candidates = 2_000 * width
    return [
        Figure("scoring.a decision's scores, 20 actions x 3 channels", 1 / fast, "contacts/s CPU", peer, 1 / slow, ">= 20 x"),
        Figure("scoring.a decision's scores: CPU", fast * 1e6, "microseconds", goal="<= 150"),
        Figure("scoring.a population's scores", candidates / batch, "candidates/s CPU", peer, candidates / plain),
    ]


def _plainly(one: Scorer, columns: dict[str, np.ndarray] | object, n: int) -> object:
    arms = [(action.id, treatment.channel) for action, treatment in one.catalog.treatments]
    return plain_answers(one.models, Asked(columns, NOW, n, arms, []))  # type: ignore[arg-type]


def _check(one: Scorer, columns: dict[str, np.ndarray]) -> None:
    assert one.left_out == {}
    got, expected = one.answers(columns, NOW, 2_000), _plainly(one, columns, 2_000)
    for name in ("propensity", "opt_out_risk", "uplift", "clv"):
        np.testing.assert_allclose(getattr(got, name), getattr(expected, name), rtol=1e-12, atol=1e-12)


def _by_turns(ours: Callable[[int], object], theirs: Callable[[int], object]) -> tuple[float, float]:
    """CPU seconds a contact, the median over rounds, each round first ours, then the peer's."""
    found = [(_cpu(lambda: _each(ours)) / CONTACTS, _cpu(lambda: _each(theirs)) / CONTACTS) for _ in range(ROUNDS)]
    fast, slow = np.median(np.array(found), axis=0)
    return float(fast), float(slow)


def _each(call: Callable[[int], object]) -> None:
    for k in range(CONTACTS):
        call(k)


def _cpu(call: Callable[[], object]) -> float:
    call()
    began = time.process_time()
    call()
    return time.process_time() - began
