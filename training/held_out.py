"""What a model said of rows it had not seen, kept beside it: what two versions are compared on before there are decisions to learn from.

The tested fit of a training run, not the one that is served, made these predictions; `champion_said.py` adds those of the champions. Ids
are salted hashes: two versions of one workspace find their common rows, and nobody's id leaves the workspace.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from decisioning.catalog import Catalog
from decisioning.errors import DataError
from decisioning.vocabulary import BoolArray, FloatArray, IntArray
from estimators.bundle import PropensityBundle, UpliftBundle
from training.money import cost_of, value_of
from training.prepared import Prepared
from training.splits import contact_share

HELD_OUT_FILE = "held_out.parquet"
MOST_ROWS = 50_000
"""Of more rows, those of some contacts are kept: of the same contacts in every run."""
_SALT = "held out"
_OF_ROWS = ("row", "contact", "action", "selection_prob", "stands_for")
_PREDICTED = ("value", "cost", "propensity", "uplift")


@dataclass(frozen=True, eq=False)
class HeldOut:
    """n test rows whose outcomes are known, and what a tested fit says of K actions.

    Attributes
    ----------
    row, contact : array of text, shape (n,)
        Salted hashes of the interaction's and the contact's id.
    action : array of text, shape (n,)
        What was logged.
    selection_prob : float array, shape (n,)
    stands_for : float array, shape (n,)
        How many rows of the whole log each row stands for; NaN where the file is of an earlier version, which did not say.
    actions, goals : tuple of str
        The K actions, and the goal of each.
    happened : float array, shape (n, K)
        Whether each action's goal was reached, 0 or 1.
    open : bool array, shape (n, K)
        Whether each action is for the contact.
    value, cost : float arrays, shape (n, K)
        Money of a response (NaN where it is not known) and of a contact.
    propensity, uplift : float arrays, shape (n, K)
        NaN where there is no model.
    said_by : mapping of model to version
        Whose predictions these are, where they are not those of the version that they are kept beside.
    """

    row: npt.NDArray[np.str_]
    contact: npt.NDArray[np.str_]
    action: npt.NDArray[np.str_]
    selection_prob: FloatArray
    stands_for: FloatArray
    actions: tuple[str, ...]
    goals: tuple[str, ...]
    happened: FloatArray
    open: BoolArray
    value: FloatArray
    cost: FloatArray
    propensity: FloatArray
    uplift: FloatArray
    said_by: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.row)

    def take(self, rows: IntArray, actions: tuple[str, ...]) -> HeldOut:
        """Some of the rows, of the actions named in that order; of an action that it does not know nothing is known, and it is closed."""
        place = {name: k for k, name in enumerate(self.actions)}
        known = [place.get(name) for name in actions]

        def columns(matrix: npt.NDArray[Any], unknown: float) -> npt.NDArray[Any]:
            of_rows = matrix[rows]
            nothing = np.full(len(rows), unknown).astype(matrix.dtype)
            return np.column_stack([nothing if k is None else of_rows[:, k] for k in known])

        numbers: dict[str, Any] = {name: columns(getattr(self, name), np.nan) for name in ("happened", *_PREDICTED)}
        goals = tuple("" if k is None else self.goals[k] for k in known)
        of_rows: dict[str, Any] = {name: getattr(self, name)[rows] for name in _OF_ROWS}
        return replace(self, **of_rows, **numbers, actions=actions, goals=goals, open=columns(self.open, 0.0))

    def with_rows_of(self, other: HeldOut) -> HeldOut:
        """These rows, and those of `other` that are not among them, of the actions of both."""
        more = np.flatnonzero(~np.isin(other.row, self.row))
        actions = tuple(dict.fromkeys((*self.actions, *other.actions)))
        one, two = self.take(np.arange(len(self)), actions), other.take(more, actions)
        of_rows = (*_OF_ROWS, "happened", "open", *_PREDICTED)
        joined: dict[str, Any] = {name: np.concatenate([getattr(one, name), getattr(two, name)]) for name in of_rows}
        goals = tuple(mine or theirs for mine, theirs in zip(one.goals, two.goals, strict=True))
        return replace(one, **joined, goals=goals)

    def to_bytes(self) -> bytes:
        """As Parquet."""
        columns = {name: pa.array(getattr(self, name)) for name in _OF_ROWS}
        for k, name in enumerate(self.actions):
            columns |= {f"happened {name}": pa.array(self.happened[:, k].astype(np.int8)), f"open {name}": pa.array(self.open[:, k])}
            columns |= {f"{kind} {name}": pa.array(getattr(self, kind)[:, k].astype(np.float32)) for kind in _PREDICTED}
        about = json.dumps({"actions": self.actions, "goals": self.goals, "said_by": dict(self.said_by)})
        table, file = pa.table(columns).replace_schema_metadata({"nudge": about}), io.BytesIO()
        pq.write_table(table, file, compression="zstd")
        return file.getvalue()

    @classmethod
    def from_bytes(cls, written: bytes) -> HeldOut:
        """What `to_bytes` wrote.

        Raises
        ------
        DataError
            It is something else.
        """
        try:
            table = pq.read_table(io.BytesIO(written))
            about = json.loads(table.schema.metadata[b"nudge"])
            actions, goals = tuple(about["actions"]), tuple(about["goals"])

            def matrix(kind: str) -> npt.NDArray[np.float64]:
                columns = [table[f"{kind} {name}"].to_numpy().astype(np.float64) for name in actions]
                return np.column_stack(columns) if columns else np.empty((table.num_rows, 0))

            read: dict[str, Any] = {name: table[name].to_numpy(zero_copy_only=False).astype(str) for name in ("row", "contact", "action")}
            read |= {kind: matrix(kind) for kind in ("happened", *_PREDICTED)}
            read |= {"open": matrix("open") > 0, "selection_prob": table["selection_prob"].to_numpy().astype(np.float64)}
            says = "stands_for" in table.column_names
            read["stands_for"] = table["stands_for"].to_numpy().astype(np.float64) if says else np.full(table.num_rows, np.nan)
            return cls(**read, actions=actions, goals=goals, said_by=about.get("said_by", {}))
        except (KeyError, TypeError, ValueError, pa.ArrowInvalid) as error:
            raise DataError("these are no held-out rows", got=str(error)) from None


def held_out(
    propensity: PropensityBundle,
    uplift: UpliftBundle | None,
    test: Prepared,
    catalog: Catalog,
    *,
    salt: str,
    said_by: Mapping[str, int] = MappingProxyType({}),
) -> HeldOut | None:
    """What models say of rows that they have not seen; None where no row's outcomes are all known, or no action has a model.

    Parameters
    ----------
    propensity, uplift : bundles
        Fitted without these rows.
    test : Prepared
    catalog : Catalog
    salt : str
        Tells this workspace's hashes from any other's.
    said_by : mapping of model to version
        The versions of these bundles, where they are served ones.
    """
    heads = set(propensity.heads) | set(uplift.heads if uplift is not None else ())
    actions = tuple(action for action in catalog.actions if action.goal is not None and action.id in heads)
    rows = test.take(_kept(test, tuple(str(action.goal) for action in actions))) if actions else test
    if not actions or not len(rows):
        return None
    arms = [(action.id, None) for action in actions]
    read = _as_read_by(propensity, rows)
    return HeldOut(
        row=_hashed(rows.data.rows.interaction_id, salt),
        contact=_hashed(rows.data.rows.contact_id, salt),
        action=rows.data.rows.action_id.astype(str),
        selection_prob=rows.selection.prob,
        stands_for=rows.data.rows.sample_weight,
        actions=tuple(action.id for action in actions),
        goals=tuple(str(action.goal) for action in actions),
        happened=np.column_stack([rows.data.labels.happened[str(action.goal)] for action in actions]),
        open=np.column_stack([rows.open_to(action) for action in actions]),
        value=np.column_stack([value_of(action, propensity, read) for action in actions]),
        cost=np.column_stack([cost_of(action, rows, catalog) for action in actions]),
        propensity=propensity.propensity({}, 0, arms, encoded=read.encoded),
        uplift=np.full((len(rows), len(actions)), np.nan)
        if uplift is None
        else uplift.uplift({}, 0, arms, encoded=_as_read_by(uplift, rows).encoded),
        said_by=dict(said_by),
    )


def _as_read_by(bundle: PropensityBundle | UpliftBundle, rows: Prepared) -> Prepared:
    """The rows encoded as the bundle was fitted: one of another training run has an encoder of its own."""
    if bundle.encoder is rows.encoder:
        return rows
    return replace(rows, encoder=bundle.encoder, encoded=bundle.encode(rows.data.features, rows.data.rows.features_at))


def _kept(test: Prepared, goals: tuple[str, ...]) -> BoolArray:
    """The rows whose outcomes are all known, of so many contacts as are kept."""
    known = np.all([~np.isnan(test.data.labels.happened[goal]) for goal in goals], axis=0)
    return np.asarray(known & (contact_share(test.data.rows.contact_id, salt=_SALT) < MOST_ROWS / max(len(test), 1)), dtype=np.bool_)


def _hashed(ids: npt.NDArray[np.object_], salt: str) -> npt.NDArray[np.str_]:
    return np.array([hashlib.blake2b(f"{salt}|{one}".encode(), digest_size=9).hexdigest() for one in ids.tolist()], dtype=np.str_)
