"""`nudge plan`: the population's features through the planner into files, the ledger and the price book."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from decisioning.control import hash_to_unit
from decisioning.errors import DataError, NotFound, RequestError
from decisioning.plan_offers import Shelf
from decisioning.vocabulary import null_column
from ledger.bulk import made_ready
from nudge.ground.terminal import Telling
from nudge.ground.workspace import Workspace, require_data
from nudge.verbs.features_ready import default_as_of, ensure_built, to_datetime64
from nudge.verbs.snapshot_source import WorkspaceSnapshots
from nudge.verbs.what_if import LimitChange, of_everyone, with_limits
from serving.plans.audiences import summary, write_plan
from serving.plans.crew import MOST_WORKERS, Crew, cores
from serving.plans.file_shelf import FileShelf
from serving.plans.planner import Means, make_plan
from serving.plans.population import Population
from serving.plans.publication import publish, publish_prices
from serving.realtime.snapshot import Snapshot

_FEW_CONTACTS = 50_000
"""Below, one process is done before others have begun, and memory holds all."""

_SAMPLE = "the order in which contacts are sampled"


@dataclass(frozen=True)
class PlanOptions:
    """How to plan: as of when, for whom (a parquet file of contact_ids), and what becomes of it.

    `dry_run` only computes. `prices_only` publishes the shadow prices for real time and nothing else: no decision is kept, nothing is
    reserved, no file is written. `limits` are asked about in the place of the catalogue's; `sample` contacts stand for everyone where
    there are more. A plan with either is only computed. `workers` processes work at it; by default one a core, of a small plan one.
    """

    as_of: datetime | None = None
    contacts: Path | None = None
    dry_run: bool = False
    prices_only: bool = False
    limits: tuple[LimitChange, ...] = ()
    sample: int | None = None
    workers: int | None = None

    @property
    def only_asked(self) -> bool:
        """Whether this is a question about another plan than the catalogue's for everyone."""
        return bool(self.limits) or self.sample is not None

    @property
    def only_computes(self) -> bool:
        """Whether nothing becomes of it."""
        return self.dry_run or self.only_asked


def plan_workspace(workspace: Workspace, *, out: Path, options: PlanOptions, say: Telling) -> dict[str, Any]:
    """Plan, write the files, keep the decisions and publish the shadow prices.

    Returns
    -------
    dict
        The manifest, with `files` as paths, and `warnings`: what a person should look at.
    """
    _refuse_mixed(options)
    ensure_built(workspace, say)
    with workspace.open_ledger() as ledger, ExitStack() as helpers:
        source, how = WorkspaceSnapshots(workspace, ledger), workspace.adapting
        if how is not None and not options.only_computes:
            source.adapt(how)
        snapshot = source.load()
        say("reading what is known of the contacts")
        everyone = count_contacts(workspace, options.as_of) if options.sample else 0
        sample = options.sample if options.sample and options.sample < everyone else None
        if options.only_asked:
            snapshot = _asked_about(snapshot, options.limits, share=sample / everyone if sample else 1.0)
        population = read_population(workspace, snapshot, options.as_of, options.contacts, sample)
        total, warnings = len(population.contact_ids), [*without_models(snapshot), *unknown_markets(population, snapshot)]
        crew = helpers.enter_context(_crew(total, options))
        means = _means(workspace, total, crew, say)
        planned = make_plan(population, snapshot, ledger, datetime.now(UTC), means, in_place=options.only_asked)
        if options.only_computes or options.prices_only:
            if not options.only_computes:
                publish_prices(planned, ledger, reserved=False)
            done = {"files": [], "dry_run": options.only_computes, "prices_only": options.prices_only, "warnings": warnings}
            return (of_everyone(summary(planned), everyone) if sample else summary(planned)) | done
        say("keeping the decisions")
        workspace.plan_archive.keep(planned)
        planned = publish(planned, ledger, crew, lambda kept: say(f"kept {kept:,} of {total:,} decisions", kept, total))
        say("writing the files")
        manifest = write_plan(planned, out, crew.by_threads)
    folder = out / planned.plan_id
    files = [str(folder / name) for name in [*manifest["files"], "manifest.json"]]
    return manifest | {"files": files, "dry_run": False, "warnings": warnings}


def workers_for(contacts: int, options: PlanOptions) -> int:
    """How many processes, or threads, work at a plan."""
    if options.workers is not None:
        return options.workers
    return 1 if contacts < _FEW_CONTACTS else min(cores(), MOST_WORKERS)


def _crew(contacts: int, options: PlanOptions) -> Crew:
    """Who works at a plan, begun already where there are decisions to be kept."""
    crew = Crew(workers_for(contacts, options))
    if not (options.only_computes or options.prices_only):
        crew.begin(made_ready, ())
    return crew


def _means(workspace: Workspace, contacts: int, crew: Crew, say: Telling) -> Means:
    def progress(done: int) -> None:
        say(f"decided {done:,} of {contacts:,} contacts", done, contacts)

    shelf = Shelf if contacts < _FEW_CONTACTS else partial(FileShelf, workspace.folder / "state")
    return Means(progress, shelf, crew.by_threads)


def _refuse_mixed(options: PlanOptions) -> None:
    if options.only_asked and options.prices_only:
        raise RequestError(
            "a question about other limits, or about a sample, publishes nothing", field="--prices-only", hint="change catalog.yaml first"
        )
    if options.sample is not None and options.contacts is not None:
        raise RequestError("a sample is one of everyone", field="sample", hint="give either the contacts or a sample")


def _asked_about(snapshot: Snapshot, limits: Sequence[LimitChange], *, share: float) -> Snapshot:
    """The snapshot with other limits: what the rules, models and treatments are compiled to stays."""
    changed = with_limits(snapshot.catalog.catalog, limits, share=share)
    return replace(snapshot, catalog=replace(snapshot.catalog, catalog=changed))


def count_contacts(workspace: Workspace, as_of: datetime | None) -> int:
    """How many contacts a plan of everyone is for."""
    from features.build import known_contacts

    require_data(workspace)
    return len(known_contacts(workspace.folder, default_as_of(workspace) if as_of is None else to_datetime64(as_of)))


def without_models(snapshot: Snapshot) -> list[str]:
    """That nothing was learned yet, if so."""
    nothing = not snapshot.scorer.models.versions
    return ["no model is trained yet: only actions with a `cold_start` can be chosen. Hint: run nudge train"] if nothing else []


def unknown_markets(population: Population, snapshot: Snapshot) -> list[str]:
    """A sentence for each constraint on a market that nobody of the population is of: a slip of the pen limits nothing."""
    markets = population.columns.get("market")
    known = set() if markets is None else set(np.asarray(markets).tolist())
    return [
        f"constraint {one.id} counts nobody: no contact is of market '{one.market}'"
        for one in snapshot.catalog.catalog.constraints
        if one.market is not None and one.market not in known
    ]


def read_population(
    workspace: Workspace, snapshot: Snapshot, as_of: datetime | None, contacts: Path | None, sample: int | None = None
) -> Population:
    """Everyone, or those listed in a parquet file, with their features as of the plan's moment.

    `sample` reads that many of everyone, always the same ones.
    """
    data = require_data(workspace)
    feature_as_of = default_as_of(workspace) if as_of is None else to_datetime64(as_of)
    moment = to_datetime64(data.moment if as_of is None else as_of)
    contact_ids, columns = workspace.door.stored_population(feature_as_of) if sample is None else _sampled(workspace, feature_as_of, sample)
    if contacts is not None:
        contact_ids, columns = _only(_listed(contacts), contact_ids, columns, snapshot)
    fingerprint = json.dumps([data.fingerprint, workspace.config.seed, str(feature_as_of)])
    return Population(contact_ids, columns, moment, fingerprint)


def _sampled(workspace: Workspace, as_of: np.datetime64, sample: int) -> tuple[np.ndarray, Any]:
    from features.build import known_contacts

    contact_ids = known_contacts(workspace.folder, as_of)
    first = np.sort(hash_to_unit(contact_ids, _SAMPLE).argsort(kind="stable")[:sample])
    picked = contact_ids[first]
    return picked, workspace.door.historical(picked, np.full(len(picked), as_of.astype("datetime64[us]")))


def _listed(path: Path) -> np.ndarray:
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise NotFound("there is no such file", field="--contacts", got=path) from None
    except (pa.ArrowInvalid, OSError):
        raise DataError("cannot be read as parquet", field="--contacts", got=path) from None
    if "contact_id" not in table.column_names:
        raise DataError("the file has no column contact_id", field="--contacts", got=", ".join(table.column_names) or "no columns")
    kind = table["contact_id"].type
    if not (pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise DataError("is not an id", field="--contacts contact_id", got=str(kind), allowed="texts or integers")
    ids = [None if one is None else str(one) for one in table["contact_id"].to_pylist()]
    if None in ids or len(set(ids)) < len(ids):
        raise DataError("contact_id must be there once a row", field="--contacts", got="a NULL" if None in ids else "a contact twice")
    return np.array(ids, dtype=object)


def _only(wanted: np.ndarray, contact_ids: np.ndarray, columns: Any, snapshot: Snapshot) -> tuple[np.ndarray, Any]:
    """The rows of `wanted`, in its order; a contact nothing is known of has NULL features."""
    place = {contact_id: row for row, contact_id in enumerate(contact_ids.tolist())}
    rows = np.array([place.get(one, -1) for one in wanted.tolist()], dtype=np.int64)
    known = rows >= 0
    picked = {}
    for name, dtype in snapshot.dtypes.items():
        column = null_column(dtype, len(wanted))
        column[known] = columns[name][rows[known]]
        picked[name] = column
    return wanted, picked
