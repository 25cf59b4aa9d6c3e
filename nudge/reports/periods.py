"""`--period`: a year, a quarter, a month, the last so many days, or two dates, as a span of time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from decisioning.errors import RequestError
from nudge.reports.facts import Span, as_naive

ALLOWED = "2026, 2026-Q3, 2026-11, 90d (the last 90 days), or 2026-08-01..2026-11-01 (the end is exclusive)"
_MONTHS_A_QUARTER = 3


def parse_period(text: str | None, newest: datetime | None) -> Span:
    """The span that a period names; everything where none is given.

    Parameters
    ----------
    text : str or None
    newest : datetime or None
        The newest time in the data, naive UTC, that `90d` counts back from.

    Raises
    ------
    RequestError
        It is no period, or a period of days where nothing has a time.

    Examples
    --------
    >>> parse_period("2026-Q4", None).begin, parse_period("2026-Q4", None).end
    (datetime.datetime(2026, 10, 1, 0, 0), datetime.datetime(2027, 1, 1, 0, 0))
    >>> parse_period("2026-02", None).end
    datetime.datetime(2026, 3, 1, 0, 0)
    """
    if text is None:
        return Span()
    try:
        return _parsed(text.strip(), newest)
    except (ValueError, OverflowError):
        raise RequestError("is not a period", field="period", got=f"'{text}'", allowed=ALLOWED) from None


def known_period(text: str | None, option: str = "--period") -> None:
    """Refuse a text of the command line that names no period.

    Raises
    ------
    RequestError
        It names none.
    """
    try:
        parse_period(text, as_naive(datetime(2000, 1, 1, tzinfo=UTC)))
    except RequestError as error:
        raise RequestError(error.what, field=option, got=error.got, allowed=error.allowed) from None


def _parsed(text: str, newest: datetime | None) -> Span:
    if days := re.fullmatch(r"([1-9]\d{0,4})d", text):
        if newest is None:
            raise RequestError("counts back from the newest row, and nothing here has a time", field="period", got=f"'{text}'")
        end = newest + timedelta(microseconds=1)
        return Span(end - timedelta(days=int(days[1])), end)
    if ".." in text:
        begin, end = (datetime.fromisoformat(one.strip()) for one in text.split("..", 1))
        if begin.tzinfo or end.tzinfo or begin >= end:
            raise ValueError(text)
        return Span(begin, end)
    if quarter := re.fullmatch(r"(\d{4})-?Q([1-4])", text, flags=re.IGNORECASE):
        return _months(int(quarter[1]), _MONTHS_A_QUARTER * (int(quarter[2]) - 1) + 1, _MONTHS_A_QUARTER)
    if month := re.fullmatch(r"(\d{4})-(\d{2})", text):
        return _months(int(month[1]), int(month[2]), 1)
    if year := re.fullmatch(r"(\d{4})", text):
        return _months(int(year[1]), 1, 12)
    raise ValueError(text)


def _months(year: int, month: int, number: int) -> Span:
    after = year * 12 + month - 1 + number
    return Span(*(as_naive(datetime(y, m, 1, tzinfo=UTC)) for y, m in ((year, month), (after // 12, after % 12 + 1))))
