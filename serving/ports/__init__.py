"""What do routes and pages need of a service and of its workspace?

Protocols, without HTTP.

======================== ==========================
`verbs.py`               the verbs of the service
`models.py`              registered models
`plans.py`               plans as jobs
`reports.py`             measured reports
`leads.py`               leads
`console.py`             what only the console asks
======================== ==========================
"""
