"""One contact: what is known, what happened, what would be decided now and why, and what may be changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from decisioning.catalog import Catalog
from decisioning.errors import NotFound, NudgeError
from serving.console import words
from serving.console.console import Console
from serving.console.decision import decision_in_words
from serving.schemas.decisions import DecisionRequest
from serving.schemas.validation import read

FOUND = 20
"""Contacts that a search lists."""

_SHOWN = 20
_ACTIONS = 3

SEGMENTS = {
    "persuadable": "buys more because of us: worth contacting",
    "sure_thing": "buys anyway: contacting changes little",
    "lost_cause": "does not buy either way",
    "do_not_disturb": "a message would do harm: leave in peace",
}
"""What each of the four segments means."""


def contact(console: Console, contact_id: str) -> dict[str, Any]:
    """What the page shows of one contact; without an id, the search alone."""
    shown: dict[str, Any] = {"title": "Contact", "figures": [], "asked": contact_id, "known": None, "found": [], "problem": None}
    if not contact_id:
        return shown
    try:
        known = console.service.contact(contact_id)
    except NotFound:
        return {**shown, "found": console.desk.contacts_like(contact_id, FOUND)}
    except NudgeError as error:
        return {**shown, "problem": str(error)}
    return {**shown, "title": f"Contact {contact_id}", "known": _known(known, console.catalog), "decision": _decision(console, contact_id)}


def _known(found: Mapping[str, Any], catalog: Catalog) -> dict[str, Any]:
    attributes = found["attributes"]
    return {
        "segment": found["segment"],
        "meaning": SEGMENTS.get(found["segment"] or "", "how this contact reacts is not known"),
        "clv": words.money(found["clv"], catalog.currency),
        "horizon": f"{catalog.horizon_days:g}",
        "attributes": [(words.name(name), words.shown(value)) for name, value in attributes.items()],
        "features": [(name, words.shown(value)) for name, value in found["features"].items() if name not in attributes],
        "touches": _newest(found["touches"], "at"),
        "decisions": found["decisions"][:_SHOWN],
        "outcomes": found["outcomes"][:_SHOWN],
        "consents": _consents(found["consents"], catalog),
    }


def _newest(rows: Sequence[Mapping[str, Any]], when: str) -> list[Mapping[str, Any]]:
    return sorted(rows, key=lambda one: str(one[when] or ""), reverse=True)[:_SHOWN]


def _consents(held: Sequence[Mapping[str, Any]], catalog: Catalog) -> list[dict[str, Any]]:
    """Every purpose that a channel asks for, or that the contact has said something about."""
    said = {one["purpose"]: one for one in held}
    channels: dict[str, list[str]] = {}
    for name, one in catalog.channels.items():
        if one.purpose is not None:
            channels.setdefault(one.purpose, []).append(name)
    return [
        {
            "purpose": purpose,
            "channels": ", ".join(channels.get(purpose, [])) or "no channel asks for it",
            "granted": bool(said.get(purpose, {}).get("granted")),
            "said": said.get(purpose, {}).get("changed_at"),
        }
        for purpose in dict.fromkeys([*channels, *said])
    ]


def _decision(console: Console, contact_id: str) -> dict[str, Any]:
    """What would be decided now, on any channel; nothing is logged or counted."""
    try:
        request = read(DecisionRequest, {"contact_id": contact_id, "limit": _ACTIONS, "explain": True, "dry_run": True})
        return {"problem": None, **decision_in_words(console.service.decide(request), console.catalog.currency)}
    except NudgeError as error:
        return {"problem": str(error)}


def choices(catalog: Catalog) -> list[tuple[str, str]]:
    """What can be switched off for a contact, as (value of the form, words)."""
    channels = [(f"channel:{name}", f"the channel {name}") for name in catalog.channels]
    return [("", "everything"), *channels, *((f"action:{one.id}", f"the action {words.name(one.id)}") for one in catalog.actions)]
