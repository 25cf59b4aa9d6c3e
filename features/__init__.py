"""What do we know about a contact, at a point in time?

=========================== =========================================================================================
``tables.py``               the contract tables: required and optional columns
``ingest.py``               sources to contract tables, all or none
``ingest_sql.py``           how a source becomes rows of one type
``ingest_checks.py``        what makes a row bad, and how the refusal says so
``ingest_notes.py``         what a person should know about tables that are not wrong
``ingest_write.py``         checked tables to files, the manifest last
``merging.py``              events that came in otherwise, beside the ingested ones
``audit.py``                what looks odd in the contract tables
``leakage.py``              an attribute that knows an outcome
``leakage_signs.py``        the signs of it in one attribute alone
``leakage_words.py``        the warnings about it
``contract.py``             the one list of features: name, dtype, unit, null rule, window, source; its hash
``sources.py``              the ingested tables as typed DuckDB views
``attributes.py``           features that are columns of contacts and accounts
``streams.py``              timed facts as running totals: any window at any as_of is two look-ups
``accumulated.py``          the look-ups: what had accumulated before a moment, on arrays
``shapes.py``               the few shapes that a window feature has
``windows.py``              the standard windows: events, touches, responses, consents
``purchases.py``            the standard windows over purchases: recency, frequency, money
``sessions.py``             the visit that a contact is in
``firms.py``                what the contacts of one firm did together
``user_sql.py``             a workspace's own features/*.sql, with the leak check
``finding.py``              contacts found by a part of their id
``build.py``                the contract of a workspace, and one feature row per (contact, as_of)
``built.py``                the builds on disk, of which one counts
``packing.py``              one contact's features as one byte string, and back
``blocks.py``               columns that lie beside one another in a few matrices
``columns.py``              Arrow tables as columns, rows as distinct pairs
``stored_columns.py``       columns of a population that stay on disk, read a part at a time
``forgetting.py``           a contact is forgotten in the tables and in what was built from them
``online.py``               what an online store of packed vectors does: versions, single changes
``online_sqlite.py``        the embedded one: a contact read within microseconds
``online_redis.py``         the one in Redis, under Feast's keys
``online_redis_client.py``  a connection a thread, a bounded wait, a server that goes away and comes back
``online_recent.py``        what happened to a contact lately, kept beside the vector
``online_events.py``        one event brings a contact's features up to date, by the offline definitions
``online_aging.py``        everybody at a later moment: what time alone has changed
``online_carrying.py``      which single events a materialisation carries over: those that the data do not know
``remembered.py``            what was read last, for when the store does not answer
``online_rows.py``          what a materialisation writes, in chunks
``skew.py``                 online against offline, each contact as of its own moment
``quiet.py``                Feast at work, without the warnings that nobody here can act on
``store.py``                FeatureDoor: the only door to Feast
``feast_repo/``             the Feast repository: configuration, definitions, packed online stores
=========================== =========================================================================================

As_of is an exclusive cut everywhere: what happened at as_of or later is not known.
"""
