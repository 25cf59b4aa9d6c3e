"""Numbers, names and times as people read them."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime
from typing import Any, TypeGuard

NOTHING = "–"
"""Where nothing is known."""

ATTRIBUTION = {
    "first": "first touch",
    "last": "last touch",
    "linear": "evenly",
    "position_based": "first and last most",
    "time_decay": "later counts more",
    "markov": "removal (Markov)",
    "shapley": "fair share (Shapley)",
    "shapley_rate": "fair share of rates",
}
"""Ways to share out a sale, as people call them."""

_SPACE = "\u00a0"
_SHORT = ("roi", "cac", "clv")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)")
_RATE = re.compile(r"(?<![\d.])([+-]?)(\d\.\d{4})(?![\d.])")
_WHOLE_FROM = 1_000.0
"""Money from here on is shown without its small change."""


def count(value: float | None) -> str:
    """A number of things.

    Examples
    --------
    >>> count(12345), count(None)
    ('12,345', '–')
    """
    return NOTHING if not _finite(value) else f"{value:,.0f}"


def money(value: float | None, currency: str = "") -> str:
    """Money in the catalogue's currency.

    Examples
    --------
    >>> money(-12345.678), money(2.5), money(-0.001)
    ('−12,346', '2.50', '0.00')
    """
    if not _finite(value):
        return NOTHING
    text = f"{value:,.0f}" if abs(value) >= _WHOLE_FROM else f"{value:,.2f}"
    return _signed(text) + (f"{_SPACE}{currency}" if currency else "")


def percent(value: float | None) -> str:
    """A fraction in percent.

    Examples
    --------
    >>> percent(0.1234), percent(0.00123), percent(4.0)
    ('12.3\\xa0%', '0.12\\xa0%', '400\\xa0%')
    """
    if not _finite(value):
        return NOTHING
    size = abs(value)
    digits = 0 if size >= 1 or value == 0 else 1 if size >= 0.01 else 2
    return _signed(f"{100 * value:,.{digits}f}") + f"{_SPACE}%"


def figure(value: float | None, unit: str | None, currency: str = "") -> str:
    """A figure in its unit: money, rate, ratio (a return), count, days, or a plain number.

    Examples
    --------
    >>> figure(4.0, "ratio"), figure(7.0, "count"), figure(12.34, "days"), figure(0.123456, None)
    ('400\\xa0%', '7', '12.3 days', '0.1235')
    """
    if not _finite(value):
        return NOTHING
    if unit in ("rate", "ratio"):
        return percent(value)
    if unit == "money":
        return money(value, currency)
    if unit == "days":
        return f"{value:,.1f} days"
    return count(value) if unit == "count" else _signed(_plain(value))


def between(found: dict[str, Any] | None, unit: str, currency: str = "") -> str:
    """The interval of {low, high} in words; empty where there is none.

    Examples
    --------
    >>> between({"low": 1.0, "high": 2.0}, "money", "PLN")
    'between 1.00 and 2.00\\xa0PLN'
    """
    if found is None or not (_finite(found.get("low")) and _finite(found.get("high"))):
        return ""
    return f"between {figure(found['low'], unit)} and {figure(found['high'], unit, currency)}"


def name(text: object) -> str:
    """An id as words: `personal_loan` is "personal loan".

    Examples
    --------
    >>> name("do_not_disturb"), name("incremental_roi"), name(None)
    ('do not disturb', 'incremental ROI', '–')
    """
    if text is None or text == "":
        return NOTHING
    return " ".join(one.upper() if one in _SHORT else one for one in str(text).replace("_", " ").split(" "))


def moment(value: object) -> str:
    """An ISO 8601 time as a day and a time of day, UTC.

    Examples
    --------
    >>> moment("2026-11-22T10:05:00.123Z"), moment(None)
    ('22 Nov 2026, 10:05 UTC', '–')
    """
    if value is None:
        return NOTHING
    try:
        time = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        return str(value)
    aware = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    return f"{aware.day} {aware:%b %Y, %H:%M} UTC"


def month(text: str) -> str:
    """A year and a month as people write them.

    Examples
    --------
    >>> month("2026-03")
    'Mar 2026'
    """
    return f"{date.fromisoformat(f'{text}-01'):%b %Y}"


def moments_in(text: str) -> str:
    """A text whose ISO 8601 times are for people.

    Examples
    --------
    >>> moments_in("as of 2026-11-22T10:05:00.123Z, 3 contacts")
    'as of 22 Nov 2026, 10:05 UTC, 3 contacts'
    """
    return _TIME.sub(lambda found: moment(found[0]), text)


def rates_in(text: str) -> str:
    """A text about one decision whose rates, fractions of four digits, are in percent.

    Examples
    --------
    >>> rates_in("uplift 0.0198 x value 320.00, and it pays above +0.0047")
    'uplift 1.98\\xa0% x value 320.00, and it pays above +0.47\\xa0%'
    """
    return _RATE.sub(lambda found: f"{found[1].replace('-', '−')}{100 * float(found[2]):.2f}{_SPACE}%", text)


def ago(seconds: float) -> str:
    """How long ago.

    Examples
    --------
    >>> ago(5), ago(130), ago(7300), ago(200000)
    ('just now', '2 minutes ago', '2 hours ago', '2 days ago')
    """
    for unit, size in (("day", 86_400.0), ("hour", 3_600.0), ("minute", 60.0)):
        whole = int(seconds // size)
        if whole:
            return f"{whole} {unit}{'s' if whole > 1 else ''} ago"
    return "just now"


def shown(value: object) -> str:
    """An attribute's or a feature's value."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return NOTHING if not math.isfinite(value) else _signed(_plain(value))
    text = str(value)
    return moment(text) if len(text) >= 20 and text[4:5] == "-" and text[10:11] == "T" else text


def _plain(value: float) -> str:
    """A number with what matters of it.

    Examples
    --------
    >>> _plain(3.0), _plain(44719.291), _plain(0.05738)
    ('3', '44,719.29', '0.05738')
    """
    if abs(value) >= 1e15:
        return f"{value:.4g}"
    if value == int(value):
        return f"{value:,.0f}"
    return f"{value:,.2f}" if abs(value) >= 100 else f"{value:.4g}"


def _finite(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and math.isfinite(value)


def _signed(text: str) -> str:
    """A real minus sign, and none before a zero."""
    if not text.startswith("-"):
        return text
    return "−" + text[1:] if text.strip("-0.,") else text[1:]
