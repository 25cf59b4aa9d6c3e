"""What the ledger logged and what was ingested, read as one log."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.contract import FeatureContract, FeatureSpec
from ledger.outcomes import OutcomeRecord
from ledger.records import DecisionRecord, Selection
from ledger.store import Ledger
from tests.training.test_labels import INTERACTION_TYPES, OUTCOME_TYPES, outcome, touch, write
from training.dataset import features_of
from training.labels import Labels, LoggedRows, read_labelled
from training.own_log import OwnLog, read_own_log

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
AS_OF = np.datetime64("2026-06-01", "us")
WINDOWS = {"sale": 30.0, "click": 7.0}
SPEC = FeatureSpec("age", "float", "years", "NULL: not known", None, "contacts", "How old")
BORN = FeatureSpec("born", "date", "date", "NULL: not known", None, "contacts", "When")
CONTRACT = FeatureContract((SPEC, BORN))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as opened:
        yield opened


def chosen(rank: int, action: str = "loan", **more: Any) -> Selection:
    known = {"channel": "web", "direction": "inbound", "placement": None, "selection_prob": 0.5, "expected_profit": 1.0, "cost": 0.0}
    return Selection(rank, action, f"{action}_hero", **{**known, **more})


def decided(name: str, *selections: Selection, **more: Any) -> DecisionRecord:
    """A decision whose catalogue is gone: its chances do not follow."""
    versions = {"catalog": "1#ab", "features": CONTRACT.hash, "models": {}}
    trace = {"versions": versions, "features": {"age": 30.5, "born": "1990-01-02T00:00:00Z"}, **more.pop("trace", {})}
    known = {"contact_id": "c1", "decided_at": NOW, "control_group": "nudge", **more}
    return DecisionRecord(decision_id=name, selections=selections, trace=trace, **known)


def came(name: str, days: float, decision: str | None, **more: Any) -> OutcomeRecord:
    at = NOW + timedelta(days=days)
    known = {"contact_id": "c1", "outcome": "sale", "behaviour": "positive", "decision_id": decision, **more}
    return OutcomeRecord(event_id=name, occurred_at=at, received_at=at, **known)


def own_log(ledger: Ledger) -> OwnLog:
    found = read_own_log(ledger, CONTRACT, ["loan", "card"], as_of=AS_OF, most=100)
    assert found is not None
    return found


def read(folder: Path, ledger: Ledger) -> tuple[LoggedRows, Labels]:
    return read_labelled(folder, WINDOWS, AS_OF, own_log(ledger))


def sold(rows: LoggedRows, labels: Labels) -> dict[str, tuple[float, float]]:
    """interaction_id -> (sold, money)."""
    known = zip(rows.interaction_id.tolist(), labels.happened["sale"].tolist(), np.nan_to_num(labels.value["sale"]).tolist(), strict=True)
    return {name: (y, money) for name, y, money in known}


def test_an_outcome_belongs_to_the_choice_whose_treatment_it_names_else_to_all_of_its_decision(tmp_path: Path, ledger: Ledger) -> None:
    ledger.record_decisions([decided("d1", chosen(1), chosen(2, "card")), decided("d2", chosen(1), chosen(2, "card")), decided("d3")])
    ledger.record_outcomes([came("e1", 1, "d1", treatment_id="card_hero", value=7.0), came("e2", 2, "d2", value=5.0)])

    assert sold(*read(tmp_path, ledger)) == {
        "d1": (0.0, 0.0),
        "d1:2": (1.0, 7.0),
        "d2": (1.0, 5.0),
        "d2:2": (1.0, 5.0),
        "d3": (0.0, 0.0),
    }


def test_late_outcomes_and_those_of_unknown_decisions_are_no_label_and_those_of_a_contact_alone_are(tmp_path: Path, ledger: Ledger) -> None:
    ledger.record_decisions([decided("d1", chosen(1)), decided("d2", chosen(1), contact_id="c2")])
    ledger.record_outcomes([came("late", 40, "d1"), came("orphan", 1, "d9"), came("own", 1, None, contact_id="c2", value=3.0)])

    assert sold(*read(tmp_path, ledger)) == {"d1": (0.0, 0.0), "d2": (1.0, 3.0)}


def test_what_was_ingested_too_counts_once(tmp_path: Path, ledger: Ledger) -> None:
    at = NOW.replace(tzinfo=None).isoformat()
    write(
        tmp_path / "interactions.parquet",
        INTERACTION_TYPES,
        [touch("d1", at), touch("crm-7", at, contact="c2"), touch("old", "2026-01-01")],
    )
    sales = [outcome("2026-03-03", interaction="crm-7", value=9.0), outcome("2026-03-02T12:00:00", contact="c1", value=4.0)]
    write(tmp_path / "outcomes.parquet", OUTCOME_TYPES, sales)
    ledger.record_decisions(
        [decided("d1", chosen(1)), decided("d2", chosen(1), contact_id="c2"), decided("d3", chosen(1), contact_id="c3")]
    )
    ledger.record_outcomes([came("e1", 1, "d1", value=4.0), came("e2", 4, "d2", contact_id="c2", value=1.0)])

    rows, labels = read(tmp_path, ledger)

    assert sold(rows, labels) == {"old": (0.0, 0.0), "d1": (1.0, 4.0), "crm-7": (1.0, 10.0), "d3": (0.0, 0.0)}
    assert rows.own is not None and (rows.own >= 0).tolist() == [name == "d3" for name in rows.interaction_id]


def test_a_plans_choice_that_a_later_decision_carried_out_is_one_interaction_with_the_outcomes_of_both(
    tmp_path: Path, ledger: Ledger
) -> None:
    later = decided("d2", chosen(1, redeems="d1"), decided_at=NOW + timedelta(days=1))
    ledger.record_decisions([decided("d1", chosen(1), plan_id="p"), later])
    ledger.record_outcomes([came("e1", 3, "d1", value=2.0)])

    assert sold(*read(tmp_path, ledger)) == {"d2": (1.0, 2.0)}
    assert own_log(ledger).notes == ("1 decisions of the ledger are left out: carried out by a later decision, which counts",)


def test_erased_contacts_and_degraded_answers_teach_nothing(ledger: Ledger) -> None:
    records = [decided("d1", contact_id="gone"), decided("d2", degraded="features_unavailable"), decided("d3")]
    ledger.record_decisions(records)
    ledger.erase("gone", NOW)

    own = own_log(ledger)

    assert own.rows["interaction_id"].to_pylist() == ["d3"]
    assert sorted(one.split(": ")[1] for one in own.notes) == [
        "answered without features or models",
        "kept without what they were made from, as those of erased contacts",
    ]


def test_features_are_those_of_the_decision_where_they_were_kept_under_this_contract(tmp_path: Path, ledger: Ledger) -> None:
    class Door:
        def historical(self, contact_ids: np.ndarray, as_of: np.ndarray) -> dict[str, np.ndarray]:
            assert contact_ids.tolist() == ["c2"]
            return {"age": np.array([50.0]), "born": np.array(["1970-01-01"], dtype="datetime64[us]")}

    other = {"versions": {"catalog": "1#ab", "features": "another", "models": {}}}
    ledger.record_decisions([decided("d1"), decided("d2", contact_id="c2", trace=other)])
    own = own_log(ledger)
    rows, _ = read_labelled(tmp_path, WINDOWS, AS_OF, own)

    features = features_of(rows, Door(), own)  # type: ignore[arg-type]

    assert features["age"].tolist() == [30.5, 50.0]
    assert features["born"].astype("datetime64[D]").astype(str).tolist() == ["1990-01-02", "1970-01-01"]


def test_the_digest_changes_with_what_happened(ledger: Ledger) -> None:
    ledger.record_decisions([decided("d1")])
    before = own_log(ledger).digest
    ledger.record_outcomes([came("e1", 1, "d1")])

    assert own_log(ledger).digest != before


def test_a_window_that_the_ingested_tables_leave_open_stays_open_though_the_ledger_goes_on(tmp_path: Path, ledger: Ledger) -> None:
    at = NOW.replace(tzinfo=None).isoformat()
    rows = [touch("crm-7", at, contact="c2"), touch("closed", "2026-01-01"), touch("d1", at)]
    write(tmp_path / "interactions.parquet", INTERACTION_TYPES, rows)
    ledger.record_decisions([decided("d1", chosen(1)), decided("d3", chosen(1), contact_id="c3")])
    ended = np.datetime64(NOW.replace(tzinfo=None), "us") + np.timedelta64(1, "D")

    known = sold(*read_labelled(tmp_path, WINDOWS, AS_OF, own_log(ledger), ingested_until=ended))

    assert np.isnan(known.pop("crm-7")[0])  # nobody says what followed it; of what the ledger decided outcomes come to the ledger
    assert known == {"closed": (0.0, 0.0), "d1": (0.0, 0.0), "d3": (0.0, 0.0)}
