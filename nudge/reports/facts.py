"""What was done and what came of it, from the ingested tables and from the ledger, as tables of one DuckDB connection.

===========  ======================================================================================================================
`touches`    touch_id, contact_id, action_id, channel, direction, occurred_at, cost, source, triggered
`controls`   row_id, contact_id, occurred_at, selection_prob: the logged controls of the ingested history (`no_action`)
`happened`   outcome_id, contact_id, touch_id, action_id, outcome, kind, behaviour, value, occurred_at, known_at
`decided`    contact_id, control_group, occurred_at: the first group that the ledger knows a contact in
`lead_steps` contact_id, step (of `LEAD_EVENTS`, or `found`), occurred_at, revenue, days (since it was handed over, of one that was won)
`people`     contact_id, name, account_id, market
`visits`     contact_id, occurred_at: distinct sessions, or events without money where sessions are not known
`events`     contact_id, event_type, occurred_at, value, channel, session_id, content_id
`plans`      path, as_of: the plan files of the workspace's `exports/`, that say what each contact was worth then
`catalog`    action_id, issue, action_group, goal, value, window_us, kind
===========  ======================================================================================================================

Ids of contacts and sessions are numbers here, hashes of 64 bits, which join and sort in a fraction of the time of texts: the chance that
two of a million are taken for one is 3 in 100 million. `people` says what a contact is called. Ids of touches and controls are numbers too;
the `touch_id` of an outcome is NULL where it names none, and -1 where it names one that is not there. `source` is `history` (ingested) or
`ledger` (decided here). `occurred_at` is NULL in a one-shot experiment. `known_at` is `occurred_at`, but no later than the outcome was
reported: one that is dated in the future does not close the windows of others.
An outcome that was both reported and ingested, by its event_id, is one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from decisioning.catalog import Action, Catalog
from decisioning.errors import Unavailable
from decisioning.vocabulary import NO_ACTION
from ledger.measured import TABLES
from nudge.ground.workspace import Workspace
from nudge.verbs.ledger_export import current_files
from serving.plans.files import manifest_of

_MICROSECONDS_A_DAY = 86_400_000_000

FOUND_AS_LEAD = ("lead", "lead_created", "lead_identified")
"""Events by which a contact is identified as a lead; one that Nudge hands over is identified by that."""

LEAD_EVENTS: Mapping[str, tuple[str, ...]] = {
    "leads_qualified": ("lead_handed_over", "handed_over", "lead_qualified"),
    "leads_accepted": ("lead_accepted",),
    "leads_rejected": ("lead_rejected",),
    "leads_won": ("lead_won",),
}
"""Events by which the CRM says what became of a lead."""

_INGESTED: dict[str, dict[str, str]] = {
    "contacts": {"contact_id": "VARCHAR", "name": "VARCHAR", "account_id": "VARCHAR", "market": "VARCHAR", "valid_from": "TIMESTAMP"},
    "interactions": {
        **dict.fromkeys(("interaction_id", "contact_id", "action_id", "treatment_id", "channel"), "VARCHAR"),
        "occurred_at": "TIMESTAMP",
        "selection_prob": "DOUBLE",
        "cost": "DOUBLE",
    },
    "outcomes": {
        **dict.fromkeys(("event_id", "interaction_id", "contact_id", "outcome", "behaviour"), "VARCHAR"),
        "value": "DOUBLE",
        "occurred_at": "TIMESTAMP",
    },
    "events": {
        **dict.fromkeys(("contact_id", "event_type", "channel", "session_id", "content_id"), "VARCHAR"),
        "value": "DOUBLE",
        "occurred_at": "TIMESTAMP",
    },
}
_WITH_TIME = {"happened": "known_at", **dict.fromkeys(("touches", "controls", "events", "decided"), "occurred_at")}
_KEPT: dict[str, tuple[str, ...]] = {
    "decisions": ("contact_id", "decided_at", "control_group", "decision_id", "triggered"),
    "selections": (
        *("decision_id", "rank", "contact_id", "decided_at", "action_id", "treatment_id", "channel", "direction", "cost", "redeems"),
    ),
    "outcomes": (
        *("event_id", "decision_id", "contact_id", "treatment_id", "action_id", "outcome", "behaviour", "value", "occurred_at"),
        "received_at",
    ),
    "leads": ("contact_id", "handed_over_at", "accepted_at", "rejected_at", "won_at", "revenue"),
}
_NUMBER = "seq * 64 + CAST(string_split(stream, '/')[2] AS BIGINT) AS number"
"""Streams of a kind are fewer than 64."""


@dataclass(frozen=True)
class Span:
    """From when (inclusive) to when (exclusive); None is open. Times are naive UTC, as DuckDB has them."""

    begin: datetime | None = None
    end: datetime | None = None

    def holds(self, column: str) -> str:
        """The SQL condition that a time lies in it; a row without time is in every span."""
        parts = [f"{column} {sign} TIMESTAMP '{one}'" for sign, one in ((">=", self.begin), ("<", self.end)) if one is not None]
        return f"({column} IS NULL OR ({' AND '.join(parts)}))" if parts else "TRUE"


@dataclass(frozen=True)
class Facts:
    """The tables, and what a report needs to know of where they come from.

    Attributes
    ----------
    db : DuckDBPyConnection
    catalog : Catalog
    newest : datetime or None
        The newest time of anything that was known when it was, naive UTC; None where nothing has a time.
    """

    db: duckdb.DuckDBPyConnection
    catalog: Catalog
    newest: datetime | None

    def one(self, sql: str) -> tuple[object, ...]:
        """The only row of a query."""
        (row,) = self.db.execute(sql).fetchall()
        return tuple(row)

    def number(self, sql: str) -> int:
        """The only number of a query."""
        return int(str(self.one(sql)[0]))

    def texts(self, column: str, table: str) -> list[str]:
        """The different texts of a column, sorted: their places in this list stand for them where a query gives a million of them."""
        return [str(row[0]) for row in self.db.execute(f"SELECT DISTINCT {column} FROM {table} ORDER BY 1").fetchall()]


@contextmanager
def open_facts(workspace: Workspace) -> Iterator[Facts]:
    """Everything that is known, for as long as the block lasts."""
    catalog, data = workspace.catalog, workspace.folder / "data"
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        for table, columns in _INGESTED.items():
            _view(db, data / f"{table}.parquet", f"ingested_{table}", columns)
        db.execute(_EVENTS)
        _read_plans(db, workspace.folder / "exports")
        with ThreadPoolExecutor(1) as beside:  # while one core reads the ledger, the other counts visits
            visits = beside.submit(lambda: db.cursor().execute(_VISITS))
            _read_ledger(workspace, db)
            visits.result()
        _describe(db, catalog)
        db.execute(_UNIFIED)
        db.execute(_lead_steps())
        newest = " UNION ALL ".join(f"SELECT max({time}) AS newest FROM {table}" for table, time in _WITH_TIME.items())
        times = db.execute(newest).fetchall()
        yield Facts(db, catalog, max((row[0] for row in times if row[0] is not None), default=None))


def _read_ledger(workspace: Workspace, db: duckdb.DuckDBPyConnection) -> None:
    """The ledger's rows as its export has them, with times as DuckDB has them and a number for each row that grows along a stream."""
    with current_files(workspace) as files:
        for table, columns in _KEPT.items():
            chosen = ", ".join(_naive(one) if one.endswith("_at") else numbered(one) if one in _NUMBERED else one for one in columns)
            place = f"{_NUMBER}, " if TABLES[table].kind else ""
            db.execute(f"CREATE TEMP TABLE kept_{table} AS SELECT {place}{chosen} FROM {files[table]}")


def _naive(column: str) -> str:
    name = "occurred_at" if column == "decided_at" else column
    return f"make_timestamp(epoch_us({column})) AS {name}"


def _read_plans(db: duckdb.DuckDBPyConnection, folder: Path) -> None:
    db.execute("CREATE TEMP TABLE plans (path VARCHAR, as_of TIMESTAMP, created_at VARCHAR)")
    for path in folder.glob("*/plan.parquet"):
        with suppress(Unavailable, KeyError, TypeError, ValueError):  # a damaged folder says nothing, and is no reason to say nothing else
            one = manifest_of(folder, path.parent.name) or {}
            row = [str(path), as_naive(datetime.fromisoformat(one["as_of"])), one["created_at"]]
            db.execute("INSERT INTO plans VALUES (?, ?, ?)", row)


def _view(db: duckdb.DuckDBPyConnection, path: Path, name: str, columns: dict[str, str]) -> None:
    """An ingested table with all its columns of the contract, those that it has not as NULL."""
    if not path.exists():
        nothing = ", ".join(_chosen(column, kind, ()) for column, kind in columns.items())
        db.execute(f"CREATE VIEW {name} AS SELECT {nothing} WHERE FALSE")
        return
    escaped = str(path).replace("'", "''")
    have = {row[0] for row in db.execute(f"DESCRIBE SELECT * FROM read_parquet('{escaped}')").fetchall()}
    chosen = ", ".join(_chosen(column, kind, have) for column, kind in columns.items())
    db.execute(f"CREATE VIEW {name} AS SELECT {chosen} FROM read_parquet('{escaped}')")


_NUMBERED = ("contact_id", "session_id")


def _chosen(column: str, kind: str, have: Collection[str]) -> str:
    """A column as the reports have it."""
    known = "contact_id" if column == "name" else column
    if known not in have:
        return f"NULL::{'UBIGINT' if column in _NUMBERED else kind} AS {column}"
    return numbered(column) if column in _NUMBERED else f"{known}::{kind} AS {column}"


def numbered(column: str) -> str:
    """The SQL of a column of ids as the numbers that they are here."""
    return f"CASE WHEN {column} IS NOT NULL THEN hash({column}::VARCHAR) END AS {column}"


def _describe(db: duckdb.DuckDBPyConnection, catalog: Catalog) -> None:
    """The catalogue's actions, channels and outcomes, to join with."""
    actions = [(one.id, one.issue, one.group, one.goal, _stated(one)) for one in catalog.actions]
    outcomes = [(name, one.kind, one.behaviour, round(one.window_days * _MICROSECONDS_A_DAY)) for name, one in catalog.outcomes.items()]
    channels = [(name, one.direction, one.cost) for name, one in catalog.channels.items()]
    for name, columns, rows in (
        (
            "actions",
            {"action_id": pa.string(), "issue": pa.string(), "action_group": pa.string(), "goal": pa.string(), "value": pa.float64()},
            actions,
        ),
        ("kinds", {"outcome": pa.string(), "kind": pa.string(), "behaviour": pa.string(), "window_us": pa.int64()}, outcomes),
        ("channels", {"channel": pa.string(), "direction": pa.string(), "cost": pa.float64()}, channels),
    ):
        table = pa.table({column: pa.array([row[k] for row in rows], type=kind) for k, (column, kind) in enumerate(columns.items())})
        db.register("arriving", table)
        db.execute(f"CREATE TEMP TABLE {name} AS SELECT * FROM arriving")
        db.unregister("arriving")
    db.execute("CREATE TEMP TABLE catalog AS SELECT a.*, k.kind, k.window_us FROM actions a LEFT JOIN kinds k ON k.outcome = a.goal")


def _stated(action: Action) -> float | None:
    """What a response is worth where the catalogue says so with a number."""
    try:
        return float(action.value)
    except ValueError:
        return None


_EVENTS = """
CREATE VIEW events AS SELECT contact_id, event_type, occurred_at, value, channel, session_id, content_id FROM ingested_events
"""

_VISITS = """
CREATE TABLE visits AS
  SELECT contact_id, min(occurred_at) AS occurred_at FROM events WHERE session_id IS NOT NULL GROUP BY contact_id, session_id
  UNION ALL SELECT contact_id, occurred_at FROM events
  WHERE session_id IS NULL AND value IS NULL AND (SELECT count(session_id) FROM events) = 0
"""

_UNIFIED = f"""
CREATE TEMP TABLE people AS
  SELECT contact_id, name, account_id, market FROM ingested_contacts
  QUALIFY row_number() OVER (PARTITION BY contact_id ORDER BY valid_from DESC NULLS LAST) = 1;
CREATE TEMP TABLE logged_rows AS
  SELECT 2 * row_number() OVER () AS touch_id, * FROM ingested_interactions;
CREATE TEMP TABLE touched_here AS
  SELECT 2 * (number * 65536 + rank) + 1 AS touch_id, * FROM kept_selections s
  ANTI JOIN (SELECT redeems, treatment_id FROM kept_selections WHERE redeems IS NOT NULL) r
    ON r.redeems = s.decision_id AND r.treatment_id = s.treatment_id;
CREATE TEMP TABLE touches AS
  SELECT touch_id, contact_id, action_id, i.channel, c.direction, occurred_at,
         coalesce(i.cost, c.cost, 0.0) AS cost, 'history' AS source, FALSE AS triggered
  FROM logged_rows i LEFT JOIN channels c USING (channel) WHERE action_id <> '{NO_ACTION}'
  UNION ALL BY NAME
  SELECT touch_id, contact_id, action_id, channel, direction, occurred_at,
         coalesce(cost, 0.0) AS cost, 'ledger' AS source,
         decision_id IN (SELECT decision_id FROM kept_decisions WHERE triggered) AS triggered
  FROM touched_here;
CREATE TEMP VIEW controls AS
  SELECT touch_id AS row_id, contact_id, occurred_at, selection_prob FROM logged_rows WHERE action_id = '{NO_ACTION}';
CREATE TEMP TABLE decided AS
  SELECT contact_id, arg_min(control_group, occurred_at) AS control_group, min(occurred_at) AS occurred_at
  FROM kept_decisions GROUP BY contact_id;
CREATE TEMP TABLE happened AS
  WITH reported AS (
    SELECT event_id, o.contact_id,
           CASE WHEN o.decision_id IS NOT NULL AND o.treatment_id IS NOT NULL THEN coalesce(t.touch_id, -1) END AS touch_id,
           o.action_id, outcome, behaviour, value, o.occurred_at, least(o.occurred_at, o.received_at) AS known_at
    FROM kept_outcomes o LEFT JOIN touched_here t ON t.decision_id = o.decision_id AND t.treatment_id = o.treatment_id
  ), ingested AS (
    SELECT o.event_id, coalesce(o.contact_id, i.contact_id) AS contact_id, i.touch_id, i.action_id, o.outcome, o.behaviour, o.value,
           o.occurred_at, o.occurred_at AS known_at
    FROM ingested_outcomes o LEFT JOIN logged_rows i ON i.interaction_id = o.interaction_id
    WHERE o.event_id IS NULL OR NOT EXISTS (SELECT 1 FROM kept_outcomes k WHERE k.event_id = o.event_id)
  ), worth AS (SELECT goal, CASE WHEN count(DISTINCT value) = 1 THEN any_value(value) END AS value FROM catalog GROUP BY goal)
  SELECT row_number() OVER () AS outcome_id, contact_id, touch_id, u.action_id, u.outcome, k.kind,
         coalesce(u.behaviour, k.behaviour) AS behaviour,
         coalesce(u.value, CASE WHEN k.kind = 'conversion' THEN coalesce(c.value, w.value) END) AS value, occurred_at, known_at, k.window_us
  FROM (SELECT * FROM reported UNION ALL SELECT * FROM ingested) u JOIN kinds k USING (outcome)
  LEFT JOIN (SELECT action_id, goal, value FROM catalog) c ON c.action_id = u.action_id AND c.goal = u.outcome
  LEFT JOIN worth w ON w.goal = u.outcome
  WHERE contact_id IS NOT NULL;
"""


def _lead_steps() -> str:
    """The table of what became of leads: those handed over here, and those that events tell of."""
    listed = {**LEAD_EVENTS, "found": FOUND_AS_LEAD}
    named = " ".join(f"WHEN event_type IN ({', '.join(repr(one) for one in words)}) THEN '{step}'" for step, words in listed.items())
    here = {"found": "handed_over_at", **{step: f"{step.removeprefix('leads_')}_at" for step in LEAD_EVENTS}}
    here["leads_qualified"] = "handed_over_at"
    parts = [
        f"SELECT contact_id, '{step}' AS step, {column} AS occurred_at, coalesce(revenue, 0.0) AS revenue FROM kept_leads"
        f" WHERE {column} IS NOT NULL"
        for step, column in here.items()
    ]
    parts.append(
        f"SELECT contact_id, step, occurred_at, coalesce(value, 0.0) FROM (SELECT *, CASE {named} END AS step FROM events)"
        " WHERE step IS NOT NULL AND contact_id IS NOT NULL"
    )
    return f"""CREATE TEMP TABLE lead_steps AS WITH steps AS ({" UNION ALL ".join(parts)}),
      handed AS (SELECT contact_id, occurred_at FROM steps WHERE step = 'leads_qualified')
      SELECT s.*, CASE WHEN step = 'leads_won' THEN date_diff('microsecond', h.occurred_at, s.occurred_at) / 86400e6 END AS days
      FROM steps s ASOF LEFT JOIN handed h ON s.contact_id = h.contact_id AND s.occurred_at >= h.occurred_at"""


def as_naive(moment: datetime) -> datetime:
    """The same moment without its zone, in UTC, as DuckDB has it."""
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).astimezone(UTC).replace(tzinfo=None)


def day_after(moment: datetime) -> datetime:
    """The beginning of the next day."""
    return (moment + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
