"""What the commands print for people."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from nudge.answers.explained import explained
from nudge.ground.terminal import Figure, Terminal

Document = Mapping[str, Any]


def ingested(terminal: Terminal, document: Document) -> None:
    """The tables with their rows, then what a person should look at."""
    rows = [[name, table["rows"], table.get("quarantined", 0)] for name, table in document["tables"].items()]
    terminal.table("Ingested", ["table", "rows", "quarantined"], rows)
    for warning in document["warnings"]:
        terminal.warn(warning)
    terminal.print("Next: nudge train")


def decided(terminal: Terminal, document: Document, currency: str) -> None:
    """The ranked actions with their economics, or why there is none; then what was filtered."""
    terminal.print(f"decision {document['decision_id']} for {document['contact_id']} ({document['control_group']})")
    if not document["contact_known"]:
        terminal.warn("nothing is known of this contact: it is decided without features")
    if document["degraded"]:
        terminal.warn(f"degraded: {document['degraded']}")
    rows = [
        [
            one["rank"],
            one["treatment_id"],
            one["channel"],
            one["propensity"],
            one["uplift"],
            _money(one["expected_profit"]),
            _money(one["priority"]),
            _when(one.get("send_at")),
        ]
        for one in document["actions"]
    ]
    is_explained = document.get("explanation") is not None
    if rows:
        header = ["rank", "treatment", "channel", "propensity", "uplift", f"expected profit ({currency})", "priority", "send at"]
        terminal.table("Next best actions", header, rows)
        for action in document["actions"][1:] if is_explained else document["actions"]:
            for reason in action["reasons"]:
                terminal.print(f"  {action['treatment_id']}: {reason}")
    else:
        terminal.print(f"no action: {document['no_action']['reason']} - {document['no_action']['detail']}")
    explained(terminal, document)


def _money(amount: float | None) -> Figure | None:
    return None if amount is None else Figure(f"{amount:,.2f}")


def suppressed(terminal: Terminal, what: str, contact_id: str, until: str) -> None:
    """What is off until when; or that it is on again, where that is past."""
    if datetime.fromisoformat(until) <= datetime.now(UTC):
        terminal.print(f"{what} is no longer off for {contact_id}")
        return
    terminal.print(f"{what} is off for {contact_id} until {_when(until)}")
    terminal.say("Mandatory and transactional actions still go.")


def _when(moment: str | None) -> str:
    """To the minute: `2026-11-22 08:56 UTC`; an inbound treatment is shown now."""
    return "now" if moment is None else f"{moment[:16].replace('T', ' ')} UTC"


def replayed(terminal: Terminal, document: Document) -> None:
    """Identical, or a line a difference."""
    if document["identical"]:
        terminal.print(f"decision {document['decision_id']}: identical")
        return
    rows = [[one["field"], str(one["then"]), str(one["now"])] for one in document["differences"]]
    terminal.table(f"decision {document['decision_id']} differs", ["field", "then", "now"], rows)


def policies(terminal: Terminal, document: Document) -> None:
    """What each policy truly earns in the simulated world."""
    rows = [
        [
            one["policy"],
            one["contacted"],
            one["true_profit"],
            one["per_contact"],
            Figure(f"{100 * one['share_of_oracle']:,.1f} %"),
        ]
        for one in document["policies"]
    ]
    header = ["policy", "contacted", f"true profit ({document['currency']})", "a contact", "share of the oracle"]
    terminal.table("What each policy truly earns, read from the simulated world", header, rows)
    terminal.print(
        "All policies obey the same rules, consents, budgets and capacities. The truth was not available to any of them but the oracle."
    )
