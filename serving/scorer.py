"""What do the models say of these candidates? The same code for one contact and for a million.

A `Scorer` is immutable: a new model means a new scorer, swapped in whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from decisioning.candidates import Scores, Situation
from decisioning.catalog import ColdStart
from decisioning.compiled_catalog import CompiledCatalog
from decisioning.errors import ContractMismatch
from decisioning.vocabulary import BoolArray, Columns, FloatArray
from estimators.bundle import Arm, ClvBundle, PropensityBundle, UpliftBundle

MODEL, PROPENSITY, COLD_START = "model", "propensity", "cold_start"
OBSERVED = "observed"


@dataclass(frozen=True)
class Models:
    """The champions; None where there is none. `versions` names each one's version."""

    propensity: PropensityBundle | None
    uplift: UpliftBundle | None
    clv: ClvBundle | None
    versions: dict[str, int]

    def refuse_other_contracts(self, contract_hash: str) -> None:
        """Raise `ContractMismatch` if a model was trained on another feature contract, naming both hashes."""
        for name in ("propensity", "uplift", "clv"):
            bundle = getattr(self, name)
            if bundle is not None and bundle.contract_hash != contract_hash:
                raise ContractMismatch(
                    f"the {name} model version {self.versions.get(name)} was trained on another feature contract",
                    got=bundle.contract_hash,
                    allowed=f"{contract_hash}, the workspace's",
                    hint="run nudge train, or go back to the data and features it was trained on",
                )


@dataclass(frozen=True)
class Scorer:
    """Scores candidates with the champions and the catalogue's values.

    Attributes
    ----------
    models : Models
    catalog : CompiledCatalog
    feature_as_of : numpy.datetime64 or None
        The moment that dates among the features are seen from; None is the moment of the decision. Set where the log has no times.
    """

    models: Models
    catalog: CompiledCatalog
    feature_as_of: np.datetime64 | None = None

    def __call__(self, situation: Situation, alive: BoolArray) -> Scores:
        """The scores of the candidates that are `alive`; NaN elsewhere and where nothing is known."""
        rows = np.flatnonzero(alive.any(axis=1))
        columns = situation.columns if len(rows) == len(alive) else {name: column[rows] for name, column in situation.columns.items()}
        as_of = situation.now if self.feature_as_of is None else self.feature_as_of
        wanted = np.flatnonzero(alive.any(axis=0))
        scores = self._of_known(columns, as_of, len(rows), wanted)
        value = self._value(situation, columns, as_of, rows)

        def spread(part: FloatArray) -> FloatArray:
            whole = np.full(alive.shape, np.nan)
            whole[np.ix_(rows, wanted)] = part
            return whole

        propensity, uplift, risk, clv = scores
        all_clv = np.full(len(alive), np.nan)
        all_clv[rows] = clv
        propensity, uplift = spread(propensity), spread(uplift)
        self._stand_in(propensity, uplift, alive)
        known = (propensity, uplift, value, spread(risk), all_clv, self._base_rate, self._traffic, self._evidence)
        return Scores(*known, self._uplift_error(situation, as_of))

    def _uplift_error(self, situation: Situation, as_of: np.datetime64) -> Callable[[int, int], float] | None:
        """The standard error of one candidate's uplift, computed when it is asked for."""
        models = self.models.uplift
        if models is None:
            return None

        def error(row: int, column: int) -> float:
            action_id = self.catalog.treatments[column][0].id
            contact = {name: values[row : row + 1] for name, values in situation.columns.items()}
            return float(models.standard_errors(contact, as_of, [action_id])[0, 0])

        return error

    def _of_known(
        self, columns: Columns, as_of: np.datetime64, n_rows: int, wanted: np.ndarray
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Propensity, uplift and opt-out risk of the treatments `wanted`, shape (n_rows, n_wanted), and the CLV."""
        arms: list[Arm] = [(self.catalog.treatments[k][0].id, self.catalog.treatments[k][1].channel) for k in wanted]
        unknown = np.full((n_rows, len(wanted)), np.nan)
        propensity, uplift, risk, clv = unknown, unknown, unknown, np.full(n_rows, np.nan)
        if not n_rows:
            return propensity, uplift, risk, clv
        models = self.models
        if models.propensity is not None and arms:
            encoded = models.propensity.encode(columns, as_of)
            propensity = models.propensity.propensity(columns, as_of, arms, encoded=encoded)
            risk = models.propensity.opt_out_risk(columns, as_of, [channel for _, channel in arms], encoded=encoded)
        if models.uplift is not None and arms:
            uplift = models.uplift.uplift(columns, as_of, arms)
        if models.clv is not None:
            clv = models.clv.clv(columns, as_of)
        # uplift and propensity are learned apart; p1 and p1 - uplift must both be probabilities
        uplift = np.where(np.isnan(propensity), uplift, np.clip(uplift, propensity - 1.0, propensity))
        return propensity, uplift, risk, clv

    def _value(self, situation: Situation, columns: Columns, as_of: np.datetime64, rows: np.ndarray) -> FloatArray:
        value = self.catalog.stated_values.on(situation.rows)
        learned = self.models.propensity
        observed = [compiled for compiled in self.catalog.actions if compiled.value == OBSERVED]
        if learned is not None and observed and len(rows):
            money = learned.observed_value(columns, as_of, [compiled.action.id for compiled in observed])
            for place, compiled in enumerate(observed):
                value[np.ix_(rows, np.array(compiled.columns))] = money[:, [place]]
        return value

    @cached_property
    def _traffic(self) -> tuple[str, ...]:
        """What stands behind each treatment: a model of its uplift, of its propensity alone, or its cold-start prior."""
        uplift, propensity = self.models.uplift, self.models.propensity
        uplift_known = uplift is not None and bool(uplift.heads)

        def word(action_id: str, has_prior: bool) -> str:
            if uplift is not None and action_id in uplift.heads:
                return MODEL
            if propensity is not None and action_id in propensity.heads and not (uplift_known and has_prior):
                return PROPENSITY
            return COLD_START

        return tuple(word(action.id, action.cold_start is not None) for action, _ in self.catalog.treatments)

    @cached_property
    def _evidence(self) -> FloatArray:
        """How many contacts each treatment's propensity was learned from, or its prior counts for, shape (n_treatments,)."""
        traffic = self._traffic
        evidence = np.full(len(traffic), np.inf)
        learned = self.models.propensity or self.models.uplift
        for column, (action, _) in enumerate(self.catalog.treatments):
            if traffic[column] == COLD_START:
                evidence[column] = action.cold_start.evidence if action.cold_start is not None else np.inf
            elif learned is not None:
                evidence[column] = learned.evidence(action.id) or np.inf
        return evidence

    @cached_property
    def _special(self) -> tuple[tuple[int, ColdStart | None], ...]:
        """The treatments that no model of uplift scores: their columns, with their prior where that stands in."""
        uplift_known = self.models.uplift is not None and bool(self.models.uplift.heads)
        return tuple(
            (column, action.cold_start if traffic == COLD_START else None)
            for column, ((action, _), traffic) in enumerate(zip(self.catalog.treatments, self._traffic, strict=True))
            if (traffic == COLD_START and action.cold_start is not None) or (traffic == PROPENSITY and uplift_known)
        )

    def _stand_in(self, propensity: FloatArray, uplift: FloatArray, alive: BoolArray) -> None:
        """Fill in the cold-start priors; where others have an uplift, an action without one is not compared by its response."""
        for column, prior in self._special:
            if prior is None:
                propensity[:, column] = np.nan
            else:
                on = alive[:, column]
                propensity[on, column], uplift[on, column] = prior.propensity, prior.uplift

    @cached_property
    def _base_rate(self) -> FloatArray:
        """The mean baseline of each treatment's action, shape (n_treatments,): NaN where it is not known."""
        rates = np.full(len(self.catalog.treatments), np.nan)
        if self.models.propensity is None or self.models.uplift is None:
            return rates
        for column, (action, _) in enumerate(self.catalog.treatments):
            head, effect = self.models.propensity.heads.get(action.id), self.models.uplift.average_effects.get((action.id, None))
            if head is not None and effect is not None:
                rates[column] = max(0.0, head.base_rate - effect[0])
        return rates
