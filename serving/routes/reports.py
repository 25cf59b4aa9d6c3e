"""The routes of the measured reports: what it was worth, channel by channel, goal by goal; models and data."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from serving.routes.decisions import Serving
from serving.schemas.reports import MeasuredReport

Period = Annotated[str | None, Query(max_length=40, description="2026, 2026-Q3, 2026-11, 90d, or two dates A..B (the end is exclusive)")]
Drop = Annotated[bool, Query(description="also plan without each channel; takes longest")]

router = APIRouter()


@router.get("/v1/reports/roi", response_model=MeasuredReport)
def report_roi(service: Serving, period: Period = None) -> Any:
    """Show what marketing brought in, by comparison and by attribution, and every figure under its head."""
    return service.reports.report("roi", period=period, drop=False)


@router.get("/v1/reports/channels", response_model=MeasuredReport)
def report_channels(service: Serving, period: Period = None, drop: Drop = False) -> Any:
    """Show what each channel brings in, and, where asked, which one you would drop."""
    return service.reports.report("channels", period=period, drop=drop)


@router.get("/v1/reports/goals", response_model=MeasuredReport)
def report_goals(service: Serving) -> Any:
    """Show where each goal stands and what it is likely to reach."""
    return service.reports.report("goals", period=None, drop=False)


@router.get("/v1/reports/segments", response_model=MeasuredReport)
def report_segments(service: Serving, period: Period = None) -> Any:
    """Show who is in which segment of the catalogue, and what contacting was worth in each."""
    return service.reports.report("segments", period=period, drop=False)


@router.get("/v1/reports/value-finder", response_model=MeasuredReport)
def report_value_finder(service: Serving) -> Any:
    """Show contacts to whom no good action is available, and what kind of action is missing."""
    return service.reports.report("value-finder", period=None, drop=False)


@router.get("/v1/reports/models", response_model=MeasuredReport)
def report_models(service: Serving) -> Any:
    """Show the champions with their figures and what limits them."""
    return service.reports.report("models", period=None, drop=False)


@router.get("/v1/reports/data", response_model=MeasuredReport)
def report_data(service: Serving) -> Any:
    """Show the audit of the ingested data, and what does not fit."""
    return service.reports.report("data", period=None, drop=False)
