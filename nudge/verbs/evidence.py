"""What a challenger is compared with the champion on: the newest decisions of the ledger, else what both held out when they were tested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce

from decisioning.errors import NotFound
from nudge.ground.workspace import Workspace
from training.champion_said import CHAMPION_FILE
from training.comparison import CHAMPION, Evidence
from training.held_out import HELD_OUT_FILE, HeldOut
from training.held_out_evidence import System, held_out_evidence
from training.tracking import CHALLENGER
from training.tracking import CHAMPION as CHAMPION_ALIAS

DECIDING = ("propensity", "uplift", "clv")
"""The models that a decision is made of."""

Versions = Mapping[str, int]
"""The version of each model of a system; a model that there is not is left out."""


@dataclass(frozen=True)
class Registered:
    """The versions that serve, and those that would like to."""

    champions: dict[str, int]
    challengers: dict[str, int]

    @classmethod
    def of(cls, workspace: Workspace) -> Registered:
        """What the registry holds of this workspace.

        Raises
        ------
        NotFound
            Nothing was trained.
        """
        with_alias = [
            (alias, model, row.version) for model in DECIDING for row in workspace.tracker.versions(model) for alias in row.aliases
        ]
        champions = {model: version for alias, model, version in with_alias if alias == CHAMPION_ALIAS}
        if not champions:
            raise NotFound("there is no champion to evaluate", hint="run nudge train")
        return cls(champions, {model: version for alias, model, version in with_alias if alias == CHALLENGER})

    def with_swapped(self, versions: Versions) -> dict[str, int]:
        """The champions with some models swapped."""
        return {**self.champions, **versions}


def held_out_of(workspace: Workspace, systems: Mapping[str, Versions]) -> Evidence:
    """The evidence of the interactions that the versions of all systems held out.

    Raises
    ------
    NotFound
        A version kept none, or they have none in common.
    """
    kept = _Kept(workspace, [each for versions in systems.values() for each in versions.items()])
    found = {}
    for name, versions in systems.items():
        uplift = kept.of(name, "uplift", versions["uplift"]) if "uplift" in versions else None
        learned = kept.of(name, "propensity", versions["propensity"]) if "propensity" in versions else uplift
        if learned is None:
            raise NotFound("neither propensity nor uplift is trained: nothing says what a policy would earn", hint="run nudge train")
        found[name] = System(learned, uplift)
    return held_out_evidence(found)


@dataclass
class _Kept:
    """Held-out predictions as they lie beside versions: each version's own, and of a champion also those beside its challengers."""

    workspace: Workspace
    versions: Sequence[tuple[str, int]]
    _read: dict[tuple[str, int, str], HeldOut | None] = field(default_factory=dict)
    _parts: dict[tuple[str, int], HeldOut] = field(default_factory=dict)

    def of(self, name: str, model: str, version: int) -> HeldOut:
        """Everything that a version said of rows that it had not seen."""
        if (model, version) not in self._parts:
            own = self._file(model, version, HELD_OUT_FILE)
            beside = [self._file(*other, CHAMPION_FILE) for other in dict.fromkeys(self.versions)]
            found = [own, *(one for one in beside if one is not None and one.said_by.get(model) == version)]
            there = [one for one in found if one is not None]
            if not there:
                raise NotFound(
                    f"version {version} of {model} ({name}) kept no held-out predictions",
                    hint="no interaction of its test part had a known outcome; train it again (nudge train --refit) when there are some",
                )
            self._parts[model, version] = reduce(HeldOut.with_rows_of, there)
        return self._parts[model, version]

    def _file(self, model: str, version: int, file: str) -> HeldOut | None:
        if (model, version, file) not in self._read:
            written = self.workspace.tracker.table(model, version, file) if model != "clv" else None
            self._read[model, version, file] = None if written is None else HeldOut.from_bytes(written)
        return self._read[model, version, file]


def champion_first(systems: Mapping[str, Versions], champions: Versions) -> dict[str, Versions]:
    """The systems with the champion's in front."""
    return {CHAMPION: champions, **systems}
