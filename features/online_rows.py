"""What a materialisation writes, chunk after chunk: every known contact's packed vector, and what happened to the contact lately.

The rows are those that were built offline, read as of the build's own as_of; the facts come from the same tables. Both are read in the
order of the contacts, so memory is bounded by a chunk, however many contacts there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.build import TIMESTAMP_COLUMN, population_sql
from features.built import Built
from features.contract import stored_name
from features.online import Stored
from features.online_carrying import DataKnow
from features.online_events import Noted, OnlineFeatures
from features.online_recent import (
    DAY,
    EVENT,
    FACT,
    MOST_MONEY,
    MOST_TOTAL,
    NEGATIVE,
    POSITIVE,
    PURCHASE,
    SCALARS,
    TOUCH,
    VISIT,
    VISITS_KEPT,
    Codes,
    FactKind,
    Facts,
)
from features.packing import NULL_INT
from features.sessions import NAMED, SESSION_CODE
from features.shapes import TOUCHED
from features.sources import connect, literal, open_tables, quoted
from features.streams import MONEY_UNIT

CONTACTS_AT_ONCE = 50_000
"""Contacts of a chunk: what bounds a materialisation's memory."""

MEMORY = "600MB"
"""What DuckDB may use before it spills to disk."""

Numbers = npt.NDArray[np.int64]


class OnlineRows:
    """The rows of a build as an online store keeps them; a context manager that holds DuckDB's tables."""

    def __init__(self, workspace_dir: Path, built: Built) -> None:
        self._built = built
        self._features = OnlineFeatures(built.contract)
        self._cut = int(built.as_of.astype("datetime64[us]").astype(np.int64))
        self._connection = connect(built.folder.parent)
        self._connection.execute(f"SET memory_limit = '{MEMORY}'")
        open_tables(self._connection, workspace_dir / "data")
        _write_contacts(self._connection, built)
        if self._features.computed:
            _write_facts(self._connection, self._features.codes, self._cut)
            _write_consents(self._connection, self._features.codes, self._cut)

    def __enter__(self) -> OnlineRows:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    @property
    def contacts(self) -> int:
        """How many there are."""
        [(contacts,)] = self._connection.execute("SELECT count(*) FROM known").fetchall()
        return int(contacts)

    def knows(self, noted: Sequence[Noted], names: Mapping[str, str]) -> DataKnow:
        """What the data know, before the build's as_of, of what is noted; `names` says who the joined visitors are."""
        self._connection.register("noted", _noted_table(noted, names))
        contacts = self._connection.execute("SELECT DISTINCT contact_id FROM noted SEMI JOIN known USING (contact_id)").fetchall()
        events = self._connection.execute(
            f"""SELECT DISTINCT noted.event_id FROM noted SEMI JOIN events ON events.event_id = noted.event_id
            AND events.occurred_at < make_timestamp({self._cut})"""
        ).fetchall()
        consents = self._connection.execute(
            f"""SELECT DISTINCT consents.contact_id, consents.purpose, epoch_us(changed_at), status = 'granted'
            FROM consents SEMI JOIN noted ON consents.contact_id = noted.contact_id WHERE changed_at < make_timestamp({self._cut})"""
        ).fetchall()
        known = (frozenset(one for (one,) in events), frozenset(one for (one,) in contacts), frozenset(consents))
        return DataKnow(*known, self._known_until(), self._cut)

    def _known_until(self) -> dict[FactKind, int]:
        """The last moment of which the data know a fact of a kind, before the build's as_of; nothing for a kind they do not know at all."""
        if not self._features.computed:
            return {}
        last = dict(self._connection.execute("SELECT kind, max(moment) FROM facts GROUP BY kind").fetchall())
        kinds: dict[FactKind, tuple[int, ...]] = {"event": (EVENT, PURCHASE), "touch": (TOUCH,)}
        kinds |= {"positive": (POSITIVE, NEGATIVE), "negative": (POSITIVE, NEGATIVE)}
        found = {kind: [last[code] for code in codes if code in last] for kind, codes in kinds.items()}
        return {kind: max(moments) for kind, moments in found.items() if moments}

    def missing(self) -> pa.Table:
        """The (contact_id, as_of) of known contacts whose rows are not built: they came in after the build."""
        return self._connection.sql(
            f"""SELECT contact_id, make_timestamp({self._cut}) AS as_of
            FROM known ANTI JOIN (SELECT contact_id {self._built_rows}) USING (contact_id)"""
        ).to_arrow_table()

    def chunks(self) -> Iterator[list[Stored]]:
        """Every known contact, as the files have them: in alphabetical order but for those that came in after the build."""
        columns = ", ".join(f"{quoted(stored_name(name))} AS {quoted(name)}" for name in self._built.contract.names)
        batches = self._connection.sql(f"SELECT contact_id, {columns} {self._built_rows}").to_arrow_reader(CONTACTS_AT_ONCE)
        beside = self._connection.cursor()  # a connection has one open answer at a time
        start = 0
        for batch in batches:
            rows, place, first_known = _placed(beside, pa.Table.from_batches([batch]), start)
            if len(place):
                start = int(place[-1]) + 1
                yield self._stored(beside, rows, place, first_known)

    @property
    def _built_rows(self) -> str:
        """SQL of the rows as of the build's own as_of."""
        moment = f"TIMESTAMPTZ {literal(f'{self._built.as_of}+00')}"
        return f"FROM read_parquet({literal(self._built.files)}) WHERE {TIMESTAMP_COLUMN} = {moment}"

    def _stored(self, connection: duckdb.DuckDBPyConnection, rows: pa.Table, place: Numbers, first_known: Numbers) -> list[Stored]:
        names = self._built.contract.names
        keys = rows.column("contact_id").cast(pa.large_binary()).to_pylist()  # `key_of` each
        vectors = self._features.packing.pack(rows.select(list(names)), np.full(rows.num_rows, self._built.as_of))
        if not self._features.computed:
            return [(key, vector, None) for key, vector in zip(keys, vectors, strict=True)]
        facts = _facts_of(connection, int(place[0]), int(place[-1]))
        row = np.searchsorted(place, facts["place"])
        here = place[row] == facts["place"]
        if not here.all():
            facts, row = {name: column[here] for name, column in facts.items()}, row[here]
        chunk = _Chunk(self._features, facts, row, self._cut, _consents_of(connection, place, len(self._features.codes.purposes)))
        return list(zip(keys, vectors, chunk.kept(first_known), strict=True))


def _facts_of(connection: duckdb.DuckDBPyConnection, first: int, last: int) -> dict[str, npt.NDArray[np.generic]]:
    """The facts of the contacts between two places, in the order of places and moments."""
    facts = connection.sql(f"SELECT * FROM facts WHERE place >= {first} AND place <= {last}").fetchnumpy()
    place, moment = facts["place"], facts["moment"]
    step = place[1:] - place[:-1]
    if ((step > 0) | ((step == 0) & (moment[1:] >= moment[:-1]))).all():  # as the table was written
        return facts
    order = np.lexsort((moment, place))
    return {name: column[order] for name, column in facts.items()}


def _consents_of(connection: duckdb.DuckDBPyConnection, place: Numbers, purposes: int) -> Numbers:
    """The status of each purpose of the contacts at these places, as `consent_code` has it, shape (purposes, contacts)."""
    held = np.full((purposes, len(place)), NULL_INT, dtype=np.int64)
    if purposes:
        told = connection.sql(f"SELECT * FROM consent_codes WHERE place >= {place[0]} AND place <= {place[-1]}").fetchnumpy()
        row = np.searchsorted(place, told["place"])
        here = place[row] == told["place"]
        held[told["purpose"][here], row[here]] = told["held"][here]
    return held


def _placed(connection: duckdb.DuckDBPyConnection, rows: pa.Table, start: int) -> tuple[pa.Table, Numbers, Numbers]:
    """Those of the rows that are known contacts', in the order of their places; their places and `first_known`."""
    known = connection.sql(
        f"SELECT contact_id, first_known FROM known WHERE place >= {start} AND place < {start + rows.num_rows} ORDER BY place"
    ).to_arrow_table()
    # As a rule the files hold exactly the known contacts, in their order.
    if known.column("contact_id").equals(rows.column("contact_id")):
        place = np.arange(start, start + rows.num_rows)
    else:
        connection.register("some_rows", rows)
        rows = connection.sql(
            "SELECT place, first_known, some_rows.* FROM some_rows JOIN known USING (contact_id) ORDER BY place"
        ).to_arrow_table()
        known, place = rows, rows.column("place").to_numpy()
    return rows, place, pc.fill_null(known.column("first_known"), NULL_INT).to_numpy()


def _write_contacts(connection: duckdb.DuckDBPyConnection, built: Built) -> None:
    """Create the table ``known``: the contacts known by the build's as_of, by their place in alphabetical order."""
    connection.execute(
        f"""CREATE TABLE known AS
        SELECT row_number() OVER () - 1 AS place, contact_id, first_known
        FROM ({population_sql(built.as_of, "epoch_us(min(valid_from)) AS first_known")} ORDER BY contact_id)"""
    )


def _write_facts(connection: duckdb.DuckDBPyConnection, codes: Codes, cut: int) -> None:
    """Create the table ``facts``: what happened to known contacts before `cut`, by place and moment, in the codes of `Codes`."""
    connection.register("type_codes", _code_table(codes.types, 0))
    connection.register("channel_codes", _code_table(codes.channels, 0))
    connection.register("touch_codes", _code_table(codes.touch_channels, len(codes.channels)))
    other_type, other_channel = f"{codes.other_type}::SMALLINT", f"{codes.other_channel}::SMALLINT"
    money = f"least(coalesce(TRY_CAST(round(value * {MONEY_UNIT}) AS HUGEINT), 0), {MOST_MONEY})"
    visited = f"{NAMED} AND occurred_at >= make_timestamp({cut - VISITS_KEPT})" if codes.sessions else "false"
    behaviour = "coalesce(behaviour, 'positive')"
    connection.execute(
        f"""CREATE TABLE facts AS
        SELECT known.place, epoch_us(happened.moment) AS moment, money, kind, type, channel, session FROM (
            SELECT contact_id, occurred_at AS moment, CAST(CASE WHEN value > 0 THEN {money} ELSE 0 END AS BIGINT) AS money,
                CAST(CASE WHEN value > 0 THEN {PURCHASE} ELSE {EVENT} END AS UTINYINT) AS kind,
                coalesce(type_codes.code, {other_type}) AS type, coalesce(channel_codes.code, {other_channel}) AS channel,
                CASE WHEN {visited} THEN {SESSION_CODE} ELSE 0 END AS session
            FROM events LEFT JOIN type_codes ON event_type = type_codes.name LEFT JOIN channel_codes ON channel = channel_codes.name
            UNION ALL
            SELECT contact_id, occurred_at, 0, {TOUCH}, {other_type}, coalesce(touch_codes.code, {other_channel}), 0
            FROM interactions LEFT JOIN touch_codes ON channel = touch_codes.name WHERE {TOUCHED}
            UNION ALL
            SELECT coalesce(outcomes.contact_id, interactions.contact_id), outcomes.occurred_at, 0,
                CASE {behaviour} WHEN 'positive' THEN {POSITIVE} ELSE {NEGATIVE} END, {other_type}, {other_channel}, 0
            FROM outcomes LEFT JOIN interactions
                ON outcomes.contact_id IS NULL AND outcomes.interaction_id = interactions.interaction_id
            WHERE {behaviour} IN ('positive', 'negative')
        ) happened JOIN known ON happened.contact_id = known.contact_id
        WHERE happened.moment < make_timestamp({cut}) ORDER BY known.place, moment"""
    )


def _write_consents(connection: duckdb.DuckDBPyConnection, codes: Codes, cut: int) -> None:
    """Create the table ``consent_codes``: of known contacts the status of each purpose before `cut`, as `consent_code` has it."""
    connection.register("purpose_codes", _code_table(codes.purposes, 0))
    connection.execute(
        f"""CREATE TABLE consent_codes AS
        SELECT known.place, purpose_codes.code AS purpose, max(2 * epoch_us(changed_at) + (status <> 'granted')::BIGINT) AS held
        FROM consents JOIN known USING (contact_id) JOIN purpose_codes ON consents.purpose = purpose_codes.name
        WHERE changed_at < make_timestamp({cut}) GROUP BY ALL ORDER BY known.place"""
    )


def _noted_table(noted: Sequence[Noted], names: Mapping[str, str]) -> pa.Table:
    # An id that is no valid Unicode is that of no ingested contact.
    who = [names.get(one.contact_id, one.contact_id).encode("utf-8", "replace").decode() for one in noted]
    return pa.table({"contact_id": pa.array(who, pa.string()), "event_id": pa.array([one.event_id for one in noted], pa.string())})


def _code_table(names: tuple[str, ...], first: int) -> pa.Table:
    return pa.table({"name": pa.array(names, pa.string()), "code": pa.array(range(first, first + len(names)), pa.int16())})


@dataclass(frozen=True)
class _Chunk:
    """The facts of a chunk's contacts: columns in the order of contacts and moments, `place` (n,) each fact's contact; `_consents_of`."""

    features: OnlineFeatures
    columns: dict[str, npt.NDArray[np.generic]]
    place: Numbers
    cut: int
    consents: Numbers

    def kept(self, first_known: Numbers) -> list[bytes]:
        """What `Recent.to_bytes` would make of each contact."""
        codes, contacts = self.features.codes, len(first_known)
        head = np.zeros(contacts, dtype=codes.head)
        head["prefix"] = np.void(codes.prefix)
        for name, numbers in self._scalars(first_known).items():
            head[name] = numbers
        bought = np.flatnonzero(self._is(PURCHASE))
        day = self._moments[bought] // DAY
        starts = bought[_first_of(self.place[bought], day)]
        lately = np.flatnonzero(self._moments >= self.cut - self.features.longest)
        visits = np.flatnonzero(self.columns["session"])
        head["days"] = np.bincount(self.place[starts], minlength=contacts)
        head["facts"] = np.bincount(self.place[lately], minlength=contacts)
        head["visits"] = np.bincount(self.place[visits], minlength=contacts)
        parts = (
            _bytes(head, np.ones(contacts, dtype=np.int64)),
            _bytes(self._moments[starts], head["days"]),
            _bytes(self._records(FACT, lately), head["facts"]),
            _bytes(self._records(VISIT, visits), head["visits"]),
        )
        return list(pc.binary_join_element_wise(*parts, pa.scalar(b"", pa.large_binary())).to_pylist())

    @property
    def _moments(self) -> Numbers:
        return self.columns["moment"].astype(np.int64, copy=False)

    def _is(self, *kinds: int) -> npt.NDArray[np.bool_]:
        return np.isin(self.columns["kind"], kinds)

    def _records(self, kind: np.dtype[np.void], which: npt.NDArray[np.intp]) -> Facts:
        records = np.empty(len(which), dtype=kind)
        for name in kind.names or ():
            records[name] = self.columns[name][which]
        return records

    def _scalars(self, first_known: Numbers) -> dict[str, Numbers]:
        contacts, event = len(first_known), self._is(EVENT, PURCHASE)
        bought = np.flatnonzero(self._is(PURCHASE))
        day, place = self._moments[bought] // DAY, self.place[bought]
        money = np.minimum(self.columns["money"][bought].astype(np.int64), MOST_MONEY)
        first_day = self._first(self._is(PURCHASE), contacts)[place] // DAY
        numbers = {
            "first_known": first_known,
            "first_event": self._first(event, contacts),
            "last_event": self._last(event, contacts),
            "last_touch": self._last(self._is(TOUCH), contacts),
            "money": _sums(place, money, contacts),
            "first_day_money": _sums(place[day == first_day], money[day == first_day], contacts),
        }
        assert tuple(numbers) == SCALARS
        types = self.columns["type"]
        for code in range(len(self.features.codes.types)):
            numbers[f"type {code}"] = self._last(event & (types == code), contacts)
        channels = self.columns["channel"]
        for code in range(len(self.features.codes.channels)):
            numbers[f"channel {code}"] = self._last(event & (channels == code), contacts)
        return numbers | {f"purpose {code}": held for code, held in enumerate(self.consents)}

    def _first(self, which: npt.NDArray[np.bool_], contacts: int) -> Numbers:
        return self._last(which, contacts, step=-1)

    def _last(self, which: npt.NDArray[np.bool_], contacts: int, step: int = 1) -> Numbers:
        """The last moment of those facts of each contact; with step -1 the first."""
        found = np.full(contacts, NULL_INT, dtype=np.int64)
        rows = np.flatnonzero(which)[::step]
        found[self.place[rows]] = self._moments[rows]  # of several values for one place numpy keeps the last
        return found


def _first_of(*sorted_by: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which rows begin a group of equal values."""
    first = np.ones(len(sorted_by[0]), dtype=bool)
    first[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in sorted_by])
    return first


def _sums(place: Numbers, numbers: Numbers, contacts: int) -> Numbers:
    """Exact sums of whole numbers by place; the smallest int64 where there is nothing to add."""
    found = np.full(contacts, NULL_INT, dtype=np.int64)
    if len(place):
        starts = np.flatnonzero(_first_of(place))
        found[place[starts]] = np.minimum(np.add.reduceat(numbers, starts), MOST_TOTAL)
    return found


def _bytes(items: npt.NDArray[np.generic], counts: npt.NDArray[np.integer]) -> pa.LargeBinaryArray:
    """The bytes of consecutive items, `counts` of them at a time."""
    offsets = np.concatenate(([0], np.cumsum(counts, dtype=np.int64))) * items.dtype.itemsize
    buffers = [None, pa.py_buffer(np.ascontiguousarray(offsets)), pa.py_buffer(np.ascontiguousarray(items).tobytes())]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(counts), buffers)
