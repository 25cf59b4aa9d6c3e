"""Numbers beyond what a float holds exactly: card numbers, snowflake ids."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from features.audit import audit
from features.ingest import ingest

SOURCES = {
    "contacts": "SELECT i AS contact_id, 9007199254740993 + i AS card_number FROM range(300) r(i)",
    "interactions": "SELECT i AS interaction_id, i AS contact_id, 'no_action' AS action_id, NULL AS occurred_at FROM range(300) r(i)",
    "outcomes": "SELECT i AS interaction_id, 'sale' AS outcome, NULL AS occurred_at FROM range(0, 300, 3) r(i)",
}


def test_integers_beyond_2_to_the_53_are_ingested_and_audited(tmp_path: Path) -> None:
    class Sale:
        behaviour = "positive"

    ingest(tmp_path, SOURCES, outcomes={"sale": Sale()}, actions=set(), now=datetime(2026, 11, 22, tzinfo=UTC))
    assert audit(tmp_path).tables["contacts"].rows == 300
