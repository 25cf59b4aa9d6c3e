"""Contacts under contract: a discrete-time hazard of ending, learned at earlier period starts -> the served ClvBundle.

The catalogue names the attributes (`clv.contract`). A row is a contract in force at the start of an earlier period, with the features of
then; its label is whether it ended within the period, by what is known as of now. An end that lies beyond as_of counts as not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from decisioning.catalog import Catalog, ContractTerms
from decisioning.errors import ConfigError, nearest
from decisioning.vocabulary import Columns, Dtype, FloatArray
from estimators.bundle import ClvBundle
from estimators.clv_survival import CONTRACT_AGE, ContractClvHead, ContractColumns, Contracts, fit_hazard, with_age
from estimators.encoding import FeatureEncoder
from features.store import FeatureDoor
from training.backtest import Population, some_known
from training.dataset import model_dtypes
from training.fit_clv import FittedClv, intervals_of

SURVIVAL = "survival"
MOST_PERIODS = 12
"""The hazard is learned from so many of the newest periods."""

LONGEST_WINDOW_PERIODS = 6
_DAY_US = 86_400_000_000


def fit_contracts(data_dir: Path, catalog: Catalog, door: FeatureDoor, as_of: np.datetime64, *, seed: int) -> FittedClv | str:
    """The CLV model of contracts, or the reason why there is none.

    Raises
    ------
    ConfigError
        If the catalogue names a feature that is not there, or of the wrong type.
    """
    del data_dir  # everything is in the features
    terms = catalog.clv.contract
    if terms is None:
        raise ConfigError("is not set", field="clv.contract")
    dtypes = model_dtypes(door.contract)
    check_terms(terms, dtypes)
    rng = np.random.default_rng([seed, 0x5C])
    names = ContractColumns(terms.start, terms.end, terms.value)
    starts = [as_of - np.timedelta64(round(k * terms.period_days * _DAY_US), "us") for k in range(1, MOST_PERIODS + 1)]
    drawn, everybody = [some_known(door, at, rng) for at in starts], door.known(as_of)
    door.build_missing([(everybody, as_of), *zip(drawn, starts, strict=True)])
    now = Population.read(door, everybody, as_of)
    populations = (Population.read(door, contact_ids, at) for contact_ids, at in zip(drawn, starts, strict=True))
    periods = [period for people in populations if len((period := _Period.of(people, now, names, terms.period_days)).ended)]
    if not periods:
        return f"no contract was in force a period of {terms.period_days:g} days ago"
    try:
        return _Fit(catalog, door.contract.hash, terms, names, now, dtypes, periods, seed).run()
    except ValueError as error:
        return str(error)


def check_terms(terms: ContractTerms, dtypes: dict[str, Dtype]) -> None:
    """Refuse a contract whose columns are not features, or not of the type that they must be.

    Raises
    ------
    ConfigError
        With the key, what was got and what is there.
    """
    for key, allowed in (("start", ("date", "timestamp")), ("end", ("date", "timestamp")), ("value", ("int", "float"))):
        name = getattr(terms, key)
        fitting = [feature for feature, dtype in dtypes.items() if dtype in allowed]
        if name not in dtypes:
            hint = nearest(name, fitting) or "name an attribute of contacts"
            raise ConfigError(
                "no such feature", field=f"clv.contract.{key}", got=name, allowed=", ".join(fitting[:20]) or "none", hint=hint
            )
        if dtypes[name] not in allowed:
            raise ConfigError("wrong type", field=f"clv.contract.{key}", got=f"{name}: {dtypes[name]}", allowed=" or ".join(allowed))


@dataclass(frozen=True, eq=False)
class _Period:
    """The contracts in force at the start of an earlier period, and whether each ended within it; one row a contact."""

    at: np.datetime64
    contact_ids: np.ndarray
    columns: Columns
    contracts: Contracts
    ended: FloatArray
    days_to_end: FloatArray

    @classmethod
    def of(cls, people: Population, now: Population, names: ContractColumns, period_days: float) -> _Period:
        at = people.at
        contracts = Contracts.of(people.columns, names, at)
        # The end by what is known now: at that time it may not have been written yet.
        known = dict(zip(now.contact_ids.tolist(), Contracts.of(now.columns, names, now.at).days_to_end.tolist(), strict=True))
        since = float((now.at - at) / np.timedelta64(1, "us")) / _DAY_US
        to_end = np.array([known.get(contact, np.nan) for contact in people.contact_ids.tolist()], dtype=np.float64) + since
        to_end = np.where(to_end <= since, to_end, np.nan)
        rows = contracts.in_force & ~(to_end <= 0)
        columns = {name: column[rows] for name, column in people.columns.items()}
        taken = Contracts(contracts.age_days[rows], to_end[rows], contracts.value[rows])
        return cls(at, people.contact_ids[rows], columns, taken, (to_end[rows] <= period_days).astype(np.float64), to_end[rows])


@dataclass(frozen=True, eq=False)
class _Fit:
    catalog: Catalog
    contract_hash: str
    terms: ContractTerms
    names: ContractColumns
    now: Population
    dtypes: dict[str, Dtype]
    periods: list[_Period]
    seed: int
    notes: list[str] = field(default_factory=list)

    def run(self) -> FittedClv:
        encoder = self._encoder()
        head = self._head(encoder, self.periods)
        window, tested = self._tested(encoder)
        money, predicted = (tested[0], {SURVIVAL: tested[1]}) if tested else (np.zeros(0), {})
        intervals, coverage = intervals_of(predicted[SURVIVAL], predicted[SURVIVAL], money) if tested else (None, {})
        evidence = int(Contracts.of(self.now.columns, self.names, self.now.at).in_force.sum())
        bundle = ClvBundle(self.contract_hash, encoder, head, self.catalog.horizon_days, evidence, intervals)
        facts: dict[str, object] = {"periods": len(self.periods), "ended": int(sum(period.ended.sum() for period in self.periods))}
        if not tested:
            self.notes.append("contracts: too short a history to test the retention curve on a later window")
        return FittedClv(bundle, money, np.zeros(0), predicted, {}, SURVIVAL, window, self.now.columns, coverage, facts, tuple(self.notes))

    def _encoder(self) -> FeatureEncoder:
        kept = {name: dtype for name, dtype in self.dtypes.items() if name not in (self.names.start, self.names.end)}
        age = Contracts.of(self.now.columns, self.names, self.now.at).age_days
        return FeatureEncoder.fit(with_age(self.now.columns, age), {**kept, CONTRACT_AGE: "float"}, self.now.at)

    def _head(self, encoder: FeatureEncoder, periods: Sequence[_Period]) -> ContractClvHead:
        columns = {name: np.concatenate([period.columns[name] for period in periods]) for name in periods[0].columns}
        age, ended = (np.concatenate(parts) for parts in ([one.contracts.age_days for one in periods], [one.ended for one in periods]))
        moments = np.concatenate([np.full(len(one.ended), one.at) for one in periods])
        contacts = np.concatenate([one.contact_ids for one in periods])
        hazard = fit_hazard(encoder, with_age(columns, age), moments, ended, contacts=contacts, seed=self.seed)
        settings = self.catalog.clv
        return ContractClvHead(self.names, hazard, self.terms.period_days, float(age.max()), settings.margin, settings.annual_discount_rate)

    def _tested(self, encoder: FeatureEncoder) -> tuple[float, tuple[FloatArray, FloatArray] | None]:
        """A retention curve learned before a window, and what the contracts paid in it: actual and predicted money."""
        count = min(LONGEST_WINDOW_PERIODS, len(self.periods) // 2)
        window = count * self.terms.period_days
        if count == 0:
            return window, None
        start = self.periods[count - 1]
        head = self._head(encoder, self.periods[count:])
        plain = ContractClvHead(head.columns, head.hazard, head.period_days, head.longest_age_days, 1.0, 0.0)
        predicted = plain.clv(start.columns, start.at, encoder, window)
        # A period is paid for where it begins in force.
        paid = np.minimum(np.ceil(np.nan_to_num(start.days_to_end, nan=np.inf) / self.terms.period_days), count)
        return window, (start.contracts.value * paid, predicted)
