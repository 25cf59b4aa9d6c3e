"""Policies side by side on the same logged decisions: what each would have earned, and what more than the champion.

The money of a decision is what came of the goals, less what the contact cost and, where it was priced, the lifetime value that an opt-out
took::

    r_i = sum over goals g of came_ig - spent_i

Every value is doubly robust (`measurement.off_policy.dr_rows`), its interval counts contacts. A gain compares two policies on the goals
that either of them may move in that row: the others come anyway, whatever is decided, and would only add noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from decisioning.vocabulary import BoolArray, FloatArray, IntArray
from measurement.intervals import Interval
from measurement.off_policy_log import Log, overlap_warnings
from measurement.policy_values import How, policy_gain, policy_value

CHAMPION, CHALLENGER = "champion", "challenger"
PROPENSITY_GREEDY, RANDOM, NO_ACTION = "propensity_greedy", "random", "no_action"
NOTHING, BY_CHANCE = -1, -2
"""What `Doing.does` says of no action, and of a draw."""


@dataclass(frozen=True, eq=False)
class Doing:
    """What one policy does in each of n logged decisions.

    Attributes
    ----------
    does : int array, shape (n,)
        Which choice it makes: equal numbers are equal choices, `NOTHING` is no action, `BY_CHANCE` a draw.
    agrees : float array, shape (n,)
        :math:`\\pi_e(a_i|x_i)`: the probability with which it does what was logged.
    profit : float array, shape (n,)
        :math:`\\sum_a \\pi_e(a|x_i) (\\tau_{ia} V_{ia} - q_{ia} L_i - c_{ia})` as predicted, money; 0 for no action.
    goals : bool array, shape (n, G)
        The goals that what it does may move.
    logged_profit : float array, shape (n,), optional
        The predicted profit of what was logged, where this policy reads another reward model than the others.
    """

    does: IntArray
    agrees: FloatArray
    profit: FloatArray
    goals: BoolArray
    logged_profit: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class Evidence:
    """n logged decisions whose outcomes are known, over G goals, as several policies see them.

    Attributes
    ----------
    source : str
        Where they come from, in words: "ledger" or "held-out interactions".
    contact : array, shape (n,)
        Whose decision it is: an interval counts contacts.
    came : float array, shape (n, G)
        Money that came of each goal within its window.
    spent : float array, shape (n,)
        Cost of the contact, and lifetime value lost by an opt-out.
    selection_prob : float array, shape (n,)
        :math:`\\pi_b(a_i|x_i)`, above 0.
    baseline : float array, shape (n, G)
        Money of each goal that is expected without a contact.
    logged_profit : float array, shape (n,)
        The predicted profit of what was done.
    policies : mapping of name to Doing
        `champion` among them.
    notes : tuple of str
        What limits the evidence.
    stands_for : float array, shape (n,), optional
        How many decisions of the whole log each stands for, where the log was thinned.
    """

    source: str
    contact: npt.NDArray[np.generic]
    came: FloatArray
    spent: FloatArray
    selection_prob: FloatArray
    baseline: FloatArray
    logged_profit: FloatArray
    policies: Mapping[str, Doing]
    notes: tuple[str, ...] = ()
    stands_for: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.spent)

    def log(self, name: str, goals: BoolArray | None = None) -> Log:
        """The decisions as the policy `name` sees them; with `goals` (shape (n, G)) only their money counts."""
        counted = np.ones_like(self.came) if goals is None else goals.astype(np.float64)
        doing, anyway = self.policies[name], (self.baseline * counted).sum(axis=1)
        reward = (self.came * counted).sum(axis=1) - self.spent
        logged = self.logged_profit if doing.logged_profit is None else doing.logged_profit
        return Log(reward, doing.agrees, self.selection_prob, anyway + logged, anyway + doing.profit, self.stands_for)

    def gain(self, name: str, over: str = CHAMPION) -> Interval:
        """What the policy `name` would earn more a decision than `over`."""
        goals = self.policies[name].goals | self.policies[over].goals
        return policy_gain(self.log(name, goals), self.log(over, goals), how=self._how)

    def differs(self, name: str, over: str = CHAMPION) -> BoolArray:
        """Where the two do not do the same, shape (n,); a draw differs everywhere."""
        one, other = self.policies[name].does, self.policies[over].does
        return np.asarray((one != other) | (one == BY_CHANCE), dtype=np.bool_)

    def tried(self, name: str, over: str = CHAMPION) -> int:
        """How many decisions were logged in which the two differ and it was `name`'s choice that was made."""
        return int((self.differs(name, over) & (self.policies[name].agrees > 0)).sum())

    @property
    def _how(self) -> How:
        return How(contact=self.contact)


@dataclass(frozen=True)
class PolicyLine:
    """One policy of the comparison, money a decision; `agreement` is the share of decisions in which it does what the champion does."""

    name: str
    value: float
    low: float
    high: float
    effective_sample_size: float
    gain: Interval
    agreement: float
    warnings: tuple[str, ...]


def compared(evidence: Evidence) -> tuple[PolicyLine, ...]:
    """Every policy of the evidence, in its order."""
    lines = []
    for name in evidence.policies:
        log = evidence.log(name)
        found = policy_value(log, how=How(contact=evidence.contact))
        agreement = 1.0 - float((log.counts * evidence.differs(name)).mean()) if name != CHAMPION else 1.0
        size, gain = found.overlap.effective_sample_size, evidence.gain(name)
        lines.append(PolicyLine(name, found.value, found.low, found.high, size, gain, agreement, overlap_warnings(log)))
    return tuple(lines)
