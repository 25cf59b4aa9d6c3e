"""`nudge report`: figures about the whole population, for the terminal or as a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from decisioning.errors import ConfigError, NotFound, RequestError, nearest
from features.build import known_contacts
from nudge.ground.workspace import Workspace, require_data
from nudge.reports.channels import measured_channels, without_each
from nudge.reports.data import data_report
from nudge.reports.facts import open_facts
from nudge.reports.goals import goals_report
from nudge.reports.goals_file import read_goals
from nudge.reports.models import models_report
from nudge.reports.periods import parse_period
from nudge.reports.roi import roi_report
from nudge.reports.segments import segments_report, shown_offers
from nudge.verbs.features_ready import Say, default_as_of, ensure_built
from nudge.verbs.planning import read_population
from nudge.verbs.snapshot_source import WorkspaceSnapshots
from serving.plans.funnel import funnel_report
from serving.plans.offers import offered_by_segment, value_finder

FUNNEL = "funnel"
OFFERS = ("value-finder", "segments")
"""Reports on what could be proposed, which need the models."""

REPORTS = (FUNNEL, "roi", "channels", "goals", "segments", "value-finder", "models", "data")

OFFER_SAMPLE = 10_000
"""Contacts whose candidates are looked at for these, unless they are listed."""

DROP_SAMPLE = 2_000
"""Contacts of whom plans with and without each channel are made, unless they are listed."""


def known_report(name: str) -> None:
    """Refuse a report that there is not.

    Raises
    ------
    RequestError
        No report at all.
    """
    if name not in REPORTS:
        raise RequestError("no such report", field="NAME", got=name, allowed=", ".join(REPORTS), hint=nearest(name, REPORTS))


@dataclass(frozen=True)
class ReportOptions:
    """What a report is of: as of when and of whom (the funnel, dropped channels), of which period (the measured ones).

    `drop` asks for the plans without each channel, which take longest. `since` and `until` are the dates between which segments moved.
    """

    as_of: datetime | None = None
    contacts: Path | None = None
    period: str | None = None
    drop: bool = True
    since: datetime | None = None
    until: datetime | None = None


def report_workspace(workspace: Workspace, name: str, options: ReportOptions, say: Say) -> dict[str, Any]:
    """The report `name`: the funnel over the whole population or the listed contacts, the others over what was done and what came of it.

    Raises
    ------
    RequestError
        No such report, or an option that means nothing to it.
    """
    known_report(name)
    _refuse_options(name, options)
    if name == FUNNEL:
        return _funnel(workspace, options, say)
    if name == "models":
        return models_report(workspace)
    require_data(workspace)
    if name in OFFERS:
        return _offers(workspace, name, options, say)
    say("reading what was done and what came of it")
    with open_facts(workspace) as facts:
        span = parse_period(options.period, facts.newest)
        if name == "goals":
            return goals_report(facts, read_goals(workspace.folder, workspace.environment))
        if name == "data":
            return data_report(workspace, facts)
        document = roi_report(facts, span) if name == "roi" else measured_channels(facts, span)
    if name == "channels" and options.drop:
        document["drop"] = _drop(workspace, options, say)
    return document


_MEANS: dict[str, tuple[str, ...]] = {
    "as_of": (FUNNEL, "channels", "value-finder"),
    "contacts": (FUNNEL, "channels", *OFFERS),
    "period": ("roi", "channels", "segments"),
    "since": ("segments",),
    "until": ("segments",),
}
_OPTIONS = {"since": "--from", "until": "--to"}


def _refuse_options(name: str, options: ReportOptions) -> None:
    for option, reports in _MEANS.items():
        if getattr(options, option) is not None and name not in reports:
            raise RequestError(
                f"means nothing to the report {name}",
                field=_OPTIONS.get(option, f"--{option.replace('_', '-')}"),
                allowed=", ".join(reports),
            )


def _funnel(workspace: Workspace, options: ReportOptions, say: Say) -> dict[str, Any]:
    ensure_built(workspace, say)
    with workspace.open_ledger() as ledger:
        snapshot = WorkspaceSnapshots(workspace, ledger).load()
        population = read_population(workspace, snapshot, options.as_of, options.contacts)
        total = len(population.contact_ids)
        return funnel_report(population, snapshot, ledger, datetime.now(UTC), lambda done: say(f"{done:,} of {total:,} contacts"))


def _offers(workspace: Workspace, name: str, options: ReportOptions, say: Say) -> dict[str, Any]:
    """The reports on what could be proposed, of a sample; segments are counted over everybody."""
    if name == "segments" and not workspace.catalog.segments:
        raise ConfigError("the catalogue names no segment", field="segments", hint="add `segments: {name: SQL condition}` to catalog.yaml")
    ensure_built(workspace, say)
    with workspace.open_ledger() as ledger:
        snapshot = WorkspaceSnapshots(workspace, ledger).load()
        when = options.as_of or options.until
        sample = None if options.contacts is not None else OFFER_SAMPLE
        population = read_population(workspace, snapshot, when, options.contacts, sample=sample)
        say(f"looking at what could be proposed to {len(population.contact_ids):,} contacts")
        now = datetime.now(UTC)
        if name == "value-finder":
            whole = len(known_contacts(workspace.folder, default_as_of(workspace)))
            return {**value_finder(population, snapshot, ledger, now), "known": whole}
        offers = shown_offers(offered_by_segment(population, snapshot, ledger, now))
    say("reading what was done and what came of it")
    with open_facts(workspace) as facts:
        span = parse_period(options.period, facts.newest)
        dates = (options.since, options.until)
        return {**segments_report(workspace, facts, snapshot.catalog, span, dates), "offers": offers}


def _drop(workspace: Workspace, options: ReportOptions, say: Say) -> dict[str, Any]:
    ensure_built(workspace, say)
    with workspace.open_ledger() as ledger:
        snapshot = WorkspaceSnapshots(workspace, ledger).load()
        sample = None if options.contacts is not None or options.as_of is not None else DROP_SAMPLE
        population = read_population(workspace, snapshot, options.as_of, options.contacts, sample=sample)
        whole = len(known_contacts(workspace.folder, default_as_of(workspace)))
        share = min(1.0, len(population.contact_ids) / whole) if whole else 1.0
        return without_each(snapshot, population, ledger, share, say)


def write_page(document: Mapping[str, Any], path: Path) -> None:
    """Write the report as one HTML page.

    Raises
    ------
    NotFound
        The file cannot be written where it should be.
    """
    from nudge.reports.funnel_page import funnel_page
    from nudge.reports.page import report_page

    page = funnel_page(document) if document["report"] == FUNNEL else report_page(document)
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise NotFound("the page cannot be written", field="--html", got=error.strerror) from None
