"""`nudge report data`: the ingested tables column by column, what is new in them, and how the ledger and the data fit together."""

from __future__ import annotations

from typing import Any

from features.audit import audit
from nudge.ground.workspace import Workspace, require_data
from nudge.reports.facts import Facts, as_naive
from nudge.reports.roi import iso


def data_report(workspace: Workspace, facts: Facts) -> dict[str, Any]:
    """The audit of the ingested tables, and how the ledger and the data fit together.

    Returns
    -------
    dict
        `tables`: by name rows, duplicates, orphans, times and columns; `leaks` and `warnings`, as `nudge ingest` finds them; `ledger`: rows
        by kind; `reconciliation`: outcomes that belong to no touch, conversions without money, contacts that nothing is known of.
    """
    state = require_data(workspace)
    return {
        "report": "data",
        "as_of": iso(facts.newest),
        "ingested_at": iso(as_naive(state.ingested_at)),
        "timeless": state.timeless,
        **audit(workspace.folder).to_json(),
        "ledger": {name: facts.number(f"SELECT count(*) FROM kept_{name}") for name in ("decisions", "selections", "outcomes")},
        "reconciliation": {name: facts.number(sql) for name, sql in _FITTING.items()},
    }


_FITTING = {
    "outcomes_of_unknown_contacts": "SELECT count(*) FROM happened WHERE contact_id NOT IN (SELECT contact_id FROM people)",
    "outcomes_of_unknown_touches": """SELECT count(*) FROM happened WHERE touch_id IS NOT NULL AND touch_id NOT IN
        (SELECT touch_id FROM touches UNION ALL SELECT row_id FROM controls)""",
    "conversions_without_money": "SELECT count(*) FROM happened WHERE kind = 'conversion' AND value IS NULL",
    "touches_of_unknown_actions": "SELECT count(*) FROM touches WHERE action_id NOT IN (SELECT action_id FROM catalog)",
    "touches_on_unknown_channels": "SELECT count(*) FROM touches WHERE channel IS NULL OR channel NOT IN (SELECT channel FROM channels)",
    "touches_of_unknown_contacts": "SELECT count(*) FROM touches WHERE contact_id NOT IN (SELECT contact_id FROM people)",
    "decided_contacts_unknown_to_the_data": "SELECT count(*) FROM decided WHERE contact_id NOT IN (SELECT contact_id FROM people)",
}
