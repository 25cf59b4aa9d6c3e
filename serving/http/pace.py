"""How long a batch takes: a fixed part, which a slow disk makes long, and a part for each request.

A mean per request would not do: where the disk takes its time every request of a small batch looks dear, so a crowd looks hopeless and is
refused, batches become smaller, and each request of them looks dearer still.
"""

from __future__ import annotations

from dataclasses import dataclass

_REMEMBERED = 0.9  # of what was noted, at each batch more: some ten batches count


@dataclass
class Pace:
    """A line through the sizes and seconds of the latest batches, by least squares with fading weights; neither part is below zero.

    Batches of one size do not tell the parts apart: then all of it goes with the requests.

    Examples
    --------
    >>> pace = Pace()
    >>> for size, seconds in [(1, 0.102), (8, 0.116), (16, 0.132)]:
    ...     pace.note(size, seconds)
    >>> round(pace.seconds(16), 3), round(pace.seconds(64, batches=2), 3)
    (0.132, 0.328)
    """

    _batches: float = 0.0
    _requests: float = 0.0
    _seconds: float = 0.0
    _squares: float = 0.0
    _products: float = 0.0

    def note(self, size: int, seconds: float) -> None:
        """A batch of so many requests took so long."""
        self._batches = _REMEMBERED * self._batches + 1.0
        self._requests = _REMEMBERED * self._requests + size
        self._seconds = _REMEMBERED * self._seconds + seconds
        self._squares = _REMEMBERED * self._squares + size * size
        self._products = _REMEMBERED * self._products + size * seconds

    def seconds(self, requests: int, batches: int = 1) -> float:
        """What so many requests in so many batches take; 0 before anything was noted."""
        if not self._requests:
            return 0.0
        each = self._each()
        fixed = (self._seconds - each * self._requests) / self._batches
        return batches * fixed + requests * each

    def _each(self) -> float:
        mean = self._seconds / self._requests
        spread = self._batches * self._squares - self._requests**2
        if spread <= 1e-9 * self._requests**2:
            return mean
        slope = (self._batches * self._products - self._requests * self._seconds) / spread
        return min(max(slope, 0.0), mean)
