"""The funnel report as one page that loads nothing from elsewhere and reads well by day and by night."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from nudge.answers.reports import percent
from nudge.ground.terminal import Figure as FigureText
from serving.console import drawing
from serving.console.charts import charts

Document = Mapping[str, Any]
Row = Sequence[object]

META = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'

STYLE = f"""{drawing.STYLE}
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.55 system-ui, sans-serif; max-width: 62rem; margin: 3rem auto; padding: 0 1.25rem;
  color: #1d2433; background: #fbfbfd }}
h1 {{ font-size: 1.6rem; margin-bottom: .25rem }} h2 {{ font-size: 1.15rem; margin: 2.5rem 0 .5rem }}
table {{ border-collapse: collapse; width: 100%; font-size: .9rem }} .wide {{ overflow-x: auto }}
th, td {{ text-align: left; padding: .3rem .7rem .3rem 0; border-bottom: 1px solid #8884; vertical-align: top }}
td.number, th.number {{ text-align: right; font-variant-numeric: tabular-nums }}
p.note {{ opacity: .75 }}
@media (prefers-color-scheme: dark) {{ body {{ color: #e6e9f0; background: #14171f }} }}
"""


def funnel_page(document: Document) -> str:
    """The page, as HTML."""
    nothing, stages = document["without_action"], document["stages"]
    drawn = charts("funnel", document)
    about = f"{document['contacts']:,} contacts, {document['candidates']:,} candidates, as of {document['as_of']}"
    body = [
        "<h1>From every candidate to what is worth proposing</h1>",
        f'<p class="note">{escape(about)}; catalogue {escape(str(document["versions"]["catalog"]))}</p>',
        drawn["Stages"],
        html_table(("stage", "candidates", "taken out", "left", "of all", "contacts with any left"), _stage_rows(stages)),
        "<h2>The rules, by what they take out</h2>",
        html_table(("stage", "rule", "candidates", "contacts"), _rule_rows(stages)),
        "<h2>By action</h2>",
        html_table(_GROUP, [_group_row(one["action_id"], one) for one in document["actions"]]),
        "<h2>By channel</h2>",
        html_table(_GROUP, [_group_row(one["channel"], one) for one in document["channels"]]),
        f"<h2>Without any action: {nothing['contacts']:,} contacts ({percent(nothing['share'])})</h2>",
        html_table(("reason", "contacts"), [(one["reason"], one["contacts"]) for one in nothing["reasons"]]),
        "<h2>Control groups</h2>",
        html_table(
            ("group", "contacts", "without any action"),
            [(one["control_group"], one["contacts"], one["without_action"]) for one in document["control_groups"]],
        ),
        "<h2>How much choice is left to a contact</h2>",
        drawn["Choice"],
        "<h2>What the first choices hang on</h2>",
        '<p class="note">The share of contacts who would get another first choice if the factor said nothing.</p>',
        drawn["Sensitivity"],
        html_table(("factor", "made neutral", "contacts", "share", "no longer any action", "an action after all"), _factor_rows(document)),
    ]
    head = f"{META}<title>Funnel</title><style>{STYLE}</style>"
    return f'<!doctype html>\n<html lang="en">\n<head>{head}</head>\n<body>\n' + "\n".join(body) + "\n</body>\n</html>\n"


_GROUP = ("", "candidates", "left", "of all", "contacts it is left to", "first choice of")


def _stage_rows(stages: Sequence[Document]) -> list[Row]:
    return [
        (_plain(one["stage"]), one["available"], one["filtered"], one["passing"], percent(one["remaining"]), one["contacts_passing"])
        for one in stages
    ]


def _rule_rows(stages: Sequence[Document]) -> list[Row]:
    found = [(_plain(stage["stage"]), rule["rule"], rule["filtered"], rule["contacts"]) for stage in stages for rule in stage["rules"]]
    return [*sorted(found, key=lambda row: -int(row[2]))]


def _group_row(name: str, one: Document) -> Row:
    return (name, one["available"], one["passing"], percent(one["remaining"]), one["contacts"], one["first_choice"])


def _factor_rows(document: Document) -> list[Row]:
    return [
        (
            _plain(one["factor"]),
            one["neutral"],
            one["contacts"],
            percent(one["share"]),
            *(one["becomes"][k] for k in ("no_action", "an action")),
        )
        for one in document["sensitivity"]["factors"]
    ]


def _plain(name: str) -> str:
    return name.replace("opt_out", "opt-out").replace("_", " ")


def html_table(header: Sequence[str], rows: Sequence[Row]) -> str:
    """A table; a column of figures stands to the right."""
    right = [bool(rows) and all(_is_figure(row[k]) for row in rows) for k in range(len(header))]
    classes = [' class="number"' if one else "" for one in right]

    def line(tag: str, cells: Sequence[object]) -> str:
        shown = [
            f"{cell:,}" if isinstance(cell, int) else f"{cell:,.4g}" if isinstance(cell, float) else escape(str(cell)) for cell in cells
        ]
        return "<tr>" + "".join(f"<{tag}{extra}>{text}</{tag}>" for extra, text in zip(classes, shown, strict=True)) + "</tr>"

    return '<div class="wide"><table>' + line("th", header) + "".join(line("td", row) for row in rows) + "</table></div>"


def _is_figure(cell: object) -> bool:
    return isinstance(cell, int | float | FigureText) or str(cell).endswith("%")
