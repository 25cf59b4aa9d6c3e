"""What an online store of packed vectors does, whichever server or file it is in.

A store holds versions: each materialisation writes a version of its own and becomes the current one in a single step, so that whoever
reads sees all of the old one or all of the new one. Beside a contact's vector stands what happened lately (`features.online_recent`), from
which a single event brings the vector up to date; such an event is noted too, until a materialisation knows it from the data.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple, Protocol, TypeAlias, TypeVar

ONLINE_FILE = "state/online_store.db"
"""The embedded online store, within a workspace."""

VIEW = "contact_features"
"""Feast's view of a contact's features; with the project before it, the name of its table."""


_Item = TypeVar("_Item")


Stored: TypeAlias = tuple[bytes, bytes, bytes | None]
"""What is kept of a contact: its `key_of`, the packed vector, and what happened lately (None: only the vector is known). A plain tuple:
Python's garbage collector looks at each of a million named ones again and again."""


class Kept(NamedTuple):
    """A contact's vector and what happened lately; both None for a contact of whom nothing is kept."""

    vector: bytes | None
    recent: bytes | None


@dataclass(frozen=True)
class Materialised:
    """A materialisation.

    Parameters
    ----------
    as_of : int
        Until when (exclusive) its rows were known, microseconds since 1970 UTC.
    contract_hash : str
        The contract under which its vectors are packed.
    contacts : int
        How many contacts it holds.
    materialized_at : int
        When it became current, microseconds since 1970 UTC.
    """

    as_of: int
    contract_hash: str
    contacts: int
    materialized_at: int


Change: TypeAlias = Callable[[Kept], Kept | None]
"""What becomes of a contact's vector; None: nothing."""

Carried: TypeAlias = Callable[[bytes], tuple[str, Change] | None]
"""What a noted event does in a new version, as (contact_id, change); None where the new version knows it already. A note that is carried
stays noted."""


class OnlineVectors(Protocol):
    """Packed vectors of contacts; every method raises `Unavailable` where the store cannot be reached."""

    def read(self, contact_ids: Sequence[str]) -> list[bytes | None]:
        """The vectors of contacts in their order, all of one version; None where there is none."""

    def pages(self, size: int) -> Iterator[list[Stored]]:
        """Everybody, at most `size` at a time: each page is of the version that is read then, and somebody may come twice."""

    def current(self) -> Materialised | None:
        """The materialisation that is read; None where there was none."""

    def replace(self, rows: Iterable[Sequence[Stored]], about: Materialised, carried: Carried) -> int:
        """Write a new version from batches of rows and let it be the current one; returns the contacts.

        Raises
        ------
        Conflict
            Where another process began to write a version meanwhile: then that one counts.
        """

    def write(self, rows: Iterable[tuple[str, bytes]], about: Materialised) -> None:
        """Write vectors into the current version, or into a first one; what happened lately stays."""

    def change(self, contact_id: str, change: Change, note: bytes | None, *, once: bool = False) -> bool:
        """Change one contact's vector, alone: nobody else's change in between is lost. Returns whether anything was changed.

        Without a note the next version does not know of it.

        With `once` a change that is noted in the same words is made already, and not made again.
        """

    def notes(self) -> list[bytes]:
        """What is noted: changes that the materialised rows do not know."""

    def forget(self, contact_ids: Collection[str], noted: Callable[[bytes], bool]) -> int:
        """Remove contacts from every version, and the notes that `noted` tells to be theirs; returns the vectors."""

    def clear(self) -> None:
        """Remove every version and every note."""


def key_of(contact_id: str) -> bytes:
    """The bytes that stand for a contact id; even an id that is no valid Unicode has some.

    Examples
    --------
    >>> key_of("ż"), key_of(chr(0xD800))
    (b'\\xc5\\xbc', b'\\xed\\xa0\\x80')
    """
    return contact_id.encode("utf-8", "surrogatepass")


def contact_of(key: bytes) -> str:
    """The contact id of which these are the bytes: the inverse of `key_of`.

    Examples
    --------
    >>> contact_of(key_of("ż")), contact_of(key_of(chr(0xD800))) == chr(0xD800)
    ('ż', True)
    """
    return key.decode("utf-8", "surrogatepass")


def note_key(note: bytes) -> bytes:
    """What tells a note from every other."""
    return sha256(note).digest()[:16]


def at_most(size: int, batches: Iterable[Sequence[_Item]]) -> Iterator[Sequence[_Item]]:
    """Batches cut so that none is longer than `size`.

    Examples
    --------
    >>> list(at_most(2, [[1, 2, 3], [4]]))
    [[1, 2], [3], [4]]
    """
    for batch in batches:
        for start in range(0, len(batch), size):
            yield batch[start : start + size]
