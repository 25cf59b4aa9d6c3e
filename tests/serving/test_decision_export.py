"""The decision log in the field's own words: every candidate where it ended, as we count it and as pdstools counts it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from decisioning.errors import RequestError
from serving.feedback.decision_export import export_decisions, export_partitioned
from serving.schemas.decisions import DecisionRequest, OutcomeIn
from tests.ledger.conftest import decision, email
from tests.serving.small_house import NOW, House, small_house

Answers = list[dict[str, Any]]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with small_house(tmp_path) as made:
        yield made


def decide(house: House, times: int = 12) -> Answers:
    """Decisions that lose candidates at several stages: by age, by consent, by cap, by the placement that was asked for."""
    house.consent("adult")
    answers = []
    for n in range(times):
        asked: dict[str, Any] = {"channel": "web", "placements": ["home_hero"]} if n % 2 else {"limit": 1 + n % 3}
        request = DecisionRequest(contact_id=("adult", "child", f"visitor-{n}")[n % 3], explain=True, **asked)
        not_asked_for = [("placement", "loan"), ("placement", "card")] if n % 2 else []  # the e-mail and the strip
        answers.append({**house.service.decide(request), "not_asked_for": not_asked_for})
        house.clock.advance(hours=7)
    return answers


def ended(answers: Answers) -> Counter[tuple[str, str]]:
    """(stage, action) of every candidate, from the answers that callers got."""
    found: Counter[tuple[str, str]] = Counter()
    for answer in answers:
        found.update((one["stage"], one["action_id"]) for one in answer["filtered"])
        found.update(answer["not_asked_for"])
        found.update(("Output", one["action_id"]) for one in answer["actions"])
    return found


def test_every_candidate_has_a_row_that_says_where_it_ended(house: House, tmp_path: Path) -> None:
    answers = decide(house)
    counts = export_decisions(house.ledger, tmp_path / "log.parquet")
    rows = pq.read_table(tmp_path / "log.parquet").to_pylist()
    treatments = len(house.snapshots.current.catalog.treatments)
    assert counts == {"rows": len(answers) * treatments, "decisions": len(answers), "without_rows": 0}
    exported = Counter((row["Stage_pyName"], row["pyName"]) for row in rows if row["Stage_pyName"] != "Arbitration")
    assert exported == ended(answers)
    assert {row["pxInteractionID"] for row in rows} == {answer["decision_id"] for answer in answers}
    chosen = {(a["decision_id"], one["treatment_id"]): one for a in answers for one in a["actions"]}
    for row in rows:
        if row["pxRecordType"] == "OUTPUT":
            one = chosen[row["pxInteractionID"], row["pyTreatment"]]
            assert (row["Value"], row["FinalPropensity"], row["Priority"], row["SelectionProbability"]) == (
                pytest.approx(one["value"]), pytest.approx(one["propensity"]), pytest.approx(one["priority"]), one["selection_prob"],
            )  # fmt: skip


def test_pdstools_opens_it_and_counts_the_same_funnel(house: House, tmp_path: Path) -> None:
    analyzers = pytest.importorskip("pdstools.decision_analyzer", reason="pdstools is not installed: pip install pdstools")
    import polars as pl

    answers = decide(house)
    export_decisions(house.ledger, tmp_path / "log.parquet")
    analyzer = analyzers.DecisionAnalyzer(pl.scan_parquet(tmp_path / "log.parquet"), level="Stage")
    assert analyzer.validation_error is None
    assert analyzer.extract_type == "decision_analyzer"
    available, _passing, filtered = analyzer.aggregates.get_funnel_data(scope="Action")
    ours = ended(answers)
    theirs = {(row["Stage"], row["Action"]): row["action_occurrences"] for row in filtered.to_dicts()}
    assert {key: n for key, n in theirs.items() if key[0] != "Arbitration"} == {key: n for key, n in ours.items() if key[0] != "Output"}
    reached = {row["Action"]: row["action_occurrences"] for row in available.collect().to_dicts() if row["Stage"] == "Output"}
    assert reached == {action: n for (stage, action), n in ours.items() if stage == "Output"}
    assert set(filtered["interaction_count"].to_list()) == {len(answers)}


def test_pdstools_opens_the_days_as_one_log(house: House, tmp_path: Path) -> None:
    analyzers = pytest.importorskip("pdstools.decision_analyzer", reason="pdstools is not installed: pip install pdstools")
    answers = decide(house)
    export_partitioned(house.ledger, tmp_path / "lake")
    analyzer = analyzers.DecisionAnalyzer.from_decision_analyzer(str(tmp_path / "lake" / "decisions"), level="Stage")
    assert analyzer.decision_data.collect()["Interaction ID"].n_unique() == len(answers)


def test_days_are_folders_and_add_up_to_the_whole(house: House, tmp_path: Path) -> None:
    answers = decide(house)
    sold = OutcomeIn(event_id="e-1", decision_id=answers[0]["decision_id"], outcome="sale", value=5.0)
    late = OutcomeIn(event_id="e-2", contact_id="adult", outcome="reject", occurred_at=NOW - timedelta(days=3))
    house.service.record_outcomes([sold, late])
    counts = export_partitioned(house.ledger, tmp_path / "lake")
    days = sorted(path.name for path in (tmp_path / "lake" / "decisions").iterdir())
    assert days == ["day=2026-11-22", "day=2026-11-23", "day=2026-11-24", "day=2026-11-25"]
    assert pq.read_table(tmp_path / "lake" / "decisions").num_rows == counts["rows"]
    assert counts["outcomes"] == 2
    assert sorted(path.name for path in (tmp_path / "lake" / "outcomes").iterdir()) == ["day=2026-11-19", "day=2026-11-26"]
    with pytest.raises(RequestError, match="is there already"):
        export_partitioned(house.ledger, tmp_path / "lake")


def test_a_plans_decisions_and_erased_contacts_are_in_it_as_far_as_they_are_known(house: House, tmp_path: Path) -> None:
    decide(house, 3)
    house.ledger.record_decisions([decision("p-1", email(), plan_id="plan-1", trace={"economics": [{"value": 7.0, "propensity": 0.25}]})])
    house.ledger.record_decisions([decision("p-2", plan_id="plan-1", trace={"no_action": "nothing pays"})])
    house.ledger.erase("adult", NOW)
    counts = export_decisions(house.ledger, tmp_path / "log.csv")
    assert counts["without_rows"] == 1
    text = (tmp_path / "log.csv").read_text()
    assert "adult" not in text
    assert text.count("erased-") == 1, "the chosen action of the erased contact is left, its other candidates are not"
    export_decisions(house.ledger, tmp_path / "log.parquet")
    [planned] = [row for row in pq.read_table(tmp_path / "log.parquet").to_pylist() if row["PlanID"] == "plan-1"]
    assert (planned["Value"], planned["FinalPropensity"], planned["pxRecordType"], planned["pxStrategyName"]) == (
        7.0,
        0.25,
        "OUTPUT",
        "plan",
    )


def test_an_empty_log_is_an_empty_file_and_another_format_is_refused(house: House, tmp_path: Path) -> None:
    assert export_decisions(house.ledger, tmp_path / "log.parquet")["rows"] == 0
    assert pq.read_table(tmp_path / "log.parquet").num_rows == 0
    with pytest.raises(RequestError, match=r"ends in .parquet or .csv"):
        export_decisions(house.ledger, tmp_path / "log.xlsx")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
