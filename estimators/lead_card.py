"""A points card: whole points a line, their sum, and P(won) for each sum. What a salesperson reads, and what is served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from estimators.arrays import FloatArray, IntArray
from estimators.encoding import Encoded


@dataclass(frozen=True, eq=False)
class CardFeature:
    """One feature of a card: its lines and their points.

    Parameters
    ----------
    name : str
    position : int
        Its column in the tree matrix.
    edges : array, shape (k - 1,)
        Of a number: line b holds edges[b - 1] < x <= edges[b].
    groups : tuple of int
        Of a category: the line of each code, -1 for one that is too rare to judge; empty for a number.
    levels : tuple of str
        Of a category: what the codes mean.
    points : tuple of int, length k
    missing, other : int
        Points of a lead that lacks the feature, and of a level that is not known.
    """

    name: str
    position: int
    edges: FloatArray
    groups: tuple[int, ...]
    levels: tuple[str, ...]
    points: tuple[int, ...]
    missing: int
    other: int

    @property
    def is_category(self) -> bool:
        """Whether its values are codes of levels."""
        return bool(self.groups)

    def lines_of(self, trees: FloatArray) -> IntArray:
        """The line of each lead, shape (n,): 0 ... k - 1, k for missing, k + 1 for another level."""
        x, k = trees[:, self.position], len(self.points)
        if not self.is_category:
            return np.where(np.isnan(x), k, np.searchsorted(self.edges, x, side="left"))
        known = len(self.groups)
        code = np.where(np.isnan(x) | (x > known), known, x).astype(np.int64)
        groups = np.append(self.groups, k)
        line = groups[np.clip(code, 0, known)]
        return np.where((line < 0) | (x < 0), k + 1, line)

    def points_of(self, trees: FloatArray) -> IntArray:
        """The points of each lead, shape (n,)."""
        return np.array([*self.points, self.missing, self.other], dtype=np.int64)[self.lines_of(trees)]

    def line_names(self) -> tuple[str, ...]:
        """What each line says, in the order of `lines_of`."""
        return (*map(self._line_name, range(len(self.points))), f"{self.name} is missing", f"{self.name} is something else")

    def to_dict(self) -> dict[str, Any]:
        """The feature as JSON values."""
        shape = {"name": self.name, "position": self.position, "edges": self.edges.tolist(), "groups": list(self.groups)}
        return {**shape, "levels": list(self.levels), "points": list(self.points), "missing": self.missing, "other": self.other}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CardFeature:
        """The feature that `to_dict` wrote."""
        edges, groups = np.array(data["edges"], dtype=np.float64), tuple(int(group) for group in data["groups"])
        points = tuple(int(one) for one in data["points"])
        rest = (tuple(data["levels"]), points, int(data["missing"]), int(data["other"]))
        return cls(str(data["name"]), int(data["position"]), edges, groups, *rest)

    def _line_name(self, line: int) -> str:
        if self.is_category:
            named = [self._level_name(code) for code, group in enumerate(self.groups) if group == line]
            shown = ", ".join(named[:4]) + (f" and {len(named) - 4} more" if len(named) > 4 else "")
            return f"{self.name}: {shown}"
        if not len(self.edges):
            return f"{self.name} is known"
        if line == 0:
            return f"{self.name} up to {self.edges[0]:.6g}"
        if line == len(self.edges):
            return f"{self.name} above {self.edges[-1]:.6g}"
        return f"{self.name} above {self.edges[line - 1]:.6g}, up to {self.edges[line]:.6g}"

    def _level_name(self, code: int) -> str:
        if code < len(self.levels):
            return self.levels[code]
        return "other" if self.levels else f"level {code}"


@dataclass(frozen=True, eq=False)
class PointsCard:
    """P(won) = expit(intercept + slope * points), points = sum of one line a feature.

    Parameters
    ----------
    features : tuple of CardFeature
        The most telling first; empty where the leads cannot be told apart.
    intercept, slope : float
        Log odds at 0 points, and what a point adds; the slope is not negative.
    evidence, won : int
        Leads behind the card, and how many of them were won.
    rounding_loss : float
        By how much the log loss rises because points are whole numbers (nats a lead, on the training leads).

    Examples
    --------
    >>> visits = CardFeature("visits", 0, np.array([2.0]), (), (), (0, 3), missing=1, other=0)
    >>> card = PointsCard((visits,), intercept=-2.0, slope=0.5, evidence=100, won=20, rounding_loss=0.0)
    >>> leads = Encoded(np.array([[1.0], [7.0], [np.nan]]), np.empty((3, 0)))
    >>> card.points(leads).tolist(), card.probability(leads).round(2).tolist()
    ([0, 3, 1], [0.12, 0.38, 0.18])
    >>> card.explain(leads)[1]
    (('visits above 2', 3),)
    """

    features: tuple[CardFeature, ...]
    intercept: float
    slope: float
    evidence: int
    won: int
    rounding_loss: float

    def points(self, rows: Encoded) -> IntArray:
        """The sum of each lead's points, shape (n,)."""
        total = np.zeros(len(rows), dtype=np.int64)
        for feature in self.features:
            total += feature.points_of(rows.trees)
        return total

    def probability(self, rows: Encoded) -> FloatArray:
        """P(won), shape (n,)."""
        return self.probability_of(self.points(rows))

    def probability_of(self, points: IntArray) -> FloatArray:
        """P(won) for each sum of points."""
        p: FloatArray = expit(self.intercept + self.slope * points)
        return p

    def explain(self, rows: Encoded) -> list[tuple[tuple[str, int], ...]]:
        """For each lead its line of every feature and the points of that line, in the card's order."""
        columns = []
        for feature in self.features:
            names, points = feature.line_names(), (*feature.points, feature.missing, feature.other)
            columns.append([(names[line], points[line]) for line in feature.lines_of(rows.trees).tolist()])
        return list(zip(*columns, strict=True)) if columns else [()] * len(rows)

    def lines(self) -> list[tuple[str, int]]:
        """Every line of the card with its points."""
        found = []
        for feature in self.features:
            points = (*feature.points, feature.missing, *([feature.other] if feature.is_category else []))
            found += list(zip(feature.line_names(), points, strict=False))
        return found

    def table(self) -> list[tuple[int, float]]:
        """Every sum of points that the card can give, and P(won) for it, rising."""
        extremes = [(min(all_of), max(all_of)) for all_of in ((*f.points, f.missing, f.other) for f in self.features)]
        low, high = sum(least for least, _ in extremes), sum(most for _, most in extremes)
        sums = np.arange(low, high + 1)
        return list(zip(sums.tolist(), self.probability_of(sums).tolist(), strict=True))

    def to_dict(self) -> dict[str, Any]:
        """The card as JSON values."""
        numbers = {"intercept": self.intercept, "slope": self.slope, "rounding_loss": self.rounding_loss}
        return {"features": [feature.to_dict() for feature in self.features], **numbers, "evidence": self.evidence, "won": self.won}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PointsCard:
        """The card that `to_dict` wrote."""
        features = tuple(CardFeature.from_dict(feature) for feature in data["features"])
        counts = (int(data["evidence"]), int(data["won"]))
        return cls(features, float(data["intercept"]), float(data["slope"]), *counts, float(data["rounding_loss"]))
