"""Which action now, for one contact?

======================== ==================================================================================================
`deciding.py`            decisions in real time: made with one snapshot, made again where another took what they counted on
`snapshot.py`            one consistent set of models, catalog and prices; swapped whole
`choosing.py`            the decisions of a batch chosen together, all their scores in one call
`feature_rows.py`        the features of a batch: columns for models, plain values for rules and records
`situations.py`          what is known about contacts now, gathered for a decision
`scorer.py`              models -> scores, the same code for one row and a million
`levels.py`              how far the level of responses has moved since training, measured on the newest choices
`running_period.py`      what things cost now, what is left, what may be given up to learn
`price_books.py`         a price book as JSON, and as it stands now
`claiming.py`            what a decision takes that others want too
`turns.py`               which decisions of a batch must wait for which
`decided.py`             everything one decision came from
`decision_ids.py`        ids that sort by time
`decision_records.py`    decisions as the ledger keeps them
`decision_inputs.py`     what a decision was made from, as JSON and back
`answers.py`             a decision as the JSON of the contract
======================== ==================================================================================================
"""
