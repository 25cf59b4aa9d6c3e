"""Compile once, at installation, the allocation's passes over everybody and the scoring, so that no first plan or decision waits for it."""

from __future__ import annotations

from typing import Any

import numpy as np

from decisioning.allocation import Limits, Offers, allocate
from decisioning.allocation.problem import COMPILED
from estimators.joint import JointScores

_KINDS = 5


def main() -> None:
    """Allocate a population that is large enough for the compiled passes, in the types that a plan has."""
    rng = np.random.default_rng(0)
    n = COMPILED // _KINDS + 1_000
    contact: Any = np.repeat(np.arange(n), _KINDS).astype(np.int32)
    kind: Any = np.tile(np.arange(_KINDS), n).astype(np.int32)
    uses = np.array([[0.0, 0.0], [0.02, 0.0], [0.12, 0.0], [18.0, 1.0], [2.5, 0.0]])
    offers = Offers(contact, kind, rng.exponential(5.0, len(kind)), kind, uses, np.zeros(len(kind), dtype=np.bool_), kind)
    limits = Limits(np.array([0.05 * n, 0.01 * n]), np.array([0.0, 10.0]))
    for per_contact in (1, 2):
        allocate(offers, limits, n, per_contact=per_contact)
    _score()


def _score() -> None:
    """Score a contact and two by no models: the compiled code is the same whatever the models hold."""
    scores = JointScores.of(None, None, None, [])
    for contacts in (1, 2):
        scores({}, np.datetime64("2026-01-01", "us"), contacts)


if __name__ == "__main__":
    main()
