"""The JSON of the measured reports."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class MeasuredReport(BaseModel):
    """The figures of a report, as `nudge report NAME --json` gives them; docs/measurement.md says what each is."""

    model_config = ConfigDict(extra="allow")

    report: str
