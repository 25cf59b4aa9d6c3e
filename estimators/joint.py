"""JointScores: everything that the three served bundles say of the same contacts, read once and computed together.

The bundles themselves are the law, plain and slow: they encode a contact once each and ask one model after the other. Here the contact is
read once, all tree models are one forest, all linear scores one product, and the rest a few compiled loops; tests hold the two together.
A bundle that holds a part which is not understood stays out, and whoever asks is told so: its own methods answer then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from estimators.arrays import Columns, FloatArray
from estimators.bundle import Arm, ClvBundle, PropensityBundle, UpliftBundle
from estimators.compiling import entry_point
from estimators.encoding import Encoded
from estimators.forest_text import NotUnderstood
from estimators.joint_clv import Money
from estimators.joint_everything import Model, everything
from estimators.joint_kernels import Tables, linear_rows
from estimators.joint_money import OWN_COLUMNS, money_of, numbers_of
from estimators.joint_rows import RowReader, finish
from estimators.joint_tables import Block, Parts, arms_of, effects, responses, values

CONTACTS_AT_ONCE = 2_048
"""So many contacts are computed together: what is known of them stays in the cache."""


@dataclass(frozen=True)
class Answers:
    """What the bundles say of n contacts: `propensity`, `opt_out_risk` and `uplift` of K arms, shape (n, K), `value` of v actions, shape
    (n, v), and `clv`, shape (n,). NaN where nothing is known, and wherever a bundle stayed out."""

    propensity: FloatArray
    opt_out_risk: FloatArray
    uplift: FloatArray
    value: FloatArray
    clv: FloatArray

    def take(self, places: Sequence[int]) -> Answers:
        """What is said of some of the contacts."""
        few = list(places)
        return Answers(*(part[few] for part in (self.propensity, self.opt_out_risk, self.uplift, self.value, self.clv)))


@dataclass(frozen=True)
class AnswersOfFew(Answers):
    """The same of contacts that are computed together; `rows` is what was read of them."""

    rows: FloatArray


@dataclass(frozen=True, eq=False)
class JointScores:
    """The bundles for some arms, compiled.

    Parameters
    ----------
    reader : RowReader
    model : Model
    uplift : Block or None
        Where the uplift bundle's matrices stand.
    left_out : mapping of "propensity", "uplift" or "clv" to the reason
        The bundles that are to be asked themselves.
    """

    reader: RowReader
    model: Model
    uplift: Block | None
    left_out: dict[str, str]

    @classmethod
    def of(
        cls,
        propensity: PropensityBundle | None,
        uplift: UpliftBundle | None,
        clv: ClvBundle | None,
        arms: Sequence[Arm],
        valued: Sequence[str] = (),
    ) -> JointScores:
        """The bundles for the arms that may be asked about, and for the actions whose responses bring money that was observed."""
        bundles: dict[str, Any] = {"propensity": propensity, "uplift": uplift, "clv": clv}
        left_out: dict[str, str] = {}
        for compile_alone in (_but_for_trees, _compiled):  # reading trees takes most of the time, and they are seldom the reason
            try:
                return cls(*_compiled(bundles | dict.fromkeys(left_out), arms, valued), left_out)
            except NotUnderstood:
                left_out |= _not_understood(compile_alone, bundles, arms, valued)
        return cls(*_compiled(bundles | dict.fromkeys(left_out), arms, valued), left_out)

    def __call__(self, columns: Columns, as_of: Any, n: int, *, threads: int = 1) -> Answers:
        """What the bundles say of n contacts; a contact gets the same numbers alone and among others.

        Parameters
        ----------
        columns : mapping of str to array, shape (n,) each
        as_of : datetime64, scalar or shape (n,)
        n : int
        threads : int
            Used where there are many contacts.
        """
        rows = np.empty((n, self.reader.width + OWN_COLUMNS))
        times, tables = self.reader.read(columns, as_of, rows), self.model.tables
        k = len(tables.arms)
        out = np.empty((n, 3 * k + len(tables.values) + 1))
        if n <= CONTACTS_AT_ONCE:
            self._everything(rows, times, self.model, out)
        else:
            parts = [slice(low, low + CONTACTS_AT_ONCE) for low in range(0, n, CONTACTS_AT_ONCE)]
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(lambda part: self._everything(rows[part], times, self.model, out[part]), parts))
        said = (out[:, :k], out[:, k : 2 * k], out[:, 2 * k : 3 * k], out[:, 3 * k : -1], out[:, -1])
        return AnswersOfFew(*said, rows) if n <= CONTACTS_AT_ONCE else Answers(*said)

    def encoded_for_uplift(self, columns: Columns, as_of: Any, n: int, *, rows: FloatArray | None = None) -> Encoded | None:
        """What the uplift bundle's `encode` says of n contacts, to the rounding of logarithms; None where that bundle stayed out.

        `rows` is what an answer about the same contacts has read of them.
        """
        if self.uplift is None:
            return None
        if rows is None:
            rows = np.empty((n, self.reader.width + 1))
            finish(rows, len(self.reader.numbers), self.reader.read(columns, as_of, rows), self.reader.width)
        linear = np.empty((n, self.uplift.width))
        linear_rows(rows, self.model.design, self.uplift.first, linear)
        return Encoded(rows[:, self.uplift.trees], linear)

    @cached_property
    def _everything(self) -> Callable[..., None]:
        """`everything` for rows and answers as `__call__` makes them."""
        return entry_point(everything, np.empty((1, 1)), 0, self.model, np.empty((1, 1)))


def _not_understood(
    compile_alone: Callable[..., object], bundles: dict[str, Any], arms: Sequence[Arm], valued: Sequence[str]
) -> dict[str, str]:
    """The bundles that cannot be compiled by themselves, and why."""
    found: dict[str, str] = {}
    for name, bundle in bundles.items():
        try:
            compile_alone({**dict.fromkeys(bundles), name: bundle}, arms, valued)
        except NotUnderstood as error:
            found[name] = str(error)
    return found


def _compiled(bundles: dict[str, Any], arms: Sequence[Arm], valued: Sequence[str]) -> tuple[RowReader, Model, Block | None]:
    reader, parts, tables, money = _but_for_trees(bundles, arms, valued)
    uplift = bundles["uplift"]
    block = None if uplift is None else parts.encoded(uplift.encoder)
    forest = parts.forest(reader.width + OWN_COLUMNS)
    return reader, Model(len(reader.numbers), reader.width, forest.slots, forest.trees, parts.design(), tables, money), block


def _but_for_trees(bundles: dict[str, Any], arms: Sequence[Arm], valued: Sequence[str]) -> tuple[RowReader, Parts, Tables, Money]:
    propensity, uplift, clv = (bundles[name] for name in ("propensity", "uplift", "clv"))
    reader = RowReader.of([one.encoder for one in (propensity, uplift, clv) if one is not None], numbers_of(clv))
    parts = Parts(reader)
    tables = Tables(
        *responses(propensity, parts), arms_of(arms, propensity, uplift), *effects(uplift, parts), values(propensity, valued, parts)
    )
    return reader, parts, tables, money_of(clv, parts)
