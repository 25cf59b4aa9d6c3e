"""How do we choose? Pure functions from arrays to arrays: no clock, no file, no network, no global randomness.

Read in this order:

- `vocabulary.py`, `errors.py`: the shared words and the tree of refusals; `coded.py`: texts as numbers, where few differ
- what the marketer owns: `catalog.py` as typed values, with `catalog_values.py` (its scalars), `catalog_checks.py` (its references) and
  `schema_errors.py` (findings in plain words); `compiled_catalog.py` makes it ready to decide with, its SQL by `rules/`
- leads for sales: `lead_catalog.py` (what makes one, as typed values) and `lead_scoring.py` (points, grades, owners, with reasons)
- `triggers.py`: what calls for a decision by itself
- `candidates.py`: one row per contact x treatment, as a struct of arrays; `history.py`: the past as arrays
- the stages, put in order by `stages.py`: `eligibility.py`, `consent.py`, `contact_policy.py`, `arbitration.py`, `control.py` (groups kept
  for comparison), `limits.py` (what is used up); and `quiet_hours.py`: when a message may go out
- composition one, `decide.py` (one contact, now), with `one_contact.py`, `one_worth.py` and `one_catalog.py` (the same stages without an
  array a step: those of `stages.py` are their law), `lines.py` (one candidate's numbers), `select.py` (the slate) and `exploration/`
  (deliberate randomness)
- composition two, `plan.py` (the population, under budgets), with `plan_offers.py`, `policy_room.py` (what caps leave), `allocation/` (who
  gets what), `plan_exploration.py`, `plan_economics.py` and `plan_reasons.py`
- `price_book.py`: what real time pays for what it uses, from a plan's prices
- `explanation/`: why this and not that, for one decision and for a population
"""
