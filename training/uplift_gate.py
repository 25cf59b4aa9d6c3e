"""The gate in money: whether differences between contacts are worth acting on, in plain words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from decisioning.vocabulary import NO_ACTION, FloatArray, IntArray
from estimators.action_uplifts import ActionUplifts
from estimators.effect_rows import NOTHING, LoggedActions
from estimators.gate import HARDLY, Gain, Gate, Judged, judge_differences
from training.money import Money
from training.prepared import Prepared

NORMAL_95 = 1.96
MOST_NAMED = 6
"""Of more actions a sentence names the first ones and counts the others."""


@dataclass(frozen=True, eq=False)
class Verdict:
    """What the gate decided.

    Attributes
    ----------
    trust : array, shape (K,)
        How far the differences of each action are believed, 1 where they are not judged.
    metrics : mapping of name to number
    findings : tuple of str
        What was found, for people; the first is about the whole.
    limits : tuple of str
        What there is not enough evidence for; where the whole does not pass, the first is about it.
    passed : bool
    """

    trust: FloatArray
    metrics: dict[str, float]
    findings: tuple[str, ...]
    limits: tuple[str, ...]
    passed: bool

    @property
    def sentences(self) -> tuple[str, ...]:
        """All of them, the one about the whole first."""
        return (*self.findings, *self.limits) if self.passed else (*self.limits, *self.findings)


NOTHING_JUDGED = Verdict(np.ones(0), {}, (), (), True)
"""Where there was nothing to decide on."""


def pass_the_gate(
    fitted: ActionUplifts, logged: LoggedActions, money: Money, prepared: Prepared, sample: IntArray, *, errors: float
) -> Verdict:
    """Judge the personal differences of every action whose value is known, on the rows whose outcomes are all known.

    Parameters
    ----------
    fitted : ActionUplifts
    logged : LoggedActions
    money : Money
    prepared : Prepared
    sample : array of int
        The rows to judge on.
    errors : float
        Standard errors by which personal differences must gain.
    """
    names = tuple(place.action for place in logged.places)
    trust = np.ones(len(names))
    judged = np.array([k for k in fitted.by_action if np.isfinite(money.value[logged.open[:, k], k]).any()], dtype=np.int64)
    if not len(judged):
        return Verdict(trust, {}, (), (), True)
    known = ~np.isnan(logged.labels[:, logged.goal_of[judged]]).any(axis=1)
    rows = sample[(known & np.isin(logged.action, [NOTHING, *judged.tolist()]))[sample]]
    if not len(rows):
        return Verdict(trust, {}, (), (), True)
    at = np.ix_(rows, judged)
    value, cost = np.nan_to_num(money.value[at]), money.cost[at]
    table = Judged(
        tau=np.column_stack([fitted.by_action[k].tau[rows] for k in judged.tolist()]),
        average=np.array([fitted.by_action[k].head.average_effect for k in judged.tolist()]),
        value=value,
        cost=cost,
        open=logged.open[at] & np.isfinite(money.value[at]),
        score=_scores(fitted, logged, judged, rows, 1.0 / prepared.selection.prob[rows]) * value - cost,
        contact=np.unique(prepared.data.rows.contact_id[rows].astype(str), return_inverse=True)[1],
        weight=prepared.data.rows.sample_weight[rows],
        logged=np.where(logged.action[rows] == NOTHING, NOTHING, np.searchsorted(judged, logged.action[rows])),
    )
    gate = judge_differences(table, errors=errors)
    trust[judged] = gate.trust
    of_judged = tuple(names[k] for k in judged.tolist())
    findings, limits = said_of(gate, of_judged, money.currency, _constant(gate.constant, table.weight, of_judged))
    return Verdict(trust, _metrics(gate, of_judged), findings, limits, gate.passed)


def _scores(fitted: ActionUplifts, logged: LoggedActions, judged: IntArray, rows: IntArray, inverse: FloatArray) -> FloatArray:
    """Doubly robust effects of each judged action on each row, in probability, shape (n, K)."""
    columns = []
    for k in judged.tolist():
        goal, y = logged.goal_of[k], logged.labels[rows, logged.goal_of[k]]
        with_it, without = fitted.by_action[k].exposed_mean[rows], fitted.unexposed_mean[rows, goal]
        got_it, got_nothing = logged.action[rows] == k, logged.action[rows] == NOTHING
        columns.append(with_it - without + got_it * inverse * (y - with_it) - got_nothing * inverse * (y - without))
    return np.column_stack(columns)


def _metrics(gate: Gate, actions: tuple[str, ...]) -> dict[str, float]:
    metrics = {"gate.passed": float(gate.passed)}
    alone = {f"gate.{action}.": gain for action, gain in zip(actions, gate.by_action, strict=True)}
    for name, gain in {"gate.": gate.overall, "gate.decided_": gate.decided, **alone}.items():
        metrics |= {
            f"{name}gain": gain.value,
            f"{name}gain_low": _low(gain),
            f"{name}gain_high": _high(gain),
            f"{name}changed": gain.changed,
        }
    return metrics | {f"gate.{action}.trust": float(trust) for action, trust in zip(actions, gate.trust, strict=True)}


def said_of(gate: Gate, actions: tuple[str, ...], currency: str, constant: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Findings and limits; `constant` says what the constant policy does."""
    overall = _money(gate.overall, currency)
    kept = [action for action, trust in zip(actions, gate.trust, strict=True) if trust == 1.0]
    pressed = [action for action, trust in zip(actions, gate.trust, strict=True) if trust < 1.0]
    nothing = "personalising gains nothing significant"
    only_order = "differences between contacts only order the audience"
    if not gate.passed and not kept:
        return (), (f"{nothing}: {overall} against {constant}, so this is what is decided; {only_order}",)
    if not gate.passed:
        of_kept = f"{_named(kept)}: {_money(gate.decided, currency)} more than {constant}"
        others = f"elsewhere {constant} is decided, and {only_order}"
        return (f"what is decided by contact is {of_kept}",), (f"{nothing} as a whole: {overall} against {constant}; {others}",)
    limits = (f"not enough evidence that contacts differ in what they gain from {_named(pressed)}",) if pressed else ()
    if gate.overall.changed <= HARDLY:
        return (
            f"personalising changes hardly anybody's action: the best is {constant}; differences between contacts order the audience",
        ), limits
    pays = "personalising pays" if _low(gate.decided) > 0 else "personalising more likely pays than not, though that is not sure"
    return (f"{pays}: {_money(gate.decided, currency)} more than {constant}",), limits


def _money(gain: Gain, currency: str) -> str:
    return f"{gain.value:+.4g} {currency} a contact (95 %: {_low(gain):+.4g} to {_high(gain):+.4g})"


def _named(actions: list[str]) -> str:
    """The first few by name.

    Examples
    --------
    >>> _named(["a", "b"]), _named(list("abcdefgh"))
    ('a, b', 'a, b, c, d, e, f and 2 more')
    """
    first, more = ", ".join(actions[:MOST_NAMED]), len(actions) - MOST_NAMED
    return f"{first} and {more} more" if more > 0 else first


def _constant(policy: IntArray, weight: FloatArray, actions: tuple[str, ...]) -> str:
    """What the constant policy does, in words."""
    names, place = np.unique([NO_ACTION if k == -1 else actions[k] for k in policy.tolist()], return_inverse=True)
    counts = np.bincount(place, weights=weight)
    most = int(np.argmax(counts))
    share = counts[most] / counts.sum()
    what = "nothing for anybody" if names[most] == NO_ACTION else f"{names[most]} for everybody"
    if share > 0.995:
        return what
    return f"the action that is best on average for each contact's value and cost ({names[most]} for {share:.0%})"


def _low(gain: Gain) -> float:
    return gain.value - NORMAL_95 * gain.standard_error


def _high(gain: Gain) -> float:
    return gain.value + NORMAL_95 * gain.standard_error
