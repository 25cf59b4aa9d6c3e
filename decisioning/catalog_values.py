"""The scalars of catalog.yaml: what YAML makes of a text, a number, a day or a time of day, read as it was meant or refused."""

from __future__ import annotations

import re
from datetime import date, datetime, time
from typing import Annotated

from pydantic import BeforeValidator, Field

_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?")
_ADDRESS = re.compile(r"https?://[^/\s?#]+[^\s]*$")
_MINUTES_A_DAY = 1440
_QUOTES = "YAML reads yes, no, on and off as true and false: put it in quotes if it is a text"


def _text(value: object) -> object:
    """YAML reads `2026-11-22` as a date and `7` as a number where a text is meant."""
    if isinstance(value, bool):
        raise ValueError(f"should be a text ({_QUOTES})")
    return str(value) if isinstance(value, date | int | float) else value


def _condition(value: object) -> object:
    """YAML reads the condition `true` as a boolean."""
    return str(value).lower() if isinstance(value, bool) else _text(value)


def _number(value: object) -> object:
    """A number, or the text of one (`${NAME}` gives texts); true and false are not numbers."""
    if isinstance(value, bool):
        raise ValueError(f"should be a number ({_QUOTES})")
    return value


def _worth(value: object) -> object:
    """A finite number, or the text of an expression."""
    if isinstance(value, bool) or not isinstance(value, int | float | str) or value == "":
        raise ValueError("should be a number, an SQL expression or `observed`")
    try:
        number = float(value)
    except ValueError:
        return value
    if not abs(number) < float("inf"):
        raise ValueError("should be a finite number, an SQL expression or `observed`")
    return number


def _day(value: object) -> object:
    """A day as YAML or a person writes it; pydantic alone would read a number as seconds since 1970."""
    if isinstance(value, str) or (isinstance(value, date) and not isinstance(value, datetime)):
        return value
    raise ValueError("should be a day such as 2026-01-31")


def _clock(value: object) -> object:
    """YAML 1.1 reads an unquoted 21:00 as the number 1260: minutes, which is what was meant."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MINUTES_A_DAY:
        return time(value // 60, value % 60)
    written = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    if written is None:
        raise ValueError('should be a time of day in quotes, such as "21:00"')
    hour, minute, second = (int(part or 0) for part in written.groups())
    return time(hour, minute, second)


def _webhook(value: object) -> object:
    """An address that a message can be sent to."""
    if not isinstance(value, str) or not _ADDRESS.match(value):
        raise ValueError("should be an address that begins with https:// or http://")
    return value


_finite = Field(allow_inf_nan=False)

Text = Annotated[str, BeforeValidator(_text), Field(min_length=1)]
Webhook = Annotated[str, BeforeValidator(_webhook)]
Condition = Annotated[str, BeforeValidator(_condition), Field(min_length=1)]
Clock = Annotated[time, BeforeValidator(_clock)]
Day = Annotated[date, BeforeValidator(_day)]
Count = Annotated[int, BeforeValidator(_number), Field(ge=0)]
Number = Annotated[float, BeforeValidator(_number), _finite]
Money = Annotated[Number, Field(ge=0)]
Weight = Annotated[Number, Field(ge=0)]
Fraction = Annotated[Number, Field(ge=0, le=1)]
Difference = Annotated[Number, Field(ge=-1, le=1)]
Days = Annotated[Number, Field(gt=0, le=36_525)]
"""A number of days, at most a century."""
Worth = Annotated[float | str, BeforeValidator(_worth)]
