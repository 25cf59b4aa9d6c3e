"""Off-policy value on real rewards: Hillstrom's randomised e-mails thinned into a log that preferred some e-mails for some customers."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt

from measurement.off_policy_log import log_of
from measurement.policy_values import policy_value

Array = npt.NDArray[np.float64]

ARMS = {"Mens E-Mail": 0, "Womens E-Mail": 1, "No E-Mail": 2}
DRAWS = 20
KEPT = 0.55
"""Of a row's logging probability: about 11,700 of 64,000 rows are left in a draw."""


def errors(data: Path) -> dict[str, Array]:
    """Relative error of `ips`, `snips`, `dr` and of the log's own mean (`naive`) in each draw.

    The policy to judge sends the women's e-mail to those who bought women's merchandise, the men's to all others; its true value is that
    of the whole randomised experiment.
    """
    with open(data / "hillstrom.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    numbers = {name: np.array([float(line[name]) for line in lines]) for name in ("visit", "womens", "newbie", "recency", "history")}
    visit, womens = numbers["visit"], numbers["womens"]
    arm = np.array([ARMS[line["segment"]] for line in lines])
    x = np.column_stack([np.ones(arm.size), womens, numbers["newbie"], numbers["recency"] / 10, np.log(numbers["history"]) / 5])
    policy = np.where(womens == 1, ARMS["Womens E-Mail"], ARMS["Mens E-Mail"])
    truth = policy_value(log_of(visit, arm, np.full(arm.size, 1 / 3), policy), "snips").value
    score = np.column_stack([0.8 * numbers["newbie"] - (numbers["recency"] > 6), 1 - 1.5 * womens, np.log(numbers["history"]) - 5.5])
    logging = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)
    logging_prob = logging[np.arange(arm.size), arm]
    rng, found = np.random.default_rng(0), {name: np.zeros(DRAWS) for name in ("ips", "snips", "dr", "naive")}
    for draw in range(DRAWS):
        kept = np.flatnonzero(rng.random(arm.size) < KEPT * logging_prob)
        predicted = _out_of_fold(x[kept], arm[kept], visit[kept], rng)
        log = log_of(visit[kept], arm[kept], logging_prob[kept], policy[kept], predicted)
        found["naive"][draw] = visit[kept].mean() / truth - 1
        for name in ("ips", "snips", "dr"):
            found[name][draw] = policy_value(log, name).value / truth - 1
    return found


def _out_of_fold(x: Array, action: npt.NDArray[np.int64], reward: Array, rng: np.random.Generator) -> Array:
    """Least squares per arm, shape (n, 3), each row predicted by the other four fifths."""
    fold = rng.integers(0, 5, reward.size)
    predicted = np.zeros((reward.size, len(ARMS)))
    for held in range(5):
        for arm in range(len(ARMS)):
            train = (fold != held) & (action == arm)
            predicted[fold == held, arm] = x[fold == held] @ np.linalg.lstsq(x[train], reward[train], rcond=None)[0]
    return predicted
