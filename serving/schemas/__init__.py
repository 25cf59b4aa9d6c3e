"""What does our JSON look like?

======================== ===========================================================================
`decisions.py`           decisions, outcomes, suppressions; `explained.py`: explanations and funnels
`hot_requests.py`        the bodies of the hot routes as structs; `hot_answers.py`: their answers
`people.py`              what concerns one person
`events.py`              contact events
`models.py`              registered models
`reports.py`             measured reports
`plans.py`               plans
`leads.py`               leads
`ofrep.py`               flags of OpenFeature's remote protocol
`validation.py`          JSON -> these, with every misfit named
======================== ===========================================================================
"""
