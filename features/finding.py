"""Contacts found by a part of their id."""

from __future__ import annotations

from pathlib import Path

from features.sources import connect, open_tables


def contacts_like(data_dir: Path, text: str, limit: int) -> list[str]:
    """Ids of ingested contacts that begin with `text`, and after them those that hold it; each in alphabetical order, `limit` at most.

    Raises
    ------
    DataError
        Where the contacts cannot be read as parquet.
    """
    with connect() as connection:
        open_tables(connection, data_dir)
        rows = connection.execute(
            """SELECT contact_id FROM contacts WHERE contains(lower(contact_id), lower($1)) GROUP BY contact_id
            ORDER BY NOT starts_with(lower(contact_id), lower($1)), contact_id LIMIT $2""",
            [text, limit],
        ).fetchall()
    return [str(one) for (one,) in rows]
