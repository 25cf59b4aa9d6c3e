"""A population to allocate: contacts x candidates of whom a third are open, and twelve limits of every kind."""

from __future__ import annotations

import numpy as np

from decisioning.allocation import Limits, Offers

OPEN_SHARE = 0.35
CHANNEL_COSTS = np.array([0.02, 0.5, 8.0])  # e-mail, push, call
N_MARKETS = 3


def population(n_contacts: int, n_candidates: int, seed: int = 0) -> tuple[Offers, Limits]:
    """Offers and limits: budgets (of all, of a market, of calls), capacities and minimum volumes (of channels, actions, a group, a market).

    Half as many actions as candidates, three channels, three markets; values are log-normal, as a product of contact, candidate and luck.
    What is not worth its cost stays where a minimum may ask for it.
    """
    rng = np.random.default_rng(seed)
    column = np.arange(n_candidates)
    action, channel = column % (n_candidates // 2), column % len(CHANNEL_COSTS)
    market = rng.integers(0, N_MARKETS, n_contacts)
    contact, treatment = np.nonzero(rng.random((n_contacts, n_candidates), dtype=np.float32) < OPEN_SHARE)
    value = rng.lognormal(0.0, 1.0, n_contacts)[contact]
    value *= rng.lognormal(0.0, 0.7, n_candidates)[treatment]
    value *= rng.lognormal(0.0, 0.8, len(contact))
    value = 6.0 * value - CHANNEL_COSTS[channel][treatment] - 2.0
    kept = (value > 0) | ((action < 3) | (action % 4 == 1))[treatment]
    contact, treatment, value = contact[kept].astype(np.int32), treatment[kept].astype(np.int32), value[kept]
    uses, limits = _limits(n_contacts, action, channel)
    return Offers(
        contact=contact,
        treatment=treatment,
        value=value,
        profile=(treatment * N_MARKETS + market[contact]).astype(np.int32),
        uses=uses,
        first=np.zeros(len(contact), dtype=np.bool_),
        action=action.astype(np.int32)[treatment],
    ), limits


def _limits(n_contacts: int, action: np.ndarray, channel: np.ndarray) -> tuple[np.ndarray, Limits]:
    """What a treatment in a market uses of each limit, and the limits themselves, in parts of the number of contacts."""
    of, market = np.repeat(np.arange(len(action)), N_MARKETS), np.tile(np.arange(N_MARKETS), len(action))
    cost = CHANNEL_COSTS[channel][of]
    rows = [
        (cost, 0.6, 0.0),
        (channel[of] == 2, 0.03, 0.0),
        (channel[of] == 1, 0.2, 0.0),
        (channel[of] == 0, 0.45, 0.0),
        (cost * (market == 0), 0.15, 0.0),
        (market == 1, 0.25, 0.0),
        (action[of] == 0, 0.05, 0.02),
        (action[of] == 1, np.inf, 0.06),
        ((action[of] == 2) & (market == 2), 0.03, 0.02),
        (action[of] == 3, 0.04, 0.0),
        (action[of] % 4 == 1, 0.3, 0.1),
        (cost * (channel[of] == 2), 0.2, 0.0),
    ]
    uses = np.column_stack([np.asarray(use, dtype=np.float64) for use, _, _ in rows])
    return uses, Limits(np.array([most for _, most, _ in rows]) * n_contacts, np.array([least for _, _, least in rows]) * n_contacts)
