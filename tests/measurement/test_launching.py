"""What a comparison can show, told before it is made; and groups that are not what they were meant to be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurement.launching import Design, contacts_left, minimum_detectable_effect, rate_spread, required_contacts, sample_ratio
from measurement.lift import lift


@pytest.mark.parametrize(("share", "power"), [(0.5, 0.8), (0.1, 0.8), (0.5, 0.9)])
def test_the_stated_contacts_show_the_effect_with_the_stated_power(share: float, power: float) -> None:
    design, effect = Design(spread=2.0, control_share=share, power=power), 0.5
    contacts, rng = required_contacts(design, effect), np.random.default_rng(7)
    control = round(contacts * share)
    exposed = np.concatenate([np.zeros(control), np.ones(contacts - control)])
    shown = [lift(effect * exposed + rng.normal(0, 2.0, contacts), exposed).per_contact.low > 0 for _ in range(500)]
    assert np.mean(shown) == pytest.approx(power, abs=0.05)


def test_the_textbooks_sixteen_times_the_variance_over_the_effect_squared() -> None:
    # Kohavi and others, chapter 17: about 16 s^2 / d^2 a group at equal sizes, 80 % power.
    assert required_contacts(Design(spread=3.0, control_share=0.5), 0.3) / 2 == pytest.approx(16 * 9 / 0.09, rel=0.02)


@given(st.floats(0.01, 0.99), st.floats(0.01, 100), st.floats(0.001, 10), st.booleans())
def test_effect_and_contacts_are_each_others_inverse(share: float, spread: float, effect: float, always_valid: bool) -> None:
    design = Design(spread=spread, control_share=share, always_valid=always_valid)
    contacts = required_contacts(design, effect)
    if contacts > 100:
        assert minimum_detectable_effect(design, contacts) == pytest.approx(effect, rel=0.01)
        assert contacts_left(design, effect, contacts) == 0
        assert contacts_left(design, effect, 0) == contacts


def test_looking_all_the_time_and_a_small_holdout_take_more_contacts_and_covariates_fewer() -> None:
    base = required_contacts(Design(1.0, 0.5), 0.1)
    assert required_contacts(Design(1.0, 0.5, always_valid=True), 0.1) > 1.5 * base
    assert required_contacts(Design(1.0, 0.02), 0.1) > 10 * base
    assert required_contacts(Design(1.0, 0.5, variance_reduction=0.5), 0.1) == pytest.approx(base / 2, abs=1)
    assert required_contacts(Design(rate_spread(0.01), 0.5), 0.001) > required_contacts(Design(rate_spread(0.01), 0.5), 0.002)


def test_groups_as_they_were_meant_seldom_raise_the_alarm_and_unsound_ones_do() -> None:
    rng = np.random.default_rng(1)
    shares = {"nudge": 0.9, "holdout": 0.05, "random": 0.05}
    drawn = [dict(zip(shares, rng.multinomial(20_000, [*shares.values()]).tolist(), strict=True)) for _ in range(1_000)]
    assert sum(sample_ratio(one, shares).alarm for one in drawn) <= 5
    lost = [{**one, "holdout": int(one["holdout"] * 0.85)} for one in drawn]  # fewer held-out contacts came through
    assert np.mean([sample_ratio(one, shares).alarm for one in lost]) > 0.8


def test_a_group_that_was_to_be_empty_is_an_alarm() -> None:
    assert sample_ratio({"nudge": 100, "holdout": 5, "random": 1}, {"nudge": 0.95, "holdout": 0.05}).alarm


def test_no_contacts_are_no_alarm() -> None:
    assert sample_ratio({}, {"nudge": 0.95, "holdout": 0.05}).p_value == 1.0


@pytest.mark.parametrize(
    "make",
    [
        lambda: Design(spread=-1.0, control_share=0.5),
        lambda: Design(spread=1.0, control_share=0.0),
        lambda: Design(spread=1.0, control_share=0.5, variance_reduction=1.0),
        lambda: required_contacts(Design(1.0, 0.5), 0.0),
        lambda: sample_ratio({"a": 1}, {"a": 0.0}),
        lambda: rate_spread(1.5),
    ],
)
def test_a_design_that_cannot_be_is_refused(make: object) -> None:
    with pytest.raises(ValueError, match="got"):
        make()  # type: ignore[operator]
