"""The gate in money: whether differences between contacts are worth acting on, in plain words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from decisioning.vocabulary import NO_ACTION, FloatArray, IntArray
from estimators.action_uplifts import ActionUplifts
from estimators.effect_rows import NOTHING, LoggedActions
from estimators.gate import Gain, Gate, Judged, judge_differences
from training.money import Money
from training.prepared import Prepared

NORMAL_95 = 1.96


@dataclass(frozen=True, eq=False)
class Verdict:
    """What the gate decided.

    Attributes
    ----------
    trust : array, shape (K,)
        How far the differences of each action are believed, 1 where they are not judged.
    metrics : mapping of name to number
    sentences : tuple of str
        For people; the first is about the whole.
    passed : bool
    """

    trust: FloatArray
    metrics: dict[str, float]
    sentences: tuple[str, ...]
    passed: bool


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
        return Verdict(trust, {}, (), True)
    known = ~np.isnan(logged.labels[:, logged.goal_of[judged]]).any(axis=1)
    rows = sample[(known & np.isin(logged.action, [NOTHING, *judged.tolist()]))[sample]]
    if not len(rows):
        return Verdict(trust, {}, (), True)
    at = np.ix_(rows, judged)
    value, cost = np.nan_to_num(money.value[at]), money.cost[at]
    table = Judged(
        tau=np.column_stack([fitted.by_action[k].tau for k in judged.tolist()])[rows],
        average=np.array([fitted.by_action[k].head.average_effect for k in judged.tolist()]),
        value=value,
        cost=cost,
        open=logged.open[at] & np.isfinite(money.value[at]),
        score=_scores(fitted, logged, judged, rows, 1.0 / prepared.selection.prob[rows]) * value - cost,
        contact=np.unique(prepared.data.rows.contact_id[rows].astype(str), return_inverse=True)[1],
    )
    gate = judge_differences(table, errors=errors)
    trust[judged] = gate.trust
    of_judged = tuple(names[k] for k in judged.tolist())
    return Verdict(trust, _metrics(gate, of_judged), _sentences(gate, of_judged, money.currency, errors), gate.passed)


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
    for name, gain in (("gate", gate.overall), *((f"gate.{action}", gain) for action, gain in zip(actions, gate.by_action, strict=True))):
        metrics |= {
            f"{name}.gain": gain.value,
            f"{name}.gain_low": _low(gain),
            f"{name}.gain_high": _high(gain),
            f"{name}.changed": gain.changed,
        }
    return metrics | {f"gate.{action}.trust": float(trust) for action, trust in zip(actions, gate.trust, strict=True)}


def _sentences(gate: Gate, actions: tuple[str, ...], currency: str, errors: float) -> tuple[str, ...]:
    beyond = f"{gate.overall.value:+.4g} {currency} a contact (95 %: {_low(gate.overall):+.4g} to {_high(gate.overall):+.4g})"
    constant = _constant(gate.constant, actions)
    if gate.overall.changed == 0 or (gate.passed and not gate.overall.exceeds(errors)):
        first = f"personalising changes hardly anybody's action: the best is {constant}; differences between contacts order the audience"
    elif gate.passed:
        first = f"personalising pays: {beyond} more than {constant}"
    else:
        first = (
            f"personalising gains nothing significant: {beyond} against {constant}, so this is what is decided; "
            "differences between contacts only order the audience"
        )
    pressed = [action for action, trust in zip(actions, gate.trust, strict=True) if trust < 1.0]
    more = [f"not enough evidence that contacts differ in what they gain from {', '.join(pressed)}"] if gate.passed and pressed else []
    kept = [action for action, trust in zip(actions, gate.trust, strict=True) if trust == 1.0]
    if not gate.passed and kept:
        more.append(f"contacts differ surely enough in what they gain from {', '.join(kept)}")
    return (first, *more)


def _constant(policy: IntArray, actions: tuple[str, ...]) -> str:
    """What the constant policy does, in words."""
    names, counts = np.unique([NO_ACTION if k == -1 else actions[k] for k in policy.tolist()], return_counts=True)
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
