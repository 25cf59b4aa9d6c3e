"""Consents are read in three ways: for some contacts, for a batch of decisions, for a plan. All say the same."""

from __future__ import annotations

import numpy as np

from ledger.consents import ConsentChange
from ledger.standing import Wanted
from ledger.store import Ledger
from tests.ledger.conftest import DAY, NOW
from tests.ledger.test_history import table

CONTACTS = [f"c-{number}" for number in range(30)]
PURPOSES = ("mail", "phone")


def ingest(ledger: Ledger, rng: np.random.Generator) -> None:
    """Changes on few days, so that many meet at the same moment."""
    rows = [
        (str(rng.choice(CONTACTS)), str(rng.choice(PURPOSES)), bool(rng.integers(2)), NOW - int(rng.integers(4)) * DAY) for _ in range(150)
    ]
    ledger.replace_history({}, {}, table("contact_id purpose granted changed_at", *rows))


def granted_by_newest(ledger: Ledger) -> set[tuple[str, str]]:
    found = ledger.consents(None)
    return {
        (contact, purpose) for contact, purpose, yes in zip(*(found[n] for n in ("contact_id", "purpose", "granted")), strict=True) if yes
    }


def test_a_batch_and_a_plan_read_the_consents_that_stand(ledger: Ledger) -> None:
    rng = np.random.default_rng(3)
    for _ in range(2):  # what was ingested is replaced, what was told stays
        ingest(ledger, rng)
        for contact in rng.choice(CONTACTS, 8, replace=False).tolist():
            ledger.put_consent(ConsentChange(contact, "mail", ("granted", "revoked")[rng.integers(2)], NOW - DAY), NOW)
        standing = ledger.standing(Wanted([*CONTACTS, "nobody"], [], NOW - DAY, NOW, counts=False)).granted
        everyone = [one for some in ledger.bulk.consents() for one in zip(*some, strict=True)]
        stands = granted_by_newest(ledger)
        assert 10 < len(stands) < len(everyone) == len({one[:2] for one in everyone})
        assert {(contact, purpose) for contact, purposes in standing.items() for purpose in purposes} == stands
        assert {(contact, purpose) for contact, purpose, yes in everyone if yes} == stands


def test_what_is_told_of_tomorrow_does_not_let_a_decision_of_today(ledger: Ledger) -> None:
    rows = [("c-1", "mail", False, NOW - DAY), ("c-1", "mail", True, NOW + DAY)]
    ledger.replace_history({}, {}, table("contact_id purpose granted changed_at", *rows))
    assert ledger.standing(Wanted(["c-1"], [], NOW - DAY, NOW)).granted == {}
    assert ledger.standing(Wanted(["c-1"], [], NOW - DAY, NOW + DAY)).granted == {"c-1": frozenset({"mail"})}
