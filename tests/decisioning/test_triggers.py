"""Triggers that time fires: what their conditions may ask of the clock."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from decisioning.errors import RuleError
from decisioning.rules import Rows
from decisioning.rules.findings import RuleFindings
from decisioning.triggers import CompiledTrigger, Trigger, compile_triggers
from decisioning.vocabulary import Dtype

DTYPES: dict[str, Dtype] = {"contract_end": "date", "seen_at": "timestamp", "age": "int"}
EVENING = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)  # the day after in Warsaw


def _compiled(enters: str | None, **more: Any) -> CompiledTrigger:
    findings = RuleFindings(DTYPES)
    trigger = Trigger.model_validate({"id": "t", "enters": enters, "every_minutes": 5, "actions": ["a"], **more})
    compiled = compile_triggers([trigger], {"a"}, {"grown": "age >= 18"}, findings)
    findings.refuse()
    return compiled[0]


def _inside(trigger: CompiledTrigger, **columns: list[Any]) -> list[bool]:
    rows = {name: np.array(values, dtype="datetime64[us]" if name != "age" else np.float64) for name, values in columns.items()}
    n = len(next(iter(rows.values())))
    held = trigger.all_inside(Rows(rows, n, trigger.clock(EVENING, "Europe/Warsaw"))).tolist()
    alone = [
        bool(
            trigger.all_inside(
                Rows({name: column[k : k + 1] for name, column in rows.items()}, 1, trigger.clock(EVENING, "Europe/Warsaw"))
            )[0]
        )
        for k in range(n)
    ]
    assert held == alone
    return held


def test_days_are_those_of_the_business_and_null_is_never_inside() -> None:
    ending = _compiled("contract_end BETWEEN clock.today AND clock.in_30_days")
    dates = ["2026-11-22", "2026-11-23", "2026-12-23", "2026-12-24", None]
    assert _inside(ending, contract_end=dates) == [False, True, True, False, False]
    assert ending.columns == ("contract_end",)
    assert _inside(_compiled("contract_end < clock.ago_7_days"), contract_end=["2026-11-15", "2026-11-16"]) == [True, False]


def test_now_is_a_moment() -> None:
    assert _inside(_compiled("seen_at > clock.now"), seen_at=["2026-11-22T23:29:59", "2026-11-22T23:30:01"]) == [False, True]


def test_a_segment_is_its_condition() -> None:
    trigger = _compiled(None, segment="grown")
    assert _inside(trigger, age=[17.0, 18.0, np.nan]) == [False, True, False]


@pytest.mark.parametrize("key", ["clock.tomorrow", "clock.in_30", "clock.in_0030000_days", "clock.in_days"])
def test_what_the_clock_does_not_show_is_refused_with_what_it_shows(key: str) -> None:
    with pytest.raises(RuleError, match=rf"triggers\[0\].enters.*{key}.*clock.in_30_days"):
        _compiled(f"contract_end < {key}")


def test_a_condition_by_time_has_no_request_and_one_by_event_no_clock() -> None:
    with pytest.raises(RuleError, match="context.intent"):
        _compiled("context.intent = 'x'")
    with pytest.raises(RuleError, match="clock.today"):
        _compiled("contract_end < clock.today", every_minutes=None)
