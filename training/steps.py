"""How far a training run is: what begins, and how many of its steps are behind."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from training.context import ModelName, Progress

STEPS: dict[ModelName, int] = {"propensity": 1, "uplift": 2, "clv": 1, "lead": 1}
"""What each model does beyond the steps that models share."""


class Steps:
    """Tells `progress` of each step that begins, whatever the thread.

    Parameters
    ----------
    progress : callable or None
    models : sequence of str
        What is fitted; the number of steps follows from it.

    Examples
    --------
    >>> steps = Steps(lambda stage, done, total: print(stage, f"{done}/{total}"), ["clv"])
    >>> steps("clv: fitting and judging"), steps("publishing to MLflow")
    clv: fitting and judging 0/2
    publishing to MLflow 1/2
    (None, None)
    """

    def __init__(self, progress: Progress | None, models: Sequence[ModelName]) -> None:
        of_interactions = 2 if {"propensity", "uplift"} & set(models) else 0
        self.total = of_interactions + sum(STEPS[model] for model in models) + 1
        self._progress = progress
        self._begun = 0
        self._lock = threading.Lock()

    def __call__(self, stage: str) -> None:
        """A step begins."""
        with self._lock:
            done = min(self._begun, self.total)
            self._begun += 1
            if self._progress is not None:
                self._progress(stage, done, self.total)
