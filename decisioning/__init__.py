"""How do we choose? Pure functions from arrays to arrays: no clock, no file, no network, no global randomness.

Read in this order:

- `vocabulary.py`, `errors.py`: the shared words and the tree of refusals
- `catalog.py`: what the marketer owns, as typed values; `rules.py`: its SQL conditions and value expressions
- `candidates.py`: one row per contact x treatment, as a struct of arrays
- the stages: `eligibility.py`, `consent.py`, `contact_policy.py`, `arbitration.py`, `control.py`, `select.py`, `explanation.py`
- `allocation.py`: the population under budgets
- the two compositions: `decide.py` (one contact, now) and `plan.py` (the population, under budgets)
"""
