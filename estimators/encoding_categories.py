"""Categories as codes of a tree and as indicators of a linear model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

import numpy as np

from estimators.arrays import FloatArray, IntArray


@dataclass(frozen=True)
class CategoryEncoding:
    """Codes of one category column, most frequent level first.

    Code i < len(levels) is `levels[i]`; len(levels) is "other" (rare in training, or unseen); len(levels) + 1 is NULL, which goes its
    own way because it often means something.

    Parameters
    ----------
    name : str
    levels : tuple of str
        The frequent levels of training.
    shares : tuple of float
        Shares in training of the first levels: those that get an indicator in the linear matrix.
    null_share : float
        Share of NULLs in training; negative where NULL gets no indicator.
    """

    name: str
    levels: tuple[str, ...]
    shares: tuple[float, ...]
    null_share: float
    _codes: dict[str | None, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        codes: dict[str | None, int] = {level: code for code, level in enumerate(self.levels)}
        codes[None] = len(self.levels) + 1
        object.__setattr__(self, "_codes", codes)

    @classmethod
    def fit(cls, name: str, texts: Sequence[str | None], *, max_levels: int, min_count: int, max_indicators: int) -> CategoryEncoding:
        """Learn the levels that occur at least `min_count` times, at most `max_levels` of them."""
        counts = Counter(texts)
        nulls = counts.pop(None, 0)
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0] or ""))
        frequent = [(level, count) for level, count in ordered[:max_levels] if level is not None and count >= min_count]
        size = max(1, len(texts))
        shares = tuple(count / size for _, count in frequent[:max_indicators])
        null_share = nulls / size if min(nulls, len(texts) - nulls) >= min_count else -1.0
        return cls(name, tuple(level for level, _ in frequent), shares, null_share)

    @property
    def width(self) -> int:
        """The number of its columns in the linear matrix."""
        return len(self.shares) + (self.null_share >= 0)

    def linear_names(self) -> list[str]:
        """The names of its columns in the linear matrix."""
        names = [f"{self.name} = {level}" for level in self.levels[: len(self.shares)]]
        return names + ([f"{self.name} is missing"] if self.null_share >= 0 else [])

    def codes(self, texts: Sequence[str | None]) -> IntArray:
        """The code of each text, shape (n,)."""
        other, known = len(self.levels), self._codes
        return np.fromiter(map(known.get, texts, repeat(other)), dtype=np.int64, count=len(texts))

    @property
    def known(self) -> Mapping[str | None, int]:
        """The code of each level and of NULL; any other text is `len(levels)`."""
        return self._codes

    def indicators(self, codes: IntArray) -> FloatArray:
        """Twice the centred indicators of the frequent levels and of NULL, shape (n, width)."""
        shares = np.array([*self.shares, *([self.null_share] if self.null_share >= 0 else [])])
        columns = np.arange(len(shares))
        if self.null_share >= 0:
            columns[-1] = len(self.levels) + 1
        hit: FloatArray = (codes[:, None] == columns).astype(np.float64)
        return np.asarray(2.0 * (hit - shares))

    def to_dict(self) -> dict[str, Any]:
        """The encoding as JSON values."""
        return {"name": self.name, "levels": list(self.levels), "shares": list(self.shares), "null_share": self.null_share}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CategoryEncoding:
        """The encoding that `to_dict` wrote."""
        return cls(data["name"], tuple(data["levels"]), tuple(data["shares"]), data["null_share"])
