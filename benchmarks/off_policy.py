"""Do the intervals of off-policy values hold the truth, and which estimator errs least? A thousand simulated logs, and Hillstrom's."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks import hillstrom_log
from benchmarks.commands import ROOT
from benchmarks.results import Figure
from measurement.off_policy import ROWS
from measurement.off_policy_log import Log, log_of
from measurement.policy_values import How

Array = npt.NDArray[np.float64]

WORLDS, ROWS_EACH, ACTIONS = 1_000, 1_500, 4


def drawn(number: int) -> tuple[Log, float]:
    """A log of a policy that explores little, with a model that is somewhat wrong; and the true value of the policy to judge."""
    rng = np.random.default_rng([number, 0x0FF])
    slopes, level = rng.normal(0.0, 0.8, (3, ACTIONS)), rng.normal(-1.5, 0.5, ACTIONS)
    many, truth = rng.normal(size=(40_000, 3)), 0.0
    temperature, value = rng.uniform(0.5, 2.5), rng.uniform(5.0, 50.0, ACTIONS)

    def expected(x: Array) -> Array:
        return np.asarray(value / (1.0 + np.exp(-(level + x @ slopes))))

    wrong = slopes + rng.normal(0.0, 0.3, slopes.shape)

    def policy(x: Array) -> npt.NDArray[np.int64]:
        return np.asarray((value / (1.0 + np.exp(-(level + x @ wrong)))).argmax(axis=1))

    truth = float(expected(many)[np.arange(len(many)), policy(many)].mean())
    x = rng.normal(size=(ROWS_EACH, 3))
    score = np.exp(temperature * (x @ rng.normal(0.0, 0.6, (3, ACTIONS))))
    logging = 0.05 / ACTIONS + 0.95 * score / score.sum(axis=1, keepdims=True)
    action = (rng.random(ROWS_EACH)[:, None] > logging.cumsum(axis=1)).sum(axis=1).clip(0, ACTIONS - 1)
    at = np.arange(ROWS_EACH)
    mean = expected(x)
    reward = value[action] * (rng.random(ROWS_EACH) < mean[at, action] / value[action])
    predicted = 0.8 * mean + 0.2 * mean.mean(axis=0)
    return log_of(reward, action, logging[at, action], policy(x), predicted), truth


def measure() -> Sequence[Figure]:
    """Coverage of the 95 % intervals, and the error as a share of IPS's."""
    logs = [drawn(number) for number in range(WORLDS)]
    truth = np.array([one for _, one in logs])
    values = {name: np.array([_ends(How(name), log) for log, _ in logs]) for name in ROWS}
    error = {name: float(np.sqrt(np.mean((found[:, 0] - truth) ** 2))) for name, found in values.items()}
    figures = []
    for name, found in values.items():
        held = float(np.mean((found[:, 1] <= truth) & (truth <= found[:, 2])))
        goal = ">= 0.93" if name in ("ips", "snips", "dr") else None  # the others take a bias on purpose
        figures.append(Figure(f"off_policy.{name}: 95 % intervals hold the truth", held, f"of {WORLDS} worlds", goal=goal))
        figures.append(
            Figure(f"off_policy.{name}: root mean squared error", error[name], "money a row", peer="ips", peer_value=error["ips"])
        )
    varied = np.array([_ends(How("ips", control_variate=True), log) for log, _ in logs])
    rmse = float(np.sqrt(np.mean((varied[:, 0] - truth) ** 2)))
    resampled = [_ends(How("dr", rng=np.random.default_rng(number)), log) for number, (log, _) in enumerate(logs[:200])]
    drawn_again = float(np.mean([low <= true <= high for (_, low, high), true in zip(resampled, truth, strict=False)]))
    return [
        *figures,
        Figure("off_policy.ips with a control variate: root mean squared error", rmse, "money a row", peer="ips", peer_value=error["ips"]),
        *_on_hillstrom(),
        Figure("off_policy.dr, bootstrap: 95 % intervals hold the truth", drawn_again, "of 200 worlds", goal=">= 0.92"),
    ]


def _on_hillstrom() -> list[Figure]:
    """Real rewards: relative errors over draws of a skewed log."""
    found = hillstrom_log.errors(Path(os.environ.get("NUDGE_DATA") or ROOT.parent / "shared" / "data"))
    rmse = {name: float(np.sqrt(np.mean(error**2))) for name, error in found.items()}
    bias = {name: abs(float(error.mean())) for name, error in found.items()}
    unit = f"of the true value, {hillstrom_log.DRAWS} draws"
    return [
        Figure("off_policy.Hillstrom, skewed log: relative error of DR", rmse["dr"], unit, "the log's mean", rmse["naive"], "<= 0.05"),
        Figure("off_policy.Hillstrom, skewed log: bias of DR", bias["dr"], unit, "the log's mean", bias["naive"], "<= 0.01"),
    ]


def _ends(how: How, log: Log) -> tuple[float, float, float]:
    found = how.interval(how.rows(log))
    return found.value, found.low, found.high
