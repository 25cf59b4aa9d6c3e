"""Control groups: uniform, stable, growing without losing anybody, and drawn anew by another salt."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare

from decisioning.catalog import Controls
from decisioning.control import hash_to_unit, in_holdout
from decisioning.decide import decide
from tests.decisioning.strategies import compiled, history_of, house_of, make_action, make_catalog, situation_of

IDS = [f"c-{number}" for number in range(20_000)]
NOT_BY_CHANCE = 1e-4


@pytest.mark.parametrize("salt", ["2026q4", "2027q1", "", "ą"])
def test_contacts_are_spread_evenly(salt: str) -> None:
    counts = np.histogram(hash_to_unit(IDS, salt), bins=50, range=(0.0, 1.0))[0]
    assert chisquare(counts).pvalue > NOT_BY_CHANCE


def test_neighbouring_ids_are_spread_evenly_too() -> None:
    units = hash_to_unit([str(number) for number in range(20_000)], "s")
    pairs = np.histogram2d(units[:-1], units[1:], bins=8)[0]
    assert chi2_contingency(pairs).pvalue > NOT_BY_CHANCE


def test_two_salts_draw_independently() -> None:
    first, second = (in_holdout(IDS, Controls(holdout=0.3, salt=salt)) for salt in ("2026q4", "2027q1"))
    table = [[np.sum(first & second), np.sum(first & ~second)], [np.sum(~first & second), np.sum(~first & ~second)]]
    assert chi2_contingency(table).pvalue > NOT_BY_CHANCE
    assert abs(first.mean() - 0.3) < 0.02


@given(shares=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted), salt=st.text(max_size=5))
def test_growing_the_share_keeps_its_members(shares: list[float], salt: str) -> None:
    small, large = (in_holdout(IDS[:300], Controls(holdout=share, salt=salt or "s")) for share in shares)
    assert not (small & ~large).any()


@given(ids=st.lists(st.text(), max_size=20), salt=st.text(max_size=5))
def test_a_contacts_number_is_its_own_and_below_one(ids: list[str], salt: str) -> None:
    units = hash_to_unit(ids, salt)
    assert ((units >= 0) & (units < 1)).all()
    assert units.tolist() == [hash_to_unit([one], salt)[0] for one in ids]


def test_a_share_of_nothing_holds_nobody_and_a_share_of_one_everybody() -> None:
    assert not in_holdout(IDS, Controls(holdout=0.0)).any()
    assert in_holdout(IDS, Controls(holdout=1.0)).all()


def test_the_held_out_get_nothing_but_what_is_owed_to_them() -> None:
    actions = [make_action("loan"), make_action("notice", kind="mandatory"), make_action("receipt", kind="transactional")]
    catalog = compiled(make_catalog(actions, controls={"holdout": 1.0}))
    situation = situation_of()
    decision = decide(house_of(catalog, situation), situation, history_of(situation), limit=5)
    assert [catalog.treatments[column][0].id for column in decision.chosen] == ["notice", "receipt"]
    removal = decision.appraisal.candidates.removal(0, 0)
    assert removal is not None
    assert (removal.stage, removal.rule) == ("control", "holdout")
