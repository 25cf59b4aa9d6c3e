"""What do we know about a contact, at a point in time?

====================== ==========================================================================================
``contract.py``        the one list of features: name, dtype, unit, null rule, window, source; its hash
``tables.py``          the contract tables: required and optional columns
``ingest.py``          sources to contract tables
``ingest_sql.py``      how a source becomes rows of one type
``ingest_checks.py``   what makes a row bad, and how the refusal says so
``ingest_notes.py``    what a person should know about rows that are not wrong
``ingest_write.py``    checked tables to files, all or none
``audit.py``           what is odd in the contract tables
``leakage.py``         attributes that know an outcome too well
``sources.py``         the ingested tables as typed DuckDB views
``attributes.py``      features that are columns of contacts and accounts
``streams.py``         timed facts (events, touches, outcomes, consents) as running totals
``windows.py``         the standard window features over those streams
``user_sql.py``        a workspace's own features/*.sql, with the leak check
``build.py``           the contract of a workspace, and one feature row per (contact, as_of)
``packing.py``         one contact's features as one byte string, and back
``online.py``          reading one contact from the online store within microseconds
``store.py``           FeatureDoor: the only door to Feast
``feast_repo/``        the Feast repository: configuration, definitions, packed online stores
====================== ==========================================================================================

As_of is an exclusive cut everywhere: what happened at as_of or later is not known.
"""
