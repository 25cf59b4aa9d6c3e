"""Random beliefs about responses, for exploration."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from decisioning.exploration.thompson import Belief
from decisioning.vocabulary import FloatArray


def belief_of(rng: np.random.Generator, length: int) -> Belief:
    """Beliefs of actions that respond rarely or often, from thin evidence to nearly certain; the last is no_action."""
    mean = np.append(rng.beta(1, 10, length - 1) * 0.98 + 0.01, 0.0)
    return Belief(mean, rng.choice([5.0, 40.0, 400.0, 1e5], length), np.append(rng.exponential(100.0, length - 1), 0.0))


@st.composite
def beliefs(draw: st.DrawFn) -> tuple[FloatArray, Belief]:
    """The worth of up to six candidates, no_action the last of them, and what is believed of their responses."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    length = draw(st.integers(1, 6))
    belief = belief_of(rng, length)
    return np.append(rng.normal(1.0, 2.0, length - 1), 0.0), belief
