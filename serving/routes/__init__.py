"""Which verb does a request call?

Routes read, call one verb, answer.

======================== ======================================================
`decisions.py`           decisions, outcomes, explanations
`people.py`              one person: what is held, consents, suppressions, erasure, export, joined visitors
`events.py`              contact events
`models.py`              registered models
`reports.py`             measured reports
`plans.py`               plans
`leads.py`               leads
`login.py`               the console's login
`metrics.py`             where Prometheus scrapes
`ofrep.py`               OpenFeature's remote protocol
======================== ======================================================
"""
