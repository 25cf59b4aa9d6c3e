"""Fitted parts that a served model is made of: n contacts -> one number each, written as JSON and LightGBM text.

A part gives a row the same number whether it comes alone or in a batch of a million.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import lightgbm
import numpy as np
from scipy.special import expit

from estimators.arrays import FloatArray
from estimators.encoding import Encoded

MANY_ROWS = 5_000
"""Above so many rows LightGBM predicts with two threads; below, starting a thread costs more than it gains."""

TEXT_KEY = "lightgbm_text"
"""In a part's dictionary the key of a LightGBM model text; a bundle on disk keeps it in a file of its own."""


class Score(Protocol):
    """A number a contact."""

    def of(self, rows: Encoded) -> FloatArray:
        """The numbers, shape (n,)."""

    def to_dict(self) -> dict[str, Any]:
        """The part as JSON values."""


@dataclass(frozen=True, eq=False)
class LinearScore:
    """intercept + coef . x on the linear matrix.

    Parameters
    ----------
    intercept : float
    coef : array, shape (m,)
    """

    intercept: float
    coef: FloatArray

    def of(self, rows: Encoded) -> FloatArray:
        """The numbers, shape (n,)."""
        # einsum adds up a row in the same order whatever n is; a BLAS product does not.
        total: FloatArray = np.einsum("ij,j->i", rows.linear, self.coef) + self.intercept
        return total

    def to_dict(self) -> dict[str, Any]:
        """The part as JSON values."""
        return {"type": "linear", "intercept": self.intercept, "coef": self.coef.tolist()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LinearScore:
        """The part that `to_dict` wrote."""
        return cls(float(data["intercept"]), np.array(data["coef"], dtype=np.float64))


@dataclass(frozen=True, eq=False)
class TreeScore:
    """The raw score (before any link) of a LightGBM model on the tree matrix.

    Parameters
    ----------
    text : str
        LightGBM's own text format.
    """

    text: str

    @cached_property
    def booster(self) -> lightgbm.Booster:
        """The model that the text describes.

        Raises
        ------
        ValueError
            If LightGBM cannot read the text.
        """
        try:
            return lightgbm.Booster(model_str=self.text)
        except lightgbm.basic.LightGBMError as error:
            raise ValueError(f"a LightGBM model text cannot be read: {error}. Hint: train again") from error

    def of(self, rows: Encoded) -> FloatArray:
        """The raw scores, shape (n,)."""
        threads = 1 if len(rows) <= MANY_ROWS else 2
        raw = self.booster.predict(rows.trees, raw_score=True, num_threads=threads)
        return np.asarray(raw, dtype=np.float64)

    def to_dict(self) -> dict[str, Any]:
        """The part as JSON values."""
        return {"type": "trees", TEXT_KEY: self.text}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TreeScore:
        """The part that `to_dict` wrote."""
        return cls(str(data[TEXT_KEY]))


@dataclass(frozen=True, eq=False)
class ContrastScore:
    """The difference of two logistic models, expit(exposed) - expit(unexposed): an uplift in probability.

    Parameters
    ----------
    exposed, unexposed : LinearScore
        Log odds of the response with and without the contact.
    """

    exposed: LinearScore
    unexposed: LinearScore

    def of(self, rows: Encoded) -> FloatArray:
        """The differences, shape (n,), each between -1 and 1."""
        difference: FloatArray = expit(self.exposed.of(rows)) - expit(self.unexposed.of(rows))
        return difference

    def to_dict(self) -> dict[str, Any]:
        """The part as JSON values."""
        return {"type": "contrast", "exposed": self.exposed.to_dict(), "unexposed": self.unexposed.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ContrastScore:
        """The part that `to_dict` wrote."""
        return cls(LinearScore.from_dict(data["exposed"]), LinearScore.from_dict(data["unexposed"]))


def score_from_dict(data: Mapping[str, Any]) -> Score:
    """The part that its `to_dict` wrote, by its type.

    Raises
    ------
    ValueError
        If the type is not known.
    """
    readers: dict[str, Callable[[Mapping[str, Any]], Score]] = {
        "linear": LinearScore.from_dict,
        "trees": TreeScore.from_dict,
        "contrast": ContrastScore.from_dict,
    }
    if data.get("type") not in readers:
        raise ValueError(f"a part of a model has an unknown type; got {data.get('type')!r}; allowed: {', '.join(readers)}")
    return readers[data["type"]](data)
