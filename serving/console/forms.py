"""What a form sends, and whether it is one of ours.

A page's forms carry a random token that stands in a cookie as well, which no other site can read or set (SameSite=Strict). What changes
something is taken only where both agree and the browser does not say that another site sent it.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from decisioning.errors import RequestError

TOKEN_COOKIE = "nudge_form"
TOKEN_FIELD = "token"
_MOST_FIELDS = 500
_OURS = ("same-origin", "none")


class ForeignForm(RequestError):
    """A form that did not come from a page of ours."""


def new_token() -> str:
    """A token for the forms of one browser."""
    return secrets.token_urlsafe(24)


def read_form(body: bytes, headers: Mapping[str, str], cookies: Mapping[str, str]) -> dict[str, str]:
    """The fields of a form of ours; of a repeated field the last.

    Raises
    ------
    ForeignForm
        Its token is not that of the cookie, or another site sent it.
    RequestError
        It is no form.
    """
    if headers.get("content-type", "").split(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise RequestError("is not a form", field="Content-Type", got=headers.get("content-type", "none"))
    try:
        fields = dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    except ValueError:
        raise RequestError("the form cannot be read", field="body") from None
    kept = cookies.get(TOKEN_COOKIE, "")
    same = bool(kept) and secrets.compare_digest(kept.encode(), fields.pop(TOKEN_FIELD, "").encode())
    if not same or not _from_here(headers):
        raise ForeignForm(
            "this form did not come from a page of this console, or its page is too old", hint="open the page again and repeat"
        )
    return {name: value.strip() for name, value in fields.items()}


def _from_here(headers: Mapping[str, str]) -> bool:
    if headers.get("sec-fetch-site", "none") not in _OURS:
        return False
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")


def amount(fields: Mapping[str, str], name: str) -> float:
    """A number that is not negative, as people write it: spaces and commas between thousands are allowed.

    Raises
    ------
    RequestError
        It is none.

    Examples
    --------
    >>> amount({"max": "12 500.50"}, "max"), amount({"max": "6,300"}, "max")
    (12500.5, 6300.0)
    """
    text = fields.get(name, "").replace("\u00a0", "").replace(" ", "")
    if text.count(",") == 1 and "." not in text and len(text.split(",")[1]) != 3:  # 0,5 as most of Europe writes it
        text = text.replace(",", ".")
    try:
        value = float(text.replace(",", ""))
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise RequestError("is not an amount", field=name, got=fields.get(name, ""), allowed="a number such as 12500 or 0.5")
    return value
