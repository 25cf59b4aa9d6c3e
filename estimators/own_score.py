"""A user's own fitted estimators as parts of a served model: kept by skops, which opens only types that the workspace trusts.

A pickle runs whatever it holds. skops writes the estimator's state as JSON and arrays and names every type; numpy's, scipy's and
scikit-learn's own are trusted, any other only if the reader says so. Here the reader is the workspace, by what nudge.yaml names under
`models`; a bundle cannot grant itself trust. skops is imported where it is asked for: models without such a part need none.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import logit
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter

from estimators.arrays import FloatArray
from estimators.calibration import clip_probability
from estimators.encoding import Encoded

OWN_KEY = "skops_base64"
"""In a part's dictionary the key of an estimator as skops writes it; a bundle on disk keeps it in a file of its own."""
TRUSTED_KEY = "trusted"
"""In a part's dictionary the types that the reader trusts; never on disk."""


class OwnEstimatorFailed(RuntimeError):
    """What a user's own regressor raised or answered wrongly, in words; no ValueError, which says that the data allow no model."""


LEAST_MONEY = 1e-9
"""A regressor of money may answer 0 or less: its logarithm must exist."""


_HARMLESS = ("collections.OrderedDict", "collections.defaultdict")
"""Types of the standard library that hold and do nothing."""


@dataclass(frozen=True, eq=False)
class OwnScore:
    """The log odds of a response by a user's own classifier, on the matrix of the linear models: numbers without gaps.

    Parameters
    ----------
    estimator : classifier
        Fitted on labels 0 and 1, with `predict_proba`.
    """

    estimator: Any

    def of(self, rows: Encoded) -> FloatArray:
        """The numbers, shape (n,).

        Raises
        ------
        ValueError
            The estimator's probabilities are not n finite numbers between 0 and 1 a class.
        """
        return np.asarray(logit(clip_probability(probability_of(self.estimator, rows.linear))))

    def to_dict(self) -> dict[str, Any]:
        """The part as JSON values."""
        return {"type": "own", OWN_KEY: _written(self.estimator)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> OwnScore:
        """The part that `to_dict` wrote.

        Raises
        ------
        ValueError
            It holds a type that is not trusted, or cannot be read.
        """
        return cls(_opened(data, "propensity"))


@dataclass(frozen=True, eq=False)
class OwnEffect:
    """An effect in probability by a user's own regressor, on the matrix of the linear models: numbers without gaps.

    Parameters
    ----------
    estimator : regressor
        Fitted, with `predict`.
    """

    estimator: Any

    @classmethod
    def fitted(cls, estimator: Any, X: FloatArray, y: FloatArray, sample_weight: FloatArray) -> OwnEffect:
        """A clone of the regressor, fitted; weighted where its `fit` takes weights.

        Raises
        ------
        OwnEstimatorFailed
            It cannot be fitted, or does not answer with one finite number a row.
        """
        return cls(_fitted(estimator, X, y, sample_weight))

    def of(self, rows: Encoded) -> FloatArray:
        """The numbers, shape (n,).

        Raises
        ------
        OwnEstimatorFailed
            The estimator does not answer with n finite numbers.
        """
        return _numbers(self.estimator, rows.linear)

    def to_dict(self) -> dict[str, Any]:
        """The part as JSON values."""
        return {"type": "own_effect", OWN_KEY: _written(self.estimator)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> OwnEffect:
        """The part that `to_dict` wrote.

        Raises
        ------
        ValueError
            It holds a type that is not trusted, or cannot be read.
        """
        return cls(_opened(data, "uplift"))


@dataclass(frozen=True, eq=False)
class OwnMoney:
    """ln of the money over a window by a user's own regressor, on the matrix of the linear models: numbers without gaps.

    Parameters
    ----------
    estimator : regressor
        Fitted on money, with `predict`; what it says below `LEAST_MONEY` counts as so much.
    """

    estimator: Any

    @classmethod
    def fitted(cls, estimator: Any, X: FloatArray, y: FloatArray) -> OwnMoney:
        """A clone of the regressor, fitted.

        Raises
        ------
        OwnEstimatorFailed
            It cannot be fitted, or does not answer with one finite number a row.
        """
        return cls(_fitted(estimator, X, y, None))

    def of(self, rows: Encoded) -> FloatArray:
        """The logarithms, shape (n,).

        Raises
        ------
        OwnEstimatorFailed
            The estimator does not answer with n finite numbers.
        """
        return np.asarray(np.log(np.maximum(_numbers(self.estimator, rows.linear), LEAST_MONEY)))

    def to_dict(self) -> dict[str, Any]:
        """The part as JSON values."""
        return {"type": "own_money", OWN_KEY: _written(self.estimator)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> OwnMoney:
        """The part that `to_dict` wrote.

        Raises
        ------
        ValueError
            It holds a type that is not trusted, or cannot be read.
        """
        return cls(_opened(data, "clv"))


def _fitted(estimator: Any, X: FloatArray, y: FloatArray, sample_weight: FloatArray | None) -> Any:
    """A clone of a regressor, fitted, and weighted where there are weights and its `fit` takes them."""
    made = clone(estimator)
    weights = {} if sample_weight is None or not has_fit_parameter(made, "sample_weight") else {"sample_weight": sample_weight}
    try:
        fitted = made.fit(X, y, **weights)
        _numbers(fitted, X[:1])
    except Exception as error:
        raise OwnEstimatorFailed(str(error) if isinstance(error, OwnEstimatorFailed) else f"{type(error).__name__}: {error}") from error
    return fitted


def _numbers(estimator: Any, matrix: FloatArray) -> FloatArray:
    try:
        said = np.asarray(estimator.predict(matrix), dtype=np.float64)
    except Exception as error:
        raise OwnEstimatorFailed(f"{type(error).__name__}: {error}") from error
    if said.shape != (len(matrix),) or not np.isfinite(said).all():
        raise OwnEstimatorFailed(f"predict must answer with {len(matrix)} finite numbers; got shape {said.shape}")
    return said


def _written(estimator: Any) -> str:
    import skops.io

    return base64.b64encode(skops.io.dumps(estimator)).decode("ascii")


def _opened(data: Mapping[str, Any], model: str) -> Any:
    import skops.io

    content, trusted = base64.b64decode(data[OWN_KEY]), list(data.get(TRUSTED_KEY, ()))
    try:
        types = skops.io.get_untrusted_types(data=content)
        if others := _others(types, trusted):
            raise ValueError(
                f"an estimator of the workspace's own holds types that nudge.yaml does not trust; got {', '.join(others)}; "
                f"allowed: {', '.join(trusted) or 'what skops trusts by itself'}. "
                f"Hint: name its class under models.{model}, and further types under models.{model}.trusted"
            )
        return skops.io.loads(content, trusted=types)
    except (ImportError, AttributeError, TypeError, KeyError) as error:
        raise ValueError(f"an estimator of the workspace's own cannot be read: {error}. Hint: train again") from error


def probability_of(estimator: Any, matrix: FloatArray) -> FloatArray:
    """P(y = 1) of each row of the matrix, shape (n,).

    Raises
    ------
    ValueError
        The estimator did not see both classes, or does not answer with a probability a row and class.
    """
    classes = np.asarray(estimator.classes_, dtype=np.float64)
    if 1.0 not in classes:
        raise ValueError(f"the estimator's classes_ must hold 0 and 1; got {classes.tolist()}")
    p = np.asarray(estimator.predict_proba(matrix), dtype=np.float64)
    if p.shape != (len(matrix), len(classes)):
        raise ValueError(f"predict_proba must answer with one column a class, shape {(len(matrix), len(classes))}; got shape {p.shape}")
    second = p[:, int(np.flatnonzero(classes == 1.0)[0])]
    if not (np.isfinite(second).all() and (second >= 0).all() and (second <= 1).all()):
        raise ValueError("predict_proba must answer with numbers between 0 and 1; got others")
    return np.asarray(second)


def untrusted_types(estimator: Any, trusted: Sequence[str]) -> list[str]:
    """The types inside a fitted estimator that neither skops nor `trusted` knows, in order of their names."""
    import skops.io

    return _others(skops.io.get_untrusted_types(data=skops.io.dumps(estimator)), trusted)


def kept_and_opened(estimator: Any, trusted: Sequence[str]) -> Any:
    """The fitted estimator as a reader who trusts these types gets it back.

    Raises
    ------
    Exception
        Whatever skops says of an estimator that it cannot write, or that a reader cannot open.
    """
    return _opened({OWN_KEY: _written(estimator), TRUSTED_KEY: list(trusted)}, "<model>")


def _others(types: Sequence[str], trusted: Sequence[str]) -> list[str]:
    """Those of the types that are not trusted; `package.*` trusts every type of a package."""
    packages = tuple(name.removesuffix("*") for name in trusted if name.endswith(".*"))
    return sorted(name for name in set(types) if name not in trusted and name not in _HARMLESS and not name.startswith(packages))


def with_trust(value: Any, trusted: Sequence[str]) -> Any:
    """A bundle's body with the reader's trust in each part that holds an own estimator, whatever the body says of it."""
    if isinstance(value, Mapping):
        parts = {key: with_trust(part, trusted) for key, part in value.items()}
        return {**parts, TRUSTED_KEY: list(trusted)} if OWN_KEY in value else parts
    return [with_trust(part, trusted) for part in value] if isinstance(value, list) and not is_plain(value) else value


def is_plain(values: Sequence[Any]) -> bool:
    """Whether a list of JSON values holds no list and no object: most of a bundle is long rows of numbers, which nobody need walk through.

    Examples
    --------
    >>> is_plain([1, 2.5, None]), is_plain([1, [2]])
    (True, False)
    """
    return _PLAIN.issuperset(map(type, values))


_PLAIN = frozenset((float, int, str, bool, type(None)))
