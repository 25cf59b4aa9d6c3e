"""What do the commands say to people?

======================== ================================================================================
`decisions.py`           data, decisions, suppressions, replays, policies; `explained.py`: a decision that explains itself
`training.py`            what was trained; `evaluation.py`: what it is worth, and the gate's verdicts
`plan.py`                who gets what, and what limits it
`reports.py`             the funnel, and how figures are written
`leads.py`               leads
`ledger.py`              the ledger, and one person in it
======================== ================================================================================
"""
