"""Where serving's snapshots come from: catalog.yaml, MLflow's champions and the ledger's price book."""

from __future__ import annotations

import logging
import time
from collections.abc import Hashable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from decisioning.catalog_checks import to_come
from decisioning.compiled_catalog import CompiledCatalog, compile_catalog
from decisioning.errors import ConfigError, NotFound
from estimators.bundle import Bundle, ClvBundle, PropensityBundle, UpliftBundle, load_bundle
from nudge.ground.workspace import Workspace
from serving.realtime.levels import LEVELS, Adapting, Levels, levels_for, renew_levels
from serving.realtime.price_books import from_json
from serving.realtime.scorer import Models, Scorer
from serving.realtime.snapshot import Snapshot

if TYPE_CHECKING:
    from features.contract import FeatureContract
    from features.store import FeatureDoor
    from ledger.store import Ledger

LOG = logging.getLogger(__name__)
ADAPT_FIRST_AFTER = 30.0
"""Seconds after which a server first measures the level of responses: it answers first."""

MODEL_KINDS: dict[str, type[Bundle]] = {"propensity": PropensityBundle, "uplift": UpliftBundle, "clv": ClvBundle}


def load_models(workspace: Workspace) -> Models:
    """The champions of a workspace; a model that was never trained is None."""
    found: dict[str, Bundle] = {}
    versions: dict[str, int] = {}
    for name in MODEL_KINDS:
        try:
            champion = workspace.tracker.champion_bundle(name)
        except NotFound:
            continue
        bundle = _read(workspace, champion.path, name)
        if champion.tags.get("nudge.workspace_id") != workspace.workspace_id:
            LOG.warning("the champion of %s (version %s) was trained in another workspace of this name", name, champion.version)
        found[name], versions[name] = bundle, champion.version
    return Models(found.get("propensity"), found.get("uplift"), found.get("clv"), versions)  # type: ignore[arg-type]


def load_versions(workspace: Workspace, wanted: Mapping[str, int]) -> Models:
    """The models of these versions, champions or not.

    Raises
    ------
    NotFound
        One of them is gone.
    """
    bundles = {name: version for name, version in wanted.items() if name != LEVELS}
    found = {name: _read(workspace, workspace.tracker.bundle(name, version).path, name) for name, version in bundles.items()}
    levels = _levels(workspace, wanted[LEVELS]) if LEVELS in wanted else None
    return Models(found.get("propensity"), found.get("uplift"), found.get("clv"), dict(wanted), levels)  # type: ignore[arg-type]


def _levels(workspace: Workspace, version: int) -> Levels:
    with workspace.open_ledger() as ledger:
        kept = ledger.levels(version)
    if kept is None:
        raise NotFound("this version of the level of responses is not in the ledger", field=f"versions.models.{LEVELS}", got=version)
    return Levels.of(kept)


def _read(workspace: Workspace, folder: Path, name: str) -> Bundle:
    own, kind = workspace.own_model(name), MODEL_KINDS[name]
    try:
        bundle = load_bundle(folder, () if own is None else own.trusted)
    except ValueError as error:
        raise ConfigError(f"the {name} model cannot be read: {error}", hint="promote another version, or run nudge train") from None
    if not isinstance(bundle, kind):
        raise ConfigError(f"the {name} model is a bundle of another kind", got=type(bundle).__name__)
    return bundle


class WorkspaceSnapshots:
    """Loads snapshots of a workspace; models are read again only when their champion changed, the feature store is opened anew."""

    def __init__(self, workspace: Workspace, ledger: Ledger, *, adapts: bool = False) -> None:
        self._workspace = workspace
        self._ledger = ledger
        self._adapts = workspace.adapting if adapts else None
        self._adapt_at = time.monotonic() + ADAPT_FIRST_AFTER
        self._models: tuple[Hashable, Models] | None = None
        self._scorer: tuple[Hashable, Scorer] | None = None
        self._catalog: tuple[Hashable, CompiledCatalog] | None = None
        self._door: FeatureDoor | None = None

    def fingerprint(self) -> Hashable:
        """The catalogue's file, the champions' versions, the contract's file, the price book's id and beginning, the levels' version.

        A source that adapts measures them when it is due.
        """
        self._adapt_if_due()
        prices = self._ledger.prices()
        folder = self._workspace.folder
        files = tuple(_stamp(folder / name) for name in ("catalog.yaml", "state/feature_contract.json"))
        champions = self._champions()
        levels = self._levels(champions)
        return (*files, champions, None if prices is None else (prices["id"], prices.get("begins_at")), levels and levels.version)

    def adapt(self, how: Adapting) -> None:
        """Measure the level of responses now."""
        renew_levels(self._ledger, self._workspace.read_catalog(), self._champions()[0], how, datetime.now(UTC))

    def _adapt_if_due(self) -> None:
        if self._adapts is not None and time.monotonic() >= self._adapt_at:
            self._adapt_at = time.monotonic() + 60.0 * self._adapts.every_minutes
            self.adapt(self._adapts)

    def _levels(self, champions: tuple[int | None, ...]) -> Levels | None:
        return None if self._workspace.adapting is None else levels_for(self._ledger, champions[0])

    def load(self) -> Snapshot:
        """The newest snapshot.

        Raises
        ------
        ConfigError, RuleError
            The catalogue is wrong.
        ContractMismatch
            A champion was trained on another feature contract.
        """
        door = self._workspace.open_door()
        contract = door.contract
        if self._door is not None:
            door.remember_as(self._door)
        self._door = door
        catalog = self._catalog_under(contract)
        champions = self._champions()
        levels = self._levels(champions)
        key = champions, levels and levels.version
        if self._models is None or self._models[0] != key:
            models = load_models(self._workspace)
            moved = models if levels is None else replace(models, versions={**models.versions, LEVELS: levels.version}, levels=levels)
            self._models = (key, moved)
        models = self._models[1]
        models.refuse_other_contracts(contract.hash)
        book = self._ledger.prices()
        return Snapshot(
            catalog=catalog,
            scorer=self._scorer_of(models, catalog),
            online=door,
            dtypes=contract.dtypes,
            contract_hash=contract.hash,
            published=None if book is None else from_json(book),
            attribute_names=tuple(spec.name for spec in contract.specs if spec.source.startswith("contacts.")),
        )

    def _catalog_under(self, contract: FeatureContract) -> CompiledCatalog:
        """The catalogue, compiled; the one there is where its file and the contract are what they were."""
        key = _stamp(self._workspace.folder / "catalog.yaml"), contract.hash
        if self._catalog is None or self._catalog[0] != key:
            catalog = self._workspace.read_catalog()
            for one in to_come(catalog):
                LOG.warning("catalog.yaml: %s", one)
            self._catalog = (key, compile_catalog(catalog, contract.dtypes))
        return self._catalog[1]

    def models(self, versions: Mapping[str, int]) -> Models:
        """The models of these versions, champions or not."""
        return load_versions(self._workspace, versions)

    def _scorer_of(self, models: Models, catalog: CompiledCatalog) -> Scorer:
        """Warmed up, so that no decision waits for it; the one there is where neither the models nor the catalogue changed."""
        key = (id(models), catalog.catalog.fingerprint, self._workspace.feature_as_of)
        if self._scorer is None or self._scorer[0] != key:
            scorer = Scorer(models, catalog, self._workspace.feature_as_of)
            scorer.warm_up()
            for name, reason in scorer.left_out.items():
                LOG.warning("the %s model is not compiled and costs milliseconds a decision: %s", name, reason)
            self._scorer = (key, scorer)
        return self._scorer[1]

    def _champions(self) -> tuple[int | None, ...]:
        return tuple(self._workspace.tracker.champion_version(name) for name in MODEL_KINDS)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size
