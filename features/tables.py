"""The contract tables, as one typed list: which columns a workspace's data may have and what each means.

Everything that reads or checks `data/<table>.parquet` asks here, so a column's name, type and rule stand in one place. A table with
``attributes=True`` may have any other column, which becomes a feature; in the rest other columns are kept and ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["id", "text", "time", "money", "cost", "probability", "weight", "choice"]
"""What a column holds. ``id``, ``text`` and ``choice`` are VARCHAR, ``time`` is TIMESTAMP in UTC, the rest is DOUBLE: ``money`` in the
catalog's currency, ``cost`` money that is not negative, ``probability`` in (0, 1], ``weight`` above 0, ``choice`` one of the `allowed`
words."""


@dataclass(frozen=True)
class ColumnSpec:
    """One column with a meaning.

    Parameters
    ----------
    required : bool
        The source must return the column (its values may still be NULL).
    filled : bool
        Every row must have a value.
    """

    name: str
    kind: Kind
    meaning: str
    required: bool = False
    filled: bool = False
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableSpec:
    """One contract table.

    Parameters
    ----------
    key : tuple of str
        No two rows agree in these columns (as far as the source has them, and where they are not NULL).
    drops_copies : bool
        A row that repeats an earlier one in every column is dropped and counted, as an event that was sent twice; elsewhere it is refused.
    required_rows : bool
        A table without rows makes no sense.
    order : tuple of str
        The sort order of the file; every other column breaks ties, so that the same rows give the same bytes.
    """

    name: str
    columns: tuple[ColumnSpec, ...]
    key: tuple[str, ...] = ()
    drops_copies: bool = False
    attributes: bool = False
    required_rows: bool = False
    order: tuple[str, ...] = ()

    def column(self, name: str) -> ColumnSpec | None:
        """The specification of `name`, or None for an attribute or an extra column."""
        return next((column for column in self.columns if column.name == name), None)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns with a meaning, required ones first."""
        return tuple(column.name for column in self.columns)

    @property
    def required(self) -> tuple[str, ...]:
        """The columns that a source must return."""
        return tuple(column.name for column in self.columns if column.required)

    @property
    def time(self) -> str | None:
        """The column that says when a row happened, or None: ``valid_from`` and ``as_of`` say from when and until when it is known."""
        return next((c.name for c in self.columns if c.kind == "time" and c.name in ("occurred_at", "changed_at")), None)


def _key(name: str, meaning: str) -> ColumnSpec:
    return ColumnSpec(name, "id", meaning, required=True, filled=True)


CONTACTS = TableSpec(
    "contacts",
    (
        _key("contact_id", "whom we decide for"),
        ColumnSpec("account_id", "id", "the company the contact belongs to"),
        ColumnSpec(
            "valid_from", "time", "from when the row holds (NULL: always): several rows a contact, the newest not after as_of holds"
        ),
        ColumnSpec("time_zone", "text", "IANA name; quiet hours are kept in it"),
        ColumnSpec("market", "text", "country or region"),
    ),
    key=("contact_id", "valid_from"),
    attributes=True,
    required_rows=True,
    order=("contact_id", "valid_from"),
)
ACCOUNTS = TableSpec("accounts", (_key("account_id", "the company"),), key=("account_id",), attributes=True, order=("account_id",))
EVENTS = TableSpec(
    "events",
    (
        _key("contact_id", "who did it"),
        ColumnSpec("event_type", "text", "what was done", required=True, filled=True),
        ColumnSpec("occurred_at", "time", "when", required=True, filled=True),
        ColumnSpec("event_id", "id", "idempotency key"),
        ColumnSpec("value", "money", "money of the event; a purchase is an event with value > 0"),
        ColumnSpec("channel", "text", "where"),
        ColumnSpec("session_id", "id", "visit"),
        ColumnSpec("content_id", "id", "what was seen"),
        ColumnSpec("anonymous_id", "id", "visitor before he was known"),
    ),
    key=("event_id",),
    drops_copies=True,
    order=("occurred_at", "contact_id", "event_type"),
)
INTERACTIONS = TableSpec(
    "interactions",
    (
        _key("interaction_id", "one touch, or one logged control"),
        _key("contact_id", "who was touched"),
        ColumnSpec("action_id", "id", "what was proposed; no_action for a logged control", required=True, filled=True),
        ColumnSpec("occurred_at", "time", "when; NULL in every row of a one-shot experiment", required=True),
        ColumnSpec("treatment_id", "id", "the action as rendered for the channel"),
        ColumnSpec("channel", "text", "where"),
        ColumnSpec("selection_prob", "probability", "that the logging policy chose this action; absent: estimated, and said so"),
        ColumnSpec("cost", "cost", "what the touch cost"),
        ColumnSpec("sample_weight", "weight", "how many rows of the whole log this row stands for; absent or NULL: 1"),
        ColumnSpec("as_of", "time", "until when features may be known, if not until occurred_at"),
    ),
    key=("interaction_id",),
    required_rows=True,
    order=("occurred_at", "interaction_id"),
)
OUTCOMES = TableSpec(
    "outcomes",
    (
        ColumnSpec("interaction_id", "id", "the touch it belongs to; one of interaction_id and contact_id is needed"),
        ColumnSpec("contact_id", "id", "whose outcome it is"),
        ColumnSpec("outcome", "id", "one of the catalog's outcomes", required=True, filled=True),
        ColumnSpec("occurred_at", "time", "when; NULL in every row of a one-shot experiment", required=True),
        ColumnSpec("value", "money", "money of the outcome"),
        ColumnSpec("event_id", "id", "idempotency key"),
        ColumnSpec("behaviour", "choice", "overrides the catalog's", allowed=("positive", "negative", "neutral")),
    ),
    key=("event_id",),
    drops_copies=True,
    order=("occurred_at", "interaction_id", "contact_id", "outcome"),
)
CONSENTS = TableSpec(
    "consents",
    (
        _key("contact_id", "who said it"),
        ColumnSpec("purpose", "id", "for what, as in the catalog's channels", required=True, filled=True),
        ColumnSpec("status", "choice", "what was said", required=True, filled=True, allowed=("granted", "denied", "revoked")),
        ColumnSpec("changed_at", "time", "when", required=True, filled=True),
        ColumnSpec("source", "text", "where it was said"),
    ),
    order=("changed_at", "contact_id", "purpose"),
)

TABLES: dict[str, TableSpec] = {t.name: t for t in (CONTACTS, ACCOUNTS, INTERACTIONS, OUTCOMES, EVENTS, CONSENTS)}
"""Every contract table by name, in the order in which they are checked: a table comes after those that it refers to."""
