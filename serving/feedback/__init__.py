"""What happened after a decision, and what follows from it?

======================== =============================================================================
`outcome_intake.py`      outcomes matched to decisions and kept once
`event_intake.py`        contact events kept once, and answered
`event_settling.py`      what follows from them: online features, triggers, messages
`trigger_state.py`       whether a trigger's conditions hold for a contact
`timed_triggers.py`      everybody looked at by time: who has entered a trigger's condition, and the decisions
`cloud_events.py`        CloudEvents as contact events, and decisions as CloudEvents
`webhooks.py`            messages signed and delivered, with backoff, until they are dead letters
`dead_letters.py`        those that did not arrive, and sending them again
`errands.py`             what a server does beside answering: open events, messages, triggers by time
`reconciling.py`         decided, delivered, seen, responded, with the gaps named; the default outcome
`decision_export.py`     the decision log for analysts, in pdstools' column names
======================== =============================================================================
"""
