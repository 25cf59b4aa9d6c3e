"""Decisions of a real ledger, made again by other models: what the evidence says is what is true of the simulated contacts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from decisioning.catalog import parse_catalog
from decisioning.compiled_catalog import compile_catalog
from decisioning.errors import NotFound
from estimators.bundle import PropensityBundle, UpliftBundle
from estimators.encoding import FeatureEncoder
from estimators.heads import ResponseHead
from estimators.uplift_head import UpliftHead
from ledger.outcomes import OutcomeRecord
from ledger.store import Ledger
from nudge.verbs.ledger_evidence import Shadow, ledger_evidence, outcomes_of
from serving.realtime.scorer import Models, Scorer
from serving.realtime.snapshot import Snapshot, SnapshotHolder
from serving.replaying.would_have import LeftOut, Remaking, Rival
from serving.schemas.decisions import DecisionRequest
from serving.service import Service
from tests.serving.small_house import DTYPES, NOW, Fixed, House
from training.comparison import CHALLENGER, CHAMPION, NO_ACTION, PROPENSITY_GREEDY, RANDOM, Evidence, compared
from training.gate_verdict import judged

N = 600
BASELINE, VALUE = 0.1, 100
TRUE_UPLIFT = {"loan": 0.2, "card": 0.4}
CATALOG: dict[str, Any] = {
    "version": "1",
    "currency": "PLN",
    "time_zone": "Europe/Warsaw",
    "channels": {"web": {"direction": "inbound", "cost": 1.0, "placements": ["hero"]}},
    "outcomes": {
        "loan_taken": {"kind": "conversion", "window_days": 30},
        "card_opened": {"kind": "conversion", "window_days": 30},
        "unsubscribe": {"kind": "opt_out", "window_days": 30},
    },
    "actions": [
        {"id": name, "goal": goal, "value": VALUE, "treatments": [{"id": f"{name}_hero", "channel": "web", "placement": "hero"}]}
        for name, goal in (("loan", "loan_taken"), ("card", "card_opened"))
    ],
    "exploration": {"method": "epsilon_greedy", "epsilon": 0.5, "budget": 1e9},
    "controls": {"holdout": 0.1, "random": 0.15},
}


def models(uplift: Mapping[str, float], version: int) -> Models:
    """Models that believe the same of everybody."""
    at = np.datetime64("2026-11-22", "us")
    encoder = FeatureEncoder.fit({"age": np.arange(2.0)}, {"age": "int"}, at)
    heads = {name: ResponseHead(BASELINE + effect, (1.0, 0.0, 0.0), None, None, None, 1000, 100) for name, effect in uplift.items()}
    effects = {name: UpliftHead(effect, 0.01, (), 1000) for name, effect in uplift.items()}
    versions = {"propensity": version, "uplift": version}
    return Models(PropensityBundle("abc", encoder, heads), UpliftBundle("abc", encoder, effects), None, versions)


BELIEFS = {CHAMPION: models({"loan": 0.2, "card": 0.1}, 1), CHALLENGER: models(TRUE_UPLIFT, 2)}


class Served(Fixed):
    """The champion serves; both versions can be loaded."""

    def models(self, versions: Mapping[str, int]) -> Models:
        found = next((one for one in BELIEFS.values() if one.versions == versions), None)
        if found is None:
            raise NotFound("there is no such version")
        return found

    def load(self) -> Snapshot:
        compiled = compile_catalog(parse_catalog(self.catalog), DTYPES)  # type: ignore[arg-type]
        return Snapshot(compiled, Scorer(BELIEFS[CHAMPION], compiled), self.known, dict(DTYPES), "abc")  # type: ignore[arg-type]


class ServedHouse(House):
    def __init__(self, ledger: Ledger, catalog: Mapping[str, Any] = CATALOG) -> None:
        super().__init__(ledger, catalog)
        self.source = Served(catalog, self.known)
        self.snapshots = SnapshotHolder(self.source)
        self.service = Service(self.snapshots, ledger, self.clock)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHouse]:
    with Ledger.open(f"sqlite:///{tmp_path_factory.mktemp('shadow')}/ledger.db") as ledger:
        made = ServedHouse(ledger)
        rng = np.random.default_rng(7)
        answers = made.service.decide_many([DecisionRequest(contact_id=f"c-{n}", channel="web", placements=["hero"]) for n in range(N)])
        happened = [_drawn(answer, rng) for answer in answers if isinstance(answer, dict)]
        outcomes = [_outcome(*one, number) for number, one in enumerate(one for each in happened for one in each)]
        ledger.record_outcomes([*outcomes, _outcome("c-0", "loan_taken", -1, days=31), _outcome("stranger", "loan_taken", -2)])
        yield made


def _drawn(answer: Mapping[str, Any], rng: np.random.Generator) -> list[tuple[str, str]]:
    done = answer["actions"][0]["action_id"] if answer["actions"] else None
    chances = {goal: BASELINE + TRUE_UPLIFT[name] * (name == done) for name, goal in (("loan", "loan_taken"), ("card", "card_opened"))}
    return [(answer["contact_id"], goal) for goal, chance in chances.items() if rng.random() < chance]


def _outcome(contact_id: str, goal: str, number: int, days: float = 3.0) -> OutcomeRecord:
    at = NOW + timedelta(days=days)
    return OutcomeRecord(f"e{number}", contact_id, goal, "positive", at, at)


def remaking_of(house: ServedHouse) -> Remaking:
    rivals = {name: Rival(one) for name, one in BELIEFS.items()} | {PROPENSITY_GREEDY: Rival(BELIEFS[CHAMPION], by_response=True)}
    return Remaking(house.ledger, house.source.models, rivals)


@pytest.fixture(scope="module")
def evidence(house: ServedHouse) -> Evidence:
    remaking = remaking_of(house)
    ids = house.ledger.newest_between(NOW - timedelta(days=1), NOW + timedelta(days=1), 10 * N)
    shadow = Shadow([remaking.remade(record) for record in house.ledger.decisions_by_id(ids).values()], Counter())
    catalog = house.snapshots.current.catalog.catalog
    return ledger_evidence(shadow, outcomes_of(shadow.made, house.ledger, catalog), catalog)


def test_each_policy_is_worth_what_is_true_of_it(evidence: Evidence) -> None:
    lines = {line.name: line for line in compared(evidence)}

    anyway = 2 * BASELINE * VALUE
    truth = {CHAMPION: anyway + 19, CHALLENGER: anyway + 39, RANDOM: anyway + 29, NO_ACTION: anyway}
    assert len(evidence) == N
    for name, value in truth.items():
        spread = (lines[name].high - lines[name].low) / 3.92
        assert abs(lines[name].value - value) < 3.5 * spread, name
        assert lines[name].effective_sample_size > 50
    assert lines[PROPENSITY_GREEDY].agreement == 1.0
    assert lines[CHALLENGER].agreement == 0.0


def test_a_challenger_that_knows_better_is_promoted_without_ever_having_acted(evidence: Evidence) -> None:
    verdict = judged(evidence)

    assert verdict.passed
    assert verdict.gain is not None
    assert verdict.gain.low < 20 < verdict.gain.high
    assert "decisions of the ledger" in verdict.reason


def test_the_chance_of_what_was_done_counts_the_control_groups_in(house: ServedHouse) -> None:
    ids = house.ledger.newest_between(NOW - timedelta(days=1), NOW + timedelta(days=1), N)
    remaking = remaking_of(house)
    chances: dict[tuple[str, ...], set[float]] = {}
    for record in house.ledger.decisions_by_id(ids).values():
        made = remaking.remade(record)
        chances.setdefault(made.logged, set()).add(round(made.selection_prob, 9))

    # Nudge (75 %) takes one of three by chance half of the time, else the loan; holdout (10 %) nothing; random (15 %) one of two.
    assert chances[("loan_hero",)] == {round(0.75 * (0.5 + 0.5 / 3) + 0.15 / 2, 9)}
    assert chances[("card_hero",)] == {round(0.75 * 0.5 / 3 + 0.15 / 2, 9)}
    assert chances[()] == {round(0.75 * 0.5 / 3 + 0.1, 9)}


def test_outcomes_out_of_the_window_or_of_others_do_not_count(evidence: Evidence) -> None:
    row = int(np.flatnonzero(evidence.contact == "c-0")[0])

    assert set(np.unique(evidence.came[row]).tolist()) <= {0.0, float(VALUE)}


def test_a_decision_of_a_model_that_reads_other_features_is_left_out(house: ServedHouse) -> None:
    other = BELIEFS[CHALLENGER]
    stranger = Models(PropensityBundle("xyz", other.propensity.encoder, {}), None, None, {"propensity": 3})  # type: ignore[union-attr]
    remaking = Remaking(house.ledger, house.source.models, {CHAMPION: Rival(BELIEFS[CHAMPION]), CHALLENGER: Rival(stranger)})
    (decision_id,) = house.ledger.newest_between(NOW - timedelta(days=1), NOW + timedelta(days=1), 1)

    record = house.ledger.decision(decision_id)

    assert record is not None
    with pytest.raises(LeftOut, match="made on another feature contract"):
        remaking.remade(record)
