"""What the contacts of one firm did together: an account's contacts, events, purchases and touches.

A fact counts for the firm that its contact belonged to when it happened, so a contact who changes firms leaves their past where it was.
"""

from __future__ import annotations

import duckdb

from features.shapes import NOTHING, TOUCHED, StandardFeatures, counted, exists, money
from features.streams import MONEY_UNIT, Measure, Stream

# A contact who is known from a moment on is known at that moment: hence one microsecond earlier under an exclusive cut.
_JOINING = """SELECT account_id, since - INTERVAL 1 MICROSECOND AS moment, 1 AS joined FROM memberships
    WHERE account_id IS DISTINCT FROM before
    UNION ALL
    SELECT before, since - INTERVAL 1 MICROSECOND, -1 FROM memberships WHERE before IS DISTINCT FROM account_id"""


def firms(connection: duckdb.DuckDBPyConnection) -> StandardFeatures:
    """Account aggregates; none where no contact belongs to an account."""
    if not exists(connection, "contacts", "account_id IS NOT NULL"):
        return NOTHING
    streams = [Stream("account_contacts", "account_id", _JOINING, (Measure("all", "sum", value="joined"),), clock="known_at")]
    made = [counted("account_contacts", ("account_contacts", "all"), None, "contacts.account_id", "Contacts of the firm known by as_of")]
    if exists(connection, "events", "occurred_at IS NOT NULL"):
        spent = Measure("money", "sum", "money IS NOT NULL", "money")
        money_spent = f"CASE WHEN value > 0 THEN TRY_CAST(round(value * {MONEY_UNIT}) AS HUGEINT) END"
        facts = _of_firm(f"SELECT contact_id, occurred_at, {money_spent} AS money FROM events")
        streams.append(Stream("account_events", "account_id", facts, (Measure("all"), spent)))
        made.append(counted("account_events_90d", ("account_events", "all"), 90, "events", "Events of the firm's contacts"))
    if exists(connection, "events", "value > 0 AND occurred_at IS NOT NULL"):
        text = "Money of the firm's purchases"
        made.append(money("account_purchase_value_365d", ("account_events", "money"), 365, "events.value", text))
    if exists(connection, "interactions", TOUCHED):
        facts = _of_firm(f"SELECT contact_id, occurred_at FROM interactions WHERE {TOUCHED}")
        streams.append(Stream("account_touches", "account_id", facts, (Measure("all"),)))
        made.append(counted("account_touches_30d", ("account_touches", "all"), 30, "interactions", "Touches of the firm's contacts"))
    return StandardFeatures(tuple(made), tuple(streams))


def _of_firm(facts: str) -> str:
    """The facts by the firm that their contact belonged to when they happened: of contacts that ever belonged to one."""
    return f"""SELECT memberships.account_id, facts.occurred_at AS moment, facts.* EXCLUDE (contact_id, occurred_at)
        FROM (SELECT * FROM ({facts}) WHERE contact_id IN (SELECT contact_id FROM memberships WHERE account_id IS NOT NULL)) facts
        ASOF JOIN memberships ON facts.contact_id = memberships.contact_id AND facts.occurred_at >= memberships.since"""
