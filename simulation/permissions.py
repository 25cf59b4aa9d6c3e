"""Consents per purpose, in time: granted, denied or revoked, changed by some contacts, and for some never asked (no row)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from decisioning.vocabulary import BoolArray, FloatArray, IntArray
from simulation.actions import CHANNELS, PURPOSES
from simulation.population import Population

GRANTED_SHARE = {"app_marketing": 0.92, "email_marketing": 0.7, "sms_marketing": 0.62, "phone_marketing": 0.48}
"""Share of those asked who say yes at the start."""
ASKED_SHARE = 0.9
REVOKING_SHARE = 0.07
"""Share of the granted who revoke at a time of their own within the period, whatever the bank does."""
GRANTING_SHARE = 0.05
"""Share of the denied who grant later."""

STATUSES: tuple[str, ...] = ("granted", "denied", "revoked")
SOURCES: tuple[str, ...] = ("onboarding", "settings", "opt_out")


@dataclass(frozen=True)
class Permissions:
    """Per contact and purpose, shape (n, purposes): was it asked, the first answer and its time, and the time it turned round.

    `turned_at` is inf where the answer stands. `opted_out_at` (n,) is when the contact opted out of everything (inf: never);
    the pilot writes it.
    """

    asked: BoolArray
    granted: BoolArray
    answered_at: FloatArray
    turned_at: FloatArray
    opted_out_at: FloatArray

    def allowed(self, at: float) -> BoolArray:
        """May each contact be touched on each channel at the time `at`? Shape (n, channels)."""
        known = self.asked & (self.answered_at < at)
        now = known & (self.granted ^ (self.turned_at < at)) & (self.opted_out_at >= at)[:, None]
        free = np.ones(len(now), dtype=bool)
        return np.column_stack([free if channel.purpose is None else now[:, PURPOSES.index(channel.purpose)] for channel in CHANNELS])

    def rows(self, before: float) -> dict[str, IntArray | FloatArray]:
        """The consents table up to `before`: contact, purpose, status and source as codes, and the time of each change."""
        first = np.nonzero(self.asked & (self.answered_at < before))
        turned = np.nonzero(self.asked & (self.turned_at < np.minimum(before, self.opted_out_at)[:, None]))
        gone = np.nonzero((self.asked & self._granted_at_opt_out()) & (self.opted_out_at < before)[:, None])
        status = [np.where(self.granted[first], 0, 1), np.where(self.granted[turned], 2, 0), np.full(len(gone[0]), 2)]
        return {
            "contact": np.concatenate([first[0], turned[0], gone[0]]),
            "purpose": np.concatenate([first[1], turned[1], gone[1]]),
            "status": np.concatenate(status),
            "source": np.repeat([0, 1, 2], [len(first[0]), len(turned[0]), len(gone[0])]),
            "at": np.concatenate([self.answered_at[first], self.turned_at[turned], self.opted_out_at[gone[0]]]),
        }

    def _granted_at_opt_out(self) -> BoolArray:
        out = self.opted_out_at[:, None]
        return np.asarray((self.answered_at < out) & (self.granted ^ (self.turned_at < out)))


def draw_permissions(rng: np.random.Generator, people: Population, *, days: int) -> Permissions:
    """Draw the consents of everyone; the app's purpose is asked only of contacts who have the app."""
    shape = (people.size, len(PURPOSES))
    asked = rng.random(shape) < ASKED_SHARE
    app = PURPOSES.index("app_marketing")
    asked[:, app] = people.fixed["has_mobile_app"] == 1
    shares = np.array([GRANTED_SHARE[purpose] for purpose in PURPOSES])
    granted = rng.random(shape) < shares
    answered_at = people.joined[:, None] + rng.uniform(0, 0.5, shape)
    turns = rng.random(shape) < np.where(granted, REVOKING_SHARE, GRANTING_SHARE)
    turned_at = np.where(turns, rng.uniform(0, days, shape), np.inf)
    turned_at = np.where(turned_at > answered_at, turned_at, np.inf)
    return Permissions(asked, granted, answered_at, turned_at, np.full(people.size, np.inf))
