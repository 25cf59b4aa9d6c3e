"""The files of plans read back: manifests, and audiences in the form that is asked for. What the manifest does not name is not there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from decisioning.errors import Conflict, NotFound, RequestError, Unavailable
from serving.plans.planner import PLANS
from serving.ports.plans import AudienceFile
from serving.realtime.answers import iso

CSV, PARQUET, NDJSON = "csv", "parquet", "ndjson"
MEDIA_TYPES = {CSV: "text/csv; charset=utf-8", PARQUET: "application/vnd.apache.parquet", NDJSON: "application/x-ndjson"}

_NAME = re.compile(r"[A-Za-z0-9_-]{1,200}")
_AUDIENCE = re.compile(r"audience_(.+)\.parquet")
_BYTES_AT_ONCE = 1 << 20
_ROWS_AT_ONCE = 5_000


def manifest_of(out: Path, plan_id: str) -> dict[str, Any] | None:
    """The manifest of a plan, None where there is no such plan."""
    if not _NAME.fullmatch(plan_id):
        return None
    try:
        manifest: dict[str, Any] = json.loads((out / plan_id / "manifest.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError):
        raise Unavailable("the plan's manifest cannot be read", field="plan_id", got=plan_id) from None
    return manifest


def newest_manifests(out: Path, limit: int) -> list[dict[str, Any]]:
    """The manifests of the newest plans, newest first."""
    names = [path.parent.name for path in out.glob(f"{PLANS}*/manifest.json")]
    found = [manifest for name in names if (manifest := manifest_of(out, name)) is not None]
    return sorted(found, key=lambda one: (one["created_at"], one["plan_id"]), reverse=True)[:limit]


def channels_of(manifest: dict[str, Any]) -> list[str]:
    """The channels that a plan has an audience for."""
    return [match.group(1) for name in manifest["files"] if (match := _AUDIENCE.fullmatch(name))]


def audience_of(out: Path, plan_id: str, channel: str, kind: str) -> AudienceFile:
    """A plan's list for one channel: the bytes of its file, or its rows as JSON lines.

    Raises
    ------
    RequestError
        The form is none of `MEDIA_TYPES`.
    NotFound
        There is no such plan, or it has no such audience.
    Conflict
        A file is not what the manifest says.
    """
    if kind not in MEDIA_TYPES:
        raise RequestError("is no form of an audience", field="format", got=kind, allowed=", ".join(MEDIA_TYPES))
    manifest = manifest_of(out, plan_id)
    if manifest is None:
        raise NotFound("there is no such plan", field="plan_id", got=plan_id)
    if channel not in channels_of(manifest):
        raise NotFound("the plan has no such audience", field="channel", got=channel, allowed=", ".join(channels_of(manifest)))
    name = f"audience_{channel}"
    path = out / plan_id / f"{name}.{CSV if kind == CSV else PARQUET}"
    try:
        size = path.stat().st_size
        chunks = _lines(path) if kind == NDJSON else _bytes(path)
    except (OSError, pa.ArrowInvalid):
        raise Conflict("the plan's file is gone or damaged", field="plan_id", got=f"{plan_id}/{path.name}", hint="plan again") from None
    return AudienceFile(f"{name}.{kind}", MEDIA_TYPES[kind], chunks, None if kind == NDJSON else size)


def _bytes(path: Path) -> Iterator[bytes]:
    file = path.open("rb")  # opened now, so that a file that is gone is refused before the answer begins

    def read() -> Iterator[bytes]:
        with file:
            while chunk := file.read(_BYTES_AT_ONCE):
                yield chunk

    return read()


def _lines(path: Path) -> Iterator[bytes]:
    file = pq.ParquetFile(path)

    def read() -> Iterator[bytes]:
        with file:
            for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE):
                yield "".join(_line(row) for row in batch.to_pylist()).encode()

    return read()


def _line(row: dict[str, Any]) -> str:
    plain = {name: iso(value) if hasattr(value, "isoformat") else value for name, value in row.items()}
    return json.dumps(plain, ensure_ascii=False) + "\n"
