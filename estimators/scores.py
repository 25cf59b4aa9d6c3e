"""Fitted parts that a served model is made of: n contacts -> one number each, written as JSON and LightGBM text.

A part gives a row the same number whether it comes alone or in a batch of a million.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import lightgbm
import numpy as np
from scipy.special import expit

from estimators.arrays import AnyInts, FloatArray, IntArray
from estimators.curves import Curves, squares
from estimators.encoding import Encoded
from estimators.forest import Forest
from estimators.forest_text import NotUnderstood
from estimators.own_score import OwnEffect

TEXT_KEY = "lightgbm_text"
"""In a part's dictionary the key of a LightGBM model text; a bundle on disk keeps it in a file of its own."""

COMPILED_FROM, COMPILED_TOGETHER = 20_000, 16_384
"""From so many rows trees are read as a compiled forest, so many rows at a time: the same scores to the last bit in a third of the time."""


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
        return self.raw(rows.trees)

    def raw(self, matrix: FloatArray, rows: AnyInts | None = None) -> FloatArray:
        """The raw scores of a tree matrix of shape (n, d), or of some of its rows."""
        length = len(matrix if rows is None else rows)
        forest = self._forest if length >= COMPILED_FROM else None
        if forest is not None:
            blocks = [slice(start, start + COMPILED_TOGETHER) for start in range(0, length, COMPILED_TOGETHER)]
            return np.concatenate([forest.scores(matrix[block if rows is None else rows[block]])[:, 0] for block in blocks])
        # Always one thread: LightGBM keeps the number for the whole process, and one that changes while another Python thread fits or
        # predicts tears the buffers that were made for the old one.
        raw = self.booster.predict(matrix if rows is None else matrix[rows], raw_score=True, num_threads=1)
        return np.asarray(raw, dtype=np.float64)

    @cached_property
    def _forest(self) -> Forest | None:
        """None where the text says what the forest does not do."""
        try:
            return Forest.of_texts([self.text])
        except NotUnderstood:
            return None

    def to_dict(self) -> dict[str, Any]:
        """The part as JSON values."""
        return {"type": "trees", TEXT_KEY: self.text}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TreeScore:
        """The part that `to_dict` wrote."""
        return cls(str(data[TEXT_KEY]))


@dataclass(frozen=True, eq=False)
class CurvedScore:
    """intercept + coef . x + bent_coef . squares(x[bent]) on the linear matrix.

    Parameters
    ----------
    intercept : float
    coef : array, shape (m,)
    bent : array of int, shape (k,)
        Positions of the columns with a square.
    bent_coef : array, shape (k,)
    """

    intercept: float
    coef: FloatArray
    bent: IntArray
    bent_coef: FloatArray

    @classmethod
    def of_design(cls, coef: FloatArray, curves: Curves) -> CurvedScore:
        """The score whose coefficients on `curves.design` are given, shape (1 + m + k,)."""
        return cls(float(coef[0]), coef[1 : 1 + curves.width], curves.bent, coef[1 + curves.width :])

    def of(self, rows: Encoded) -> FloatArray:
        """The numbers, shape (n,)."""
        total: FloatArray = np.einsum("ij,j->i", rows.linear, self.coef) + self.intercept
        # take, not fancy indexing: that would lay the rows out by columns, and many rows would add up in another order than one.
        return np.asarray(total + np.einsum("ij,j->i", squares(rows.linear.take(self.bent, axis=1)), self.bent_coef))

    def to_dict(self) -> dict[str, Any]:
        """The part as JSON values."""
        arrays = {"coef": self.coef.tolist(), "bent": self.bent.tolist(), "bent_coef": self.bent_coef.tolist()}
        return {"type": "curved", "intercept": self.intercept, **arrays}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CurvedScore:
        """The part that `to_dict` wrote."""
        arrays = (np.array(data[name], dtype=np.float64) for name in ("coef", "bent_coef"))
        coef, bent_coef = arrays
        return cls(float(data["intercept"]), coef, np.array(data["bent"], dtype=np.int64), bent_coef)


@dataclass(frozen=True, eq=False)
class StackedScores:
    """Several curved scores of the same columns, computed at once.

    Parameters
    ----------
    intercept : array, shape (s,)
    coef, bent_coef : arrays, shapes (s, m) and (s, k)
    bent : array of int, shape (k,)
    """

    intercept: FloatArray
    coef: FloatArray
    bent: IntArray
    bent_coef: FloatArray

    @classmethod
    def of_scores(cls, scores: Sequence[CurvedScore]) -> StackedScores:
        """The scores, one a row."""
        first = scores[0]
        arrays = (np.stack([getattr(score, name) for score in scores]) for name in ("coef", "bent_coef"))
        coef, bent_coef = arrays
        return cls(np.array([score.intercept for score in scores]), coef, first.bent, bent_coef)

    def of(self, rows: Encoded) -> FloatArray:
        """The numbers, shape (n, s); a row adds up in the same order alone and among others."""
        every = len(self.bent) == rows.linear.shape[1]
        squared = squares(rows.linear if every else rows.linear.take(self.bent, axis=1))
        total = np.einsum("ij,kj->ik", rows.linear, self.coef) + np.einsum("ij,kj->ik", squared, self.bent_coef)
        return np.asarray(total + self.intercept)


@dataclass(frozen=True, eq=False)
class ChannelContrast:
    """What an action changes on each channel: expit(exposed on the channel) - expit(unexposed).

    Parameters
    ----------
    unexposed : CurvedScore
        Log odds of the goal without contact.
    exposed : mapping of channel to CurvedScore
        Log odds with the action; channel None is the action on whatever channel.
    shares : mapping of channel to float
        How the log mixed the channels; adds up to 1.
    """

    unexposed: CurvedScore
    exposed: Mapping[str | None, CurvedScore]
    shares: Mapping[str | None, float]

    def of(self, rows: Encoded) -> FloatArray:
        """The difference over the log's mix of channels, shape (n,), each between -1 and 1."""
        return self.on(rows, [])[0]

    def on(self, rows: Encoded, channels: Sequence[str | None]) -> tuple[FloatArray, FloatArray]:
        """The difference over the mix, shape (n,), and on some channels, shape (n, len(channels)): of the mix for a channel not known."""
        expected = expit(self._log_odds.of(rows))
        differences = expected[:, 1:] - expected[:, :1]
        place = {channel: k for k, channel in enumerate(self.exposed)}
        mix = np.zeros(len(rows))
        for channel, share in self.shares.items():
            mix += share * differences[:, place[channel]]
        wanted = [differences[:, place[channel]] if channel in place else mix for channel in channels]
        return mix, np.stack(wanted, axis=1) if wanted else np.empty((len(rows), 0))

    @cached_property
    def _log_odds(self) -> StackedScores:
        return StackedScores.of_scores([self.unexposed, *self.exposed.values()])

    def to_dict(self) -> dict[str, Any]:
        """The part as JSON values."""
        exposed = [[channel, score.to_dict()] for channel, score in self.exposed.items()]
        shares = [[channel, share] for channel, share in self.shares.items()]
        return {"type": "channels", "unexposed": self.unexposed.to_dict(), "exposed": exposed, "shares": shares}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ChannelContrast:
        """The part that `to_dict` wrote."""
        exposed = {channel: CurvedScore.from_dict(score) for channel, score in data["exposed"]}
        return cls(CurvedScore.from_dict(data["unexposed"]), exposed, {channel: float(share) for channel, share in data["shares"]})


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
        "curved": CurvedScore.from_dict,
        "channels": ChannelContrast.from_dict,
        "own_effect": OwnEffect.from_dict,
    }
    if data.get("type") not in readers:
        raise ValueError(f"a part of a model has an unknown type; got {data.get('type')!r}; allowed: {', '.join(readers)}")
    return readers[data["type"]](data)
