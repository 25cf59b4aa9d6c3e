"""What is known of the ingested tables without reading them again and again."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from nudge.ground.data_state import read_data_state


def test_whether_the_log_has_times_is_read_anew_from_another_file_and_from_no_other(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "manifest.json").write_text(json.dumps({"tables": {}, "ingested_at": "2026-01-01T00:00:00Z"}))
    assert read_data_state(tmp_path).timeless is False

    def ingested(at: datetime | None) -> None:
        fresh = data / "fresh.parquet"
        pq.write_table(pa.table({"occurred_at": pa.array([at], pa.timestamp("us"))}), fresh)
        fresh.replace(data / "interactions.parquet")

    ingested(None)
    assert [read_data_state(tmp_path).timeless for _ in range(2)] == [True, True]
    ingested(datetime(2026, 1, 1))  # noqa: DTZ001 - as parquet has it
    assert [read_data_state(tmp_path).timeless for _ in range(2)] == [False, False]
