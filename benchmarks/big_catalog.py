"""Does a catalogue of 300 actions, 900 treatments and 200 distinct rules still load at once and decide in real time?

Times are CPU times of this process, means over many contacts that differ, each decided for the first time.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import yaml

from benchmarks.big_world import DTYPES, catalog_data, contact_columns, history_of, house_of, rule_texts, situation_of
from benchmarks.results import Figure
from decisioning.candidates import Situation
from decisioning.catalog import parse_catalog
from decisioning.compiled_catalog import CompiledCatalog, compile_catalog
from decisioning.decide import decide
from decisioning.history import History
from decisioning.rules import Expression, Rows, RuleBook
from decisioning.stages import appraise_candidates
from decisioning.vocabulary import Columns, Dtype
from nudge.ground.yaml_files import read_yaml

CONTACTS = 300
POPULATION = 20_000
ROUNDS = 5
ACTIONS = {900: 300, 60: 20}

ARROW_TYPES = {
    "float": pa.float64(),
    "bool": pa.bool_(),
    "string": pa.string(),
    "date": pa.timestamp("us"),
    "timestamp": pa.timestamp("us"),
}


def measure() -> Sequence[Figure]:
    """Load, decide at two sizes, appraise a population, and the 200 rules on one row by three evaluators."""
    from_mapping, from_yaml = load_seconds()
    figures = [
        Figure("big_catalog.load the catalogue: parse and compile", from_mapping, "seconds CPU", goal="<= 2"),
        Figure("big_catalog.load the catalogue: from its YAML", from_yaml, "seconds CPU", goal="<= 2"),
    ]
    for treatments in (900, 60):
        for limit in (1, 3):
            name = f"big_catalog.decide among {treatments} treatments, limit {limit}"
            figures.append(Figure(name, decide_milliseconds(treatments, limit), "ms CPU"))
    return [*figures, Figure("big_catalog.appraise 20,000 contacts x 900 treatments", batch_seconds(), "seconds CPU"), *rule_figures()]


def load_seconds() -> tuple[float, float]:
    """CPU seconds to parse and compile the catalogue, from the plain mapping and from its YAML file."""

    def compiled(data: Any) -> CompiledCatalog:
        return compile_catalog(parse_catalog(data), DTYPES)

    data = catalog_data()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "catalog.yaml"
        path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
        return _cpu_seconds(lambda: compiled(data)), _cpu_seconds(lambda: compiled(read_yaml(path, {})))


def decide_milliseconds(treatments: int, limit: int) -> float:
    """CPU milliseconds of one decision, policies included, features and scores given."""
    house = house_of(compile_catalog(parse_catalog(catalog_data(ACTIONS[treatments])), DTYPES))
    rng = np.random.default_rng(1)
    columns = contact_columns(CONTACTS, rng)
    contacts = [situation_of(columns, slice(row, row + 1)) for row in range(CONTACTS)]
    pasts = [history_of(contact, rng) for contact in contacts]
    decide(house, contacts[0], pasts[0], limit=limit)

    def all_of(fresh: list[tuple[Situation, History]]) -> None:
        for situation, history in fresh:
            decide(house, situation, history, limit=limit)

    rounds = []
    for _ in range(ROUNDS):
        fresh = [(situation_of(columns, slice(row, row + 1)), past) for row, past in enumerate(pasts)]
        rounds.append(_cpu_seconds(partial(all_of, fresh), rounds=1))
    return min(rounds) / CONTACTS * 1e3


def batch_seconds() -> float:
    """CPU seconds to appraise a population: what the batch path pays for rules, policies and arithmetic."""
    house = house_of(compile_catalog(parse_catalog(catalog_data()), DTYPES))
    rng = np.random.default_rng(2)
    situation = situation_of(contact_columns(POPULATION, rng), slice(0, POPULATION))
    history = history_of(situation, rng)
    return _cpu_seconds(lambda: appraise_candidates(house, situation, history), rounds=1)


def rule_figures() -> list[Figure]:
    """The 200 rules on one row: in plain Python, by arrays of one element, and by one DuckDB statement that stands prepared."""
    expressions = _expressions()
    columns = contact_columns(CONTACTS, np.random.default_rng(3))
    rows = [Rows({name: column[row : row + 1] for name, column in columns.items()}, 1, {"intent": "borrow"}) for row in range(CONTACTS)]
    by_row = _cpu_seconds(lambda: _each(rows, lambda one: [rule.on_row(one.only) for rule in expressions])) / CONTACTS
    by_arrays = _cpu_seconds(lambda: _each(rows[:30], lambda one: [rule.on_arrays(one) for rule in expressions])) / 30
    by_duckdb = _duckdb_seconds(columns)
    name = "big_catalog.200 rules on one row, times a second"
    return [
        Figure(name, 1 / by_row, "1/s CPU", peer="numpy on arrays of one", peer_value=1 / by_arrays, goal=">= 10 x"),
        Figure(f"{name}: than DuckDB", 1 / by_row, "1/s CPU", peer="DuckDB, one statement", peer_value=1 / by_duckdb, goal=">= 10 x"),
    ]


def _expressions() -> list[Expression]:
    book, texts = RuleBook(DTYPES), rule_texts()
    conditions = [part for use in texts if use != "value" for text in texts[use] for part in book.condition(text, path=use)]
    return list(dict.fromkeys([*conditions, *(book.value(text, path="value") for text in texts["value"])]))


def _duckdb_seconds(columns: Columns) -> float:
    """CPU seconds a row: all rules as the columns of one SELECT over a table of one row."""
    texts = [text.replace("context.intent", "'borrow'") for use in rule_texts().values() for text in use]
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    fields = {name: pa.array(_plain(columns[name][:1], dtype), type=ARROW_TYPES[dtype]) for name, dtype in DTYPES.items()}
    connection.register("given", pa.table(fields))
    connection.execute("CREATE TABLE contact AS SELECT * FROM given")
    connection.execute(f"PREPARE rules AS SELECT {', '.join(f'({text})' for text in texts)} FROM contact")
    times = 30
    return _cpu_seconds(lambda: _each(range(times), lambda _: connection.execute("EXECUTE rules").fetchall())) / times


def _plain(column: np.ndarray, dtype: Dtype) -> list[Any]:
    known = [None if value is None or value != value else value for value in column.tolist()]
    return [None if value is None else bool(value) for value in known] if dtype == "bool" else known


def _each(ones: Sequence[Any], function: Callable[[Any], object]) -> None:
    for one in ones:
        function(one)


def _cpu_seconds(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """The least CPU time of `work` over some rounds: what others do to the machine only adds."""
    spent = []
    for _ in range(rounds):
        gc.collect()
        begin = time.process_time()
        work()
        spent.append(time.process_time() - begin)
    return min(spent)
