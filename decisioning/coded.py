"""A text a row where few differ: numbers, and what they mean. A million rows then take a few bytes each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from decisioning.vocabulary import IntArray, TextArray


@dataclass(frozen=True, eq=False)
class Coded:
    """Texts as numbers.

    Parameters
    ----------
    codes : array of int, shape (n,)
        The place of each row's text among `texts`; -1 is the last.
    texts : sequence of str or None

    Examples
    --------
    >>> groups = Coded(np.array([0, 1, 0], dtype=np.int8), ("holdout", "nudge"))
    >>> groups[1], groups[1:].tolist(), groups.counts()
    ('nudge', ['nudge', 'holdout'], Counter({'holdout': 2, 'nudge': 1}))
    """

    codes: IntArray
    texts: Sequence[str | None]

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, rows: int) -> str | None: ...

    @overload
    def __getitem__(self, rows: slice | np.ndarray) -> Coded: ...

    def __getitem__(self, rows: Any) -> str | Coded | None:
        found = self.codes[rows]
        return Coded(found, self.texts) if isinstance(found, np.ndarray) else self.texts[int(found)]

    def __iter__(self) -> Iterator[str | None]:
        return (self.texts[code] for code in self.codes.tolist())

    def tolist(self) -> list[Any]:
        """A text a row."""
        return list(np.asarray(self).tolist())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> TextArray:
        return np.array([*self.texts], dtype=object)[self.codes] if len(self.codes) else np.zeros(0, dtype=object)

    def counts(self) -> Counter[str | None]:
        """How many rows have each text."""
        times = np.bincount(self.codes % len(self.texts), minlength=len(self.texts)).tolist() if len(self.codes) else []
        return Counter({text: count for text, count in zip(self.texts, times, strict=False) if count})


class Words:
    """Texts and their numbers, in the order in which they first came; the first is the empty one."""

    def __init__(self, texts: Sequence[str] = ("",)) -> None:
        self._code_of = {text: code for code, text in enumerate(texts)}

    def code(self, text: str) -> int:
        """The number of a text, new or known."""
        return self._code_of.setdefault(text, len(self._code_of))

    @property
    def texts(self) -> tuple[str, ...]:
        """All texts, each at the place of its number."""
        return tuple(self._code_of)
