"""What the commands about the ledger and about one person print for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nudge.ground.terminal import Terminal

Document = Mapping[str, Any]


def verified(terminal: Terminal, document: Document) -> None:
    """How many links were looked at, and whether they hold."""
    if document["intact"]:
        terminal.print(f"intact: {document['rows']:,} rows, each as it was written")
    else:
        bad = document["first_bad"]
        terminal.print(f"NOT intact: {bad['what']} ({bad['stream']}, link {bad['seq']}, {bad['key'] or 'no id'})")


def reconciled(terminal: Terminal, document: Document) -> None:
    """The channels, then their days."""
    header = ["channel", "decided", "delivered", "seen", "responded", "no_response", "open"]
    terminal.table("Channels", header, [[one[name] for name in header] for one in document["channels"]])
    by_day = ["channel", "day", *header[1:]]
    terminal.table("Days (UTC)", by_day, [[one[name] for name in by_day] for one in document["days"]])


def exported(terminal: Terminal, document: Document) -> None:
    """What the export holds, and what of it is new."""
    rows = [[name, one["rows"], one["files"]] for name, one in document["tables"].items()]
    terminal.table(f"{document['folder']}/TABLE/day=YYYY-MM-DD/*.parquet", ["table", "rows", "files"], rows)
    mended = f", {document['rewritten']:,} files brought up to date" if document["rewritten"] else ""
    terminal.print(f"{document['new']:,} new rows{mended}")


def erased(terminal: Terminal, document: Document) -> None:
    """What became nobody's or was removed, store by store."""
    rows: list[list[object]] = []
    for store, what in document["erased"].items():
        rows += [[store, name, count] for name, count in (what if isinstance(what, dict) else {"": what}).items()]
    if not rows:
        terminal.print(f"Nothing is held about {document['contact_id']}; what sources say of this contact later will be left out.")
        return
    terminal.table(f"Erased: {document['contact_id']}", ["store", "what", "rows"], rows)
    for left in document["left"]:
        terminal.say(left)
