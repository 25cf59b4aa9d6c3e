"""The promotion gate: does the challenger earn more than the champion, beyond what chance makes of so many decisions?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from measurement.intervals import Interval, weighted_mean_rows
from measurement.policy_values import rows_needed
from training.comparison import CHALLENGER, CHAMPION, Evidence

FEWEST_TRIED = 30
"""With fewer logged decisions that did what only the challenger would do, no interval is to be trusted."""

LEAST_TRIED, NORMAL_95 = 0.9, 1.96
"""What a policy does must have had a chance in the log for so large a share of the decisions, beyond doubt."""


@dataclass(frozen=True)
class Verdict:
    """What the gate found.

    Attributes
    ----------
    passed : bool
    reason : str
        In words.
    gain : Interval or None
        Money a decision more than the champion; None where it is not judged by money, or nothing could be compared.
    source : str or None
        What it was judged on.
    rows : int
        How many decisions.
    rows_needed : int or None
        How many more would show a gain like this one; None where more will not show it, or it is not known.
    """

    passed: bool
    reason: str
    gain: Interval | None = None
    source: str | None = None
    rows: int = 0
    rows_needed: int | None = None


def judged(evidence: Evidence, *, name: str = CHALLENGER, minimum: float = 0.0, currency: str = "") -> Verdict:
    """Passed where the lower bound (95 %) of the gain over the champion is above `minimum`.

    Parameters
    ----------
    evidence : Evidence
        With the policies `champion` and `name`.
    minimum : float
        Money a decision that a challenger must surely gain.
    currency : str
        For the words.
    """
    gain, rows, source = evidence.gain(name), len(evidence), evidence.source
    differs, tried = evidence.differs(name), evidence.tried(name)
    of_champion = int((differs & (evidence.policies[CHAMPION].agrees > 0)).sum())
    where = f"{rows:,} decisions of the {source}" if source == "ledger" else f"{rows:,} {source}"
    if not differs.any():
        return Verdict(False, f"it decides like the champion in all of {where}: there is nothing to gain", gain, source, rows)
    seen, whose = min((tried, "challenger"), (of_champion, "champion"))
    if seen < FEWEST_TRIED:
        more = int(np.ceil(rows * FEWEST_TRIED / seen)) - rows if seen else None
        logged = f"what the {whose} would do there was logged {seen} times, and {FEWEST_TRIED} are needed"
        return Verdict(False, f"the two differ in {int(differs.sum()):,} of {where}; {logged}", gain, source, rows, more)
    untried = _untried(evidence, name)
    if untried is not None:
        return Verdict(False, f"{untried}, on {where}: a gain there is the model's word, not the log's", gain, source, rows)
    money = f"{gain.value:+.4g} {currency}".rstrip()
    found = f"{money} a decision (95 %: {gain.low:+.4g} to {gain.high:+.4g}) over the champion on {where}"
    if gain.low > minimum:
        return Verdict(True, f"it gains {found}", gain, source, rows, 0)
    more = rows_needed(gain, rows, at_least=minimum)
    beyond = "zero" if minimum == 0 else f"the workspace's minimum of {minimum:g}"
    left = "more decisions like these will not show one" if more is None else f"about {more:,} more would show a gain like this"
    return Verdict(False, f"the gain is not surely above {beyond}: {found}; {left}", gain, source, rows, more)


def _untried(evidence: Evidence, name: str) -> str | None:
    """Where the two differ, weights average 1 if the log could have done what each of them does: clearly less, and it could not."""
    differs = evidence.differs(name)
    for policy in (name, CHAMPION):
        log = evidence.log(policy)
        weight = log.weight[differs]
        if log.stands_for is not None and np.ptp(log.stands_for[differs]) > 0:
            weight = weighted_mean_rows(weight, log.stands_for[differs])
        mean, error = float(weight.mean()), float(weight.std(ddof=1) / np.sqrt(len(weight)))
        if mean + NORMAL_95 * error < LEAST_TRIED:
            whose = "champion" if policy == CHAMPION else "challenger"
            return f"of what the {whose} would do where the two differ only {mean:.0%} could have been logged"
    return None
