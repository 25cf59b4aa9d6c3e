"""A past decision made again from its versions, its inputs and its seed: is it the same, and if not, where does it differ?"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from decisioning.catalog import parse_catalog
from decisioning.compiled_catalog import CompiledCatalog, compile_catalog
from decisioning.decide import Decision, decide
from decisioning.errors import Conflict, NotFound
from decisioning.plan import Plan
from decisioning.stages import House
from ledger.candidates import candidate_rows
from ledger.catalogs import catalog_key
from ledger.codec import to_json
from ledger.records import DecisionRecord
from ledger.store import Ledger
from serving.plans.archive import PlanArchive
from serving.plans.planner import decision_ids, planned
from serving.plans.publication import ECONOMICS, as_planned
from serving.realtime import answers
from serving.realtime.decision_inputs import inputs_from_json
from serving.realtime.scorer import Models, Scorer
from serving.realtime.situations import to_datetime64_or_none
from serving.schemas.decisions import DecisionRequest

LoadModels = Callable[[Mapping[str, int]], Models]
"""The models of these versions, as they were."""

_SHOWN = 50
_COUNT = re.compile(r"(\d+) by (\w+)(?: \([^)]*\))?")
"""In the words of why there is no action: so many treatments by a stage."""


def replay(record: DecisionRecord, ledger: Ledger, load_models: LoadModels) -> dict[str, Any]:
    """{decision_id, identical, differences: [{field, then, now}]}.

    Raises
    ------
    NotFound
        A version that it was made with is not there any more.
    Conflict
        No decision could be made at the time, so that there is nothing to make again.
    """
    trace = record.trace
    if "inputs" not in trace:
        raise NotFound("this decision was kept without its inputs", field="decision_id", got=record.decision_id)
    if not trace["candidates"]:
        raise Conflict("no decision could be made then, the fallback answered", field="decision_id", got=record.degraded)
    catalog, scorer, dtypes = _as_it_was(trace["versions"], ledger, load_models)
    request = DecisionRequest.model_validate(trace["request"])
    situation, history = inputs_from_json({**trace["inputs"], "features": trace["features"]}, dtypes)
    house = House(catalog, scorer, trace["prices"], trace["room"], trace["allowance"])
    made = decide(house, situation, history, limit=request.limit or max(1, len(request.placements or ())))
    then = _comparable(trace["response"], candidate_rows(trace["candidates"]))
    now = json.loads(to_json(_comparable(_answer(made, catalog), candidate_rows(answers.candidate_columns(made, catalog)))))
    if then["no_action"] and now["no_action"]:
        now["no_action"]["detail"] = _as_said_then(then["no_action"]["detail"], now["no_action"]["detail"])
    differences = list(differing(then, now))
    return {"decision_id": record.decision_id, "identical": not differences, "differences": differences[:_SHOWN]}


def replay_plan(record: DecisionRecord, ledger: Ledger, load_models: LoadModels, archive: PlanArchive) -> dict[str, Any]:
    """A plan's decision made again by making the whole plan again: {decision_id, identical, differences}.

    Raises
    ------
    NotFound
        The plan's inputs, or a version it was made with, are not there any more.
    """
    plan_id = str(record.plan_id)
    catalog, scorer, dtypes = _as_it_was(record.trace["versions"], ledger, load_models)
    population, found = archive.load(plan_id, dtypes)
    ids = decision_ids(plan_id, population)
    made = planned(catalog, scorer, found, ids)
    rows = [row for row in range(len(made.treatment)) if ids[int(made.contact[row])] == record.decision_id]
    now = json.loads(to_json(_planned_answer(made, catalog, rows)))
    then = as_planned(record)
    now["no_action"] = _as_said_then(then["no_action"], now["no_action"])
    differences = list(differing(json.loads(to_json(then)), now))
    return {"decision_id": record.decision_id, "identical": not differences, "differences": differences[:_SHOWN]}


def _planned_answer(made: Plan, catalog: CompiledCatalog, rows: list[int]) -> dict[str, Any]:
    chosen = [row for row in rows if made.treatment[row] >= 0]
    column = made.treatment
    return {
        "control_group": made.control_group[rows[0]],
        "treatments": [
            [catalog.treatments[column[row]][1].id, int(made.rank[row]), float(made.selection_prob[row]), float(catalog.cost[column[row]])]
            for row in chosen
        ],
        "economics": [{name: answers.number(made.factors[name][row]) for name in ECONOMICS} for row in chosen],
        "no_action": None if chosen else made.reason[rows[0]],
    }


def _as_it_was(versions: Mapping[str, Any], ledger: Ledger, load_models: LoadModels) -> tuple[CompiledCatalog, Scorer, dict[str, Any]]:
    key = catalog_key(versions["catalog"], versions["features"])
    kept = ledger.catalog(key)
    if kept is None:
        raise NotFound("the catalogue that decided is not in the ledger", field="versions.catalog", got=key)
    catalog = compile_catalog(parse_catalog(kept["catalog"]), kept["dtypes"])
    return catalog, Scorer(load_models(versions["models"]), catalog, to_datetime64_or_none(kept["feature_as_of"])), kept["dtypes"]


def _answer(made: Decision, catalog: CompiledCatalog) -> dict[str, Any]:
    return {
        "control_group": made.group,
        "actions": answers.chosen_actions(made, catalog),
        "no_action": answers.no_action(made, catalog),
    }


def _comparable(answer: Mapping[str, Any], candidates: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: answer[name] for name in ("control_group", "actions", "no_action")} | {"candidates": candidates}


def _as_said_then(then: str | None, now: str | None) -> str | None:
    """`now`, in the words of an earlier version where it says the same: how many treatments a stage took out, without why.

    Examples
    --------
    >>> now = "taken out: 1 by score (no model), 2 by consent, 1 by score (value not known)"
    >>> _as_said_then("taken out: 2 by score, 2 by consent", now), _as_said_then("taken out: 1 by score, 2 by consent", now) == now
    ('taken out: 2 by score, 2 by consent', True)
    """
    counts: dict[str, int] = {}
    for count, stage in _COUNT.findall(now or ""):
        counts[stage] = counts.get(stage, 0) + int(count)
    begins, *_ = _COUNT.split(now or "", maxsplit=1)
    return then if begins + ", ".join(f"{count} by {stage}" for stage, count in counts.items()) == then else now


def differing(then: Any, now: Any, path: str = "") -> Iterator[dict[str, Any]]:
    """Where two JSON values differ, leaf by leaf.

    Examples
    --------
    >>> list(differing({"a": [1, 2]}, {"a": [1, 3]}))
    [{'field': 'a[1]', 'then': 2, 'now': 3}]
    """
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        for key in dict.fromkeys([*then, *now]):
            yield from differing(then.get(key), now.get(key), f"{path}.{key}" if path else str(key))
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for place, (one, other) in enumerate(zip(then, now, strict=True)):
            yield from differing(one, other, f"{path}[{place}]")
    elif then != now:
        yield {"field": path, "then": then, "now": now}
