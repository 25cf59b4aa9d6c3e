"""What counts as a touch, held to the plain statement that looks at every selection: on any ledger, in both databases, however it grew."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs
from sqlalchemy import text

from ledger import answers, chain, claims, history_queries
from ledger.bulk import Written, made_ready
from ledger.codec import micros
from ledger.history import Whose
from ledger.records import Claim, DecisionRecord, Selection
from ledger.schema import SCHEMA_VERSION
from ledger.standing import Wanted
from ledger.store import Ledger
from tests.ledger.conftest import DAY, NOW, banner, decision, email, made_earlier, outcome

EVERY_SELECTION = """
SELECT {unit}, action_id, treatment_id, channel, decision_id,
       CASE WHEN EXISTS (SELECT 1 FROM outcomes WHERE outcomes.decision_id = s.decision_id) THEN NULL ELSE plan_id END, decided_at
FROM selections s
WHERE {unit} IS NOT NULL AND decided_at >= :since AND (plan_id IS NULL OR plan_id NOT LIKE :plan)
  AND (direction = 'outbound' AND reserved_until > :now
       OR EXISTS (SELECT 1 FROM outcomes WHERE outcomes.decision_id = s.decision_id))
  AND NOT EXISTS (SELECT 1 FROM selections l WHERE l.redeems = s.decision_id AND l.treatment_id = s.treatment_id)
"""
"""The definition: every selection of the time is looked at, and each time asked what was answered."""

CONTACTS, ACCOUNTS, PLANS = ("c-1", "c-2", "c-3"), ("f-1", "f-2"), ("p-1", "p-1/late", "p-2")
IDS = [f"d-{n}" for n in range(8)]
_times = st.integers(-40, 3).map(lambda days: NOW + days * DAY)


@st.composite
def _selections(draw: st.DrawFn) -> tuple[Selection, ...]:
    account_id = draw(st.sampled_from((None, *ACCOUNTS)))
    chosen = []
    for rank in range(1, 1 + draw(st.integers(0, 3))):
        make = draw(st.sampled_from((email, banner)))
        until = draw(st.none() | st.integers(-5, 5).map(lambda hours: NOW + timedelta(hours=hours)))
        redeems, book = draw(st.none() | st.sampled_from(IDS)), draw(st.sampled_from((None, "p-1/0")))
        treatment = draw(st.sampled_from(("loan_a", "loan_b")))
        chosen.append(make(rank=rank, treatment_id=treatment, reserved_until=until, account_id=account_id, redeems=redeems, book=book))
    return tuple(chosen)


@st.composite
def _decisions(draw: st.DrawFn) -> DecisionRecord:
    made = decision(draw(st.sampled_from(IDS)), *draw(_selections()), contact_id=draw(st.sampled_from(CONTACTS)))
    return structs.replace(made, decided_at=draw(_times), plan_id=draw(st.none() | st.sampled_from(PLANS)))


_OUTCOMES = st.builds(
    lambda event, decision_id, contact, at: outcome(event, decision_id=decision_id, contact_id=contact, occurred_at=at),
    st.integers(0, 12).map("e-{}".format),
    st.none() | st.sampled_from(IDS),
    st.sampled_from(CONTACTS),
    _times,
)
_STEPS = st.one_of(
    st.tuples(st.just("decide"), st.lists(_decisions(), max_size=3)),
    st.tuples(st.just("plan"), st.lists(_decisions(), max_size=3, unique_by=lambda one: one.decision_id)),
    st.tuples(st.just("outcomes"), st.lists(_OUTCOMES, max_size=3)),
    st.tuples(st.just("join"), st.tuples(st.sampled_from(CONTACTS), st.sampled_from(CONTACTS))),
    st.tuples(st.just("erase"), st.sampled_from(CONTACTS)),
)
_TABLES = ("decisions", "selections", "outcomes", "deeds", "identities", "erasures", "chain_entries", "request_claims")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('touches')}/ledger.db"
    else:
        url = request.getfixturevalue("new_postgres_database")()
    with Ledger.open(url) as opened:
        yield opened


def emptied(ledger: Ledger) -> None:
    with ledger._database.writing() as conn:
        for table in ("selections", *(one for one in _TABLES if one != "selections")):
            conn.execute(text(f"DELETE FROM {table}"))
        conn.execute(text("UPDATE chain_heads SET seq = 0, hash = :zero"), {"zero": bytes(32)})


def take(ledger: Ledger, step: tuple[str, Any]) -> None:
    """One thing that happens to a ledger."""
    kind, what = step
    if kind == "decide":
        ledger.record_decisions(what)
    elif kind == "plan":
        together = [structs.replace(one, claim=Claim("p-1", together=True), plan_id=one.plan_id or "p-2") for one in what]
        ledger.bulk.record(made_ready(together), Written())
    elif kind == "outcomes":
        ledger.record_outcomes(what)
    elif kind == "join" and what[0] != what[1] and not ledger.anybody_joined():
        ledger.join_identity(*what, NOW)
    elif kind == "erase":
        ledger.erase(what, NOW)


def expected(ledger: Ledger, unit: str, plan: str | None = None) -> Counter[tuple[Any, ...]]:
    span = {"since": micros(NOW - 30 * DAY), "now": micros(NOW), "plan": f"{plan}%" if plan else ""}
    with ledger._database.reading() as conn:
        return Counter(tuple(row) for row in conn.execute(text(EVERY_SELECTION.format(unit=unit)), span))


def found(ledger: Ledger, unit: str, ids: tuple[str, ...] | None, plan: str | None = None) -> Counter[tuple[Any, ...]]:
    of = Whose(ids, ()) if unit == "contact_id" else Whose((), ids)
    past = ledger.policy_history(of, since=NOW - 30 * DAY, now=NOW, excluding_plan=plan)
    columns = past.touches if unit == "contact_id" else past.account_touches
    *texts, at = columns.values()
    return Counter(zip(*(one.tolist() for one in texts), at.astype("datetime64[us]").astype(int).tolist(), strict=True))


def assert_alike(ledger: Ledger) -> None:
    """What is read, in every way of reading it, is what the definition says."""
    for unit, some in (("contact_id", CONTACTS[:2]), ("account_id", ACCOUNTS[:1])):
        for plan in (None, "p-1"):
            everyone = expected(ledger, unit, plan)
            assert found(ledger, unit, None, plan) == everyone
            of_some = Counter({row: many for row, many in everyone.items() if row[0] in some})
            assert found(ledger, unit, tuple(some), plan) == of_some
    standing = ledger.standing(Wanted(CONTACTS, ACCOUNTS, NOW - 30 * DAY, NOW))
    for unit, read, ids in (("contact_id", standing.touches, CONTACTS), ("account_id", standing.account_touches, ACCOUNTS)):
        of_them = Counter({row: many for row, many in expected(ledger, unit).items() if row[0] in ids})
        assert Counter((one, *row) for one, rows in read.items() for row in rows) == of_them
        for rows in read.values():
            assert [row[-1] for row in rows] == sorted(row[-1] for row in rows)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=st.lists(_STEPS, min_size=1, max_size=8), forgotten=st.none() | _times)
def test_what_is_read_as_touches_is_what_looking_at_every_selection_finds(
    shared: Ledger, steps: list[tuple[str, Any]], forgotten: datetime | None
) -> None:
    emptied(shared)
    for step in steps:
        take(shared, step)
    if forgotten is not None:
        shared.remove_before(forgotten, NOW)
    assert_alike(shared)
    assert shared.verify().intact


def test_an_outcome_that_came_before_its_decision_answers_it(ledger: Ledger) -> None:
    ledger.record_outcomes([outcome("e-1"), outcome("e-2", decision_id="d-2")])
    ledger.record_decisions([decision("d-1", banner())])
    ledger.bulk.record(made_ready([decision("d-2", banner(), plan_id="p-1", claim=Claim("p-1", together=True))]), Written())
    assert {row[4] for row in found(ledger, "contact_id", ("c-1",))} == {"d-1", "d-2"}
    assert ledger.verify().intact


@pytest.mark.parametrize("in_bulk", [False, True])
def test_an_outcome_and_its_decision_that_are_written_at_the_same_time_find_each_other(
    new_postgres_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch, in_bulk: bool
) -> None:
    chosen, end = threading.Event(), threading.Event()

    def held_up(conn: Any, *rest: Any) -> None:
        chosen.set()
        end.wait(30)
        extend(conn, *rest)

    def decide() -> None:
        with Ledger.open(url) as other:
            take(other, ("plan" if in_bulk else "decide", [decision("d-1", banner())]))

    url = new_postgres_database()
    name = "extend_sealed" if in_bulk else "extend"
    extend = getattr(chain, name)
    with Ledger.open(url) as ledger, ThreadPoolExecutor(2) as pool:
        monkeypatch.setattr(chain, name, held_up)
        deciding = pool.submit(decide)
        assert chosen.wait(30)  # it is inserted, with its selection, and not committed
        monkeypatch.setattr(chain, name, extend)
        telling = pool.submit(ledger.record_outcomes, [outcome("e-1")])
        wait([telling], timeout=1)
        end.set()
        deciding.result()
        telling.result()
        assert [row[4] for row in found(ledger, "contact_id", ("c-1",))] == ["d-1"]
        assert ledger.verify().intact


@pytest.mark.parametrize("act", ["join", "erase", "retention"])
def test_outcomes_and_whatever_changes_the_selections_that_they_answer_do_not_wait_in_a_circle(
    new_postgres_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    acts: dict[str, Callable[[Ledger], object]] = {
        "join": lambda of: of.join_identity("c-1", "c-2", NOW),
        "erase": lambda of: of.erase("c-1", NOW),
        "retention": lambda of: of.remove_before(NOW + DAY, NOW),
    }
    half, end = threading.Event(), threading.Event()

    def in_two(conn: Any, rows: Any) -> None:
        execute_many(conn, rows[:1])
        half.set()
        end.wait(30)
        execute_many(conn, rows[1:])

    execute_many = answers._NOTE.execute_many
    with Ledger.open(new_postgres_database()) as ledger, ThreadPoolExecutor(2) as pool:
        ledger.record_decisions([decision("d-2", banner())])  # it lies before the other one
        ledger.record_decisions([decision("d-1", banner())])
        monkeypatch.setattr(answers._NOTE, "execute_many", in_two)
        telling = pool.submit(ledger.record_outcomes, [outcome("e-1"), outcome("e-2", decision_id="d-2")])
        assert half.wait(30)
        acting = pool.submit(acts[act], ledger)
        wait([acting], timeout=1)
        end.set()
        assert [one.status for one in telling.result()] == ["accepted", "accepted"]
        acting.result()
        assert ledger.verify().intact


def test_a_mark_that_was_set_or_taken_away_behind_the_ledgers_back_shows(ledger: Ledger) -> None:
    ledger.record_decisions([decision("d-1", email()), decision("d-2", email())])
    ledger.record_outcomes([outcome("e-1")])
    for decision_id, mark in (("d-1", False), ("d-2", True)):
        with ledger._database.writing() as conn:
            conn.execute(text("UPDATE selections SET answered = :mark WHERE decision_id = :id"), {"mark": mark, "id": decision_id})
        bad = ledger.verify().first_bad
        assert bad is not None and (bad.key, bad.what) == (decision_id, "whether it was answered is not what its outcomes say")
        with ledger._database.writing() as conn:
            conn.execute(text("UPDATE selections SET answered = :mark WHERE decision_id = :id"), {"mark": not mark, "id": decision_id})
        assert ledger.verify().intact


def _turned_back(url: str) -> None:
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as raw:
            made_earlier(raw, 8)
        raw.close()
    else:
        with psycopg.connect(url) as server:
            made_earlier(server, 8)


def _indexes(ledger: Ledger) -> set[str]:
    of = {"sqlite": "SELECT name FROM sqlite_master WHERE tbl_name = 'selections' AND type = 'index' AND sql IS NOT NULL"}
    of["postgresql"] = "SELECT indexname FROM pg_indexes WHERE tablename = 'selections' AND indexname NOT LIKE '%pkey'"
    with ledger._database.reading() as conn:
        return set(conn.execute(text(of[conn.dialect.name])).scalars())


def test_a_ledger_of_the_eighth_version_knows_what_was_answered_though_many_open_it_at_once(url: str) -> None:
    with Ledger.open(url) as ledger:
        new = _indexes(ledger)
        ledger.record_decisions(
            [decision(f"d-{n}", email(account_id="f-1") if n % 2 else banner(), contact_id=f"c-{n % 3}") for n in range(20)]
        )
        ledger.record_outcomes([outcome(f"e-{n}", decision_id=f"d-{n}") for n in range(0, 20, 3)])
    _turned_back(url)
    with ThreadPoolExecutor(4) as pool:
        for opened in list(pool.map(lambda _: Ledger.open(url), range(4))):
            opened.close()
    with Ledger.open(url) as ledger:
        assert _indexes(ledger) == new
        assert sum(expected(ledger, "contact_id").values()) == 14  # ten e-mails, and of ten banners four that were answered
        assert_alike(ledger)
        assert ledger.verify().intact
        with ledger._database.reading() as conn:
            assert conn.execute(text("SELECT schema_version FROM ledger_meta")).scalar_one() == SCHEMA_VERSION


def test_what_was_shown_and_nobody_answered_is_not_walked_through(sqlite_ledger: Ledger) -> None:
    statements = [history_queries.READ[key, "touches"][1] for key in ("contact_id", "account_id")]
    values: list[dict[str, Any]] = [{"since": 0, "now": 1, "plan": "", "ids": ["c-1", "c-2"]}] * 2
    statements += [claims._COUNTS_OF_CONTACTS, claims._COUNTS_OF_ACCOUNTS]
    values += [{"keys": ["c-1", "c-2"]}] * 2
    for statement, of in zip(statements, values, strict=True):
        with sqlite_ledger._database.reading() as conn:
            state = statement.statement.compile(dialect=conn.dialect).construct_expanded_state(of)
            marks = [None] * len(state.positiontup or ())
            plan = [row[3] for row in conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {state.statement}", tuple(marks))]
        walked = [one for one in plan if one.startswith(("SEARCH selections", "SCAN selections"))]
        assert walked and all("selections_sent_to" in one or "selections_answered_by" in one for one in walked), plan
