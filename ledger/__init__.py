"""What did we decide, and what happened?

The door to SQLAlchemy: SQLite by default, PostgreSQL by URL. Every decision is here before its caller sees it, every outcome once.

======================= =====================================================================================
`store.py`              `Ledger`: the verbs; each is one transaction, durable on return
`decisions.py`          decisions with their selections, and the one decision of a `request_id` within a day
`outcomes.py`           what happened, once per `event_id`
`history.py`            touches and outcomes for the contact policy: the ingested past and our own
`consents.py`           the newest status per contact and purpose
`prices.py`             the published price book
`schema.py`             the tables, their version and its check
`database.py`           engine and transactions: the one place where SQLite and PostgreSQL differ
`codec.py`              times, JSON and columns as the tables keep them
======================= =====================================================================================
"""
