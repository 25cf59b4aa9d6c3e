"""How do we learn what we do not know? Deliberate randomness, every probability known.

- `methods.py`: SquareCB, Thompson sampling and epsilon-greedy within an allowance; the draw
- `choices.py`: what choosing another than the best gives up; `thompson.py`: who may be the best
"""

from decisioning.exploration.methods import (
    DEFAULT_GAMMA,
    allowance_now,
    draw,
    draw_of_offers,
    expected_cost,
    probabilities,
    probabilities_of_offers,
)

__all__ = [
    "DEFAULT_GAMMA",
    "allowance_now",
    "draw",
    "draw_of_offers",
    "expected_cost",
    "probabilities",
    "probabilities_of_offers",
]
