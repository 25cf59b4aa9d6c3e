"""Times as people write them, on the command line and over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime

from decisioning.errors import RequestError

_YEARS = (1900, 2200)


def parse_moment(text: str | None) -> datetime | None:
    """An `--as-of` of the command line: ISO 8601, UTC where no zone is given.

    Raises
    ------
    ValueError
        It is not a time of the years that the contract tables allow.

    Examples
    --------
    >>> parse_moment("2026-11-22").isoformat()
    '2026-11-22T00:00:00+00:00'
    """
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    if not _YEARS[0] <= aware.year < _YEARS[1]:
        raise ValueError(f"not a time between {_YEARS[0]} and {_YEARS[1]}")
    return aware.astimezone(UTC)


def moment(text: str | None, option: str = "--as-of") -> datetime | None:
    """A time of the command line, None where none was given."""
    try:
        return parse_moment(text)
    except ValueError:
        allowed = "ISO 8601 from 1900 to 2199, such as 2026-11-22T10:00:00Z"
        raise RequestError("is not a time", field=option, got=f"'{text}'", allowed=allowed) from None
