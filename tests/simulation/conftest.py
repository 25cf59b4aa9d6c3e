"""One bank for the whole room: large enough for its averages, small enough to draw in a second or two."""

from __future__ import annotations

import pytest

from simulation.world import World

CONTACTS = 12_000
DAYS = 120


@pytest.fixture(scope="session")
def world() -> World:
    """A bank of 12,000 contacts over 120 days."""
    return World.generate(contacts=CONTACTS, days=DAYS, seed=11)
