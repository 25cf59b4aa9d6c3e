"""What do the models say of these candidates? The same code for one contact and for a million.

A `Scorer` is immutable: a new model means a new scorer, swapped in whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np

from decisioning.candidates import OneScores, Scores, Situation
from decisioning.compiled_catalog import CompiledCatalog
from decisioning.errors import ContractMismatch
from decisioning.one_catalog import places_of
from decisioning.rules.sql_scalars import Row
from decisioning.vocabulary import BoolArray, Columns, FloatArray, IntArray, null_column
from estimators.adaptive import by_arm, shifted_level
from estimators.bundle import Arm, ClvBundle, PropensityBundle, UpliftBundle
from estimators.encoding import Encoded
from estimators.joint import Answers, AnswersOfFew, JointScores
from serving.realtime.levels import Levels

MODEL, PROPENSITY, COLD_START = "model", "propensity", "cold_start"
OBSERVED = "observed"
MODEL_NAMES = ("propensity", "uplift", "clv")

THREADS = 2
"""Of a population's scoring; one contact, and a few thousand, are one thread's work."""


@dataclass(frozen=True)
class Models:
    """The champions, and how far the level of responses has moved since; None where there is none. `versions` names each one's version."""

    propensity: PropensityBundle | None
    uplift: UpliftBundle | None
    clv: ClvBundle | None
    versions: dict[str, int]
    levels: Levels | None = None

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


class Asked(NamedTuple):
    """What is asked about n contacts: some arms, and the worth of a response to some actions."""

    columns: Columns
    as_of: np.datetime64
    n: int
    arms: Sequence[Arm]
    valued: Sequence[str]


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
        wanted = alive.any(axis=1)
        everyone = bool(wanted.all())
        as_of = situation.now if self.feature_as_of is None else self.feature_as_of
        if everyone:
            said = self.answers(situation.columns, as_of, len(alive))
        else:
            rows = np.flatnonzero(wanted)
            few = self.answers({name: column[rows] for name, column in situation.columns.items()}, as_of, len(rows))
            parts = (few.propensity, few.opt_out_risk, few.uplift, few.value, few.clv)
            said = Answers(*(_spread(part, rows, len(alive)) for part in parts))
        propensity, uplift, risk = self._of_alive(said, alive)
        known = (propensity, uplift, self._value(situation, said, alive), risk, said.clv, self._base_rate, self._traffic, self._evidence)
        return Scores(*known, self._uplift_error(situation.columns, as_of))

    def of_each(
        self, columns: Columns, now: np.datetime64, places: Sequence[int], rows: Sequence[Row], living: Sequence[int]
    ) -> list[OneScores]:
        """The same of several contacts, each of a request of its own, computed together.

        Parameters
        ----------
        columns : Columns of n rows
        now : numpy.datetime64
        places : sequence of m int
            Which of the n rows are asked about.
        rows : sequence of m Row
            What the values of the catalogue are read from, with each request's context.
        living : sequence of m int
            The treatments that are alive, as bits.
        """
        as_of = now if self.feature_as_of is None else self.feature_as_of
        alive = np.zeros((len(rows), len(self.catalog.treatments)), dtype=np.bool_)
        for place, bits in enumerate(living):
            alive[place, places_of(bits)] = True
        n = len(next(iter(columns.values()), rows))
        every = self.answers(columns, as_of, n)
        said = every if len(places) == n else every.take(places)
        propensity, uplift, risk = (part.tolist() for part in self._of_alive(said, alive))
        observed = said.value.tolist()
        error = self._uplift_error(columns, as_of, every.rows if isinstance(every, AnswersOfFew) else None)
        rest = (self._base_rate, self._traffic, self._evidence)
        return [
            OneScores(
                propensity[place],
                uplift[place],
                self._value_of_one(row, observed[place], bits),
                risk[place],
                clv,
                *rest,
                None if error is None else partial(_error_in, error, at),
            )
            for place, (at, row, clv, bits) in enumerate(zip(places, rows, said.clv.tolist(), living, strict=True))
        ]

    def of_nobody(self, row: Row) -> OneScores:
        """The scores of a contact of whom nothing is alive: what the catalogue says a response is worth, and nothing else."""
        k = len(self.catalog.treatments)
        unknown = [math.nan] * k
        value = self._value_of_one(row, [math.nan] * len(self._valued), 0)
        return OneScores(unknown, unknown, value, unknown, math.nan, self._base_rate, self._traffic, self._evidence)

    def _of_alive(self, said: Answers, alive: BoolArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Propensity, uplift and opt-out risk of what is alive, with the priors of what nothing is learned of."""
        learned, prior, prior_propensity, prior_uplift = self._priors
        propensity = np.where(alive & learned, said.propensity, np.nan)
        uplift, risk = np.where(alive, said.uplift, np.nan), np.where(alive, said.opt_out_risk, np.nan)
        if prior is not None:
            stands_in = alive & prior
            np.copyto(propensity, prior_propensity, where=stands_in)
            np.copyto(uplift, prior_uplift, where=stands_in)
        if self._shift is not None:
            propensity, uplift = shifted_level(propensity, uplift, self._shift)
        return propensity, uplift, risk

    def clv(self, situation: Situation) -> FloatArray:
        """Everybody's lifetime value, also of those who have no candidate left; NaN where nobody learned it, shape (n_contacts,)."""
        if self.models.clv is None:
            return np.full(len(situation.contact_ids), np.nan)
        as_of = situation.now if self.feature_as_of is None else self.feature_as_of
        return self.models.clv.clv(situation.columns, as_of)

    def answers(self, columns: Columns, as_of: np.datetime64, n: int) -> Answers:
        """What the models say of n contacts about every treatment, computed together; a bundle that stays out is asked itself."""
        joint = self._joint
        if joint is None or not n:
            return plain_answers(self.models, Asked(columns, as_of, n, self._arms, self._valued))
        said = joint(columns, as_of, n, threads=THREADS)
        if not joint.left_out:
            return said
        out = replace(self.models, **{name: None for name in MODEL_NAMES if name not in joint.left_out})  # type: ignore[arg-type]
        asked = plain_answers(out, Asked(columns, as_of, n, self._arms, self._valued))
        if "propensity" in joint.left_out:
            said = replace(said, propensity=asked.propensity, opt_out_risk=asked.opt_out_risk, value=asked.value)
        if "uplift" in joint.left_out:
            said = replace(said, uplift=asked.uplift)
        bounded = np.clip(said.uplift, said.propensity - 1.0, said.propensity)
        clv = asked.clv if "clv" in joint.left_out else said.clv
        return replace(said, uplift=np.where(np.isnan(said.propensity), said.uplift, bounded), clv=clv)

    def warm_up(self) -> None:
        """Compile, or load what is compiled, for one contact and for several, so that no first answer waits for it."""
        models = [getattr(self.models, name) for name in MODEL_NAMES]
        dtypes = {name: dtype for bundle in models if bundle is not None for name, dtype in bundle.feature_dtypes.items()}
        for n in (1, 2):
            self.answers({name: null_column(dtype, n) for name, dtype in dtypes.items()}, np.datetime64("2026-01-01", "us"), n)

    @property
    def left_out(self) -> dict[str, str]:
        """The models that are not compiled, "propensity", "uplift" or "clv", and why; each costs milliseconds a decision."""
        return {} if self._joint is None else self._joint.left_out

    @cached_property
    def _joint(self) -> JointScores | None:
        models = self.models
        if models.propensity is None and models.uplift is None and models.clv is None:
            return None
        return JointScores.of(models.propensity, models.uplift, models.clv, self._arms, self._valued)

    @cached_property
    def _shift(self) -> FloatArray | None:
        """How far the level of each treatment's responses has moved, in log odds; None where nothing has."""
        levels = self.models.levels
        return None if levels is None or not levels.shifts else by_arm(levels.shifts, self._arms)

    @cached_property
    def _arms(self) -> list[Arm]:
        return [(action.id, treatment.channel) for action, treatment in self.catalog.treatments]

    @cached_property
    def _valued(self) -> list[str]:
        """The actions whose responses bring what was observed."""
        return [compiled.action.id for compiled in self.catalog.actions if compiled.value == OBSERVED]

    def _uplift_error(self, columns: Columns, as_of: np.datetime64, rows: FloatArray | None = None) -> Callable[[int, int], float] | None:
        """The standard error of one candidate's uplift, computed when it is asked for."""
        models = self.models.uplift
        if models is None:
            return None

        read: list[Encoded] = []  # all that is explained is explained from one reading

        def error(row: int, column: int) -> float:
            action_id = self.catalog.treatments[column][0].id
            if not read:
                read.append(self._encoded(columns, as_of, models, rows))
            return float(models.standard_errors({}, as_of, [action_id], encoded=read[0].take(slice(row, row + 1)))[0, 0])

        return error

    def _encoded(self, columns: Columns, as_of: np.datetime64, models: UpliftBundle, rows: FloatArray | None) -> Encoded:
        n = len(next(iter(columns.values()), ()))
        compiled = None if self._joint is None else self._joint.encoded_for_uplift(columns, as_of, n, rows=rows)
        return models.encode(columns, as_of) if compiled is None else compiled

    def _value(self, situation: Situation, said: Answers, alive: BoolArray) -> FloatArray:
        value = self.catalog.stated_values.on(situation.rows, alive)
        columns, places = self._observed
        if len(columns):
            value[:, columns] = said.value[:, places]
        return value

    def _value_of_one(self, row: Row, observed: list[float], alive: int) -> list[float]:
        """As `_value`, of one contact."""
        value = self.catalog.stated_values.on_row(row, alive)
        for column, place in self._observed_pairs:
            value[column] = observed[place]
        return value

    @cached_property
    def _observed_pairs(self) -> list[tuple[int, int]]:
        columns, places = self._observed
        return list(zip(columns.tolist(), places.tolist(), strict=True))

    @cached_property
    def _observed(self) -> tuple[IntArray, IntArray]:
        """The columns of the treatments whose responses bring what was observed, and the place of each one's action in `_valued`."""
        places = {action_id: place for place, action_id in enumerate(self._valued)}
        found = [(column, places[action.id]) for column, (action, _) in enumerate(self.catalog.treatments) if action.id in places]
        return np.array([column for column, _ in found], dtype=np.int64), np.array([place for _, place in found], dtype=np.int64)

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
    def _priors(self) -> tuple[BoolArray, BoolArray | None, FloatArray, FloatArray]:
        """Which treatments' propensity is what a model says, which have a cold-start prior in its place (None: none), and the priors.

        Where others have an uplift, an action without one is not compared by its response.
        """
        uplift_known = self.models.uplift is not None and bool(self.models.uplift.heads)
        k = len(self.catalog.treatments)
        learned, prior = np.ones(k, dtype=np.bool_), np.zeros(k, dtype=np.bool_)
        propensity, uplift = np.full(k, np.nan), np.full(k, np.nan)
        for column, ((action, _), traffic) in enumerate(zip(self.catalog.treatments, self._traffic, strict=True)):
            if traffic == COLD_START and action.cold_start is not None:
                prior[column], propensity[column], uplift[column] = True, action.cold_start.propensity, action.cold_start.uplift
            learned[column] = not prior[column] and not (traffic == PROPENSITY and uplift_known)
        return learned, prior if prior.any() else None, propensity, uplift

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


def _error_in(error: Callable[[int, int], float], place: int, _row: int, column: int) -> float:
    """`error` of the contact in `place`, who is the only one to whoever asks."""
    return error(place, column)


def _spread(part: FloatArray, rows: IntArray, n: int) -> FloatArray:
    """The numbers of some contacts among those of all n; NaN for the others."""
    whole = np.full((n, *part.shape[1:]), np.nan)
    whole[rows] = part
    return whole


def plain_answers(models: Models, asked: Asked) -> Answers:
    """What the models say, asked one after the other: the law that the compiled answers are held to; NaN where there is no model."""
    n, unknown = asked.n, np.full((asked.n, len(asked.arms)), np.nan)
    propensity, risk, uplift, clv = unknown, unknown, unknown, np.full(n, np.nan)
    value = np.full((n, len(asked.valued)), np.nan)
    if n and models.propensity is not None:
        encoded = models.propensity.encode(asked.columns, asked.as_of)
        propensity = models.propensity.propensity(asked.columns, asked.as_of, asked.arms, encoded=encoded)
        risk = models.propensity.opt_out_risk(asked.columns, asked.as_of, [channel for _, channel in asked.arms], encoded=encoded)
        value = models.propensity.observed_value(asked.columns, asked.as_of, asked.valued, encoded=encoded)
    if n and models.uplift is not None:
        uplift = models.uplift.uplift(asked.columns, asked.as_of, asked.arms)
    if n and models.clv is not None:
        clv = models.clv.clv(asked.columns, asked.as_of)
    # uplift and propensity are learned apart; p1 and p1 - uplift must both be probabilities
    uplift = np.where(np.isnan(propensity), uplift, np.clip(uplift, propensity - 1.0, propensity))
    return Answers(propensity, risk, uplift, value, clv)
