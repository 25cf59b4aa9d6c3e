"""What can be typed?

======================== ================================================================================
`learning.py`            from `nudge init` to `nudge rollback`: a workspace, its data, its models
`deciding.py`            from `nudge decide` to `nudge serve`: decisions, plans, reports
`ledger.py`              the ledger as evidence, and one person in all stores
`leads.py`               leads
`keys.py`                API keys
`triggers.py`            triggers that time alone fires
`webhooks.py`            messages that go out because of triggers
`options.py`             what they share
======================== ================================================================================
"""
