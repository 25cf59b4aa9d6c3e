"""How do we choose? Pure functions from arrays to arrays: no clock, no file, no network, no global randomness.

Read in this order:

- `vocabulary.py`, `errors.py`: the shared words and the tree of refusals
- what the marketer owns: `catalog.py` as typed values, with `catalog_values.py` (its scalars), `catalog_checks.py` (its references) and
  `schema_errors.py` (findings in plain words); `compiled_catalog.py` makes it ready to decide with
- its SQL: `rules.py` compiles it by `rule_compiler.py` and the tables `rule_operators.py` and `rule_functions.py` over `rule_nodes.py`,
  down to arrays in `sql_values.py` and `date_parts.py`
- `candidates.py`: one row per contact x treatment, as a struct of arrays
- the stages, put in order by `stages.py`: `eligibility.py`, `consent.py`, `contact_policy.py`, `arbitration.py`, `control.py`, `select.py`,
  `explanation.py`; and `quiet_hours.py`: when a message may go out
- the population under budgets: `allocation.py` over `dual.py` (shadow prices), `assignment.py` (what fits), `refinement.py` (the rest)
- deliberate randomness: `exploration.py` over `choices.py` (what each choice gives up) and `thompson.py` (who may be the best)
- the two compositions: `decide.py` (one contact, now) and `plan.py` (the population, under budgets)
"""
