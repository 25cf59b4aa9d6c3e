"""The logged interactions of a workspace, whole and split: what the models of interactions are fitted and judged on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from decisioning.errors import NotFound
from decisioning.vocabulary import NO_ACTION
from estimators.arrays import one_run
from features.contract import TIMELESS
from training.context import TrainingContext
from training.dataset import as_known_at, end_told_afterwards, label_windows, model_dtypes, read_dataset
from training.own_log import OwnLog
from training.prepared import Prepared, prepare
from training.splits import Split, split_rows

MOST_CERTAIN_SHARE = 0.05
"""With more rows than this at the lower bound of the selection probability, the overlap is called little."""


@dataclass(frozen=True, eq=False)
class Interactions:
    """The logged interactions of the catalogue's actions, whole and split.

    Attributes
    ----------
    all, train, test : Prepared
        `train` holds the labels that were known at the split's cut.
    unknown_actions : mapping of action_id to rows
        What the log has and the catalogue does not know; left out.
    hidden : str or None
        The feature that these models are not given, since it tells what came later.
    """

    all: Prepared
    train: Prepared
    test: Prepared
    split: Split
    as_of: np.datetime64
    unknown_actions: dict[str, int]
    own_notes: tuple[str, ...] = ()
    hidden: str | None = None

    @classmethod
    def read(
        cls, context: TrainingContext, as_of: np.datetime64, own: OwnLog | None = None, *, ingested_until: np.datetime64 | None = None
    ) -> Interactions:
        """Read, encode and split; `ingested_until` as in `read_labelled`.

        Raises
        ------
        NotFound
            There are no interactions of a known action before as_of, or the features are not built.
        """
        catalog, contract = context.catalog, context.door.contract
        data = read_dataset(context.workspace_dir / "data", catalog, context.door, as_of, own, ingested_until=ingested_until)
        known = np.isin(data.rows.action_id.astype(str), [NO_ACTION, *(action.id for action in catalog.actions)])
        unknown = Counter(data.rows.action_id[~known].tolist())
        if not known.any():
            raise NotFound(
                "no interaction is of an action of the catalogue", got=", ".join(sorted(unknown)) or "no interactions before as_of"
            )
        rows = data.rows
        hidden = None if rows.timeless else end_told_afterwards(context.workspace_dir / "data", catalog, contract)
        learned = {name: dtype for name, dtype in model_dtypes(contract).items() if name != hidden}
        if not known.all():
            some = data.take(known)
            data = replace(some, features=dict(some.features))  # every column is read, and more than once
        everything = prepare(data, contract.dtypes, learned, contract.hash, seed=context.seed)
        rows = everything.data.rows
        longest = max(label_windows(catalog).values(), default=0.0)
        heard_until = as_of if rows.heard_until is None else rows.heard_until
        split = split_rows(rows.contact_id, rows.occurred_at, as_of=heard_until, window_days=longest, seed=context.seed)
        train, test = everything.take(one_run(split.train)), everything.take(one_run(split.test))
        if split.cut is not None:
            train = replace(train, data=as_known_at(train.data, catalog, split.cut))
        return cls(everything, train, test, split, as_of, dict(unknown), () if own is None else own.notes, hidden)

    @property
    def served_as_of(self) -> np.datetime64:
        """The instant from which dates among the features are seen."""
        rows = self.all.data.rows
        return TIMELESS if rows.timeless or bool((rows.features_at == TIMELESS).all()) else self.as_of

    @property
    def facts(self) -> dict[str, object]:
        """What the card and the run's parameters say of the rows."""
        rows = self.all.data.rows
        known = rows.occurred_at[~np.isnat(rows.occurred_at)]
        period = f"{str(known.min())[:10]} to {str(known.max())[:10]}" if len(known) else "without times"
        return {
            "as_of": str(self.as_of),
            "interactions": len(rows),
            **self._origins,
            "period": period,
            "features": len(self.all.encoder.feature_names),
            "split": self.split.description,
        }

    @property
    def _origins(self) -> dict[str, object]:
        """How many rows came from where, if from more than the ingested tables."""
        own = self.all.data.rows.own
        if own is None:
            return {}
        ours = own >= 0
        controls = int((self.all.controls & ours).sum())
        return {"interactions_ingested": int((~ours).sum()), "interactions_of_ledger": int(ours.sum()), "no_action_of_ledger": controls}

    @property
    def selection_facts(self) -> dict[str, object]:
        """How the log chose, and how much of it speaks."""
        selection = self.all.selection
        return {
            "selection_prob_estimated_share": round(float(selection.estimated.mean()), 4),
            "selection_prob_at_lower_bound_share": round(selection.clipped_share, 4),
            "effective_share_of_rows": round(selection.effective_share, 4),
        }

    @property
    def notes(self) -> list[str]:
        """What limits every model of these rows."""
        notes = [
            f"{rows} interactions of '{action}' are left out: the catalogue does not know it"
            for action, rows in self.unknown_actions.items()
        ]
        notes += self.own_notes
        if self.hidden is not None:
            why = "the contacts' rows have no valid_from, so it tells today's end of a contract to every earlier moment"
            notes.append(f"propensity and uplift are not given '{self.hidden}', the catalogue's clv.contract.end: {why}")
        selection = self.all.selection
        if not self.all.controls.any():
            return notes
        if selection.estimated.any():
            share = f"{selection.estimated.mean():.0%} of the interactions"
            notes.append(f"selection_prob is estimated from the features for {share}: what else the log's policy knew is not accounted for")
        if selection.clipped_share > MOST_CERTAIN_SHARE:
            notes.append(f"little overlap: the log's policy left {selection.clipped_share:.0%} of the interactions (nearly) no chance")
        return notes
