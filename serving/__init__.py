"""How do we answer?

======================== =====================================================================================
`service.py`             every verb: decide, record, show; what the command line and the routes both call
`ports.py`               what the routes need of a service, as a Protocol
`app.py`                 the web application over a service
`routes.py`              routes: read, call one verb, answer
`routes_later.py`        the contract's routes that this version does not have: 501
`schemas.py`             the JSON of the API
`schemas_explained.py`   the JSON of explanations and reports
`validation.py`          JSON -> request models, with every misfit named
`http_errors.py`         the one table from refusal to status; problem documents
`body_limit.py`          requests too large are refused before they are read
`openapi.py`             the OpenAPI document with its problem documents
`snapshot.py`            one consistent set of models, catalog and prices; swapped whole
`situations.py`          what is known about contacts now, gathered for a decision
`scorer.py`              models -> scores, the same code for one row and a million
`answers.py`             a decision as the JSON of the contract
`decision_ids.py`        ids that sort by time
`decision_records.py`    decisions as the ledger keeps them
`outcome_intake.py`      outcomes matched to decisions and kept once
`contact_view.py`        everything held about one contact
`reports.py`             the population's funnel as one document
`planner.py`             a whole population planned in the same stages
`audiences.py`           plan files and audiences per channel
======================== =====================================================================================
"""
