"""A model class of the user's own, named in nudge.yaml: imported, checked, made."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sklearn.base import clone

from decisioning.errors import ConfigError, nearest
from estimators.own_score import kept_and_opened, untrusted_types

VERBS = {"classifier": ("fit", "predict_proba", "get_params", "set_params"), "regressor": ("fit", "predict", "get_params", "set_params")}
"""What an estimator of each kind must have to be cloned, trained and served."""


@dataclass(frozen=True, eq=False)
class OwnEstimator:
    """An estimator that nudge.yaml names, not fitted.

    Attributes
    ----------
    estimator : classifier or regressor
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


@dataclass(frozen=True)
class Named:
    """What nudge.yaml says of one model.

    Attributes
    ----------
    name : str
        `package.module.Class`.
    params : mapping
        Its settings; a `random_state` that is not given is the seed.
    trusted : sequence of str
        Further types that it holds once it is fitted.
    field : str
        The key in nudge.yaml, for refusals.
    """

    name: str
    params: Mapping[str, Any]
    trusted: Sequence[str]
    field: str


def own_estimator(named: Named, kind: Literal["classifier", "regressor"], *, beside: Path, seed: int) -> OwnEstimator:
    """The estimator of a class that can be imported from the installed packages or from beside nudge.yaml, which is the workspace.

    Raises
    ------
    ConfigError
        It cannot be imported, is not of this kind, or does not take its settings.
    """
    name, field, verbs = named.name, named.field, VERBS[kind]
    found = _imported(name, f"{field}.class", beside)
    made = _made(found, named.params, field)
    lacking = [verb for verb in verbs if not callable(getattr(made, verb, None))]
    if lacking:
        raise ConfigError(
            f"is not a {kind} with scikit-learn's verbs",
            field=f"{field}.class",
            got=f"{name}, which lacks {', '.join(lacking)}",
            allowed=f"a class with {', '.join(verbs)}",
            hint=f"derive it from sklearn.base.{kind.capitalize()}Mixin and BaseEstimator",
        )
    try:
        clone(made)
    except (TypeError, RuntimeError) as error:
        raise ConfigError("cannot be cloned by scikit-learn", field=f"{field}.class", got=f"{name}: {error}") from None
    if made.get_params().get("random_state", 0) is None:
        made.set_params(random_state=seed)
    types = (f"{found.__module__.partition('.')[0]}.*", *named.trusted)
    return OwnEstimator(made, name, dict(named.params), tuple(dict.fromkeys(types)), _source(found))


def refuse_untrusted(fitted: Iterable[Any], own: OwnEstimator, field: str) -> None:
    """Refuse fitted estimators that serving would not open, before a model of them is registered.

    Raises
    ------
    ConfigError
        With the types that are not trusted, or with what says that it cannot be kept.
    """
    parts = list(fitted)
    try:
        others = sorted({name for one in parts for name in untrusted_types(one, own.trusted)})
        for one in [] if others else parts:
            kept_and_opened(one, own.trusted)
    except Exception as error:  # what is met while a user's own object is written and read may be anything
        raise ConfigError(
            "the fitted estimator cannot be kept and opened again",
            field=f"{field}.class",
            got=f"{own.words}: {type(error).__name__}: {error}",
            hint="let it hold arrays, numbers, texts, other estimators and functions of a module; no lambda, file or connection",
        ) from error
    if others:
        raise ConfigError(
            "the fitted estimator holds types that are not trusted",
            field=f"{field}.trusted",
            got=", ".join(others),
            allowed=", ".join(own.trusted),
            hint="add those that you would let anybody run who can write to the model registry",
        )


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
