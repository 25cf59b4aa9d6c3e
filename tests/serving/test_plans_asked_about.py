"""A question about another plan is about one in the place of the plan of now, not on top of it."""

from __future__ import annotations

from pathlib import Path

from ledger.store import Ledger
from tests.serving.planning import bind, make, treatments
from tests.serving.small_house import CATALOG, House

CONTACTS = ["c-1", "c-2"]
ONE_MAIL_A_WEEK = {
    **CATALOG,
    "channels": {"email": CATALOG["channels"]["email"]},
    "actions": [{**CATALOG["actions"][0], "eligibility": "true", "treatments": [{"id": "loan_email", "channel": "email"}]}],
    "contact_policy": [{"id": "week", "channel": "email", "max": 1, "per_days": 7}],
    "fallback": {},
}


def test_what_the_plan_of_now_has_reserved_counts_for_the_next_plan_and_not_for_a_question(tmp_path: Path) -> None:
    house = House(Ledger.open(f"sqlite:///{tmp_path}/ledger.db"), ONE_MAIL_A_WEEK)
    house.consent(*CONTACTS)
    mailed = {one: ["loan_email"] for one in CONTACTS}
    assert treatments(bind(house, make(house, CONTACTS))) == mailed

    house.clock.advance(hours=1)
    assert treatments(make(house, CONTACTS)) == {}
    assert treatments(make(house, CONTACTS, in_place=True)) == mailed
    house.ledger.close()
