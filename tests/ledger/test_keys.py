"""API keys in the ledger: kept as digests, never removed, and what is done to them is kept too."""

from __future__ import annotations

from dataclasses import replace

from ledger.keys import ApiKey
from ledger.store import Ledger
from tests.ledger.conftest import DAY, NOW

KEY = ApiKey("k-1", "shop", ("decide", "record"), bytes(range(32)), NOW, expires_at=NOW + DAY)


def test_a_key_comes_back_as_it_was_kept(ledger: Ledger) -> None:
    other = replace(KEY, key_id="k-2", name="Łódź", expires_at=None, created_at=NOW + DAY)
    ledger.keys.add(KEY)
    ledger.keys.add(other)
    assert ledger.keys.all() == [KEY, other]


def test_a_revoked_key_stays_and_holds_no_more(ledger: Ledger) -> None:
    ledger.keys.add(KEY)
    assert KEY.holds(NOW) and not KEY.holds(NOW + DAY)
    revoked = ledger.keys.revoke("k-1", NOW + DAY / 2)
    assert revoked == replace(KEY, revoked_at=NOW + DAY / 2)
    assert ledger.keys.revoke("k-1", NOW + DAY) == revoked
    assert not ledger.keys.all()[0].holds(NOW)
    assert ledger.keys.revoke("k-9", NOW) is None


def test_what_is_done_to_keys_is_in_the_chain(ledger: Ledger) -> None:
    ledger.keys.add(KEY)
    ledger.keys.revoke("k-1", NOW)
    ledger.keys.revoke("k-1", NOW)
    verdict = ledger.verify()
    assert (verdict.intact, verdict.rows) == (True, 2)
