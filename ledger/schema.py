"""The tables, their version and its check.

Every time is a BIGINT of UTC microseconds (see `codec`), every JSON a TEXT. The history tables carry a generation: only rows of
`ledger_meta.history_generation` count, so a new past is written beside the old one and becomes current in a single small write.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    and_,
    false,
    inspect,
    literal_column,
    select,
    update,
)

from decisioning.errors import Conflict
from ledger import schema_events
from ledger.schema_base import METADATA as _METADATA
from ledger.schema_base import SERIAL as _SERIAL

SCHEMA_VERSION = 9
"""Version of the tables below; raise it together with a migration in `_MIGRATIONS`."""

META = Table(
    "ledger_meta",
    _METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("schema_version", Integer, nullable=False),
    Column("history_generation", BigInteger, nullable=False),
    Column("newest_generation", BigInteger, nullable=False),
)

DECISIONS = Table(
    "decisions",
    _METADATA,
    Column("decision_id", String, primary_key=True),
    Column("contact_id", String, nullable=False),
    Column("request_id", String),
    Column("decided_at", BigInteger, nullable=False),
    Column("channel", String),
    Column("plan_id", String),
    Column("control_group", String, nullable=False),
    Column("degraded", String),
    Column("trace", Text, nullable=False),
    Index("decisions_of_contact", "contact_id", "decided_at"),
)

REQUEST_CLAIMS = Table(
    "request_claims",
    _METADATA,
    Column("request_id", String, primary_key=True),
    Column("decision_id", String, nullable=False),
    Column("decided_at", BigInteger, nullable=False),
)

SELECTIONS = Table(
    "selections",
    _METADATA,
    Column("decision_id", String, ForeignKey("decisions.decision_id"), primary_key=True),
    Column("rank", Integer, primary_key=True, autoincrement=False),
    Column("contact_id", String, nullable=False),
    Column("decided_at", BigInteger, nullable=False),
    Column("plan_id", String),
    Column("action_id", String, nullable=False),
    Column("treatment_id", String, nullable=False),
    Column("channel", String, nullable=False),
    Column("direction", String, nullable=False),
    Column("placement", String),
    Column("selection_prob", Float),
    Column("expected_profit", Float),
    Column("cost", Float),
    Column("reserved_until", BigInteger),
    Column("account_id", String),
    Column("redeems", String),
    Column("book", String),
    Column("answered", Boolean, nullable=False, server_default=false()),
    Index("selections_of_contact", "contact_id", "treatment_id", "book"),
)
"""`redeems` is the decision of the running plan that this selection carries out; `book` the period whose meters it was counted in;
`answered` whether an outcome names its decision, see `answers`."""

SENT = SELECTIONS.c.direction == literal_column("'outbound'")
"""The condition on outbound selections. The value is spelled out: with a parameter no database uses an index of some rows."""


def _index_of_some(name: str, columns: str, which: ColumnElement[bool]) -> None:
    """An index of the selections for which `which` holds."""
    Index(name, *(SELECTIONS.c[one] for one in columns.split()), sqlite_where=which, postgresql_where=which)


# What was shown and nobody answered is in none of these, which is where a decision looks: a contact may be asked about often.
_index_of_some("selections_sent_to_contact", "contact_id reserved_until direction", SENT)
_index_of_some("selections_sent_to_account", "account_id reserved_until direction", and_(SENT, SELECTIONS.c.account_id.is_not(None)))
_index_of_some("selections_answered_by_contact", "contact_id decided_at", and_(SELECTIONS.c.answered))
_index_of_some("selections_answered_by_account", "account_id decided_at", and_(SELECTIONS.c.answered, SELECTIONS.c.account_id.is_not(None)))
_index_of_some("selections_that_redeem", "redeems", SELECTIONS.c.redeems.is_not(None))

OUTCOMES = Table(
    "outcomes",
    _METADATA,
    Column("event_id", String, primary_key=True),
    Column("decision_id", String),
    Column("contact_id", String, nullable=False),
    Column("treatment_id", String),
    Column("action_id", String),
    Column("outcome", String, nullable=False),
    Column("behaviour", String, nullable=False),
    Column("value", Float),
    Column("occurred_at", BigInteger, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("late", Boolean, nullable=False),
    Index("outcomes_of_decision", "decision_id"),
    Index("outcomes_of_contact", "contact_id", "occurred_at"),
)

HISTORY_TOUCHES = Table(
    "history_touches",
    _METADATA,
    Column("id", _SERIAL, primary_key=True),
    Column("generation", BigInteger, nullable=False),
    Column("contact_id", String, nullable=False),
    Column("action_id", String, nullable=False),
    Column("treatment_id", String),
    Column("channel", String),
    Column("at", BigInteger),
    Index("history_touches_of_contact", "generation", "contact_id", "at"),
)

HISTORY_OUTCOMES = Table(
    "history_outcomes",
    _METADATA,
    Column("id", _SERIAL, primary_key=True),
    Column("generation", BigInteger, nullable=False),
    Column("contact_id", String, nullable=False),
    Column("action_id", String),
    Column("outcome", String, nullable=False),
    Column("at", BigInteger),
    Index("history_outcomes_of_contact", "generation", "contact_id", "at"),
)

HISTORY_CONSENTS = Table(
    "history_consents",
    _METADATA,
    Column("id", _SERIAL, primary_key=True),
    Column("generation", BigInteger, nullable=False),
    Column("contact_id", String, nullable=False),
    Column("purpose", String, nullable=False),
    Column("granted", Boolean, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Index("history_consents_of_contact", "generation", "contact_id", "purpose", "changed_at"),
)

HISTORY_MEMBERS = Table(
    "history_members",
    _METADATA,
    Column("id", _SERIAL, primary_key=True),
    Column("generation", BigInteger, nullable=False),
    Column("contact_id", String, nullable=False),
    Column("account_id", String, nullable=False),
    Index("history_members_of_account", "generation", "account_id"),
)

SUPPRESSIONS = Table(
    "suppressions",
    _METADATA,
    Column("id", _SERIAL, primary_key=True),
    Column("contact_id", String, nullable=False),
    Column("action_id", String),
    Column("channel", String),
    Column("until", BigInteger, nullable=False),
    Column("reason", String),
    Column("set_at", BigInteger, nullable=False),
    Index("suppressions_of_contact", "contact_id", "until"),
)

METERS = Table(
    "meters",
    _METADATA,
    Column("book", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("used", Float, nullable=False),
)
"""What was used of each limit in each period of a price book."""

CATALOGS = Table(
    "catalogs",
    _METADATA,
    Column("fingerprint", String, primary_key=True),
    Column("body", Text, nullable=False),
)
"""Every catalogue that decided something, so that its decisions can be made again."""

PRICES = Table(
    "prices",
    _METADATA,
    Column("id", _SERIAL, primary_key=True),
    Column("book", Text, nullable=False),
)

LEVELS = Table("levels", _METADATA, Column("id", _SERIAL, primary_key=True), Column("body", Text, nullable=False))
"""How far the level of responses has moved since the models were trained, a row a version; see `levels`."""

CHAIN_HEADS = Table(
    "chain_heads",
    _METADATA,
    Column("stream", String, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)
"""The last link of each stream; see `chain`."""

CHAIN_ENTRIES = Table(
    "chain_entries",
    _METADATA,
    Column("stream", String, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("key", String, nullable=False),
    Column("salt", LargeBinary),
    Column("personal", LargeBinary),
    Column("leaf", LargeBinary),
    Column("hash", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
"""A link for each row of `decisions`, `outcomes`, `events` and `deeds`; see `chain`."""

DEEDS = Table(
    "deeds",
    _METADATA,
    Column("deed_id", String, primary_key=True),
    Column("deed", String, nullable=False),
    Column("done_at", BigInteger, nullable=False),
    Column("about", Text, nullable=False),
    Column("contact_id", String),
    Column("details", Text),
    Index("deeds_of_contact", "contact_id"),
)
"""What was done to the ledger itself: erasures, removals by age, joined identities, consents given over HTTP. `details` are personal."""

IDENTITIES = Table(
    "identities",
    _METADATA,
    Column("anonymous_id", String, primary_key=True),
    Column("contact_id", String, nullable=False),
    Column("joined_at", BigInteger, nullable=False),
    Index("identities_of_contact", "contact_id"),
)
"""Visitors who became contacts."""

ERASURES = Table(
    "erasures",
    _METADATA,
    Column("digest", LargeBinary, primary_key=True),
    Column("salt", LargeBinary, nullable=False),
    Column("tombstone", String, nullable=False),
    Column("erased_at", BigInteger, nullable=False),
)
"""Who was erased, as a salted digest: enough to keep them out when the same sources are ingested again."""

LEADS = Table(
    "leads",
    _METADATA,
    Column("lead_id", String, primary_key=True),
    Column("contact_id", String, nullable=False),
    Column("status", String, nullable=False),
    Column("handed_over_at", BigInteger, nullable=False),
    *(Column(f"{name}_at", BigInteger) for name in ("accepted", "contacted", "rejected", "won", "lost")),
    Column("grade", String, nullable=False),
    Column("fit", Float),
    Column("score", Float),
    Column("probability", Float),
    Column("owner", String),
    Column("accept_by", BigInteger),
    Column("contact_by", BigInteger),
    Column("revenue", Float),
    Column("reason", Text),
    Column("details", Text),
    Index("leads_of_contact", "contact_id"),
    Index("leads_by_time", "handed_over_at"),
)
"""Contacts handed over to sales, and where each lead stands; `reason` and `details` are personal. Each step is a deed as well."""

API_KEYS = Table(
    "api_keys",
    _METADATA,
    Column("key_id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
)
"""Who may call, as digests; see `keys`."""

EVENTS, OPEN_EVENTS, WEBHOOK_MESSAGES = schema_events.EVENTS, schema_events.OPEN_EVENTS, schema_events.WEBHOOK_MESSAGES
TRIGGER_LOOKS, TRIGGER_ENTRIES = schema_events.TRIGGER_LOOKS, schema_events.TRIGGER_ENTRIES

TABLES: tuple[Table, ...] = tuple(_METADATA.sorted_tables)


def prepare(conn: Connection, *, shared: bool) -> None:
    """Create the tables in an empty database, or check that those found are this version's.

    Parameters
    ----------
    conn : Connection
        Inside a write transaction that nobody else's `prepare` can interleave with.
    shared : bool
        Other programs' tables may live in this database (PostgreSQL); a SQLite file is the ledger's alone.

    Raises
    ------
    Conflict
        The database belongs to something else, or holds another version of the tables.
    """
    found = set(inspect(conn).get_table_names())
    if META.name in found:
        _migrate(conn)
        return
    foreign = sorted(found & {table.name for table in TABLES} if shared else found)
    if foreign:
        raise Conflict(
            "this database is not a Nudge ledger",
            field="stores.ledger",
            got=f"tables {', '.join(foreign[:5])}",
            allowed="an empty database or an earlier ledger",
            hint="give the ledger a database of its own",
        )
    _METADATA.create_all(conn)
    conn.execute(META.insert(), {"id": 1, "schema_version": SCHEMA_VERSION, "history_generation": 0, "newest_generation": 0})


_TO_VERSION_2 = (
    "ALTER TABLE selections ADD COLUMN account_id VARCHAR",
    "ALTER TABLE selections ADD COLUMN redeems VARCHAR",
    "ALTER TABLE selections ADD COLUMN book VARCHAR",
)
_TO_VERSION_9 = (
    "ALTER TABLE selections ADD COLUMN answered BOOLEAN DEFAULT false NOT NULL",
    "DROP INDEX IF EXISTS selections_of_contact",
    "DROP INDEX IF EXISTS selections_of_account",
    "DROP INDEX IF EXISTS selections_that_redeem",
    "UPDATE selections SET answered = true WHERE decision_id IN (SELECT decision_id FROM outcomes)",
)
_MIGRATIONS: dict[int, tuple[str, ...]] = {1: _TO_VERSION_2, 2: (), 3: (), 4: (), 5: (), 6: (), 7: (), 8: _TO_VERSION_9}
"""What takes a ledger of each version to the next; tables that are new there, and indexes that are missing, are created anyway."""


def _migrate(conn: Connection) -> None:
    """Bring an older ledger to this version, within the caller's transaction: all of it or nothing."""
    found = version = conn.execute(select(META.c.schema_version).where(META.c.id == 1)).scalar_one_or_none()
    while version in _MIGRATIONS:
        for statement in _MIGRATIONS[version]:
            conn.exec_driver_sql(statement)
        version += 1
        _METADATA.create_all(conn)
        conn.execute(update(META).values(schema_version=version))
    if version != SCHEMA_VERSION:
        raise Conflict(
            "the ledger was written by another version of Nudge",
            field="stores.ledger",
            got=f"schema version {version}",
            allowed=f"schema version {SCHEMA_VERSION}",
            hint="run the version of Nudge that wrote it, or start a new ledger",
        )
    if version != found:
        for index in sorted(SELECTIONS.indexes, key=lambda one: str(one.name)):
            index.create(conn, checkfirst=True)
        if conn.dialect.name == "postgresql":  # it plans by what it knows of a column, and of a new one it knows nothing
            conn.exec_driver_sql("ANALYZE selections")
