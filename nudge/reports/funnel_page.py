"""The funnel report as one page that loads nothing from elsewhere and reads well by day and by night."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from matplotlib.axes import Axes

from nudge.answers.reports import percent
from nudge.ground.terminal import Figure as FigureText
from nudge.reports.drawing import FILL, INK, PALE, legend, lines_down, svg

Document = Mapping[str, Any]
Row = Sequence[object]

META = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'

STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 62rem; margin: 3rem auto; padding: 0 1.25rem; color: #1d2433; background: #fbfbfd }
h1 { font-size: 1.6rem; margin-bottom: .25rem } h2 { font-size: 1.15rem; margin: 2.5rem 0 .5rem }
table { border-collapse: collapse; width: 100%; font-size: .9rem } .wide { overflow-x: auto }
th, td { text-align: left; padding: .3rem .7rem .3rem 0; border-bottom: 1px solid #8884; vertical-align: top }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums }
svg { width: 100%; height: auto } p.note { opacity: .75 }
@media (prefers-color-scheme: dark) { body { color: #e6e9f0; background: #14171f } }
"""


def funnel_page(document: Document) -> str:
    """The page, as HTML."""
    nothing, stages = document["without_action"], document["stages"]
    about = f"{document['contacts']:,} contacts, {document['candidates']:,} candidates, as of {document['as_of']}"
    body = [
        "<h1>From every candidate to what is worth proposing</h1>",
        f'<p class="note">{escape(about)}; catalogue {escape(str(document["versions"]["catalog"]))}</p>',
        _svg(_draw_stages(stages), "The share of candidates and of contacts that are left after each stage"),
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
        _svg(_draw_optionality(document["optionality"]), "The share of contacts by how many actions are left to them"),
        "<h2>What the first choices hang on</h2>",
        '<p class="note">The share of contacts who would get another first choice if the factor said nothing.</p>',
        _svg(_draw_sensitivity(document["sensitivity"]["factors"]), "The share of contacts whose first choice each factor changes"),
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


def _draw_stages(stages: Sequence[Document]) -> Callable[[Axes], None]:
    contacts = max((one["contacts_available"] for one in stages), default=0) or 1

    def draw(axes: Axes) -> None:
        names = [_plain(one["stage"]) for one in stages]
        axes.barh(names, [one["remaining"] for one in stages], height=0.62, color=FILL, label="candidates left")
        left = [one["contacts_passing"] / contacts for one in stages]
        axes.plot(left, names, "o", color=INK, markersize=5, label="contacts with any left")
        legend(axes)

    return draw


def _draw_optionality(optionality: Document) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        names = [f"{one['left']} action{'' if one['left'] == '1' else 's'}" for one in optionality["actions"]]
        before, after = ([one["share"] for one in optionality[key]] for key in ("relevant_actions", "actions"))
        axes.barh(names, before, height=0.72, color=PALE, alpha=0.45, label="that no rule takes out")
        axes.barh(names, after, height=0.36, color=FILL, label="that are worth it")
        legend(axes)

    return draw


def _draw_sensitivity(factors: Sequence[Document]) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        axes.barh([_plain(one["factor"]) for one in factors], [one["share"] for one in factors], height=0.62, color=FILL)

    return draw


def _svg(draw: Callable[[Axes], None], title: str) -> str:
    """What `draw` puts on axes of shares, one line a name."""

    def shares(axes: Axes) -> None:
        draw(axes)
        lines_down(axes)
        axes.set_xlim(left=0)
        axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")

    return svg(shares, title)
