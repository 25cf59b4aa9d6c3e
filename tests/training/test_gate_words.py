"""What the uplift gate says is what it decides."""

from __future__ import annotations

import numpy as np
import pytest

from estimators.gate import Gain, Gate
from training.uplift_gate import said_of

NONE, LOSS, SURE, LIKELY = Gain(0.0, 0.0, 0.0, 0), Gain(-0.1, 0.2, 0.4, 90), Gain(0.5, 0.1, 0.4, 90), Gain(0.24, 0.163, 0.4, 90)
ACTIONS = tuple(f"a{k}" for k in range(12))


def said(overall: Gain, decided: Gain, kept: tuple[int, ...], *, passed: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    trust = np.where(np.isin(np.arange(12), kept), 1.0, 0.05)
    return said_of(Gate(overall, (NONE,) * 12, trust, passed, np.full(9, -1), decided), ACTIONS, "PLN", "nothing for anybody")


def test_what_is_sure_is_said_to_pay_and_limits_nothing() -> None:
    findings, limits = said(SURE, SURE, tuple(range(12)), passed=True)
    assert findings == ("personalising pays: +0.5 PLN a contact (95 %: +0.304 to +0.696) more than nothing for anybody",)
    assert limits == ()


def test_a_gain_whose_interval_reaches_below_zero_is_said_to_be_likely_not_sure() -> None:
    findings, limits = said(LIKELY, LIKELY, tuple(range(12)), passed=True)
    assert findings[0].startswith(
        "personalising more likely pays than not, though that is not sure: +0.24 PLN a contact (95 %: -0.07948 to"
    )
    assert limits == ()


def test_where_nothing_is_kept_the_constant_policy_is_said_to_be_decided() -> None:
    findings, limits = said(LOSS, NONE, (), passed=False)
    assert findings == ()
    assert limits[0].startswith("personalising gains nothing significant: -0.1 PLN a contact")
    assert "against nothing for anybody, so this is what is decided" in limits[0]


def test_what_is_kept_of_many_actions_is_named_with_what_it_gains() -> None:
    findings, limits = said(LOSS, SURE, (3, 7), passed=False)
    assert findings == ("what is decided by contact is a3, a7: +0.5 PLN a contact (95 %: +0.304 to +0.696) more than nothing for anybody",)
    assert "so this is what is decided" not in limits[0]
    assert "elsewhere nothing for anybody is decided" in limits[0]


def test_actions_that_lose_while_the_whole_gains_are_named_as_what_there_is_no_evidence_for() -> None:
    _, limits = said(SURE, SURE, tuple(range(4)), passed=True)
    assert limits == ("not enough evidence that contacts differ in what they gain from a4, a5, a6, a7, a8, a9 and 2 more",)


@pytest.mark.parametrize("gain", [NONE, Gain(0.5, 0.1, 0.001, 90)])
def test_differences_that_change_nobody_are_not_said_to_pay(gain: Gain) -> None:
    findings, _ = said(gain, gain, tuple(range(12)), passed=True)
    assert findings[0].startswith("personalising changes hardly anybody's action: the best is nothing for anybody")
