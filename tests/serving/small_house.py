"""A service over a real ledger and a small catalogue of cold-start actions: no model has to be trained to decide."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from decisioning.catalog import parse_catalog
from decisioning.compiled_catalog import compile_catalog
from decisioning.errors import NotFound, Unavailable
from decisioning.price_book import Line, PriceBook
from decisioning.vocabulary import BoolArray, Columns, null_column
from features.online import Materialised
from features.online_recent import Fact
from ledger.store import Ledger
from serving.realtime.scorer import Models, Scorer
from serving.realtime.snapshot import Snapshot, SnapshotHolder
from serving.service import Service

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DTYPES = {"age": "int", "city": "string", "time_zone": "string", "account_id": "string", "market": "string"}

CATALOG: dict[str, Any] = {
    "version": "1",
    "currency": "PLN",
    "time_zone": "Europe/Warsaw",
    "channels": {
        "web": {"direction": "inbound", "placements": ["home_hero", "offer_strip"]},
        "email": {"direction": "outbound", "cost": 0.5, "purpose": "email_marketing", "quiet_hours": ["21:00", "08:00"]},
    },
    "outcomes": {
        "sale": {"kind": "conversion", "window_days": 30},
        "reject": {"kind": "response", "behaviour": "negative", "window_days": 7},
    },
    "actions": [
        {
            "id": "loan",
            "goal": "sale",
            "value": 100,
            "eligibility": "age >= 18",
            "cold_start": {"propensity": 0.2, "uplift": 0.1},
            "treatments": [
                {"id": "loan_hero", "channel": "web", "placement": "home_hero", "content": "loan_v1"},
                {"id": "loan_email", "channel": "email"},
            ],
        },
        {
            "id": "card",
            "goal": "sale",
            "value": 50,
            "cold_start": {"propensity": 0.2, "uplift": 0.1},
            "context_weights": [{"when": "context.intent = 'pay'", "weight": 4}],
            "treatments": [
                {"id": "card_hero", "channel": "web", "placement": "home_hero"},
                {"id": "card_strip", "channel": "web", "placement": "offer_strip"},
            ],
        },
    ],
    "contact_policy": [
        {"id": "email_week", "channel": "email", "max": 1, "per_days": 7},
        {"id": "after_reject", "action": "*", "after": "reject", "suppress_days": 30},
    ],
    "fallback": {"web": {"home_hero": "brand_banner"}},
}


class Known:
    """The features of a few contacts; `broken` stands for a store that does not answer."""

    def __init__(self, rows: Mapping[str, Mapping[str, Any]]) -> None:
        self.rows = rows
        self.broken = False
        self.read: set[str] = set()
        self.applied: dict[str, tuple[str, Fact]] = {}
        self.consents: list[tuple[str, Fact]] = []

    def materialised(self) -> Materialised | None:
        return None

    def online(self, contact_ids: Sequence[str]) -> tuple[Columns, BoolArray]:
        if self.broken:
            raise Unavailable("the online store does not answer")
        self.read |= set(contact_ids) & set(self.rows)
        return self._columns(contact_ids), np.array([contact_id in self.rows for contact_id in contact_ids], dtype=np.bool_)

    def aging(self) -> Known:
        """What time changes is set by the test."""
        return self

    def pages(self, names: Collection[str], now: np.datetime64, size: int) -> Iterator[tuple[list[str], Columns]]:
        assert (set(names) <= set(DTYPES), now.dtype, size > 1) == (True, np.dtype("datetime64[us]"), True)
        for contact_id in sorted(self.rows):  # a page each
            yield [contact_id], self.online([contact_id])[0]

    def remembered(self, contact_ids: Sequence[str]) -> tuple[Columns, list[np.datetime64 | None]]:
        known = [one if one in self.read else "" for one in contact_ids]
        return self._columns(known), [np.datetime64("2026-11-22T06", "us") if one else None for one in known]

    def _columns(self, contact_ids: Sequence[str]) -> Columns:
        columns = {name: null_column(dtype, len(contact_ids)) for name, dtype in DTYPES.items()}  # type: ignore[arg-type]
        for place, contact_id in enumerate(contact_ids):
            for name, value in self.rows.get(contact_id, {}).items():
                columns[name][place] = value
        return columns

    def apply_event(self, contact_id: str, fact: Fact, now: np.datetime64, *, event_id: str | None = None) -> bool:
        """The number of a contact's events is its age here: enough to see whether each counted once."""
        if self.broken:
            raise Unavailable("the online store does not answer")
        if fact.is_consent:
            self.consents.append((contact_id, fact))
            return True
        assert event_id is not None
        if event_id not in self.applied:
            self.applied[event_id] = (contact_id, fact)
            self.rows = {**self.rows, contact_id: {**self.rows.get(contact_id, {}), "age": self.rows.get(contact_id, {}).get("age", 0) + 1}}
        return True


class Fixed:
    """A source of one snapshot, that a test may exchange."""

    def __init__(self, catalog: Mapping[str, Any], known: Known) -> None:
        self.catalog = catalog
        self.known = known
        self.number = 0
        self.published: PriceBook | None = None

    def fingerprint(self) -> int:
        return self.number

    def exchange(self, catalog: Mapping[str, Any]) -> None:
        self.catalog, self.number = catalog, self.number + 1

    def publish(self, book: PriceBook) -> None:
        self.published, self.number = book, self.number + 1

    def models(self, versions: Mapping[str, int]) -> Models:
        raise NotFound("there is no such version", got=dict(versions))

    def load(self) -> Snapshot:
        compiled = compile_catalog(parse_catalog(self.catalog), DTYPES)  # type: ignore[arg-type]
        scorer = Scorer(Models(None, None, None, {}), compiled)
        return Snapshot(compiled, scorer, self.known, dict(DTYPES), "abc", self.published)  # type: ignore[arg-type]


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **span: float) -> None:
        self.now += timedelta(**span)


class House:
    """A service with handles on everything around it."""

    def __init__(self, ledger: Ledger, catalog: Mapping[str, Any]) -> None:
        self.ledger = ledger
        self.known = Known({"adult": {"age": 40.0, "city": "Łódź"}, "child": {"age": 12.0}})
        self.source = Fixed(catalog, self.known)
        self.clock = Clock()
        self.snapshots = SnapshotHolder(self.source)
        self.service = Service(self.snapshots, ledger, self.clock)

    def price(self, **prices: float) -> None:
        """Publish a price book that begins now."""
        self.source.publish(
            PriceBook(
                "p-1", np.datetime64(self.clock.now.replace(tzinfo=None), "us"), 30.0, {k: Line(np.inf, 0.0, v) for k, v in prices.items()}
            )
        )
        self.snapshots.refresh()

    def consent(self, *contact_ids: str) -> None:
        """These contacts, and nobody else, have agreed to e-mails."""
        texts = {"contact_id": list(contact_ids), "purpose": ["email_marketing"] * len(contact_ids)}
        columns: dict[str, Any] = {name: np.array(value, dtype=object) for name, value in texts.items()}
        columns |= {"granted": np.ones(len(contact_ids)), "changed_at": np.full(len(contact_ids), np.datetime64("2026-01-01", "us"))}
        self.ledger.replace_history({}, {}, columns)


@contextmanager
def small_house(folder: Path, catalog: Mapping[str, Any] = CATALOG) -> Iterator[House]:
    """A house in `folder`, closed afterwards."""
    with Ledger.open(f"sqlite:///{folder}/ledger.db") as ledger:
        yield House(ledger, catalog)
