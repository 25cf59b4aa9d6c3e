"""Packed vectors in Redis, under Feast's own keys: one round trip a read, versions swapped in one transaction.

A contact's key is Feast's: the serialized entity key and the project; within it, each version has two fields, named as Feast names those
of a feature ``vector@<version>`` and ``recent@<version>``. A hash of its own says which version is read. A small script on the server reads
both in one step, so a reader knows nothing of versions and keeps none in memory.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any

from decisioning.errors import Conflict, Unavailable
from features.online import VIEW, Carried, Change, Kept, Materialised, Stored, at_most, key_of, note_key
from features.online_redis_client import Command, Line, RedisLines

ROWS_AT_ONCE = 2_000
"""Commands of one round trip while a version is written: what bounds the memory of both sides, and how long others wait."""

_STRING = 2  # feast.types.Value: ValueType.STRING
_JOIN_KEY = b"contact_id"
_KEY_PREFIX = struct.pack("<III", 1, _STRING, len(_JOIN_KEY)) + _JOIN_KEY + struct.pack("<I", _STRING)
_MOST_TRIES = 100

_READ = b"""local about = redis.call('HMGET', KEYS[1], 'version', 'field')
local found = {about[1]}
for place = 2, #KEYS do found[place] = about[2] and redis.call('HGET', KEYS[place], about[2]) end
return found"""


class RedisVectors:
    """The packed vectors of an online store in Redis.

    Parameters
    ----------
    connection_string : str
        As `features.online_redis_client.redis_settings` takes it.
    project : str
        Feast's project: part of every key.

    Raises
    ------
    ConfigError, Unavailable
        Where the connection string is not one; where redis-py is not installed.
    """

    def __init__(self, connection_string: str, project: str) -> None:
        self._lines = RedisLines(connection_string)
        self._project = project.encode()
        self._about, self._notes, self._versions = (f"{project}:{VIEW}:{part}".encode() for part in ("version", "events", "versions"))
        self._note_keys = f"{project}:{VIEW}:event_keys".encode()
        self._script: bytes = b""

    # --- reading --------------------------------------------------------------------------------------------------------------------

    def read(self, contact_ids: Sequence[str]) -> list[bytes | None]:
        """The vectors of contacts in their order, all of one version; None where there is none.

        Raises
        ------
        Unavailable
            Where the server does not answer.
        """
        keys = [self._key(key_of(contact_id)) for contact_id in contact_ids]
        return self._lines.run(partial(self._read, keys), doing="read")

    def _read(self, keys: list[bytes], line: Line) -> list[bytes | None]:
        for _ in range(_MOST_TRIES):
            versions: set[bytes | None] = set()
            vectors: list[bytes | None] = []
            for start in range(0, len(keys), ROWS_AT_ONCE):
                version, *found = self._read_at_once(keys[start : start + ROWS_AT_ONCE], line)
                versions.add(version)
                vectors += found
            if len(versions) < 2:
                return vectors
        raise Unavailable("the online store cannot be read", field="stores.online", got="another version at every try")

    def _read_at_once(self, keys: list[bytes], line: Line) -> list[bytes | None]:
        arguments = (b"%d" % (len(keys) + 1), self._about, *keys)
        if not self._script:
            [self._script] = line.ask((b"SCRIPT", b"LOAD", _READ))
        try:
            [found] = line.ask((b"EVALSHA", self._script, *arguments))
        except self._lines.no_script:  # the server was started again
            [found] = line.ask((b"EVAL", _READ, *arguments))
        # A script's answer ends at its last value that is not nil.
        return [*found, *[None] * (len(keys) + 1 - len(found))]

    def pages(self, size: int) -> Iterator[list[Stored]]:
        """Everybody in no order, at most `size` at a time: each page is of the version that is read then, and somebody may come twice."""
        for keys in self._keys():
            for some in at_most(size, [keys]):
                yield self._page([(contact, key) for key in some if (contact := self._contact(key)) is not None])

    def _page(self, keys: Sequence[tuple[bytes, bytes]]) -> list[Stored]:
        [version] = self._ask((b"HGET", self._about, b"version"))
        if version is None or not keys:
            return []
        names = (_field("vector", version), _field("recent", version))
        found = self._ask(*((b"HMGET", key, *names) for _, key in keys))
        return [(contact, vector, recent) for (contact, _), (vector, recent) in zip(keys, found, strict=True) if vector is not None]

    def _contact(self, key: bytes) -> bytes | None:
        """Whose key it is; None of another project whose name ends like ours."""
        begin = len(_KEY_PREFIX) + 4
        (length,) = struct.unpack_from("<I", key, len(_KEY_PREFIX))
        contact = key[begin : begin + length]
        return contact if key[begin + length :] == self._project else None

    def current(self) -> Materialised | None:
        """The materialisation that is read; None where there was none."""
        names = (b"version", b"as_of", b"contract_hash", b"contacts", b"materialized_at")
        [[version, as_of, contract_hash, contacts, at]] = self._lines.run(
            lambda line: line.ask((b"HMGET", self._about, *names)), doing="read"
        )
        return None if version is None else Materialised(int(as_of), contract_hash.decode(), int(contacts), int(at))

    # --- versions -------------------------------------------------------------------------------------------------------------------

    def replace(self, rows: Iterable[Sequence[Stored]], about: Materialised, carried: Carried) -> int:
        """Write a new version from batches of rows and let it be the current one; returns the contacts.

        Raises
        ------
        Conflict
            Where another process began to write a version meanwhile.
        Unavailable
            Where the server does not answer.
        """
        version = self._begin()
        self._remove_others(version)
        written = 0
        for some in at_most(ROWS_AT_ONCE, rows):
            *_, writing = self._ask(*(self._put(row, version) for row in some), (b"HGET", self._about, b"writing"))
            _require(writing == version)
            written += len(some)
        kept: list[bytes] = []
        done = 0
        while not self._lines.run(partial(self._let_count, version, about, kept, done), doing="written"):
            done += self._carry(version, done, carried, kept)
        self._remove_others(version)
        return written

    def _begin(self) -> bytes:
        """A new version's number, under which nobody else writes."""
        [number] = self._ask((b"HINCRBY", self._about, b"writing", b"1"))
        self._ask((b"SADD", self._versions, b"%d" % number))
        return b"%d" % number

    def _put(self, row: Stored, version: bytes) -> Command:
        contact, vector, recent = row
        put = (b"HSET", self._key(contact), _field("vector", version), vector)
        return put if recent is None else (*put, _field("recent", version), recent)

    def _carry(self, version: bytes, done: int, carried: Carried, kept: list[bytes]) -> int:
        """Bring further noted events into a new version; returns how many were looked at."""
        [notes] = self._ask((b"LRANGE", self._notes, b"%d" % done, b"%d" % (done + ROWS_AT_ONCE - 1)))
        for note in notes:
            if (step := carried(note)) is not None:
                contact_id, change = step
                kept.append(note)
                names = (_field("vector", version), _field("recent", version))
                contact = key_of(contact_id)
                [found] = self._ask((b"HMGET", self._key(contact), *names))
                new = change(Kept(*found))
                if new is not None and new.vector is not None:
                    self._ask(self._put((contact, new.vector, new.recent), version))
        return len(notes)

    def _let_count(self, version: bytes, about: Materialised, kept: list[bytes], done: int, line: Line) -> bool:
        """Let a version be the current one, unless events were noted beyond the first `done`."""
        _, noted, writing = line.ask((b"WATCH", self._notes, self._about), (b"LLEN", self._notes), (b"HGET", self._about, b"writing"))
        _require(writing == version)
        if noted > done:
            line.ask((b"UNWATCH",))
            return False
        again = [command for start in range(0, len(kept), ROWS_AT_ONCE) for command in self._noting(kept[start : start + ROWS_AT_ONCE])]
        forget = (b"DEL", self._notes, self._note_keys)
        *_, done_so = line.ask((b"MULTI",), self._set_about(version, about), forget, *again, (b"EXEC",))
        return done_so is not None

    def _noting(self, notes: Sequence[bytes]) -> list[Command]:
        return [(b"RPUSH", self._notes, *notes), (b"SADD", self._note_keys, *map(note_key, notes))]

    def _set_about(self, version: bytes, about: Materialised) -> Command:
        numbers = {b"as_of": about.as_of, b"contacts": about.contacts, b"materialized_at": about.materialized_at}
        fields = [part for name, number in numbers.items() for part in (name, b"%d" % number)]
        hashed = (b"contract_hash", about.contract_hash.encode())
        return (b"HSET", self._about, b"version", version, b"field", _field("vector", version), *hashed, *fields)

    def _remove_others(self, version: bytes) -> None:
        """Remove the versions that are neither this one nor the current one."""
        current, versions = self._ask((b"HGET", self._about, b"version"), (b"SMEMBERS", self._versions))
        self._remove([number for number in versions if int(number) < int(version) and number != current])

    def _remove(self, versions: list[bytes]) -> None:
        if versions:
            fields = [_field(name, version) for version in versions for name in ("vector", "recent")]
            for keys in self._keys():
                self._ask(*((b"HDEL", key, *fields) for key in keys))
            self._ask((b"SREM", self._versions, *versions))

    def _keys(self) -> Iterable[list[bytes]]:
        """The keys of the project's contacts, some at a time."""
        pattern = _literally(_KEY_PREFIX) + b"*" + _literally(self._project)
        cursor = b"0"
        while True:
            [[cursor, keys]] = self._ask((b"SCAN", cursor, b"MATCH", pattern, b"COUNT", b"%d" % ROWS_AT_ONCE))
            if keys:
                yield keys
            if cursor == b"0":
                return

    # --- single contacts ------------------------------------------------------------------------------------------------------------

    def write(self, rows: Iterable[tuple[str, bytes]], about: Materialised) -> None:
        """Write vectors into the current version, or into a first one; what happened lately stays."""
        [version] = self._ask((b"HGET", self._about, b"version"))
        if version is None:
            version = self._begin()
            self._ask(self._set_about(version, about))
        commands = [self._put((key_of(contact_id), vector, None), version) for contact_id, vector in rows]
        for start in range(0, len(commands), ROWS_AT_ONCE):
            self._ask(*commands[start : start + ROWS_AT_ONCE])

    def change(self, contact_id: str, change: Change, note: bytes | None, *, once: bool = False) -> bool:
        """Change one contact's vector, alone: nobody else's change in between is lost. Returns whether anything was changed.

        With `once` a change that is noted in the same words is made already, and not made again.

        Raises
        ------
        Unavailable
            Where the server does not answer (then the change may or may not have been made), or nothing was materialised.
        """
        for _ in range(_MOST_TRIES):
            changed = self._lines.run(partial(self._change, self._key(key_of(contact_id)), change, (note, once)), doing="written")
            if changed is not None:
                return changed
        raise Unavailable("the online store cannot be written", field=contact_id, got="another change at every try")

    def notes(self) -> list[bytes]:
        """What is noted: changes that the materialised rows do not know."""
        [notes] = self._ask((b"LRANGE", self._notes, b"0", b"-1"))
        return list(notes)

    def _change(self, key: bytes, change: Change, noted: tuple[bytes | None, bool], line: Line) -> bool | None:
        """Whether anything was changed; None where somebody else was faster."""
        line.once = False
        note, once = noted
        _, version = line.ask((b"WATCH", key, self._about), (b"HGET", self._about, b"version"))
        if version is None:
            line.ask((b"UNWATCH",))
            raise Unavailable("no features are in the online store", hint="run nudge features materialize")
        names = (_field("vector", version), _field("recent", version))
        found, known = line.ask(
            (b"HMGET", key, *names), (b"SISMEMBER", self._note_keys, note_key(note) if once and note is not None else b"")
        )
        new = None if known else change(Kept(*found))
        if new is None or new.vector is None:
            line.ask((b"UNWATCH",))
            return bool(known)
        recent = (names[1], new.recent) if new.recent is not None else ()
        line.once = True  # counted twice would be as wrong as not at all
        put = (b"HSET", key, names[0], new.vector, *recent)
        *_, done = line.ask((b"MULTI",), put, *([] if note is None else self._noting([note])), (b"EXEC",))
        line.once = False
        return True if done is not None else None

    def forget(self, contact_ids: Collection[str], noted: Callable[[bytes], bool]) -> int:
        """Remove contacts from every version, and the notes that `noted` tells to be theirs; returns the vectors."""
        gone = [(b"LREM", self._notes, b"0", note) for note in set(self.notes()) if noted(note)]
        removed, *_ = self._ask((b"DEL", *(self._key(key_of(one)) for one in contact_ids)), *gone)
        return int(removed)

    def clear(self) -> None:
        """Remove every version and every note."""
        [versions] = self._ask((b"SMEMBERS", self._versions))
        self._ask((b"DEL", self._notes, self._note_keys), (b"HDEL", self._about, b"version", b"field"))
        self._remove(list(versions))

    # --- inside ---------------------------------------------------------------------------------------------------------------------

    def _ask(self, *commands: Command) -> list[Any]:
        return self._lines.run(lambda line: line.ask(*commands), doing="written")

    def _key(self, contact: bytes) -> bytes:
        return entity_key(contact) + self._project


def entity_key(contact: bytes) -> bytes:
    """Feast's serialized entity key of a contact (version 3)."""
    return _KEY_PREFIX + struct.pack("<I", len(contact)) + contact


def _literally(text: bytes) -> bytes:
    """A pattern of keys that only `text` matches."""
    return b"".join(b"\\" + bytes([byte]) if byte in b"*?[]\\^" else bytes([byte]) for byte in text)


def _require(still_mine: bool) -> None:
    if not still_mine:
        raise Conflict("another process materialises the features", hint="the one that began last counts")


@lru_cache(maxsize=16)
def _field(feature: str, version: bytes) -> bytes:
    """Feast's name of a feature's field in a contact's hash."""
    import mmh3

    return struct.pack("<I", mmh3.hash(f"{VIEW}:{feature}@{version.decode()}", signed=False))
