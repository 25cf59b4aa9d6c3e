"""Templates to pages, with the headers that let nothing in from outside."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from serving.console import words

FOLDER = Path(__file__).resolve().parent
STATIC = {"console.css": "text/css; charset=utf-8", "console.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml"}

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Of every page: it shows people's data, and is nobody else's to keep or to frame."""

MENU = (
    ("overview", "/", "Overview"),
    ("audiences", "/console/audiences", "Audiences"),
    ("contact", "/console/contact", "Contact"),
    ("actions", "/console/actions", "Actions"),
    ("models", "/console/models", "Models"),
    ("channels", "/console/channels", "Channels & ROI"),
    ("leads", "/console/leads", "Leads"),
    ("health", "/console/health", "Health"),
)
"""Page, address and name, in the order of the menu."""


def render(page: str, shown: Mapping[str, Any]) -> str:
    """The page as HTML; everything in it is escaped unless a template says otherwise."""
    return _environment().get_template(f"{page}.html").render(page=page, menu=MENU, version=_version(), **shown)


def get_ready() -> None:
    """Compile every template, so that whoever opens the first page does not wait for it."""
    for name in _environment().list_templates():
        _environment().get_template(name)


def static(name: str) -> bytes:
    """A file of ours; the caller knows that it is one of `STATIC`."""
    return (FOLDER / "static" / name).read_bytes()


@lru_cache(maxsize=1)
def _version() -> str:
    """Changes with the files that the browser may keep."""
    return sha256(b"".join(static(name) for name in sorted(STATIC))).hexdigest()[:10]


@lru_cache(maxsize=1)
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(FOLDER / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters |= {
        "count": words.count,
        "money": words.money,
        "percent": words.percent,
        "figure": words.figure,
        "between": words.between,
        "name": words.name,
        "moment": words.moment,
        "ago": words.ago,
        "shown": words.shown,
    }
    return made
