"""What did we decide, and what happened?

The door to SQLAlchemy: SQLite by default, PostgreSQL by URL. Every decision is here before its caller sees it, every outcome once.

======================= =====================================================================================
`store.py`              `Ledger`: the verbs; each is one transaction, durable on return
`records.py`            a decision as it is handed in: what was chosen, what it came from, what it claims
`candidates.py`         a decision's candidates as its record keeps them
`decisions.py`          decisions with their selections, and the one decision of a `request_id` within a day
`bulk.py`               a plan's decisions, made ready anywhere and written many at once
`answers.py`            which selections outcomes have answered: a mark that reading the past goes by
`outcomes.py`           what happened, once per `event_id`
`events.py`             what contacts did, once per `event_id`, and what of it is not settled yet
`trigger_looks.py`      who is inside the triggers that are looked at by time, since when, and what of it is not decided yet
`outbox.py`             what has to go out: in order per contact, by one sender at a time, until it arrived
`looking_back.py`       the newest decisions and what came after them: what policies are judged on
`claims.py`             what a decision takes that others want too: granted inside its transaction, or it is made again
`history.py`            touches and outcomes for the contact policy: the ingested past and our own
`history_queries.py`    how that past is asked in SQL
`standing.py`           how some contacts stand now, for a batch of decisions in one read transaction
`suppressions.py`       what is switched off for a contact until a date
`consents.py`           the newest status per contact and purpose
`prices.py`             the published price book
`levels.py`             how far the level of responses has moved, in versions
`catalogs.py`           every catalogue that decided something
`chain.py`              every row as a link of a chain: what was changed behind the ledger's back shows
`chain_rows.py`         the rows that the chain vouches for, read back; the chain's beginning
`verify.py`             whether the ledger is what it was
`deeds.py`              what was done to the ledger itself, in the chain too
`erasure.py`            a contact is erased; sums and chains stay
`pages.py`              the whole log, some rows at a time
`reconciliation.py`     decided, delivered, seen, responded, by channel and day
`retention.py`          what is old goes; its links stay as bare digests
`held.py`               everything that is held about a contact
`identities.py`         a visitor becomes a contact
`leads.py`              contacts handed over to sales, and what became of them
`measured.py`           rows as columns, by where they stand in the chain: for analysts and reports
`keys.py`               who may call the API: keys as digests, with their scopes
`schema.py`             the tables, their version and its check
`schema_events.py`      the tables of events and of what goes out because of them
`schema_base.py`        what all tables have in common
`prepared.py`           statements written once, run by the driver
`database.py`           engine and transactions: the one place where SQLite and PostgreSQL differ
`transactions.py`       transactions on connections that are kept open
`checkpoints.py`        SQLite's log brought home beside the writers
`codec.py`              times, JSON and columns as the tables keep them
======================= =====================================================================================
"""
