"""What contacts do without us, and what a touch changes: baseline, uplift and opt-out risk as formulas with known weights.

For contact x, action a and channel c, with s the logistic function::

    baseline  p0_a(x)    = s(base_a + traits . own_a)                        within the goal's window, without a touch
    drive     u_a(x, t)  = at_a + signals(x, t) . moved_a                    linear in what is visible now, and in traits
    uplift    tau_ac     = size_a * (s(u_a) - cut_a) * reach_c(x, t)         below the cut a touch does harm
    opt-out   q_c(x, t)  = risk_c * exp(0.7 unhappy + 0.3 touches_30d - 0.3 loyal)   incremental, at most 0.2

Fatigue enters twice: every touch of the last 30 days lowers the drive and raises the opt-out risk.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from decisioning.vocabulary import FloatArray
from simulation.actions import ACTIONS, CHANNELS
from simulation.seasons import Season

SIGNALS: tuple[str, ...] = (
    "digital",
    "fresh",
    "young",
    "wealth",
    "credit",
    "loans",
    "savings",
    "cards",
    "deal",
    "unhappy",
    "loyal",
    "tired",
)
"""Columns of the drive: traits, and what the contact did lately (`state.py` computes them)."""
TRAITS: tuple[str, ...] = ("digital", "young", "wealth", "credit", "deal", "loyal")
"""Columns of the baseline."""

OPT_OUT_RISK = {"web": 0.0003, "app": 0.0005, "email": 0.0020, "sms": 0.0035, "call": 0.0070}
MAX_OPT_OUT = 0.2
CALM = Season()
TIRED = -0.22
"""Weight of one touch of the last 30 days in every drive."""


@dataclass(frozen=True)
class Effect:
    """The weights of one action before the seed's own variation; `season` moves the baseline."""

    base: float
    own: dict[str, float]
    size: float
    cut: float
    at: float
    moved: dict[str, float]
    season: Season = CALM


EFFECTS: dict[str, Effect] = {
    "personal_loan": Effect(
        -3.1, {"credit": 1.1}, 0.62, 0.22, -1.6, {"loans": 1.4, "credit": -0.9, "deal": 0.5, "unhappy": -0.6}, Season(0.2, 335)
    ),
    "credit_card": Effect(
        -2.7, {"deal": 0.8, "young": 0.3}, 0.5, 0.22, -1.4, {"cards": 1.4, "deal": -0.8, "young": 0.4, "unhappy": -0.5}, Season(0.1, 340)
    ),
    "card_limit": Effect(
        -1.4, {"credit": 0.8}, 0.5, 0.28, -1.2, {"cards": 0.9, "fresh": 0.6, "credit": -0.8, "unhappy": -0.4}, Season(0.2, 345)
    ),
    "savings_account": Effect(
        -2.5, {"wealth": 0.7}, 0.6, 0.22, -1.5, {"savings": 1.4, "wealth": -0.7, "digital": 0.4, "unhappy": -0.3}, Season(0.2, 15)
    ),
    "term_deposit": Effect(
        -2.6, {"wealth": 0.7, "young": -0.4}, 0.5, 0.24, -1.4, {"savings": 1.3, "young": 0.7, "wealth": -0.4, "loyal": 0.4}, Season(0.2, 15)
    ),
    "travel_insurance": Effect(-2.4, {"wealth": 0.6}, 0.5, 0.26, -1.0, {"fresh": 0.9, "young": 0.7, "wealth": -0.5}, Season(0.5, 190)),
    "business_credit_line": Effect(-2.4, {"credit": 0.8}, 0.6, 0.22, -0.9, {"loans": 1.4, "credit": -0.7, "unhappy": -0.5}),
    "investment_plan": Effect(-3.2, {"wealth": 0.6}, 0.20, 0.24, -1.0, {"savings": 0.6, "young": 0.4, "digital": 0.4}, Season(0.1, 20)),
    "loyalty_bonus": Effect(-0.2, {"loyal": 0.9, "deal": 0.5}, 0.5, 0.42, -1.1, {"loyal": -1.1, "unhappy": 0.5}, Season(0.1, 350)),
    "salary_keeper": Effect(0.9, {"loyal": 0.9}, 0.5, 0.5, -1.0, {"loyal": -0.8, "unhappy": 1.1}),
    "win_back": Effect(-2.4, {"loyal": 0.5}, 0.6, 0.26, -1.0, {"loyal": 0.8, "unhappy": -0.9}),
    "cashback": Effect(-1.0, {"deal": 0.9}, 0.5, 0.4, -0.9, {"deal": -1.0, "cards": 0.8, "young": 0.5}, Season(0.2, 345)),
    "app_activation": Effect(-2.2, {"digital": 0.6}, 0.62, 0.26, -1.0, {"young": 0.9, "fresh": 0.9}),
    "e_statement": Effect(-1.0, {"digital": 0.6}, 0.62, 0.30, -0.9, {"digital": -0.5, "fresh": 0.9, "young": 0.5}),
}
"""What makes a contact likely to respond alone often makes a touch useless (a sure thing), and interest shown lately makes it work."""

REACH: dict[str, tuple[float, float, dict[str, float]]] = {
    "web": (1.1, -0.2, {"digital": 0.8, "fresh": 0.9}),
    "app": (1.3, 0.0, {"digital": 0.6, "fresh": 0.9, "young": 0.3}),
    "email": (0.9, 0.2, {"digital": 0.4, "loyal": 0.2}),
    "sms": (0.9, 0.3, {"young": 0.3}),
    "call": (2.2, 0.4, {"young": -0.5, "loyal": 0.2}),
}
"""How well a channel carries: strength, and the logit of the share reached as bias and signals."""


@dataclass(frozen=True)
class Weights:
    """The weights of one seed's world as arrays: actions in rows (traits or signals in columns), or one entry a channel."""

    base: FloatArray
    own: FloatArray
    size: FloatArray
    cut: FloatArray
    at: FloatArray
    moved: FloatArray
    strength: FloatArray
    reach_at: FloatArray
    reach: FloatArray
    risk: FloatArray

    def baseline(self, traits: dict[str, FloatArray]) -> FloatArray:
        """p0 within each action's own window, in an average season, shape (n, actions)."""
        return _logistic(self.base + np.column_stack([traits[name] for name in TRAITS]) @ self.own.T)

    def uplift(self, signals: FloatArray, action: int, channel: int) -> FloatArray:
        """tau of one treatment before it is bounded by the baseline; signals (n, SIGNALS) -> (n,)."""
        drive = _logistic(self.at[action] + signals @ self.moved[action])
        reached = self.strength[channel] * _logistic(self.reach_at[channel] + signals @ self.reach[channel])
        return np.asarray(self.size[action] * (drive - self.cut[action]) * reached)

    def opt_out_risk(self, signals: FloatArray) -> FloatArray:
        """q of a touch on each channel, shape (n, channels)."""
        column = {name: signals[:, place] for place, name in enumerate(SIGNALS)}
        level = np.exp(0.7 * column["unhappy"] + 0.3 * column["tired"] - 0.3 * column["loyal"])
        return np.asarray(np.minimum(self.risk * level[:, None], MAX_OPT_OUT))


def draw_weights(rng: np.random.Generator) -> Weights:
    """The weights of EFFECTS with this seed's variation: every world differs a little."""
    effects = [EFFECTS[action.id] for action in ACTIONS]
    moved = _matrix([{**effect.moved, "tired": TIRED} for effect in effects], SIGNALS)
    reach = _matrix([REACH[channel.id][2] for channel in CHANNELS], SIGNALS)
    n = len(effects)
    return Weights(
        base=np.array([effect.base for effect in effects]) + rng.normal(0, 0.1, n),
        own=_matrix([effect.own for effect in effects], TRAITS) * rng.uniform(0.85, 1.15, (n, 1)),
        size=np.array([effect.size for effect in effects]) * np.exp(rng.normal(0, 0.1, n)),
        cut=np.array([effect.cut for effect in effects]),
        at=np.array([effect.at for effect in effects]) + rng.normal(0, 0.12, n),
        moved=moved * rng.uniform(0.8, 1.2, moved.shape),
        strength=np.array([REACH[channel.id][0] for channel in CHANNELS]) * np.exp(rng.normal(0, 0.05, len(CHANNELS))),
        reach_at=np.array([REACH[channel.id][1] for channel in CHANNELS]),
        reach=reach,
        risk=np.array([OPT_OUT_RISK[channel.id] for channel in CHANNELS]) * np.exp(rng.normal(0, 0.1, len(CHANNELS))),
    )


def bounded(uplift: FloatArray, baseline: FloatArray) -> FloatArray:
    """The uplift that keeps baseline + uplift within 0 and 0.98.

    Examples
    --------
    >>> bounded(np.array([-0.5, 0.1]), np.array([0.2, 0.3]))
    array([-0.2,  0.1])
    """
    return np.clip(uplift, -baseline, np.maximum(0.98 - baseline, 0.0))


def _logistic(logit: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-logit)))


def _matrix(rows: list[dict[str, float]], columns: tuple[str, ...]) -> FloatArray:
    return np.array([[row.get(column, 0.0) for column in columns] for row in rows])
