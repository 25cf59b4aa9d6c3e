"""What contact policy is told: touches, outcomes and consents, the ingested and our own."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pytest

from decisioning.errors import DataError
from decisioning.vocabulary import Columns
from ledger import history
from ledger.history import PolicyHistory, Whose
from ledger.store import Ledger
from tests.ledger.conftest import DAY, NOW, banner, decision, email, outcome


def table(names: str, *rows: Sequence[Any]) -> Columns:
    """Columns from rows of plain values; datetimes become timestamps, booleans 0 and 1."""
    columns: dict[str, np.ndarray[Any, Any]] = {}
    for place, name in enumerate(names.split()):
        values = [row[place] for row in rows]
        if name in ("at", "changed_at"):
            columns[name] = np.array([None if v is None else v.replace(tzinfo=None) for v in values], dtype="datetime64[us]")
        else:
            columns[name] = np.array(values, dtype=np.float64 if name == "granted" else object)
    return columns


def touches(*rows: Sequence[Any]) -> Columns:
    return table("contact_id action_id channel at", *rows)


def read(
    ledger: Ledger, contacts: Sequence[str] | None = ("c-1",), *, days: int = 30, now: datetime = NOW, plan: str | None = None
) -> PolicyHistory:
    return ledger.policy_history(Whose(contacts), since=now - days * DAY, now=now, excluding_plan=plan)


def listed(columns: Columns) -> list[tuple[Any, ...]]:
    """Rows of plain values."""
    return list(zip(*(column.tolist() for column in columns.values()), strict=True))


def at(time: datetime) -> datetime:
    return time.replace(tzinfo=None)


def test_ingested_touches_count_within_the_span_and_controls_never(ledger: Ledger) -> None:
    rows = [("c-1", "loan", "email", NOW - 2 * DAY), ("c-1", "no_action", None, NOW - DAY), ("c-1", "card", "call", NOW - 40 * DAY)]
    ledger.replace_history(touches(*rows, ("c-2", "loan", "email", NOW)), {}, {})
    assert listed(read(ledger).touches) == [("c-1", "loan", None, "email", None, None, at(NOW - 2 * DAY))]
    assert len(read(ledger, days=50).touches["at"]) == 2


def test_a_touch_without_a_time_lies_in_no_window(ledger: Ledger) -> None:
    ledger.replace_history(touches(("c-1", "loan", "email", None), ("c-1", "card", "web", NOW)), {}, {})
    assert read(ledger).touches["action_id"].tolist() == ["card"]


def test_an_outbound_selection_is_a_touch_while_its_reservation_runs(ledger: Ledger) -> None:
    ledger.record_decisions([decision("d-1", email(reserved_until=NOW + 7 * DAY))])
    assert listed(read(ledger).touches) == [("c-1", "loan", "loan_email", "email", "d-1", None, at(NOW))]
    assert len(read(ledger, now=NOW + 7 * DAY).touches["at"]) == 0


def test_an_outbound_selection_with_an_outcome_is_a_touch_for_good(ledger: Ledger) -> None:
    ledger.record_decisions([decision("d-1", email(reserved_until=NOW + DAY))])
    ledger.record_outcomes([outcome("e-1", outcome="delivered", behaviour="neutral")])
    assert len(read(ledger, now=NOW + 20 * DAY).touches["at"]) == 1


def test_an_inbound_selection_is_a_touch_only_once_an_outcome_came(ledger: Ledger) -> None:
    ledger.record_decisions([decision("d-1", banner(), banner(rank=2, treatment_id="card_hero", action_id="card"))])
    assert len(read(ledger).touches["at"]) == 0
    ledger.record_outcomes([outcome("e-1", treatment_id=None)])
    assert sorted(read(ledger).touches["treatment_id"].tolist()) == ["card_hero", "loan_hero"]


def test_a_plan_that_is_made_again_does_not_stand_in_its_own_way(ledger: Ledger) -> None:
    ledger.record_decisions([decision("d-1", email(), plan_id="p-1"), decision("d-2", email(), plan_id="p-2"), decision("d-3", email())])
    assert len(read(ledger).touches["at"]) == 3
    assert len(read(ledger, plan="p-1").touches["at"]) == 2


def test_outcomes_come_from_the_past_and_from_the_ledger(ledger: Ledger) -> None:
    ledger.replace_history(
        {}, table("contact_id action_id outcome at", ("c-1", "card", "reject", NOW - DAY), ("c-2", "card", "reject", NOW)), {}
    )
    ledger.record_outcomes([outcome("e-1"), outcome("e-2", occurred_at=NOW + DAY), outcome("e-3", contact_id="c-3")])
    assert listed(read(ledger).outcomes) == [("c-1", "card", "reject", at(NOW - DAY)), ("c-1", "loan", "click", at(NOW))]


def test_everyone_at_once_is_the_sum_of_each_alone(ledger: Ledger) -> None:
    rng = np.random.default_rng(3)
    contacts = [f"c-{n}" for n in rng.integers(0, 40, 300)]
    ledger.replace_history(
        touches(*[(c, "loan", "email", NOW - int(d) * DAY) for c, d in zip(contacts, rng.integers(0, 60, 300), strict=True)]), {}, {}
    )
    ledger.record_decisions([decision(f"d-{n}", email(), banner(rank=2), contact_id=c) for n, c in enumerate(contacts)])
    ledger.record_outcomes([outcome(f"e-{n}", decision_id=f"d-{n}", contact_id=contacts[n]) for n in range(0, 300, 3)])
    everyone = read(ledger, None)
    alone = [read(ledger, [contact]) for contact in sorted(set(contacts))]
    assert Counter(listed(everyone.touches)) == Counter(row for each in alone for row in listed(each.touches))
    assert Counter(listed(everyone.outcomes)) == Counter(row for each in alone for row in listed(each.outcomes))
    assert Counter(listed(read(ledger, sorted(set(contacts)) + ["nobody", "c-1"]).touches)) == Counter(listed(everyone.touches))


def test_an_empty_past_has_empty_columns_of_the_right_kind(ledger: Ledger) -> None:
    found = read(ledger, None)
    assert {name: (column.dtype.str, len(column)) for name, column in found.touches.items()} == {
        "contact_id": ("|O", 0), "action_id": ("|O", 0), "treatment_id": ("|O", 0), "channel": ("|O", 0),
        "decision_id": ("|O", 0), "reserved_by": ("|O", 0), "at": ("<M8[us]", 0),
    }  # fmt: skip
    assert list(found.outcomes) == ["contact_id", "action_id", "outcome", "at"]
    assert ledger.consents(None)["granted"].dtype == np.float64


def test_a_new_past_takes_the_place_of_the_old_one(ledger: Ledger) -> None:
    ledger.replace_history(touches(("c-1", "loan", "email", NOW)), {}, {})
    ledger.replace_history(touches(("c-1", "card", "web", NOW)), {}, {})
    assert read(ledger).touches["action_id"].tolist() == ["card"]
    ledger.replace_history({}, {}, {})
    assert read(ledger).touches["action_id"].tolist() == []


def test_a_past_that_is_not_whole_leaves_the_old_one(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.replace_history(touches(("c-1", "loan", "email", NOW)), {}, {})

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(history, "insert_rows", killed)
        with pytest.raises(KeyboardInterrupt):
            ledger.replace_history(touches(("c-1", "card", "web", NOW)), {}, {})
    assert read(ledger).touches["action_id"].tolist() == ["loan"]
    ledger.replace_history(touches(("c-1", "sms", "sms", NOW)), {}, {})
    assert read(ledger).touches["action_id"].tolist() == ["sms"]


@pytest.mark.parametrize(
    ("past", "message"),
    [
        ({"contact_id": np.array(["c-1"], dtype=object)}, "history_touches.action_id: a required column is missing"),
        (touches((None, "loan", "email", NOW)), "history_touches.contact_id: a required value is empty; got 1 empty rows"),
    ],
)
def test_a_past_with_holes_is_refused_and_the_old_one_stays(ledger: Ledger, past: Columns, message: str) -> None:
    ledger.replace_history(touches(("c-1", "loan", "email", NOW)), {}, {})
    with pytest.raises(DataError) as refusal:
        ledger.replace_history(past, {}, {})
    assert message in str(refusal.value)
    assert read(ledger).touches["action_id"].tolist() == ["loan"]


def test_a_reader_sees_the_old_past_or_the_new_one_whole(url: str, ledger: Ledger) -> None:
    def past(action: str) -> Columns:
        return touches(*[("c-1", action, "email", NOW)] * 3000)

    ledger.replace_history(past("old"), {}, {})
    done, seen = threading.Event(), []

    def write() -> None:
        with Ledger.open(url) as another:
            for action in ("a", "b", "c"):
                another.replace_history(past(action), {}, {})
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        seen.append(read(ledger).touches["action_id"])
    writer.join()
    assert {len(actions) for actions in seen} <= {3000}
    assert all(len(set(actions)) == 1 for actions in seen)


def test_the_newest_consent_holds_and_a_refusal_wins_a_tie(ledger: Ledger) -> None:
    rows = [
        ("c-1", "email", False, NOW - 2 * DAY),
        ("c-1", "email", True, NOW - DAY),
        ("c-1", "phone", True, NOW - DAY),
        ("c-1", "phone", False, NOW - DAY),
        ("c-2", "email", True, NOW),
    ]
    ledger.replace_history({}, {}, table("contact_id purpose granted changed_at", *rows))
    assert listed(ledger.consents(["c-1"])) == [("c-1", "email", 1.0, at(NOW - DAY)), ("c-1", "phone", 0.0, at(NOW - DAY))]
    assert len(ledger.consents(None)["purpose"]) == 3
    assert len(ledger.consents(["nobody"])["purpose"]) == 0


def test_a_consent_of_tomorrow_does_not_count_today(ledger: Ledger) -> None:
    rows = [("c-1", "email", False, NOW - DAY), ("c-1", "email", True, NOW + DAY)]
    ledger.replace_history({}, {}, table("contact_id purpose granted changed_at", *rows))
    assert ledger.consents(["c-1"], now=NOW)["granted"].tolist() == [0.0]
    assert ledger.consents(["c-1"], now=NOW + DAY)["granted"].tolist() == [1.0]


def test_the_newest_price_book_holds(ledger: Ledger) -> None:
    assert ledger.prices() is None
    ledger.set_prices({"id": "p-1", "calls": 3.5})
    ledger.set_prices({"id": "p-2", "calls": float("nan")})
    assert ledger.prices() == {"id": "p-2", "calls": None}
