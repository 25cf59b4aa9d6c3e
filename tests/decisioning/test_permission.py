"""What may be proposed: conditions, consent, validity, the request's place; and when a message may go out."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any

import numpy as np
import pytest

from decisioning.candidates import Candidates, Situation
from decisioning.compiled_catalog import CompiledCatalog
from decisioning.consent import apply_consent
from decisioning.eligibility import apply_conditions, apply_validity, keep_requested_placements
from decisioning.quiet_hours import next_allowed, zone_of
from tests.decisioning.strategies import columns_of, compiled, make_action, make_catalog, situation_of

NIGHT = (time(21), time(8))


def after(stage: Any, catalog: CompiledCatalog, situation: Situation) -> Candidates:
    candidates = Candidates(len(situation.contact_ids), len(catalog.treatments))
    stage(candidates, catalog, situation)
    return candidates


def names(candidates: Candidates, catalog: CompiledCatalog, row: int = 0) -> list[str]:
    return [treatment.id for alive, (_, treatment) in zip(candidates.alive[row], catalog.treatments, strict=True) if alive]


def test_consent_that_is_absent_or_revoked_is_no_consent() -> None:
    catalog = compiled(make_catalog([make_action("loan")]))
    situation = situation_of(2, granted={"marketing": np.array([True, False])})
    candidates = after(apply_consent, catalog, situation)
    assert names(candidates, catalog, 0) == ["loan_email", "loan_web"]
    assert names(candidates, catalog, 1) == ["loan_web"]
    removal = candidates.removal(0, 1)
    assert removal is not None
    assert (removal.stage, removal.rule, removal.detail(0)) == ("consent", "phone", "consent for phone is not granted")


@pytest.mark.parametrize("kind", ["mandatory", "transactional"])
def test_consent_binds_every_kind_of_action(kind: str) -> None:
    catalog = compiled(make_catalog([make_action("notice", kind=kind)]))
    assert names(after(apply_consent, catalog, situation_of(granted={})), catalog) == ["notice_web"]


@pytest.mark.parametrize(
    ("now", "open_"),
    [
        ("2026-01-31T22:59:59", False),
        ("2026-01-31T23:00:00", True),
        ("2026-11-22T10:00:00", True),
        ("2026-12-31T22:59:59", True),
        ("2026-12-31T23:00:00", False),
    ],
)
def test_both_dates_of_validity_are_days_of_the_catalogues_time_zone(now: str, open_: bool) -> None:
    catalog = compiled(make_catalog([make_action("loan", valid=["2026-02-01", "2026-12-31"])]))
    candidates = after(apply_validity, catalog, situation_of(now=np.datetime64(now, "us")))
    assert candidates.alive.all() == open_
    if not open_:
        removal = candidates.removal(0, 0)
        assert removal is not None
        assert removal.rule == "valid 2026-02-01 to 2026-12-31"
        assert removal.detail(0) == f"today is {'2026-01-31' if now.startswith('2026-01') else '2027-01-01'}"


def test_each_stage_names_the_part_that_failed_and_what_it_saw() -> None:
    loan = make_action(
        "loan", eligibility="age >= 18 AND NOT coalesce(has_loan, false)", applicability="city = 'Łódź'", suitability="debt_ratio < 0.6"
    )
    catalog = compiled(make_catalog([loan, make_action("card")]))
    columns = columns_of(
        5,
        age=[40, 17, 40, 40, np.nan],
        has_loan=[0, 1, 1, 0, 0],
        city=["Łódź"] * 3 + ["Gdynia", "Łódź"],
        debt_ratio=[0.9, 0.1, 0.1, 0.9, 0.1],
    )
    candidates = after(apply_conditions, catalog, situation_of(5, columns=columns))
    found = [(removal.stage, removal.rule, removal.detail(row)) for row in range(5) if (removal := candidates.removal(row, 0))]
    assert found == [
        ("suitability", "debt_ratio < 0.6", "debt_ratio is 0.9"),
        ("eligibility", "age >= 18", "age is 17"),
        ("eligibility", "NOT coalesce(has_loan, FALSE)", "has_loan is true"),
        ("applicability", "city = 'Łódź'", "city is 'Gdynia'"),
        ("eligibility", "age >= 18", "age is NULL"),
    ]
    assert candidates.alive[:, 3:].all()


@pytest.mark.parametrize(
    ("request_", "left"),
    [
        ({}, ["loan_email", "loan_call", "loan_web"]),
        ({"channel": "web"}, ["loan_web"]),
        ({"channel": "web", "placements": ("hero", "strip")}, ["loan_web"]),
        ({"channel": "web", "placements": ("strip",)}, []),
        ({"placements": ("hero",)}, ["loan_web"]),
        ({"channel": "email"}, ["loan_email"]),
    ],
)
def test_a_request_gets_what_is_rendered_for_its_channel_and_placements(request_: dict[str, Any], left: list[str]) -> None:
    catalog = compiled(make_catalog([make_action("loan")]))
    assert names(after(keep_requested_placements, catalog, situation_of(**request_)), catalog) == left


@pytest.mark.parametrize(
    ("moment", "quiet", "zone", "allowed"),
    [
        ("2026-01-10T12:00", NIGHT, "Europe/Warsaw", "2026-01-10T12:00"),
        ("2026-01-10T19:59", NIGHT, "Europe/Warsaw", "2026-01-10T19:59"),  # 20:59 in Warsaw
        ("2026-01-10T20:00", NIGHT, "Europe/Warsaw", "2026-01-11T07:00"),  # 21:00: quiet from the first minute
        ("2026-01-11T03:00", NIGHT, "Europe/Warsaw", "2026-01-11T07:00"),  # after midnight: the same night
        ("2026-01-11T06:59", NIGHT, "Europe/Warsaw", "2026-01-11T07:00"),
        ("2026-01-11T07:00", NIGHT, "Europe/Warsaw", "2026-01-11T07:00"),  # 08:00: over
        ("2026-01-10T12:00", NIGHT, "Asia/Tokyo", "2026-01-10T23:00"),  # 21:00 in Tokyo
        ("2026-01-10T12:00", (time(12), time(14)), "UTC", "2026-01-10T14:00"),  # within a day
        ("2026-01-10T11:59", (time(12), time(14)), "UTC", "2026-01-10T11:59"),
        ("2026-01-10T12:00", None, "UTC", "2026-01-10T12:00"),
        ("2026-01-10T12:00", (time(9), time(9)), "UTC", "2026-01-10T12:00"),  # no time at all
        ("2026-01-10T23:00", NIGHT, None, "2026-01-11T07:00"),  # no zone: the catalogue's, Warsaw
        ("2026-01-10T23:00", NIGHT, "Mars/Olympus", "2026-01-11T07:00"),
        ("2026-01-10T23:00", NIGHT, "Europe", "2026-01-11T07:00"),
        # the clocks of Warsaw go forward on 2026-03-29 at 01:00 UTC, back on 2026-10-25 at 01:00 UTC
        ("2026-03-28T22:00", NIGHT, "Europe/Warsaw", "2026-03-29T06:00"),
        ("2026-10-24T22:00", NIGHT, "Europe/Warsaw", "2026-10-25T07:00"),
        ("2026-03-28T23:00", (time(22), time(2, 30)), "Europe/Warsaw", "2026-03-29T01:30"),  # 02:30 is skipped
        ("2026-10-24T23:00", (time(22), time(2, 30)), "Europe/Warsaw", "2026-10-25T00:30"),  # the first 02:30
        ("2026-10-25T01:10", (time(22), time(2, 30)), "Europe/Warsaw", "2026-10-25T01:30"),  # 02:10 again: the second 02:30
    ],
)
def test_a_message_waits_for_the_end_of_the_contacts_quiet_hours(moment: str, quiet: Any, zone: str | None, allowed: str) -> None:
    found = next_allowed(datetime.fromisoformat(moment).replace(tzinfo=UTC), quiet, zone, "Europe/Warsaw")
    assert found == datetime.fromisoformat(allowed).replace(tzinfo=UTC)


@pytest.mark.parametrize("name", ["Europe", "../../etc/passwd", "", "a" * 500, "Mars/Olympus", "\0", "Żywiec"])
def test_any_text_that_is_no_time_zone_is_none(name: str) -> None:
    assert zone_of(name) is None
