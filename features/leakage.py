"""Suspicious leakage: an attribute that predicts an outcome too well alone was most likely written down after the outcome.

A model that may use it looks brilliant in training and knows nothing on the day of the decision. Three signs, each in one attribute alone:

- it ranks almost perfectly (AUC from 0.97);
- it ranks suspiciously well (AUC from 0.80, not counting levels that merely rule contacts out). Where we looked, honest attributes end
  below 0.77 (Bank Marketing's labour market, the time leads spend on a website), while the length of a sales call has 0.82 and what
  salesmen note about a lead 0.80 to 0.92;
- it is as good as a verdict: some of its levels, or its being NULL, are nearly always followed by the outcome and others nearly never
  (`leakage_signs.py`).

What no data can show: a column written after the outcome that says little about it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.leakage_signs import Happened, Verdict, signs_of
from features.sources import quoted
from features.tables import TABLES

ALMOST_PERFECT_AUC = 0.97
"""From here on one attribute alone ranks those with the outcome above those without almost without a mistake."""

SUSPICIOUS_AUC = 0.80
"""From here on a person should look when the attribute is written."""

MAX_POSITIVES, MAX_NEGATIVES = 5_000, 10_000
"""Contacts sampled an outcome. The AUC does not depend on the share of positives, so the rare side is not thinned out."""


@dataclass(frozen=True)
class Leak:
    """An attribute that predicts an outcome too well.

    Parameters
    ----------
    table, column, outcome : str
        The table is contacts or accounts.
    auc : float
        The area under the ROC curve of that attribute alone.
    verdict : Verdict or None
        Its sure levels, where that is what gives it away.
    """

    table: str
    column: str
    outcome: str
    auc: float
    verdict: Verdict | None


def find_leaks(connection: duckdb.DuckDBPyConnection, tables: Collection[str], constant: Mapping[str, Collection[str]]) -> Iterator[Leak]:
    """Attributes of contacts and of their accounts, each tested alone against every outcome.

    Where contacts have a history, they are read as they were just before the outcome; those without it at the times of those with it.

    Parameters
    ----------
    tables : collection of str
        The contract tables that are there, as views of the same name.
    constant : mapping of str to collection of str
        By table the attributes that say the same in every row, which need no test.
    """
    if not {"contacts", "outcomes"} <= set(tables):
        return
    types = {name: dict(connection.execute(f"SELECT column_name, column_type FROM (DESCRIBE {name})").fetchall()) for name in tables}
    read = ("contacts", "accounts") if "account_id" in types["contacts"] and "accounts" in tables else ("contacts",)
    attributes = [(t, c) for t in read for c in types[t] if c not in TABLES[t].names and c not in constant.get(t, ())]
    if not attributes or "contact_id" not in types["outcomes"]:
        return
    connection.execute(_scope_sql("interactions" if "interactions" in tables else "contacts"))
    outcomes = connection.execute("SELECT DISTINCT outcome FROM outcomes WHERE contact_id IS NOT NULL ORDER BY outcome").fetchall()
    sampled = _sample_sql("occurred_at" in types["outcomes"])
    samples = {outcome: connection.sql(sampled, params=[outcome]).to_arrow_table() for (outcome,) in outcomes}
    _gather(connection, samples.values())
    for outcome, sampled_contacts in samples.items():
        connection.register("audit_sample", sampled_contacts)
        sample = connection.sql(_rows_sql(attributes, types["contacts"])).to_arrow_table()
        happened = _happened(connection, sample)
        if happened is None:
            continue
        for place, (table, column) in enumerate(attributes, start=3):
            # Whether a contact has an account at all is no attribute of an account.
            rows = sample.column(2).to_numpy().astype(bool) if table == "accounts" else np.ones(len(happened.flags), dtype=bool)
            known = happened.take(rows)
            if known is None:
                continue
            signs = signs_of(_values(sample.column(place), types[table][column])[rows], known)
            if signs.auc >= ALMOST_PERFECT_AUC or signs.auc_among_possible >= SUSPICIOUS_AUC or signs.verdict is not None:
                yield Leak(table, column, outcome, signs.auc, signs.verdict)


def _gather(connection: duckdb.DuckDBPyConnection, samples: Collection[pa.Table]) -> None:
    """What is known of all who are sampled for any outcome, read from the file once."""
    if samples:
        connection.register("audit_sampled", pa.concat_tables([sample.select(["contact_id"]) for sample in samples]))
        who = "SELECT contact_id FROM audit_sampled"
        connection.execute(f"CREATE OR REPLACE TEMP TABLE audit_contacts AS SELECT * FROM contacts WHERE contact_id IN ({who})")


def _scope_sql(table: str) -> str:
    """Everybody who could have had an outcome."""
    return (
        "CREATE OR REPLACE TEMP TABLE audit_scope AS SELECT contact_id FROM "
        f"(SELECT DISTINCT contact_id FROM {table} UNION SELECT DISTINCT contact_id FROM outcomes WHERE contact_id IS NOT NULL) "
        "WHERE contact_id IN (SELECT contact_id FROM contacts)"
    )


def _sample_sql(timed: bool) -> str:
    """Contacts with the outcome, with the time of the first; and contacts without it, each at the time of one who had it.

    Chosen by a hash, so that the audit says the same every time.
    """
    first = "min(occurred_at)" if timed else "CAST(NULL AS TIMESTAMP)"
    return (
        f"WITH positives AS MATERIALIZED (SELECT contact_id, {first} AS moment FROM outcomes WHERE outcome = $1 AND contact_id IN "
        "(SELECT contact_id FROM audit_scope) GROUP BY contact_id), "
        f"kept AS MATERIALIZED ({_in_order_of_hash('SELECT contact_id, moment FROM positives', MAX_POSITIVES)}), "
        f"others AS ({_in_order_of_hash('SELECT contact_id FROM audit_scope ANTI JOIN positives USING (contact_id)', MAX_NEGATIVES)}) "
        "SELECT contact_id, moment, true AS happened, (SELECT count(*) FROM positives) AS stands_for FROM kept UNION ALL "
        "SELECT o.contact_id, k.moment, false, (SELECT count(*) FROM audit_scope) - (SELECT count(*) FROM positives) FROM others o "
        "JOIN kept k ON k.place = 1 + (o.place - 1) % (SELECT count(*) FROM kept)"
    )


def _in_order_of_hash(query: str, limit: int) -> str:
    """The first rows in the order of a hash, numbered from 1."""
    return f"SELECT *, row_number() OVER (ORDER BY hash(contact_id)) AS place FROM ({query} ORDER BY hash(contact_id) LIMIT {limit})"


def _rows_sql(attributes: list[tuple[str, str]], contact_types: Mapping[str, str]) -> str:
    """happened, the half, and every attribute of the sampled contacts as they were at their time."""
    with_accounts = any(table == "accounts" for table, _ in attributes)
    listed = ", ".join(f"{table}.{quoted(column)}" for table, column in attributes)
    # The contacts of one company share its attributes and often its fate: they stay in one half.
    company = "coalesce(contacts.account_id, contact_id)" if "account_id" in contact_types else "contact_id"
    has = "accounts.account_id IS NOT NULL" if with_accounts else "false"
    joined = " LEFT JOIN accounts USING (account_id)" if with_accounts else ""
    history = ""
    if "valid_from" in contact_types:
        history = (
            " WHERE contacts.valid_from IS NULL OR s.moment IS NULL OR contacts.valid_from < s.moment"
            " QUALIFY row_number() OVER (PARTITION BY contact_id ORDER BY contacts.valid_from DESC NULLS LAST) = 1"
        )
    source = f"audit_sample s JOIN audit_contacts AS contacts USING (contact_id){joined}{history}"
    return f"SELECT s.happened, hash({company}) // 7 % 2 AS half, {has} AS has_account, {listed} FROM {source} ORDER BY hash(contact_id)"


def _happened(connection: duckdb.DuckDBPyConnection, sample: Any) -> Happened | None:
    """The outcome of the sampled contacts; None where all have it, or none."""
    flags = sample.column(0).to_numpy().astype(bool)
    counts = {True: int(flags.sum()), False: int((~flags).sum())}
    if min(counts.values()) == 0:
        return None
    totals = dict(connection.execute("SELECT happened, any_value(stands_for) FROM audit_sample GROUP BY happened").fetchall())
    weight = np.where(flags, totals[True] / counts[True], totals[False] / counts[False])
    return Happened(flags, weight, sample.column(1).to_numpy().astype(np.int64))


def _values(column: Any, duckdb_type: str) -> npt.NDArray[Any]:
    """Numbers and times as float64 with NaN, text as objects with None."""
    if duckdb_type == "VARCHAR":
        return np.asarray(column.to_pylist(), dtype=object)
    if duckdb_type in ("DATE", "TIMESTAMP"):
        column = column.cast("timestamp[us]").cast("int64")
    # unsafe: integers beyond 2^53 lose their last digits, which no leak hides in
    return np.asarray(column.cast("float64", safe=False).to_numpy(), dtype=np.float64)
