"""What is done? A file a command; they return plain values and print nothing but progress.

======================== ================================================================================
`examples.py`            init
`ingesting.py`           ingest; `ledger_events.py`: events and consents of the ledger beside them
`features_ready.py`      features built and materialised when they are needed
`training.py`            train
`evaluating.py`          evaluate, promote, rollback; `evidence.py`, `ledger_evidence.py`: what challengers are compared on
`watching.py`            drift, kept promises, starved learning
`opening.py`             a service over a workspace; `snapshot_source.py`: what it swaps without a restart
`deciding.py`            decide
`triggers.py`            triggers run, triggers list: those that time fires
`planning.py`            plan; `what_if.py`: plans that are only asked about
`remembering.py`         replay, suppress
`outcome_files.py`       ingest-outcomes; `reported_files.py`: the files of other tools
`ledger_export.py`       export-ledger; `ledger_parts.py`: the ledger as Parquet by table and day
`people.py`              erase, export-contact: one person in every store
`leads.py`               leads: scored, handed over, followed; `lead_files.py`: their files
`demo.py`                demo, simulate; `judging.py`: what each policy truly earned
======================== ================================================================================
"""
