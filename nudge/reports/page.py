"""A measured report as one page that loads nothing from elsewhere."""

from __future__ import annotations

from html import escape

from nudge.reports.funnel_page import META, STYLE, html_table
from nudge.reports.sections import Document, Section, sections
from serving.console.charts import charts

_TITLES = {
    "roi": "What marketing brought in",
    "channels": "Channels",
    "goals": "Goals",
    "segments": "Segments",
    "value-finder": "For whom nothing good is on offer",
    "models": "Models",
    "data": "Data",
}


def report_page(document: Document) -> str:
    """The page, as HTML."""
    title = _TITLES[str(document["report"])]
    as_of = document.get("as_of")
    drawn = charts(str(document["report"]), document)
    body = [f"<h1>{title}</h1>", f'<p class="note">As of {escape(str(as_of)[:16].replace("T", " "))}</p>' if as_of else ""]
    for one in sections(document):
        body.append(_section(one, drawn.get(one.title, "")))
    head = f"{META}<title>{title}</title><style>{STYLE}</style>"
    return f'<!doctype html>\n<html lang="en">\n<head>{head}</head>\n<body>\n' + "\n".join(body) + "\n</body>\n</html>\n"


def _section(one: Section, picture: str) -> str:
    parts = [f"<h2>{escape(one.title)}</h2>"]
    if one.note:
        parts.append(f'<p class="note">{escape(one.note)}</p>')
    if picture:
        parts.append(picture)
    if one.rows:
        parts.append(html_table(one.header, one.rows))
    return "\n".join(parts)
