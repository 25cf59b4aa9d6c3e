"""Many decisions that were made together: written as one by one, each once, and not where somebody else came between."""

from __future__ import annotations

import pytest
from msgspec import structs
from sqlalchemy import create_engine

from ledger.bulk import Written, made_ready
from ledger.records import Claim, DecisionRecord, Draw
from ledger.schema import DECISIONS, SELECTIONS
from ledger.store import Ledger
from tests.ledger.conftest import DAY, NOW, banner, decision, email

PLAN = Claim("p-1", (), 0, None, together=True)


def planned(number: int, **changes: object) -> DecisionRecord:
    """A plan's decision for a contact of its own: every third gets nothing, every fifth two things."""
    chosen = () if number % 3 == 0 else (email(), banner(rank=2, expected_profit=float("nan"))) if number % 5 == 0 else (email(),)
    made = decision(f"d-{number:03}", *chosen, contact_id=f"c-{number}", plan_id="p-1", trace={"plan_id": "p-1", "worth": number / 7})
    return structs.replace(made, claim=PLAN if chosen else None, **changes)


def rows(url: str) -> list[list[tuple[object, ...]]]:
    """All decisions and selections."""
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as conn:
        tables = [conn.execute(table.select().order_by(*table.primary_key)).all() for table in (DECISIONS, SELECTIONS)]
    engine.dispose()
    return [[tuple(row) for row in table] for table in tables]


def test_what_is_written_at_once_is_what_is_written_one_by_one(ledger: Ledger, url: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    records = [planned(number) for number in range(150)]
    assert ledger.bulk.record(made_ready(records), Written()) == set()
    plain = f"sqlite:///{tmp_path_factory.mktemp('plain')}/ledger.db"
    with Ledger.open(plain) as other:
        other.record_decisions(records)
    assert rows(url) == rows(plain)
    assert ledger.decisions_by_id([one.decision_id for one in records])["d-005"].selections[0] == email()
    assert ledger.verify().intact


def test_writing_a_batch_again_changes_nothing_and_another_plan_goes_on_behind_it(ledger: Ledger, url: str) -> None:
    records = [planned(number) for number in range(40)]
    ledger.bulk.record(made_ready(records[:25]), Written())
    assert ledger.bulk.record(made_ready(records), Written()) == set()
    before = rows(url)
    assert ledger.bulk.record(made_ready(records), Written()) == set()
    assert rows(url) == before
    ledger.record_decisions([decision("d-later", email(), contact_id="somebody")])
    verdict = ledger.verify()
    assert (verdict.intact, verdict.rows) == (True, 41)


def test_a_contact_that_was_touched_in_between_is_left_out_and_nobody_else(ledger: Ledger) -> None:
    ledger.record_decisions([decision("d-raced", email(), contact_id="c-4", decided_at=NOW - DAY)])
    records = [planned(number) for number in range(1, 8)]
    assert ledger.bulk.record(made_ready(records), Written()) == {"d-004"}
    kept = ledger.decisions_by_id([one.decision_id for one in records])
    assert sorted(kept) == [one.decision_id for one in records if one.decision_id != "d-004"]
    assert ledger.verify().intact


def test_an_account_may_get_from_the_plan_in_several_batches_but_not_beside_another(ledger: Ledger) -> None:
    of_firm = Claim("p-1", (), 0, 0, together=True)

    def of(number: int) -> DecisionRecord:
        return structs.replace(planned(number), selections=(email(account_id="firm"),), claim=of_firm)

    written = Written()
    assert ledger.bulk.record(made_ready([of(1), of(2)]), written) == set()
    assert ledger.bulk.record(made_ready([of(3)]), written) == set()
    ledger.record_decisions([decision("d-other", email(account_id="firm"), contact_id="colleague")])
    assert ledger.bulk.record(made_ready([of(4), planned(8)]), written) == {"d-004"}
    assert ledger.bulk.record(made_ready([of(1)]), Written()) == set()  # it is there already: it took its place when it was written


def test_two_who_make_the_same_plan_at_the_same_time_do_not_stand_in_each_others_way(ledger: Ledger) -> None:
    of_firm = Claim("p-1", (), 0, 0, together=True)
    batches = [made_ready([structs.replace(planned(n), selections=(email(account_id="firm"),), claim=of_firm)]) for n in (1, 2, 4)]
    one, other = Written(), Written()
    for batch in batches:
        assert ledger.bulk.record(batch, one) == set()
        one, other = other, one  # who comes second to a batch is first at the next
        assert ledger.bulk.record(batch, one) == set()
    assert len(ledger.decisions_by_id(["d-001", "d-002", "d-004"])) == 3
    late = made_ready([structs.replace(planned(7), selections=(email(account_id="firm"),), claim=of_firm)])
    ledger.record_decisions([decision("d-other", email(account_id="firm"), contact_id="colleague")])
    assert ledger.bulk.record(late, one) == ledger.bulk.record(late, other) == {"d-007"}


@pytest.mark.parametrize(
    "changes",
    [
        {"request_id": "r-1"},
        {"claim": structs.replace(PLAN, together=False)},
        {"claim": structs.replace(PLAN, draws=(Draw("budget", 1.0, 5.0),))},
    ],
)
def test_a_decision_that_stands_alone_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="d-001 is not one of many"):
        made_ready([structs.replace(planned(1), **changes)])


def test_a_batch_that_fails_half_way_leaves_nothing(sqlite_ledger: Ledger, sqlite_url: str) -> None:
    made = made_ready([planned(number) for number in range(1, 30)])
    broken = made._replace(selections=[*made.selections, made.selections[0]])
    with pytest.raises(Exception, match="UNIQUE"):
        sqlite_ledger.bulk.record(broken, Written())
    assert rows(sqlite_url) == [[], []]
    assert sqlite_ledger.bulk.record(made, Written()) == set()
    assert sqlite_ledger.verify().intact
