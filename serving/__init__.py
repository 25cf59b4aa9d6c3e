"""How do we answer?

======================== =====================================================================================
`service.py`             every verb: decide, record, show; what the command line and the routes both call
`deciding.py`            decisions in real time: made with one snapshot, made again where another took what they counted on
`ports.py`               what the routes need of a service, as a Protocol
`app.py`                 the web application over a service
`hot_routes.py`          decisions and outcomes that fit, answered before the framework's routing
`hot_requests.py`        their bodies as structs
`desk.py`                where requests wait for their turn, and are worked on a batch at a time
`routes.py`              routes: read, call one verb, answer
`routes_people.py`       the routes about one person: consents, erasure, export, joined visitors
`routes_events.py`       the route of contact events; `schemas_events.py`: their JSON
`cloud_events.py`        CloudEvents as contact events, and decisions as CloudEvents
`routes_models.py`       the routes about registered models
`models_desk.py`         what they need to know of them; `schemas_models.py`: their JSON
`routes_reports.py`      the routes of the measured reports
`report_desk.py`         what they need to know of them; `schemas_reports.py`: their JSON
`routes_plans.py`        the routes of plans
`plan_desk.py`           what they need to know of them; `schemas_plans.py`: their JSON
`plan_files.py`          a plan's files, read back
`routes_leads.py`        the routes about leads
`leads_desk.py`          what they need to know of them; `schemas_leads.py`: their JSON
`routes_login.py`        the console's login
`access.py`              who may call what: the one table from route to scope
`api_keys.py`            how a key is made and read, and the ring of those that hold
`gate.py`                whoever calls without a key that opens it is refused, before everything else
`metrics.py`             metrics for Prometheus; `routes_metrics.py`: where it scrapes them
`metric_sums.py`         what was counted, of one worker or of several
`tally.py`               what has happened and is not counted yet; `counting.py`: every call is noted there
`vitals.py`              how serving stands, for those who watch it
`routes_ofrep.py`        the routes of OpenFeature's remote protocol
`ofrep.py`               placements as its flags; `schemas_ofrep.py`: their JSON
`schemas.py`             the JSON of the API
`schemas_people.py`      the JSON of what concerns one person
`schemas_explained.py`   the JSON of explanations and reports
`validation.py`          JSON -> request models, with every misfit named
`http_errors.py`         the one table from refusal to status; problem documents
`body_limit.py`          requests too large are refused before they are read
`openapi.py`             the OpenAPI document with its problem documents
`snapshot.py`            one consistent set of models, catalog and prices; swapped whole
`situations.py`          what is known about contacts now, gathered for a decision
`scorer.py`              models -> scores, the same code for one row and a million
`levels.py`              how far the level of responses has moved since training, measured on the newest choices
`running_period.py`      what things cost now, what is left, what may be given up to learn
`price_books.py`         a price book as JSON, and as it stands now
`claiming.py`            what a decision takes that others want too
`turns.py`               which decisions of a batch must wait for which
`answers.py`             a decision as the JSON of the contract
`decision_ids.py`        ids that sort by time
`decided.py`             everything one decision came from
`decision_records.py`    decisions as the ledger keeps them
`decision_inputs.py`     what a decision was made from, as JSON and back
`replay.py`              a past decision made again
`would_have.py`          what other models would have done, and with what chance it was done
`would_have_planned.py`  the same of a plan's decisions, at its prices
`outcome_intake.py`      outcomes matched to decisions and kept once
`event_intake.py`        contact events kept once, and answered
`event_settling.py`      what follows from them: online features, triggers, messages
`trigger_state.py`       whether a trigger's conditions hold for a contact
`webhooks.py`            messages signed and delivered, with backoff, until they are dead letters
`errands.py`             what a server does beside answering: open events, messages
`contact_view.py`        everything held about one contact
`reports.py`             the population's funnel as one document; `segment_map.py`: its four segments
`console/`               the console: pages for people
`offers.py`              for whom nothing good is on offer; the four segments of uplift
`population.py`          a whole population and what is known of it, a chunk at a time
`planner.py`             a whole population planned in the same stages
`plan_publication.py`    a plan becomes binding: decisions kept, prices handed to real time
`plan_archive.py`        what a plan was made from, to make its decisions again
`people.py`              one person in every store; visitors who became contacts
`reconciling.py`         decided, delivered, seen, responded, with the gaps named; the default outcome
`decision_export.py`     the decision log for analysts, in pdstools' column names
`forgetting.py`          a contact is forgotten in the archive of plans and in what they gave out
`audiences.py`           plan files and audiences per channel
======================== =====================================================================================
"""
