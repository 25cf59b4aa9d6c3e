"""A fair share of what channels sold together: the Shapley value over the sets of channels that contacts met."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from measurement.arrays import FloatArray, summed
from measurement.attribution import Credit
from measurement.touch_paths import Paths

Game: TypeAlias = Literal["sales", "rate"]

EXACT_UP_TO = 14
"""Channels up to which every set of channels is looked at; with more, orders are drawn at random."""


@dataclass(frozen=True)
class Sampling:
    """How orders of channels are drawn where there are too many sets: `orders` of them, each with its reverse, from `rng`."""

    rng: np.random.Generator
    orders: int = 2_000
    exact_up_to: int = EXACT_UP_TO


def shapley(paths: Paths, *, game: Game = "sales", sampling: Sampling | None = None) -> Credit:
    r"""Each channel's Shapley value; together they are all that was sold.

    What a set S of channels earns alone, v(S), is in the game of ``sales`` what paths sold that met no other channel. Then the Shapley
    value has a closed form, for any number of channels: each path's sales in equal parts to the channels that it met. In the game of
    ``rate``, v(S) is the share of such paths that ended in a sale, scaled so that all channels together earn all sales: a channel that
    many meet without buying gets less, and may get less than nothing. It is exact up to `EXACT_UP_TO` channels, and an average over
    random orders above.

    Parameters
    ----------
    paths : Paths
    game : {"sales", "rate"}
    sampling : Sampling, optional
        Needed for ``rate`` with many channels.

    Raises
    ------
    ValueError
        Too many channels for an exact answer, and no sampling.

    References
    ----------
    Lloyd Shapley. "A value for n-person games.", 1953. Kaifeng Zhao, Seyed Hanif Mahboobi and Saeed Bagheri. "Shapley Value Methods for
    Attribution Modeling in Online Advertising.", 2018 (the closed form).

    Examples
    --------
    >>> shapley(Paths.of([["a", "b", "a"], ["b"]], [4, 1])).conversions.tolist()
    [2.0, 3.0]
    """
    channel, path = paths.sets
    if game == "sales":
        part = 1.0 / np.bincount(path)[path]
        sums = [summed(channel, part * sold[path], len(paths.channels)) for sold in (paths.conversions, paths.value)]
        return Credit(paths.channels, *sums)
    if game != "rate":
        raise ValueError(f"game: got {game!r}, expected sales or rate")
    exact = len(paths.channels) <= (EXACT_UP_TO if sampling is None else sampling.exact_up_to)
    if not exact and sampling is None:
        raise ValueError(f"channels: got {len(paths.channels)}, expected up to {EXACT_UP_TO} for an exact answer, or `sampling`")
    sold = np.column_stack([paths.conversions, paths.value])
    values = _exact(paths, sold) if exact or sampling is None else _sampled(paths, sold, sampling)
    return Credit(paths.channels, values[:, 0], values[:, 1])


def _rate(sold: FloatArray, number: FloatArray, whole: float) -> FloatArray:
    """What sets earn, shape (n_sets, n_kinds): their rate, as if all paths were theirs."""
    return np.where(number > 0, sold / np.where(number > 0, number, 1.0), 0.0) * whole


def _exact(paths: Paths, sold: FloatArray) -> FloatArray:
    """Over all 2 ** n_channels sets."""
    channels = len(paths.channels)
    channel, path = paths.sets
    mask = np.bincount(path, weights=np.exp2(channel)).astype(np.int64)
    sums = [summed(mask, one, 1 << channels) for one in (paths.conversions + paths.nulls, *sold.T)]
    sets = np.arange(1 << channels)
    for bit in range(channels):  # sums over subsets, one channel at a time
        holding = sets[(sets >> bit) & 1 == 1]
        for one in sums:
            one[holding] += one[holding ^ (1 << bit)]
    number = sums[0][:, np.newaxis]
    worth = _rate(np.column_stack(sums[1:]), number, float(number[-1, 0]))
    size = np.array([int(one).bit_count() for one in sets])
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, channels + 1)))])
    values = np.zeros((channels, worth.shape[1]))
    for bit in range(channels):
        without = sets[(sets >> bit) & 1 == 0]
        weight = np.exp(log_factorial[size[without]] + log_factorial[channels - 1 - size[without]] - log_factorial[channels])
        values[bit] = weight @ (worth[without | (1 << bit)] - worth[without])
    return values


def _sampled(paths: Paths, sold: FloatArray, sampling: Sampling) -> FloatArray:
    """Over random orders in which the channels come in: a path counts once the last of its channels is there."""
    channels = len(paths.channels)
    channel, path = paths.sets
    first = np.flatnonzero(np.diff(path, prepend=-1))
    number = paths.conversions + paths.nulls
    values = np.zeros((channels, sold.shape[1]))
    for _ in range(sampling.orders):
        order = sampling.rng.permutation(channels)
        for one in (order, order[::-1]):
            place = np.empty(channels, dtype=np.int64)
            place[one] = np.arange(channels)
            complete = np.maximum.reduceat(place[channel], first)
            there = np.cumsum(summed(complete, number, channels))[:, np.newaxis]
            earned = np.cumsum(np.column_stack([summed(complete, kind, channels) for kind in sold.T]), axis=0)
            worth = _rate(earned, there, float(number.sum()))
            values[one] += np.diff(worth, axis=0, prepend=0.0)
    return values / (2.0 * sampling.orders)
