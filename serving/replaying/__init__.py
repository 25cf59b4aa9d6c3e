"""What was decided then, and what would have been?

======================== ===================================================================
`replay.py`              a past decision made again
`would_have.py`          what other models would have done, and with what chance it was done
`would_have_planned.py`  the same of a plan's decisions, at its prices
======================== ===================================================================
"""
