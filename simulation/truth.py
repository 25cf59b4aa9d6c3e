"""The truth at the end of the period: what each candidate would bring. No pipeline reads it; only the tests and the final table do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from decisioning.errors import NotFound
from decisioning.vocabulary import BoolArray, FloatArray, IntArray
from simulation.actions import ACTION_OF, ACTIONS, CHANNEL_OF, CHANNELS, TREATMENTS
from simulation.behaviour import true_clv
from simulation.effects import bounded
from simulation.pilot import Bank, available
from simulation.responses import WINDOW_DAYS
from simulation.seasons import integral
from simulation.state import snapshot

TRUTH_FILE = "truth.npz"


@dataclass(frozen=True)
class Truth:
    """What the world knows of n contacts, A actions and K treatments at `as_of`.

    contact_ids (n,), action_ids (A,), treatment_ids (K,): strings. action_of, channel_of (K,): places in the tables of actions and
    channels. baseline, value (n, A): own response probability in the goal's window, PLN per response. uplift (n, K).
    opt_out (n, channels): incremental opt-out risk. clv (n,): PLN over 365 days. cost (K,): PLN a touch.
    available (n, K): open by the catalogue's rules and by consent; contact policy, budgets and capacities come on top.
    """

    as_of: npt.NDArray[np.datetime64]
    contact_ids: npt.NDArray[np.str_]
    action_ids: npt.NDArray[np.str_]
    treatment_ids: npt.NDArray[np.str_]
    channel_ids: npt.NDArray[np.str_]
    goals: npt.NDArray[np.str_]
    action_of: IntArray
    channel_of: IntArray
    baseline: FloatArray
    value: FloatArray
    uplift: FloatArray
    opt_out: FloatArray
    clv: FloatArray
    cost: FloatArray
    available: BoolArray

    @property
    def propensity(self) -> FloatArray:
        """P(response | touched) = baseline + uplift, shape (n, K)."""
        return np.asarray(self.baseline[:, self.action_of] + self.uplift)

    @property
    def opt_out_risk(self) -> FloatArray:
        """The opt-out risk per treatment, shape (n, K)."""
        return np.asarray(self.opt_out[:, self.channel_of])

    @property
    def profit(self) -> FloatArray:
        """uplift * value - opt_out_risk * clv - cost in PLN, shape (n, K); no_action is 0 by definition."""
        return np.asarray(self.uplift * self.value[:, self.action_of] - self.opt_out_risk * self.clv[:, None] - self.cost)

    def save(self, folder: Path) -> None:
        """Write `folder/truth.npz`."""
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(folder / TRUTH_FILE, **{name: getattr(self, name) for name in self.__dataclass_fields__})


def load_truth(folder: Path) -> Truth:
    """Read what `Truth.save` wrote.

    Raises
    ------
    NotFound
        The folder holds no truth.
    """
    path = folder / TRUTH_FILE
    if not path.exists():
        raise NotFound("there is no simulated truth here", field=str(path), hint="nudge simulate writes it beside raw/")
    with np.load(path, allow_pickle=False) as arrays:
        return Truth(**{name: arrays[name] for name in arrays.files})


def truth_of(bank: Bank, touches: FloatArray, contact_ids: npt.NDArray[np.str_]) -> Truth:
    """Evaluate every candidate at the end of the period; nothing works on contacts who have left or opted out by then.

    `touches` (n,) are those of the last 30 days.
    """
    people, at = bank.people, float(bank.days)
    now = snapshot(people, bank.responses, bank.history, touches, at)
    allowed, value = bank.rules.evaluate(now.columns)
    alive = ((people.leaves > at) & (bank.permissions.opted_out_at > at)).astype(np.float64)
    baseline = alive[:, None] * _baseline(bank, at)
    uplift = np.column_stack(
        [bounded(alive * bank.weights.uplift(now.signals, a, c), baseline[:, a]) for a, c in zip(ACTION_OF, CHANNEL_OF, strict=True)]
    )
    return Truth(
        as_of=np.array(bank.start + np.timedelta64(bank.days, "D"), dtype="datetime64[us]"),
        contact_ids=contact_ids,
        action_ids=np.array([action.id for action in ACTIONS]),
        treatment_ids=np.array([treatment.id for treatment in TREATMENTS]),
        channel_ids=np.array([channel.id for channel in CHANNELS]),
        goals=np.array([action.goal for action in ACTIONS]),
        action_of=ACTION_OF,
        channel_of=CHANNEL_OF,
        baseline=baseline,
        value=value,
        uplift=uplift,
        opt_out=alive[:, None] * bank.weights.opt_out_risk(now.signals),
        clv=true_clv(people, bank.behaviour, alive=alive, start=bank.start, days=bank.days),
        cost=np.array([treatment.cost for treatment in TREATMENTS]),
        available=available(allowed, bank.permissions.allowed(at)),
    )


def _baseline(bank: Bank, at: float) -> FloatArray:
    """P(own response before leaving, within the window) from `at` on: rate h in the season's mean, churn m, window W.

    h / (h + m) * (1 - exp(-(h + m) W)); 0 where the goal's flag is already set.
    """
    churn = bank.people.churn_per_day
    columns = []
    for a, action in enumerate(ACTIONS):
        window = float(WINDOW_DAYS[a])
        rate = bank.responses.rate[:, a] * integral(bank.responses.season[a], at, at + window) / window
        baseline = rate / (rate + churn) * -np.expm1(-(rate + churn) * window)
        reached = action.once is not None and bank.responses.first(a) < at
        columns.append(np.where(reached, 0.0, baseline))
    return np.column_stack(columns)
