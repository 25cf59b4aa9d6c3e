"""The evaluation as pictures: PNG bytes, drawn without a screen and without matplotlib's global state."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from decisioning.vocabulary import FloatArray

Interval = tuple[float, float, float]
"""(low, estimate, high)."""

Band: TypeAlias = tuple[FloatArray, FloatArray, FloatArray]
"""(low, curve, high) at the same places."""

_WIDEST = 80
"""Letters of a title that fit into a line."""


def calibration_plot(y: FloatArray, p: FloatArray, *, title: str, bins: int = 15) -> bytes:
    """Predicted against observed share, in bins of equal size."""
    figure, axes = _figure(title)
    parts = np.array_split(np.argsort(p, kind="stable"), min(bins, len(p)))
    predicted, observed = (np.array([values[part].mean() for part in parts]) for values in (p, y))
    error = np.sqrt(np.array([y[part].var() / len(part) for part in parts]))
    top = float(max(predicted.max(), (observed + error).max(), 1e-6)) * 1.05
    axes.plot([0, top], [0, top], color="#bbbbbb", linewidth=1)
    axes.errorbar(predicted, observed, yerr=1.96 * error, fmt="o", markersize=4, color="#1f5fa8", ecolor="#9bb8d9")
    axes.set(xlabel="predicted", ylabel="observed", xlim=(0, top), ylim=(0, top))
    return _png(figure)


def interval_plot(rows: Mapping[str, Interval], *, title: str, axis: str) -> bytes:
    """Estimates with their intervals, one a line; zero is marked."""
    figure, axes = _figure(title, height=1.2 + 0.32 * len(rows))
    names = list(rows)[::-1]
    low, estimate, high = (np.array([rows[name][k] for name in names], dtype=float) for k in range(3))
    axes.errorbar(
        estimate, np.arange(len(names)), xerr=np.abs([estimate - low, high - estimate]), fmt="o", color="#1f5fa8", ecolor="#9bb8d9"
    )
    axes.axvline(0, color="#bbbbbb", linewidth=1)
    axes.set_yticks(np.arange(len(names)), [_as_written(name) for name in names])
    axes.set_xlabel(axis)
    return _png(figure)


def groups_plot(predicted: FloatArray, actual: Mapping[str, FloatArray], *, title: str, axis: str, groups: int = 10) -> bytes:
    """Mean of the prediction and of each series by group of the prediction, from low to high."""
    figure, axes = _figure(title)
    parts: Sequence[FloatArray] = np.array_split(np.argsort(predicted, kind="stable"), min(groups, len(predicted)))
    places = np.arange(1, len(parts) + 1)
    axes.plot(places, [predicted[part].mean() for part in parts], color="#1f5fa8", marker="o", label="predicted")
    for name, values in actual.items():
        axes.plot(places, [values[part].mean() for part in parts], marker="s", linestyle="--", label=name)
    axes.set(xlabel="group of contacts by prediction, low to high", ylabel=axis)
    axes.legend(fontsize=8, frameon=False)
    return _png(figure)


def bands_plot(x: FloatArray, bands: Mapping[str, Band], *, title: str, axes_names: tuple[str, str]) -> bytes:
    """Small panels, one a name: a curve with its band and the straight line to its end."""
    across = min(3, len(bands))
    down = -(-len(bands) // across)
    figure = Figure(figsize=(3.2 * across, 0.5 + 2.3 * down), layout="constrained")
    figure.suptitle(title, fontsize=10)
    for place, (name, (low, curve, high)) in enumerate(bands.items(), start=1):
        axes = figure.add_subplot(down, across, place)
        axes.fill_between(x, low, high, color="#9bb8d9", alpha=0.5, linewidth=0)
        axes.plot(x, curve, color="#1f5fa8", linewidth=1.3)
        axes.plot([0, 1], [0, curve[-1]], color="#bbbbbb", linewidth=1)
        axes.set_title(_as_written(name), fontsize=8)
        axes.tick_params(labelsize=6)
        axes.locator_params(nbins=4)  # each number on an axis is laid out twice
    figure.supxlabel(axes_names[0], fontsize=8)
    figure.supylabel(axes_names[1], fontsize=8)
    return _png(figure)


def segments_plot(predicted: FloatArray, measured: FloatArray, errors: FloatArray, *, title: str, axis: str) -> bytes:
    """Predicted and measured means by group, from low to high, with 95 % intervals of what was measured."""
    figure, axes = _figure(title)
    places = np.arange(1, len(predicted) + 1)
    axes.plot(places, predicted, color="#1f5fa8", marker="o", label="predicted")
    axes.errorbar(places, measured, yerr=1.96 * errors, fmt="s", color="#b3541e", ecolor="#e3b08f", label="measured")
    axes.axhline(0, color="#bbbbbb", linewidth=1)
    axes.set_xticks(places)
    axes.set(xlabel="group of contacts by prediction, low to high", ylabel=axis)
    axes.legend(fontsize=8, frameon=False)
    return _png(figure)


def shares_plot(shares: Mapping[str, float], *, title: str, axis: str) -> bytes:
    """Bars, one a name, the first on top."""
    figure, axes = _figure(title, height=1.2 + 0.26 * len(shares))
    names = list(shares)[::-1]
    axes.barh(np.arange(len(names)), [shares[name] for name in names], color="#1f5fa8")
    axes.set_yticks(np.arange(len(names)), [_as_written(name) for name in names], fontsize=7)
    axes.set_xlabel(axis)
    return _png(figure)


def _as_written(name: str) -> str:
    """The name of an action or a feature, in which a dollar begins no formula."""
    return name.replace("$", r"\$")


def _figure(title: str, height: float = 4.0) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.4, height), layout="constrained")
    axes = figure.add_subplot()
    figure.suptitle("\n".join(wrap(title, _WIDEST)), fontsize=10)  # over the whole figure: long labels leave the axes little
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()
