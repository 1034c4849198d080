"""The report's pictures: calibration, selective prediction, classes, views, picture quality, robustness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.charts import chart
from mien.emotions import COLOURS, EMOTIONS

_BLUE: Final = "#0072B2"
_RED: Final = "#C2410C"
_GREY: Final = "#9AA5B1"


def draw_reliability(target: Path, bins: Sequence[Mapping[str, Any]], ece: float, floor: float) -> None:
    """Draw accuracy against confidence, a point a bin of equal mass, with Wilson intervals."""
    confidence = np.array([b["confidence"] for b in bins])
    accuracy = np.array([b["accuracy"] for b in bins])
    reach = np.abs(np.array([[b["low"] for b in bins], [b["high"] for b in bins]]) - accuracy)
    with chart(target, 6.4, 5.6) as figure:
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=_GREY, linestyle="--", label="confidence that means what it says")
        axes.errorbar(confidence, accuracy, reach, fmt="o", color=_BLUE, capsize=2, label="this model (95 % intervals)")
        axes.set(
            xlim=(0, 1), ylim=(0, 1), xlabel="mean confidence of the bin", ylabel="share that is right",
            title=f"Calibration error {ece:.1%} (chance alone makes {floor:.1%})",
        )  # fmt: skip
        axes.legend(frameon=False, loc="upper left")


def draw_risk_coverage(
    target: Path,
    curve: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    selective: Mapping[str, Any],
) -> None:
    """Draw the share of wrong answers against the share of answers given, and the chosen confidence."""
    _, coverage, risk = curve
    enough = coverage >= min(0.02, coverage[-1])  # the first few answers are noise
    with chart(target, 6.4, 3.8) as figure:
        axes = figure.add_subplot()
        axes.plot(100 * coverage[enough], 100 * risk[enough], color=_BLUE)
        axes.axhline(100 * selective["accepted_error"], color=_GREY, linestyle="--")
        at = selective["at_threshold"]
        if 0 < selective["threshold"] < 1:
            axes.plot([100 * at["coverage"]], [100 * at["error"]], "o", color=_RED)
            axes.annotate(
                f"confidence from {selective['threshold']:.2f}:\n{at['coverage']:.0%} of faces answered, {at['error']:.0%} wrong",
                (100 * at["coverage"], 100 * at["error"]),
                textcoords="offset points", xytext=(-10, 14), ha="right", color=_RED,
            )  # fmt: skip
        axes.set(xlim=(0, 100), ylim=(0, None), xlabel="answers given, the surest first, %", ylabel="of them wrong, %",
                 title="What it costs to answer less")  # fmt: skip


def draw_classes(target: Path, classes: Mapping[str, Mapping[str, Any]]) -> None:
    """Draw precision, recall and F1 by class."""
    places = np.arange(len(EMOTIONS))
    with chart(target, 7.4, 3.8) as figure:
        axes = figure.add_subplot()
        for k, (key, colour) in enumerate((("precision", _GREY), ("recall", "#56B4E9"), ("f1", _BLUE))):
            values = [classes[name][key] for name in EMOTIONS]
            axes.bar(places + 0.27 * (k - 1), values, 0.25, color=colour, label="F1" if key == "f1" else key)
        axes.set_xticks(places, [f"{name}\n{classes[name]['support']:,}" for name in EMOTIONS])
        axes.set(ylim=(0, 1.12), title="By class (number of images below)")
        axes.legend(frameon=False, ncols=3, loc="upper right")


def draw_views(target: Path, rows: Sequence[tuple[str, float, tuple[float, float] | None]]) -> None:
    """Draw the accuracy of each view with its interval.

    Args:
        target: the picture.
        rows: name, accuracy, and interval where there is one.
    """
    with chart(target, 8.4, 0.9 + 0.45 * len(rows)) as figure:
        axes = figure.add_subplot()
        for k, (_, value, interval) in enumerate(rows):
            reach = [[100 * (value - interval[0])], [100 * (interval[1] - value)]] if interval else None
            axes.errorbar([100 * value], [-k], xerr=reach, fmt="o", color=_BLUE, capsize=3)
            axes.annotate(f"{value:.1%}", (100 * value, -k), textcoords="offset points", xytext=(0, 7), ha="center", fontsize=9)
        axes.set_yticks([-k for k in range(len(rows))], [name for name, _, _ in rows])
        axes.set(ylim=(-len(rows) + 0.4, 0.8), xlabel="accuracy, % (95 % Wilson interval)")


def draw_quality(target: Path, quality: Mapping[str, Sequence[Mapping[str, Any]]], accuracy: float) -> bool:
    """Draw accuracy by fifths of each measure of picture quality; return False where there is nothing to draw."""
    shown = {name: bins for name, bins in quality.items() if len(bins) > 1}
    if not shown:
        return False
    columns = min(4, len(shown))
    rows = -(-len(shown) // columns)
    with chart(target, 2.7 * columns, 2.5 * rows) as figure:
        grid = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
        for axes in grid[len(shown) :]:
            axes.set_visible(False)
        for axes, (name, bins) in zip(grid, shown.items(), strict=False):
            values = np.array([b["accuracy"] for b in bins])
            reach = np.abs(np.array([[b["low"] for b in bins], [b["high"] for b in bins]]) - values)
            axes.axhline(100 * accuracy, color=_GREY, linestyle="--", linewidth=1)
            axes.errorbar(range(len(bins)), 100 * values, 100 * reach, fmt="o-", color=_BLUE, capsize=2)
            axes.set_xticks(range(len(bins)), [f"to {_short(b['to'])}" for b in bins], fontsize=7)
            axes.set_title(name.replace("_deg", ", degrees"), fontsize=10)
        for axes in grid[::columns]:
            axes.set_ylabel("accuracy, %")
    return True


def _short(value: float) -> str:
    """Return a number in few characters."""
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.2f}"


def draw_robustness(target: Path, found: Mapping[str, Any]) -> None:
    """Draw relative accuracy against severity for every corruption."""
    corruptions = found["corruptions"]
    columns = 4
    rows = -(-len(corruptions) // columns)
    with chart(target, 10.4, 2.2 * rows) as figure:
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for axes, (name, row) in zip(grid, corruptions.items(), strict=False):
            relative = [100, *(100 * value for value in row["relative"])]
            axes.fill_between(range(6), relative, color="#56B4E9", alpha=0.25)
            axes.plot(range(6), relative, "o-", color=_BLUE, markersize=3)
            axes.set_title(f"{name.replace('_', ' ')}: {row['mean_relative']:.0%}", fontsize=10)
            axes.set(ylim=(0, 105), xlim=(0, 5))
        for axes in grid[-columns:]:
            axes.set_xlabel("severity")
        for axes in grid[::columns]:
            axes.set_ylabel("of its accuracy, %")


def draw_mean_maps(target: Path, maps: Mapping[str, NDArray[np.float32]]) -> None:
    """Draw the mean evidence (48, 48), 0 to 1, of each class side by side."""
    with chart(target, 1.5 * len(EMOTIONS), 1.75) as figure:
        grid = figure.subplots(1, len(EMOTIONS), squeeze=False).ravel()
        for axes, name in zip(grid, EMOTIONS, strict=True):
            axes.set_title(name, fontsize=9, color=COLOURS[name] if name != "neutral" else "#5b6675")
            axes.set_axis_off()
            if name in maps:
                axes.imshow(maps[name], cmap="inferno", vmin=0)
