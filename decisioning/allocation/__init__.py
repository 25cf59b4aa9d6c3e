"""Who gets what when not everybody can? One call, `allocate`, over offers, limits of the whole population, and caps.

- `solve.py`: the allocation and its proof; `problem.py`: offers, limits and caps as arrays
- what a unit is worth: `dual.py` (the bound at given prices), `shadow_prices.py` (the prices that minimise it, for many contacts),
  `local_prices.py` (with several treatments a contact and caps), `level_method.py` (when Newton's method does not settle)
- `relaxation.py`: prices and bound of a problem; `program.py` and `search.py`: small programmes, exactly
- `assignment.py`: handing out what fits; `refinement.py`: the narrowest choices anew; `minimums.py`: what a minimum still lacks
- `limit_costs.py`: what each limit costs; `clash.py`: which limits contradict one another
- `kernels.py`: the passes over everybody, compiled
"""

from decisioning.allocation.problem import NONE, Limits, LocalCap, Offers, Problem
from decisioning.allocation.solve import Allocation, allocate

__all__ = ["NONE", "Allocation", "Limits", "LocalCap", "Offers", "Problem", "allocate"]
