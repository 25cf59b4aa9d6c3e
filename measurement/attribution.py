"""Whose sale was it? Each channel's part of the conversions and of their money, by rules that one can follow with a pencil.

Attribution shares out what was sold; it does not say what would have been sold anyway (`lift.py` does). `attribution_markov.py` and
`attribution_shapley.py` hold the two models that look at the paths that did not end in a sale as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from measurement.arrays import FloatArray, summed
from measurement.touch_paths import Paths

HALF_LIFE = 7.0
"""After so many days (touches, where no times are known) a touch counts half, under time decay."""

ENDS = 0.4
"""What the first and the last touch each get of a sale, position-based; those between share the rest."""


@dataclass(frozen=True, eq=False)
class Credit:
    """Each channel's part, arrays of shape (n_channels,) in the order of `channels`."""

    channels: tuple[str, ...]
    conversions: FloatArray
    value: FloatArray

    def of(self, channel: str) -> tuple[float, float]:
        """Conversions and value of one channel."""
        place = self.channels.index(channel)
        return float(self.conversions[place]), float(self.value[place])


def shared(paths: Paths, share: FloatArray) -> Credit:
    """The credit where each touch gets `share` of what its path sold.

    Parameters
    ----------
    paths : Paths
    share : array, shape (n_touches,)
        Adds up to 1 over each path.
    """
    number = len(paths.channels)
    return Credit(
        paths.channels,
        summed(paths.touch, share * paths.conversions[paths.path], number),
        summed(paths.touch, share * paths.value[paths.path], number),
    )


def first_touch(paths: Paths) -> Credit:
    """All to the first touch."""
    return shared(paths, (paths.from_start == 0).astype(np.float64))


def last_touch(paths: Paths) -> Credit:
    """All to the last touch."""
    return shared(paths, (paths.to_end == 0).astype(np.float64))


def linear(paths: Paths) -> Credit:
    """The same to every touch."""
    return shared(paths, 1.0 / paths.length[paths.path])


def position_based(paths: Paths, *, ends: float = ENDS) -> Credit:
    """`ends` to the first and to the last touch, the rest evenly to those between; two touches get half each, one gets all.

    Examples
    --------
    >>> found = position_based(Paths.of([["a", "b", "c", "d"]], [1]))
    >>> [round(float(one), 3) for one in found.conversions]
    [0.4, 0.1, 0.1, 0.4]
    """
    if not 0.0 <= ends <= 0.5:
        raise ValueError(f"ends: got {ends:g}, expected a fraction of at most a half")
    length = paths.length[paths.path]
    at_end = (paths.from_start == 0) | (paths.to_end == 0)
    inner = (1.0 - 2.0 * ends) / np.maximum(length - 2, 1)
    share = np.where(at_end, ends, inner)
    return shared(paths, np.where(length <= 2, 1.0 / length, share))


def time_decay(paths: Paths, *, half_life: float = HALF_LIFE) -> Credit:
    """The later the more: a touch counts half of one that was `half_life` days (touches, where no times are known) later.

    Examples
    --------
    >>> found = time_decay(Paths.of([["a", "b"]], [3]), half_life=1.0)
    >>> [round(float(one), 6) for one in found.conversions]
    [1.0, 2.0]
    """
    if not half_life > 0:
        raise ValueError(f"half_life: got {half_life:g}, expected more than 0")
    before = paths.to_end.astype(np.float64) if paths.days_before is None else paths.days_before
    # Relative to the path's last touch: however long ago a path was, its weights do not vanish.
    nearest = np.minimum.reduceat(before, paths.start[:-1])
    weight = np.exp2(-(before - nearest[paths.path]) / half_life)
    return shared(paths, weight / np.bincount(paths.path, weights=weight)[paths.path])


RULES: Mapping[str, Callable[[Paths], Credit]] = {
    "first": first_touch,
    "last": last_touch,
    "linear": linear,
    "position_based": position_based,
    "time_decay": time_decay,
}
"""The rules by name."""
