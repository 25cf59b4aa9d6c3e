"""A whole bank from one seed: contacts, firms, events, consents, a randomised pilot, its outcomes, and the truth apart.

Examples
--------
>>> world = World.generate(contacts=200, days=90, seed=7)
>>> world.truth.profit.shape == (200, len(world.truth.treatment_ids))
True
>>> sorted(world.tables)
['accounts', 'consents', 'contacts', 'events', 'interactions', 'outcomes']
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from decisioning.errors import RequestError
from simulation.behaviour import Events, draw_behaviour, draw_events
from simulation.effects import draw_weights
from simulation.outcomes import outcomes_table
from simulation.permissions import draw_permissions
from simulation.pilot import Bank, Log, recent_touches, run_pilot
from simulation.population import draw_population
from simulation.responses import draw_responses
from simulation.rules import Rules
from simulation.state import History
from simulation.tables import accounts_table, consents_table, contact_names, contacts_table, events_table, interactions_table
from simulation.truth import Truth, truth_of

END = np.datetime64("2026-11-22T00:00:00", "us")
"""The end of the simulated period and the truth's as_of, unless another is asked for."""
LEAST_DAYS = 60
"""A shorter period leaves no pilot row whose window closes."""
PARTS = ("weights", "population", "behaviour", "events", "permissions", "responses", "pilot", "money")
"""Each part draws from its own generator, so that a change in one moves no other."""


@dataclass(frozen=True)
class World:
    """What a simulated bank hands over (`tables`), and what only the world knows (`truth`, `log`)."""

    tables: dict[str, pa.Table]
    truth: Truth
    log: Log

    @classmethod
    def generate(cls, contacts: int, days: int, seed: int, *, end: np.datetime64 = END) -> World:
        """Simulate `contacts` contacts over the `days` days before `end`; the same arguments give the same bytes.

        Raises
        ------
        RequestError
            No contacts, fewer than LEAST_DAYS days, or a negative seed.
        """
        _check(contacts, days, seed)
        streams = np.random.SeedSequence(seed).spawn(len(PARTS))
        rng = {part: np.random.default_rng(stream) for part, stream in zip(PARTS, streams, strict=True)}
        start = (end - np.timedelta64(days, "D")).astype("datetime64[us]")
        people = draw_population(rng["population"], contacts=contacts, days=days)
        behaviour = draw_behaviour(rng["behaviour"], people)
        events = draw_events(rng["events"], people, behaviour, start=start, days=days)
        weights = draw_weights(rng["weights"])
        bank = Bank(
            start=start,
            days=days,
            people=people,
            behaviour=behaviour,
            permissions=draw_permissions(rng["permissions"], people, days=days),
            responses=draw_responses(rng["responses"], people, weights, start=start, days=days),
            history=History(events, contacts),
            weights=weights,
            rules=Rules(),
        )
        log = run_pilot(rng["pilot"], bank)
        return _hand_over(rng["money"], bank, events, log)

    @property
    def counts(self) -> dict[str, int]:
        """Rows per table."""
        return {name: table.num_rows for name, table in self.tables.items()}

    def write(self, raw_dir: Path, truth_dir: Path | None = None) -> None:
        """Write `raw_dir/<table>.parquet`, and the truth to its own folder (`truth/` beside `raw_dir` unless given)."""
        raw_dir.mkdir(parents=True, exist_ok=True)
        for name, table in self.tables.items():
            pq.write_table(table, raw_dir / f"{name}.parquet", compression="zstd")
        self.truth.save(truth_dir or raw_dir.parent / "truth")


def _hand_over(rng: np.random.Generator, bank: Bank, events: Events, log: Log) -> World:
    people, start, days, ids = bank.people, bank.start, bank.days, contact_names(bank.people.size)
    tables = {
        "contacts": contacts_table(people, bank.responses, ids, start=start, days=days),
        "accounts": accounts_table(people, start=start),
        "events": events_table(events.before(people.leaves), ids, start=start),
        "interactions": interactions_table(log, ids, start=start),
        "outcomes": outcomes_table(rng, bank, log, ids),
        "consents": consents_table(bank.permissions, ids, start=start, days=days),
    }
    return World(tables, truth_of(bank, recent_touches([log], people.size, float(days)), ids), log)


def _check(contacts: int, days: int, seed: int) -> None:
    if contacts < 1:
        raise RequestError("a world needs contacts", field="contacts", got=contacts, allowed="1 or more")
    if days < LEAST_DAYS:
        raise RequestError("the period is too short for a pilot", field="days", got=days, allowed=f"{LEAST_DAYS} or more")
    if seed < 0:
        raise RequestError("a seed is not negative", field="seed", got=seed, allowed="0 or more")
