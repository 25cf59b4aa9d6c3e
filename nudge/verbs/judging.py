"""What policies truly earn in the simulated world: the demo's last table.

Every policy chooses among the same candidates (those that rules, consent and contact policy leave) within the same budgets and capacities;
only the order in which it prefers them differs. The truth is read after the plan, and no policy but the oracle sees it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from msgspec import structs

from decisioning.allocation import Limits, Offers, allocate
from decisioning.candidates import Candidates
from decisioning.plan_offers import Profiles, limits_of
from decisioning.stages import Appraisal, House, appraise_candidates
from decisioning.vocabulary import BoolArray, FloatArray
from nudge.ground.workspace import Workspace
from nudge.verbs.planning import read_population
from nudge.verbs.snapshot_source import WorkspaceSnapshots
from serving.plans.planner import PLANS
from serving.plans.population import gather_population
from simulation.replay import true_profit
from simulation.truth import Truth, load_truth

AFTER_THE_RULES = ("arbitrate",)
"""Stages that rank rather than permit: what they took out is still open to another policy."""


@dataclass(frozen=True)
class Arena:
    """The candidates that are open to every policy, contact by contact: arrays of shape (n_open,), and the maxima of the limits.

    What an open candidate uses of them is `uses[profile]`.
    """

    contact_ids: np.ndarray
    treatment_ids: list[str]
    row: np.ndarray
    column: np.ndarray
    propensity: FloatArray
    response_profit: FloatArray
    truth: FloatArray
    profile: np.ndarray
    uses: FloatArray
    most: FloatArray


def judge(workspace: Workspace, plan_file: Path) -> list[dict[str, Any]]:
    """The true incremental profit of each policy, the plan in `plan_file` among them.

    Returns
    -------
    list of {policy, contacted, true_profit, per_contact, share_of_oracle}
    """
    truth = load_truth(workspace.folder / "truth")
    arena = open_arena(workspace, truth)
    rng = np.random.default_rng(workspace.config.seed)
    planned = pq.read_table(plan_file, columns=["contact_id", "treatment_id"])
    nudge_profit = true_profit(truth, planned["contact_id"].to_numpy(zero_copy_only=False), planned["treatment_id"].to_pylist())
    policies = {
        "no contact at all": np.zeros(0),
        "random": _earned(arena, rng.random(len(arena.row))),
        "propensity-greedy": _earned(arena, arena.propensity),
        "propensity x value - cost, greedy": _earned(arena, np.where(arena.response_profit > 0, arena.response_profit, np.nan)),
        "Nudge": nudge_profit[np.array([one is not None for one in planned["treatment_id"].to_pylist()])],
        "oracle": _earned_by_the_oracle(arena),
    }
    total = float(policies["oracle"].sum())
    return [
        {
            "policy": name,
            "contacted": len(earned),
            "true_profit": float(earned.sum()),
            "per_contact": float(earned.sum()) / max(1, len(arena.contact_ids)),
            "share_of_oracle": float(earned.sum()) / total if total > 0 else None,
        }
        for name, earned in policies.items()
    ]


def open_arena(workspace: Workspace, truth: Truth) -> Arena:
    """The candidates of the plan's population before any policy ranks them."""
    with workspace.open_ledger() as ledger:
        snapshot = WorkspaceSnapshots(workspace, ledger).load()
        population = read_population(workspace, snapshot, None, None)
        situation, history, *_ = gather_population(population, snapshot, ledger, datetime.now(UTC), excluding_plan=PLANS)
    whole = {name: np.asarray(column) for name, column in situation.columns.items()}
    situation = structs.replace(situation, columns=whole)
    appraisal = appraise_candidates(House(snapshot.catalog, snapshot.scorer), situation, history)
    row, column = np.nonzero(_open_to_all(appraisal))
    scores, economics = appraisal.scores, appraisal.economics
    treatment_ids = [treatment.id for _, treatment in snapshot.catalog.treatments]
    names = [treatment_ids[k] for k in column]
    profiles = Profiles.of(snapshot.catalog)
    return Arena(
        contact_ids=population.contact_ids,
        treatment_ids=names,
        row=row,
        column=column,
        propensity=scores.propensity[row, column],
        response_profit=(scores.propensity * scores.value - economics.cost)[row, column],
        truth=true_profit(truth, population.contact_ids[row], names),
        profile=profiles.of_candidates(appraisal, row, column),
        uses=profiles.uses,
        most=limits_of(snapshot.catalog).most,
    )


def _open_to_all(appraisal: Appraisal) -> BoolArray:
    """Candidates that are alive, or that only arbitration took out."""
    candidates: Candidates = appraisal.candidates
    ranked_out = [index for index, removal in enumerate(candidates.removals) if removal.stage in AFTER_THE_RULES]
    return candidates.alive | np.isin(candidates.removed_by, ranked_out)


def _earned(arena: Arena, preference: FloatArray) -> FloatArray:
    """The true profit of taking candidates in the order of `preference` (NaN: never) while they fit: how the market caps, greedily."""
    wanted = np.flatnonzero(~np.isnan(preference))
    order = wanted[np.argsort(-preference[wanted], kind="stable")]
    return arena.truth[take_greedily(arena.row, arena.uses[arena.profile], arena.most, order)]


def take_greedily(row: np.ndarray, use: FloatArray, limits: FloatArray, order: Sequence[int] | np.ndarray) -> np.ndarray:
    """The candidates taken in `order`: one a contact, each only while it fits into every limit.

    Examples
    --------
    >>> take_greedily(np.array([0, 0, 1]), np.ones((3, 1)), np.array([1.0]), [2, 0, 1])
    array([2])
    """
    used, served, taken = np.zeros(len(limits)), set(), []
    for candidate in order:
        contact = int(row[candidate])
        if contact not in served and (used + use[candidate] <= limits).all():
            used += use[candidate]
            served.add(contact)
            taken.append(int(candidate))
    return np.array(taken, dtype=np.int64)


def _earned_by_the_oracle(arena: Arena) -> FloatArray:
    """The true profit of the best allocation when the truth is known."""
    worth = np.flatnonzero(arena.truth > 0)
    column, truth = arena.column[worth], arena.truth[worth]
    nobody = np.zeros(len(worth), dtype=np.bool_)
    offers = Offers(arena.row[worth], column, truth, arena.profile[worth], arena.uses, nobody, column)
    return truth[allocate(offers, Limits.at_most(arena.most), len(arena.contact_ids)).taken]
