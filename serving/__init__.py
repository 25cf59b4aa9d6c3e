"""How do we answer?

From the door down; each folder imports only those below it.

======================== ================================================================================
`app.py`                 the web application over a service
`service.py`             every verb: decide, record, show; what the command line and the routes both call
`console/`               pages for people
`routes/`                read, call one verb, answer
`http/`                  the hot path, keys, refusals, OpenAPI
`replaying/`             past decisions made again, and what other models would have done
`plans/`                 a whole population under budgets
`feedback/`              outcomes, events, triggers, webhooks
`people/`                one person in every store
`ports/`                 what routes and pages need of a service, as Protocols
`watching/`              metrics and vitals
`realtime/`              one contact now: snapshot, situation, scores, decision, record
`schemas/`               the JSON of the API
======================== ================================================================================
"""
