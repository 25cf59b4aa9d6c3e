"""How do we choose? Pure functions from arrays to arrays: no clock, no file, no network, no global randomness.

Read in this order:

- `vocabulary.py`, `errors.py`: the shared words and the tree of refusals
- what the marketer owns: `catalog.py` as typed values, with `catalog_values.py` (its scalars), `catalog_checks.py` (its references) and
  `schema_errors.py` (findings in plain words); `compiled_catalog.py` makes it ready to decide with, over `rule_findings.py` (what is wrong
  with its rules) and `shared_rules.py` (which treatments each rule concerns)
- its SQL: `rules.py` compiles it by `rule_compiler.py` and the tables `rule_operators.py` and `rule_functions.py` over `rule_nodes.py`,
  down to arrays in `sql_values.py` and to one row in `sql_scalars.py`, with `date_parts.py`
- `candidates.py`: one row per contact x treatment, as a struct of arrays
- the stages, put in order by `stages.py`: `eligibility.py`, `consent.py`, `contact_policy.py`, `arbitration.py`, `control.py`, `select.py`,
  `explanation.py`; and `quiet_hours.py`: when a message may go out
- the population under budgets: `allocation.py` over `allocation_problem.py` (offers, limits, caps); `dual.py` and `shadow_prices.py` (what
  a unit is worth), `allocation_program.py` and `allocation_search.py` (small programmes, exactly), `relaxation.py` (prices and bound),
  `assignment.py` (what fits), `refinement.py` (the narrowest choices anew), `limit_costs.py`, `clash.py` (which limits contradict)
- why: `explain.py` (one decision) over `worth_parts.py` (where a priority comes from), `what_if.py` (rules lifted), `tipping.py` (factors
  moved); `funnel.py` and `sensitivity.py` (a population, counted)
- deliberate randomness: `exploration.py` over `choices.py` (what each choice gives up) and `thompson.py` (who may be the best)
- `price_book.py`: what real time pays for what it uses, from a plan's prices
- the two compositions: `decide.py` (one contact, now) and `plan.py` (the population, under budgets) with `plan_offers.py` and
  `policy_room.py`
"""
