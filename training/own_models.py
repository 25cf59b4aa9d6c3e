"""A model class of the user's own, named in nudge.yaml: imported, checked, made."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sklearn.base import clone

from decisioning.errors import ConfigError, nearest

VERBS = ("fit", "predict_proba", "get_params", "set_params")
"""What a classifier must have to be cloned, trained and served."""


@dataclass(frozen=True, eq=False)
class OwnEstimator:
    """An estimator that nudge.yaml names, not fitted.

    Attributes
    ----------
    estimator : classifier
    name : str
        The class as nudge.yaml names it.
    params : mapping
        Its settings.
    trusted : tuple of str
        The types that a served bundle may open for it: those of the package that its class is from, and what nudge.yaml adds.
    source : str
        SHA-256 of the file that the class is written in, so that other code is another model; empty where there is no file.
    """

    estimator: Any
    name: str
    params: Mapping[str, Any]
    trusted: tuple[str, ...]
    source: str

    @property
    def words(self) -> str:
        """The class with its settings."""
        return f"{self.name}({', '.join(f'{key}={value!r}' for key, value in self.params.items())})"

    @property
    def key(self) -> dict[str, Any]:
        """What a model of it is made of, as JSON values."""
        return {"class": self.name, "params": json.loads(json.dumps(dict(self.params), default=str)), "source": self.source}


def own_estimator(name: str, params: Mapping[str, Any], trusted: Sequence[str], *, field: str, beside: Path, seed: int) -> OwnEstimator:
    """The estimator of a class that can be imported from the installed packages or from beside nudge.yaml.

    Parameters
    ----------
    name : str
        `package.module.Class`.
    params : mapping
        Its settings; a `random_state` that is not given is the seed.
    trusted : sequence of str
        Further types that it holds once it is fitted.
    field : str
        The key in nudge.yaml, for refusals.
    beside : Path
        The workspace.

    Raises
    ------
    ConfigError
        It cannot be imported, is not a classifier, or does not take these settings.
    """
    found = _imported(name, f"{field}.class", beside)
    made = _made(found, params, field)
    lacking = [verb for verb in VERBS if not callable(getattr(made, verb, None))]
    if lacking:
        raise ConfigError(
            "is not a classifier with scikit-learn's verbs",
            field=f"{field}.class",
            got=f"{name}, which lacks {', '.join(lacking)}",
            allowed=f"a class with {', '.join(VERBS)}",
            hint="derive it from sklearn.base.ClassifierMixin and BaseEstimator",
        )
    try:
        clone(made)
    except (TypeError, RuntimeError) as error:
        raise ConfigError("cannot be cloned by scikit-learn", field=f"{field}.class", got=f"{name}: {error}") from None
    if made.get_params().get("random_state", 0) is None:
        made.set_params(random_state=seed)
    types = (f"{found.__module__.partition('.')[0]}.*", *trusted)
    return OwnEstimator(made, name, dict(params), tuple(dict.fromkeys(types)), _source(found))


def _imported(name: str, field: str, beside: Path) -> type:
    module, _, attribute = name.rpartition(".")
    if str(beside) not in sys.path:
        sys.path.append(str(beside))  # at the end: a file of the workspace hides no installed package
    try:
        imported = importlib.import_module(module)
    except Exception as error:  # noqa: BLE001 - what a user's module raises while it is imported may be anything
        raise ConfigError(
            "cannot be imported",
            field=field,
            got=f"{name} ({type(error).__name__}: {error})",
            allowed="a class of an installed package, or of a module beside nudge.yaml",
        ) from None
    found = getattr(imported, attribute, None)
    if found is None:
        known = [key for key, value in vars(imported).items() if isinstance(value, type)]
        raise ConfigError(f"the module {module} has no such class", field=field, got=attribute, hint=nearest(attribute, known))
    if not isinstance(found, type):
        raise ConfigError("is not a class", field=field, got=f"{name}, a {type(found).__name__}")
    return found


def _made(found: type, params: Mapping[str, Any], field: str) -> Any:
    known = [name for name, one in inspect.signature(found).parameters.items() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    open_ended = len(known) < len(inspect.signature(found).parameters)
    for name in params:
        if name not in known and not open_ended:
            raise ConfigError(
                "is no setting of the class",
                field=f"{field}.params.{name}",
                got=name,
                allowed=", ".join(known) or "none",
                hint=nearest(name, known),
            )
    try:
        return found(**params)
    except Exception as error:  # noqa: BLE001 - a constructor of a user's own may raise anything
        raise ConfigError(
            "the class does not take these settings", field=f"{field}.params", got=f"{dict(params)} ({type(error).__name__}: {error})"
        ) from None


def _source(found: type) -> str:
    try:
        path = inspect.getsourcefile(found)
    except TypeError:
        return ""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest() if path is not None and Path(path).is_file() else ""
