"""Which contacts became what a lead is to become: the rows that the lead score learns from.

With a `goal`, everybody who may be a lead at a moment, and whether the goal's outcome followed within its window: at the last moments whose
windows are closed, one window apart. In a one-shot experiment, everybody once. Without a goal, the leads that have ended: won or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt

from decisioning.catalog import Catalog
from decisioning.lead_catalog import LeadDefinition
from decisioning.lead_scoring import LeadRules, compile_lead
from decisioning.rules import Rows
from decisioning.rules.findings import RuleFindings
from decisioning.vocabulary import BoolArray, Columns, FloatArray
from features.build import known_contacts
from features.contract import TIMELESS
from features.store import FeatureDoor
from ledger.leads import ENDS
from ledger.store import Ledger

MOMENTS = 3
"""So many moments are looked back at, one window apart."""

FEWEST = 30
"""Rows of either kind below which nothing is learned."""

OUTCOMES_AT_ONCE = 5_000


@dataclass(frozen=True, eq=False)
class LeadRows:
    """Contacts as they were at a moment, and whether they were won: arrays of shape (n,); `features` are as of then."""

    contact_id: npt.NDArray[np.object_]
    moment: npt.NDArray[np.datetime64]
    won: FloatArray
    features: Columns
    by_hand: FloatArray
    source: str

    def take(self, rows: BoolArray) -> LeadRows:
        """Some of them."""
        some = {name: column[rows] for name, column in self.features.items()}
        return LeadRows(self.contact_id[rows], self.moment[rows], self.won[rows], some, self.by_hand[rows], self.source)


def read_lead_rows(data_dir: Path, catalog: Catalog, door: FeatureDoor, ledger: Ledger | None, as_of: np.datetime64) -> LeadRows | str:
    """The rows, or why there are too few."""
    definition = catalog.lead
    if definition is None:
        return "the catalogue does not say what a lead is (`lead:`)"
    findings = RuleFindings(door.contract.dtypes)
    rules = compile_lead(definition, findings)
    findings.refuse()
    if definition.goal is None:
        rows = _ended(door, ledger, rules, as_of)
    else:
        rows = _followed(_Goal(data_dir, definition.goal, catalog.outcomes[definition.goal].window_days), door, ledger, rules, as_of)
    won = int(rows.won.sum())
    if min(won, len(rows.won) - won) < FEWEST:
        return f"of {len(rows.won):,} {rows.source} {won:,} were won; at least {FEWEST} of either kind are needed"
    return rows


def _ended(door: FeatureDoor, ledger: Ledger | None, rules: LeadRules, as_of: np.datetime64) -> LeadRows:
    leads = [] if ledger is None else ledger.leads(_aware(as_of), statuses=ENDS)
    moments = np.array([one["handed_over_at"].removesuffix("Z") for one in leads], dtype="datetime64[us]")
    known = [k for k, moment in enumerate(moments) if moment < as_of or as_of == TIMELESS]
    ids = np.array([leads[k]["contact_id"] for k in known], dtype=object)
    at = np.full(len(known), TIMELESS) if as_of == TIMELESS else moments[known]
    won = np.array([leads[k]["status"] == "won" for k in known], dtype=np.float64)
    features = door.historical(ids, at)
    return LeadRows(ids, at, won, features, _by_hand(rules, features, len(ids)), "leads that have ended")


@dataclass(frozen=True)
class _Goal:
    data_dir: Path
    outcome: str
    window_days: float

    def ingested(self) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.datetime64]]:
        """Contact and time of every ingested outcome of the goal."""
        with duckdb.connect() as db:
            db.execute("SET TimeZone = 'UTC'")
            paths = {"outcomes": str(self._path("outcomes")), "interactions": str(self._path("interactions"))}
            have = {row[0] for row in db.execute("DESCRIBE SELECT * FROM read_parquet(?)", [paths["outcomes"]]).fetchall()}
            contact, joined = "o.contact_id" if "contact_id" in have else "NULL", ""
            if "interaction_id" in have and self._path("interactions").exists():
                contact = f"coalesce({contact}, i.contact_id)"
                joined = "LEFT JOIN read_parquet($interactions) i ON i.interaction_id = o.interaction_id"
            else:
                paths.pop("interactions")
            table = db.execute(
                f"""SELECT * FROM (SELECT {contact}::VARCHAR AS contact_id, o.occurred_at::TIMESTAMP AS at
                FROM read_parquet($outcomes) o {joined} WHERE o.outcome = $outcome) WHERE contact_id IS NOT NULL""",
                {**paths, "outcome": self.outcome},
            ).fetchnumpy()
        times = np.ma.filled(np.ma.asarray(table["at"]).astype("datetime64[us]"), np.datetime64("NaT"))
        return np.asarray(table["contact_id"], dtype=object), times

    def _path(self, table: str) -> Path:
        return self.data_dir / f"{table}.parquet"


def _followed(goal: _Goal, door: FeatureDoor, ledger: Ledger | None, rules: LeadRules, as_of: np.datetime64) -> LeadRows:
    who, when = goal.ingested() if (goal.data_dir / "outcomes.parquet").exists() else (np.empty(0, object), np.empty(0, "M8[us]"))
    timeless = as_of == TIMELESS or (len(when) > 0 and bool(np.isnat(when).all()))
    parts = [_at(door, rules, moment, found) for moment, found in (_once(who) if timeless else _moments(goal, ledger, as_of, (who, when)))]
    features = {name: np.concatenate([one.features[name] for one in parts]) for name in parts[0].features}
    ids, moments, won, by_hand = (
        np.concatenate([getattr(one, name) for one in parts]) for name in ("contact_id", "moment", "won", "by_hand")
    )
    return LeadRows(ids, moments, won, features, by_hand, "contacts who might have been leads")


def _once(who: npt.NDArray[np.object_]) -> Iterator[tuple[np.datetime64, set[str]]]:
    yield TIMELESS, set(who.tolist())


def _moments(
    goal: _Goal, ledger: Ledger | None, as_of: np.datetime64, ingested: tuple[npt.NDArray[np.object_], npt.NDArray[np.datetime64]]
) -> Iterator[tuple[np.datetime64, set[str]]]:
    """Moments whose window closed before as_of, newest first, and who reached the goal within it."""
    window = np.timedelta64(round(goal.window_days * 86_400_000_000), "us")
    who, when = ingested
    for back in range(1, MOMENTS + 1):
        moment = as_of.astype("datetime64[us]") - back * window
        found = set(who[(when > moment) & (when <= moment + window)].tolist())
        if ledger is not None:
            ids = known_contacts(goal.data_dir.parent, moment).tolist()
            since, until = _aware(moment), _aware(moment + window)
            for start in range(0, len(ids), OUTCOMES_AT_ONCE):
                happened = ledger.outcomes_between(ids[start : start + OUTCOMES_AT_ONCE], since + timedelta(microseconds=1), until)
                found.update(one.contact_id for one in happened if one.outcome == goal.outcome)
        yield moment, found


def _at(door: FeatureDoor, rules: LeadRules, moment: np.datetime64, won: set[str]) -> LeadRows:
    """Everybody who may be a lead at a moment."""
    contact_ids, columns = door.population(moment)
    rows = Rows(columns, len(contact_ids))
    may_be = rules.score(rows).may_be
    ids = contact_ids[may_be]
    features = {name: column[may_be] for name, column in columns.items()}
    outcome = np.array([one in won for one in ids.tolist()], dtype=np.float64)
    return LeadRows(ids, np.full(len(ids), moment.astype("datetime64[us]")), outcome, features, _by_hand(rules, features, len(ids)), "")


def _by_hand(rules: LeadRules, features: Columns, n: int) -> FloatArray:
    """The catalogue's own points, fit and score together."""
    scored = rules.score(Rows(features, n))
    return scored.fit + scored.score


def _aware(moment: np.datetime64) -> datetime:
    return datetime.fromisoformat(str(moment.astype("datetime64[us]"))).replace(tzinfo=UTC)


def lead_definition(catalog: Catalog) -> Mapping[str, object]:
    """What of the catalogue the score depends on, as facts of the run."""
    definition: LeadDefinition | None = catalog.lead
    return {} if definition is None else {"goal": definition.goal or "won", "who": definition.who or "everybody"}
