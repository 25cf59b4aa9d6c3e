"""What the measured reports say to people, as tables: the same for the terminal and for a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from nudge.answers.reports import percent
from nudge.ground.terminal import Figure
from serving.console import words

Document: TypeAlias = Mapping[str, Any]

_SLICED = (
    "attributed_revenue",
    "marketing_cost",
    "attributed_roi",
    "contacts",
    "touches",
    "conversions",
    "conversion_rate",
    "click_rate",
    "unsubscribe_rate",
)
_METRICS = 12


@dataclass(frozen=True)
class Section:
    """One table under a heading, with what one must know to read it."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[object]]
    note: str = ""


def sections(document: Document) -> list[Section]:
    """The tables of a report, those without a row left out."""
    made = _BY_REPORT[str(document["report"])](document)
    return [one for one in made if one.rows or one.note]


def shown(value: float | None, unit: str | None, currency: str = "") -> Figure:
    """A figure in its unit: money with its currency, rates and returns in percent.

    Examples
    --------
    >>> shown(4.0, "ratio"), shown(0.123, "rate"), shown(1234.5, "money", "PLN"), shown(7.0, "count"), shown(None, "rate")
    ('400 %', '12.3 %', '1,234.50 PLN', '7', '-')
    """
    if value is None:
        return Figure("-")
    if unit == "rate":
        return percent(value)
    if unit == "ratio":
        return Figure(f"{value:,.0%}".replace("%", " %"))
    if unit == "money":
        return Figure(f"{value:,.2f} {currency}".rstrip())
    return Figure(f"{value:,.0f}" if unit == "count" else f"{value:,.1f} days" if unit == "days" else f"{value:,.4g}")


def _between(found: Document | None, unit: str, currency: str) -> list[object]:
    if found is None:
        return [Figure("-"), ""]
    low, high = (shown(found[key], unit, currency) for key in ("low", "high"))
    return [shown(found["value"], unit, currency), f"{low} to {high}"]


def _roi(document: Document) -> list[Section]:
    currency = document["currency"]
    made = document["incremental"]
    found = [
        _incremental(document, currency),
        _months("Decided here, month by month", made["programme_by_month"], currency),
        _months("In the log, month by month", made["by_month"], currency),
    ]
    for head, figures in document["heads"].items():
        rows = [
            [
                one["kpi"].replace("_", " "),
                shown(one["value"], one["unit"], currency),
                "" if one["low"] is None else f"{shown(one['low'], one['unit'], currency)} to {shown(one['high'], one['unit'], currency)}",
                one["meaning"],
            ]
            for one in figures
        ]
        found.append(Section(head.capitalize(), ("figure", "value", "95 % interval", "meaning"), rows))
    for name, groups in document["by"].items():
        units = ("money", "money", "ratio", "count", "count", "count", "rate", "rate", "rate")
        rows = [[one["name"], *(shown(one.get(key), unit) for key, unit in zip(_SLICED, units, strict=True))] for one in groups]
        if len(rows) > 1 or name in ("channel", "action"):
            note = f"Money in {currency}; best first by attributed revenue less cost. Attributed is not incremental."
            found.append(Section(f"By {name}", (name, *(key.replace("_", " ") for key in _SLICED)), rows, note))
    found += [_attribution(document, currency), _firms(document, currency), _chain(document), _content(document, currency)]
    return [*found, *_launch(document, currency), _unmeasured(document)]


def _months(title: str, months: Sequence[Document], currency: str) -> Section:
    rows = [[one["month"], one["treated"], one["control"], *_between(one["profit"], "money", "")] for one in months]
    return Section(title, ("month", "touched", "control", f"incremental profit each, {currency}", "95 % interval"), rows)


def _incremental(document: Document, currency: str) -> Section:
    made, rows = document["incremental"], []
    named = [(f"decided here, against {one['control_group']}", one) for one in (made["programme"] or {"layers": []})["layers"]]
    if made["history"] is not None:
        named.append(("logged touches, against logged controls", made["history"]))
    for name, one in named:
        profit = one["profit"]
        rows.append(
            [
                name,
                one["treated"],
                one["control"],
                *_between(profit["per_contact"], "money", currency),
                *_between(profit["total"], "money", currency),
                *_between(one["roi"], "ratio", currency),
            ]
        )
    note = "Against those who were left alone. The intervals are for one look; --json has those that hold at any time."
    beyond = made["attributed_beyond"]
    if beyond is not None:
        note += f" Attribution puts the return {shown(abs(beyond), 'ratio')} too {'high' if beyond > 0 else 'low'}."
    if not rows:
        note = "Nothing can be compared: no outcome is known from after a decision here, and no control (no_action) was logged."
    elif made["history"] is not None and made["history"]["note"]:
        note += f" Of the history: {made['history']['note']}."
    header = ("what", "treated", "control", "profit each", "95 % interval", "profit in all", "95 % interval", "return", "95 % interval")
    return Section("What contacting was worth", header, rows, note)


def _attribution(document: Document, currency: str) -> Section:
    found = document["attribution"]
    if found is None:
        return Section("Attribution", (), [])
    header = ("channel", *(words.ATTRIBUTION.get(name, words.name(name)) for name in found["models"]))
    rows = [[one["channel"], *(shown(one["value"][name], "money") for name in found["models"])] for one in found["channels"]]
    note = (
        f"{found['conversions']:,.0f} sales worth {found['value']:,.2f} {currency} within a window after a touch, shared out to channels."
    )
    return Section("Attribution", header, rows, note)


def _firms(document: Document, currency: str) -> Section:
    one = document["firms"]
    if one is None:
        return Section("Firms", (), [])
    header = ("firms touched", "with sales", "sales", "attributed revenue", "marketing cost", "attributed return")
    money = (shown(one["attributed_revenue"], "money", currency), shown(one["marketing_cost"], "money", currency))
    row = [one["firms"], one["firms_with_sales"], one["sales"], *money, shown(one["attributed_roi"], "ratio")]
    return Section("Firms", header, [row], "A sale to a firm counts once, for all who were touched there before it.")


def _chain(document: Document) -> Section:
    one = document["chain"]
    if one is None:
        return Section("The strict chain", (), [])
    rows = [[stage["stage"].replace("_", " "), stage["contacts"]] for stage in one["stages"]]
    note = f"{one['sales_that_count']:,} of {one['sales']:,} sales came at the end of the whole chain, in its order."
    return Section("The strict chain", ("stage", "contacts"), rows, note)


def _content(document: Document, currency: str) -> Section:
    one = document["content"]
    if one is None:
        return Section("Content", (), [])
    with_it, without = (shown(one[key], "money", currency) for key in ("mean_revenue_with", "mean_revenue_without"))
    row = [*_between({**one, "value": one["ratio"]}, "ratio", ""), one["buyers_with"], with_it, one["buyers_without"], without]
    header = ("B / A", "95 % interval", "buyers who consume", "mean revenue", "who do not", "mean revenue")
    return Section("Content", header, [row], "Who reads more may buy more anyway: this is no effect.")


def _launch(document: Document, currency: str) -> list[Section]:
    found = document["launch"]
    if found is None:
        return []
    rows = [
        [
            "at any time" if one["always_valid"] else "once",
            one["contacts"],
            shown(one["minimum_detectable_effect"], "money", currency),
            shown(one["required_contacts_for_a_tenth"], "count"),
        ]
        for one in found["holdout"]
    ]
    header = ("looked at", "contacts", "smallest effect a contact", "contacts for a tenth of the mean")
    note = f"A contact's money in a period: mean {found['mean']:,.2f}, standard deviation {found['spread']:,.2f} {currency}; power 80 %."
    made = [Section("What the holdout can show", header, rows, note)]
    if found["sample_ratio"] is not None:
        ratio = found["sample_ratio"]
        groups = [[one["control_group"], one["contacts"], shown(one["expected"], "count")] for one in ratio["groups"]]
        word = (
            "ALARM: the groups are not as large as they should be; trust no comparison" if ratio["alarm"] else "As large as they should be"
        )
        made.append(Section("Control groups", ("group", "contacts", "expected"), groups, f"{word} (p = {ratio['p_value']:.3g})."))
    return made


def _unmeasured(document: Document) -> Section:
    names = ", ".join(one.replace("_", " ") for one in document["unmeasured"])
    return Section("Not measured here", (), [], f"Nothing in the data says: {names}." if names else "")


def _channels(document: Document) -> list[Section]:
    currency, rows, stages = document["currency"], [], []
    for one in document["channels"]:
        found = one["incremental"]
        attributed = (shown(one.get("attributed_revenue"), "money"), shown(one.get("marketing_cost"), "money"))
        compared = [found["treated"], *_between(found["profit"]["per_contact"], "money", "")] if found else ["-", Figure("-"), ""]
        rows.append([one["channel"], *attributed, *compared])
        stages += [[one["channel"], k, v["treated"], *_between(v["profit"]["per_contact"], "money", "")] for k, v in one["stages"].items()]
    note = f"Money in {currency}. Incremental: logged touches against logged controls of the same contacts."
    made = [
        Section("Channels", ("channel", "attributed revenue", "cost", "compared", "incremental profit each", "95 % interval"), rows, note),
        Section("Channels by funnel stage", ("channel", "stage", "compared", "incremental profit each", "95 % interval"), stages),
    ]
    drop = document.get("drop")
    return [*made, *([] if drop is None else [_drop(drop, currency)])]


def _drop(drop: Document, currency: str) -> Section:
    rows = [
        [
            one["channel"],
            one["now"]["contacts"],
            shown(one["now"]["cost"], "money"),
            shown(one["now"]["profit"], "money"),
            shown(one["earned_elsewhere"], "money"),
            shown(one["loss"], "money"),
        ]
        for one in drop["drops"]
    ]
    header = ("channel", "contacts", "cost", "expected profit", "earned elsewhere without it", "lost by dropping it")
    note = f"Plans of {drop['contacts']:,} contacts with all channels, and without each; money expected, in {currency}. Least lost first."
    if drop["infeasible"]:
        note += f" Without {', '.join(drop['infeasible'])} the constraints cannot be met."
    return Section("Which channel would you drop?", header, rows, note)


def _goals(document: Document) -> list[Section]:
    currency = document["currency"]
    rows = []
    for one in document["goals"]:
        numbers = [shown(one[key], one["unit"], currency) for key in ("baseline", "target", "current")]
        way = Figure("-") if one["progress"] is None else shown(one["progress"], "ratio")
        ahead = _between(one["forecast"], one["unit"] or "", currency)
        where = one["market"] or "all"
        rows.append([one["id"], one["kpi"], where, one["owner"], one["deadline"], *numbers, way, *ahead, one["status"].replace("_", " ")])
    header = (
        "goal",
        "figure",
        "market",
        "owner",
        "deadline",
        "baseline",
        "target",
        "so far",
        "progress",
        "forecast",
        "80 % interval",
        "status",
    )
    note = "By whole months." if rows else "There is no goal: write goals.yaml."
    missing = [[one["goal"], one["kpi"], one["hint"] or ""] for one in document["unmeasured"]]
    unneeded = ", ".join(one.replace("_", " ") for one in document["unneeded"])
    return [
        Section("Goals", header, rows, note),
        Section("Goals that nothing measures", ("goal", "figure", ""), missing),
        Section("Figures that no goal needs", (), [], unneeded),
    ]


def _models(document: Document) -> list[Section]:
    rows, metrics, findings, warnings = [], [], [], []
    for one in document["models"]:
        rows.append([one["name"], one["registered_as"], one["champion"] or "-", one["number_of_versions"]])
        metrics += [[one["name"], name, Figure(f"{value:,.4g}")] for name, value in list(one["metrics"].items())[:_METRICS]]
        findings += [[one["name"], text] for text in one["findings"]]
        warnings += [[one["name"], text] for text in one["warnings"]]
    return [
        Section("Models", ("model", "registered as", "champion", "versions"), rows),
        Section("The champions' figures", ("model", "figure", "value"), metrics),
        Section("What was found", ("model", "finding"), findings),
        Section("What limits them", ("model", "warning"), warnings),
    ]


def _data(document: Document) -> list[Section]:
    tables = [
        [name, one["rows"], one["duplicates"], one["orphans"], str(one["first_at"] or "-")[:19], str(one["last_at"] or "-")[:19]]
        for name, one in document["tables"].items()
    ]
    columns = [
        [
            name,
            column,
            about["type"],
            percent(about["nulls"] / one["rows"]) if one["rows"] else Figure("-"),
            "constant" if about["constant"] else "",
        ]
        for name, one in document["tables"].items()
        for column, about in one["columns"].items()
        if about["nulls"] or about["constant"]
    ]
    fitting = [[name.replace("_", " "), count] for name, count in document["reconciliation"].items()]
    ledger = [[name, count] for name, count in document["ledger"].items()]
    return [
        Section("Ingested tables", ("table", "rows", "duplicates", "orphans", "first", "last"), tables),
        Section("Columns with gaps, or that never change", ("table", "column", "type", "NULL", ""), columns),
        Section("What looks odd", ("warning",), [[one] for one in document["warnings"]]),
        Section("The ledger", ("rows of", ""), ledger),
        Section("What does not fit", ("", "rows"), fitting),
    ]


def _value(document: Document) -> list[Section]:
    currency = document["currency"]
    classes = [[one["class"], one["contacts"], shown(one["clv"], "money"), shown(one["clv_each"], "money")] for one in document["classes"]]
    of = f"{document['contacts']:,} contacts" + (f" of {document['known']:,}" if document["known"] > document["contacts"] else "")
    note = f"Of {of}, {document['underserved']:,} are not well served. Lifetime value in {currency}."
    made = [Section("Who is well served", ("contacts with", "contacts", "lifetime value", "each"), classes, note)]
    for kind, title in (("issue", "What is missing, by issue"), ("group", "What is missing, by group")):
        rows = [
            [one["kind"], one["no_candidate"], one["unwanted"], one["not_worth_it"], shown(one["best_profit"], "money")]
            for one in document["missing"][kind]
        ]
        header = (kind, "the rules leave none", "hardly wanted", "not worth it", "the best would bring")
        made.append(Section(title, header, rows, f"Of those not well served; the best, where there is one, in {currency} a contact."))
    ruled = [[one["stage"].replace("_", " "), one["rule"], one["contacts"]] for one in document["taken_out_by"][:_METRICS]]
    return [*made, Section("What rules out every action", ("stage", "rule", "contacts without any action"), ruled)]


def _segments(document: Document) -> list[Section]:
    currency, offers = document["currency"], document["offers"]
    sized = [[one["segment"], one["condition"], one["contacts"], percent(one["share"])] for one in document["segments"]]
    note = f"Of {document['contacts']:,} contacts, {document['in_none']:,} are in none. As of {document['as_of'][:16]}."
    made = [Section("Segments", ("segment", "condition", "contacts", "of all"), sized, note)]
    named = {"everybody": offers["everybody"], **offers["segments"]}
    worth = [[name, shown(one["clv"], "money"), shown(one["best_profit"], "money"), *one["uplift"].values()] for name, one in named.items()]
    header = ("segment", "lifetime value", "best action brings", *(name.replace("_", " ") for name in offers["everybody"]["uplift"]))
    sampled = f"Of a sample of {offers['everybody']['contacts']:,} contacts; money a contact, expected, in {currency}."
    made.append(Section("What could be done in each", header, worth, sampled))
    moved = [[one["segment"], *one["moved"].values()] for one in document["segments"] if one["moved"]]
    since = f"Since {document['from'][:16]}; new and gone are contacts known at one date only." if document["from"] else ""
    made.append(Section("Movements", ("segment", "stayed", "came", "went", "new", "gone"), moved, since if moved else ""))
    both = [[one["segment"], one["with"], one["contacts"], percent(one["alike"])] for one in document["overlaps"] if one["contacts"]]
    made.append(Section("Overlaps", ("segment", "and", "contacts in both", "of those in either"), both))
    lifted = [
        [one["segment"], word, one[key]["treated"], one[key]["control"], *_between(one[key]["profit"]["per_contact"], "money", "")]
        for key, word in (("programme", "decided here"), ("history", "logged"))
        for one in document["segments"]
        if one[key] is not None
    ]
    doubt = "Of twenty intervals one misses by chance: look, do not pick the best." if lifted else ""
    header = ("segment", "", "touched", "control", f"incremental profit each, {currency}", "95 % interval")
    return [*made, Section("What contacting was worth in each", header, lifted, doubt)]


_BY_REPORT: Mapping[str, Callable[[Document], list[Section]]] = {
    "roi": _roi,
    "channels": _channels,
    "goals": _goals,
    "segments": _segments,
    "value-finder": _value,
    "models": _models,
    "data": _data,
}
