"""What `nudge plan` prints for people: who gets what, what limits it, what that costs, and where the files are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nudge.ground.terminal import Figure, Terminal

Document = Mapping[str, Any]

_HAIR = 0.005
"""Half a cent: money below it would be shown as 0.00."""


def planned(terminal: Terminal, document: Document, currency: str, exploration_budget: float = 0.0) -> None:
    """The sum of it, the actions, the limits, and one line on what became of the plan."""
    _head(terminal, document, currency)
    _exploration(terminal, document["exploration_cost"], exploration_budget, currency)
    _actions(terminal, document)
    limits = document["constraints"]
    if limits:
        _limits(terminal, limits, currency)
        for one in limits:
            for sentence in sentences(one, currency):
                terminal.print(f"  - {sentence}")
    terminal.say(_afterwards(document))


def _head(terminal: Terminal, document: Document, currency: str) -> None:
    several = f" ({document['treatments']:,} treatments)" if document["treatments"] != document["selected"] else ""
    terminal.print(f"{document['plan_id']}: {document['selected']:,} of {document['contacts']:,} contacts get an action{several}")
    if "sample" in document:
        terminal.print(f"an estimate from a sample of {document['sample']['contacts']:,} contacts, always the same ones")
    gap = document["optimality_gap"]
    proof = "the best possible" if gap == 0 else f"at most {max(gap, 0.00001):.3%} below the best possible".replace("%", " %")
    incremental = "incremental profit" if document["incremental"] else "profit (not incremental: some uplift is unknown)"
    terminal.print(f"expected {incremental} {document['expected_profit']:,.2f} {currency}, {proof}")
    groups = {name: count for name, count in document["by_control_group"].items() if name != "nudge"}
    if groups:
        terminal.print("control groups: " + ", ".join(f"{name} {count:,}" for name, count in groups.items()) + " contacts")


def _exploration(terminal: Terminal, cost: float, budget: float, currency: str) -> None:
    """What is given up to learn; where there is a budget and nothing of it is used, that too."""
    if cost >= _HAIR:
        terminal.print(f"exploration gives up {cost:,.2f} {currency} of it to learn, of {budget:,.2f} {currency} a period")
    elif budget > 0:
        terminal.print("nobody is explored: nothing to learn, nothing left to give up, or the minimums leave no room")


def _actions(terminal: Terminal, document: Document) -> None:
    counts: Mapping[str, int] = document["by_action"]
    rows = [[name, counts[name]] for name in sorted(counts, key=lambda name: (name == "no_action", -counts[name], name))]
    terminal.table("Actions", ["action", "contacts"], rows)


def _limits(terminal: Terminal, limits: Sequence[Document], currency: str) -> None:
    rows = [
        [
            one["id"],
            currency if one["measure"] == "cost" else "contacts",
            *(_amount(amount, one["measure"]) for amount in (one["used"], one["min"], one["limit"], _slack(one))),
            Figure(f"{one['shadow_price']:,.2f}"),
            Figure(f"{one['cost']:,.2f}"),
        ]
        for one in limits
    ]
    header = ["limit", "in", "used", "min", "max", "slack", f"shadow price ({currency} a unit)", f"cost of having it ({currency})"]
    terminal.table("Limits", header, rows)


def sentences(limit: Document, currency: str) -> list[str]:
    """What a limit means in money, for people; nothing for one that changes nothing.

    Examples
    --------
    >>> calls = {"id": "calls", "measure": "contacts", "limit": 64.0, "min": None, "shadow_price": 41.2, "cost": 3100.0}
    >>> sentences(calls, "PLN")
    ['calls: one more contact is worth 41.20 PLN; having this maximum costs 3,100.00 PLN']
    """
    price, cost = limit["shadow_price"], limit["cost"]
    unit = f"one more {currency}" if limit["measure"] == "cost" else "one more contact"
    said = []
    if price >= _HAIR:
        said.append(f"{unit} is worth {price:,.2f} {currency}")
    elif price <= -_HAIR:
        asked = unit.replace("one more", "one less")
        said.append(f"asking for {asked} would earn {-price:,.2f} {currency} more")
    if cost >= _HAIR:
        side = "limit" if limit["min"] is not None and limit["limit"] is not None else "minimum" if limit["limit"] is None else "maximum"
        said.append(f"having this {side} costs {cost:,.2f} {currency}")
    return [f"{limit['id']}: {'; '.join(said)}"] if said else []


def _amount(amount: float | None, measure: str) -> Figure | None:
    if amount is None:
        return None
    whole = measure == "contacts" and abs(amount - round(amount)) < 1e-6
    return Figure(f"{round(amount):,}" if whole else f"{amount:,.2f}")


def _slack(limit: Document) -> float | None:
    """What is left below the maximum; where there is none, what is above the minimum."""
    slack: float | None = limit["excess"] if limit["slack"] is None else limit["slack"]
    return slack


def _afterwards(document: Document) -> str:
    if document["dry_run"]:
        return "Nothing was kept: a dry run."
    until = f"{document['prices_valid_until'][:16].replace('T', ' ')} UTC"
    if document.get("prices_only"):
        return f"The shadow prices hold for real time until {until}; nothing is reserved, no files were written."
    folder = Path(document["files"][0]).parent
    return f"{len(document['files'])} files in {folder}; the shadow prices hold for real time until {until}."
