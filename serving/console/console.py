"""Everything that pages are made from, in one hand."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any

from decisioning.catalog import Catalog
from decisioning.errors import NudgeError
from serving.console.charts import charts
from serving.console.figures import LONG, QUESTIONS, Figure, Figures
from serving.ports.console import ConsoleDesk
from serving.ports.reports import ReportName
from serving.ports.verbs import Service

LOG = logging.getLogger(__name__)

HOUR = 3_600.0

EVALUATION, SEGMENTS, FUNNEL, RECONCILIATION, DROPPED = "evaluation", "segment map", "funnel", "reconciliation", "dropped channels"
REGISTRY = "registry"
"""Names of figures beside those of the reports."""

REGISTRY_SECONDS = 15.0
"""Versions and aliases older than this are read again."""

SAMPLE = 2_000
"""Contacts of whom figures about the population are made."""

PICTURES = "pictures"
"""What is drawn of a document stands in it under this key, as SVG elements by title."""


class Console:
    """The service, its desks, and the figures that are made in the background."""

    def __init__(self, service: Service, figures: Figures | None = None) -> None:
        self.service = service
        self.figures = figures or Figures()
        self._one_report = Lock()

    @property
    def desk(self) -> ConsoleDesk:
        """The workspace beyond the service's verbs."""
        return self.service.console

    @property
    def catalog(self) -> Catalog:
        """The catalogue that decides now."""
        return self.service.catalog

    def report(self, name: ReportName) -> Figure:
        """A measured report over everything that is known."""
        return self.figures.ask(name, _drawn(name, lambda: self._report(name, drop=False)))

    def dropped(self) -> Figure:
        """What each channel is worth: the plan made again without it."""

        return self.figures.ask(DROPPED, _drawn("channels", lambda: self._report("channels", drop=True)), fresh=HOUR, lane=LONG)

    def _report(self, name: ReportName, *, drop: bool) -> dict[str, Any]:
        """One at a time in both lanes: the desk would refuse the second."""
        with self._one_report:
            return self.service.reports.report(name, period=None, drop=drop)

    def funnel(self) -> Figure:
        """What becomes of a sample's candidates."""
        return self.figures.ask(FUNNEL, _drawn(FUNNEL, lambda: self.service.report_funnel(SAMPLE)), fresh=HOUR)

    def segments(self) -> Figure:
        """A sample's contacts by baseline and uplift."""
        return self.figures.ask(SEGMENTS, _drawn(SEGMENTS, lambda: self.service.segment_map(SAMPLE)), fresh=HOUR)

    def question(self, limits: Mapping[str, float]) -> Figure:
        """What the plan would be under other limits."""
        versions = f"{self.catalog.fingerprint} {self.service.prices()['id']}"
        asked = ", ".join(f"{name} {value!r}" for name, value in sorted(limits.items()))
        return self.figures.ask(f"question {versions}: {asked}", lambda: self.desk.what_if(limits, SAMPLE), lane=QUESTIONS)

    def reconciliation(self) -> Figure:
        """Decided, delivered, seen, responded."""
        return self.figures.ask(RECONCILIATION, self.service.reconciliation)

    def registry(self) -> Figure:
        """Every registered model, and the names of its champion's pictures."""

        def make() -> dict[str, Any]:
            listed = self.service.models.listed()["models"]
            return {"models": [one | {"pictures": self._pictures(one["name"], one["champion"])} for one in listed]}

        return self.figures.ask(REGISTRY, make, fresh=REGISTRY_SECONDS, lane=QUESTIONS)

    def _pictures(self, name: str, version: int | None) -> list[str]:
        try:
            return [] if version is None else self.desk.pictures(name, version)
        except NudgeError:
            return []  # the registry is worth showing without its pictures

    def evaluation(self) -> Figure:
        """What the models are worth, and what is watched about them."""
        return self.figures.ask(EVALUATION, _drawn(EVALUATION, self.desk.evaluation), fresh=HOUR, lane=LONG)

    def close(self) -> None:
        """Make no more figures."""
        self.figures.close()


def _drawn(name: str, make: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    """What `make` gives, with its pictures: drawn with the figures, once, so that no page waits for them."""

    def made() -> dict[str, Any]:
        document = make()
        try:
            return {**document, PICTURES: charts(name, document)}
        except Exception:  # the figures are worth showing without their pictures
            LOG.exception("the pictures of the figures %s could not be drawn", name)
            return {**document, PICTURES: {}}

    return made
