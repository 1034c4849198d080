"""Charts of the evaluation report, and contact sheets of faces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.charts import chart
from mien.drawing import WHITE, Canvas, Rgb
from mien.emotions import COLOURS, EMOTIONS
from mien.files import atomic_path
from mien.words import exact_percent

_BLUE: Final = "#0072B2"
_RED: Final = "#C2410C"
_GREY: Final = "#9AA5B1"


def draw_reliability(target: Path, bins: Sequence[Mapping[str, Any]], ece: float, floor: float) -> None:
    """Draw accuracy over confidence, one point per equal-mass bin, with Wilson intervals."""
    confidence = np.array([b["confidence"] for b in bins])
    accuracy = np.array([b["accuracy"] for b in bins])
    reach = np.abs(np.array([[b["low"] for b in bins], [b["high"] for b in bins]]) - accuracy)
    with chart(target, 6.4, 5.6) as figure:
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=_GREY, linestyle="--", label="perfect calibration")
        axes.errorbar(confidence, accuracy, reach, fmt="o", color=_BLUE, capsize=2, label="this model (95% intervals)")
        axes.set(
            xlim=(0, 1), ylim=(0, 1), xlabel="mean confidence of the bin", ylabel="accuracy",
            title=f"Calibration error {exact_percent(ece)} ({exact_percent(floor)} expected by chance)",
        )  # fmt: skip
        axes.legend(frameon=False, loc="upper left")


def draw_risk_coverage(
    target: Path,
    curve: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    selective: Mapping[str, Any],
) -> None:
    """Draw the error rate over coverage, and the chosen threshold."""
    _, coverage, risk = curve
    enough = coverage >= min(0.02, coverage[-1])  # the first few predictions are noise
    with chart(target, 6.4, 3.8) as figure:
        axes = figure.add_subplot()
        axes.plot(100 * coverage[enough], 100 * risk[enough], color=_BLUE)
        accepted = 100 * selective["accepted_error"]
        axes.axhline(accepted, color=_GREY, linestyle="--")
        axes.annotate(
            f"limit for thresholds: {accepted:.0f}%", (1, accepted), textcoords="offset points", xytext=(0, 4), fontsize=9
        )
        at = selective["at_threshold"]
        if 0 < selective["threshold"] < 1:
            axes.plot([100 * at["coverage"]], [100 * at["error"]], "o", color=_RED)
            axes.annotate(
                f"threshold {selective['threshold']:.2f}:\n"
                f"coverage {exact_percent(at['coverage'], 0)}, error {exact_percent(at['error'], 0)}",
                (100 * at["coverage"], 100 * at["error"]),
                textcoords="offset points", xytext=(-10, 14), ha="right", color=_RED,
            )  # fmt: skip
        axes.set(xlim=(0, 100), ylim=(0, max(axes.get_ylim()[1], 1.2 * accepted)), xlabel="coverage, %", ylabel="error, %",
                 title="Risk and coverage")  # fmt: skip


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
        target: the file to write.
        rows: name, accuracy, and interval or None.
    """
    with chart(target, 6.4, 0.9 + 0.45 * len(rows)) as figure:
        axes = figure.add_subplot()
        for k, (_, value, interval) in enumerate(rows):
            reach = [[100 * (value - interval[0])], [100 * (interval[1] - value)]] if interval else None
            axes.errorbar([100 * value], [-k], xerr=reach, fmt="o", color=_BLUE, capsize=3)
            axes.annotate(
                exact_percent(value), (100 * value, -k), textcoords="offset points", xytext=(0, 7), ha="center", fontsize=9
            )
        axes.set_yticks([-k for k in range(len(rows))], [name.replace(", ", ",\n") for name, _, _ in rows])
        axes.set(ylim=(-len(rows) + 0.4, 0.8), xlabel="accuracy, % (95% Wilson interval)")


def draw_quality(target: Path, quality: Mapping[str, Sequence[Mapping[str, Any]]], accuracy: float) -> bool:
    """Draw accuracy by quintiles of each measure of image quality; return False if there is nothing to draw."""
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
    """Return a short text of a number."""
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
            axes.set_title(f"{name.replace('_', ' ')}: {exact_percent(row['mean_relative'], 0)}", fontsize=10)
            axes.set(ylim=(0, 105), xlim=(0, 5))
        for axes in grid[-columns:]:
            axes.set_xlabel("severity")
        for axes in grid[::columns]:
            axes.set_ylabel("relative accuracy, %")


def draw_mean_maps(target: Path, maps: Mapping[str, NDArray[np.float32]]) -> None:
    """Draw the mean evidence (48, 48), 0 to 1, of each class side by side."""
    with chart(target, 1.5 * len(EMOTIONS), 1.75) as figure:
        grid = figure.subplots(1, len(EMOTIONS), squeeze=False).ravel()
        for axes, name in zip(grid, EMOTIONS, strict=True):
            axes.set_title(name, fontsize=9, color=COLOURS[name] if name != "neutral" else "#5b6675")
            axes.set_axis_off()
            if name in maps:
                axes.imshow(maps[name], cmap="inferno", vmin=0)


def draw_confusion(target: Path, matrix: NDArray[np.int64], title: str) -> None:
    """Write a (7, 7) confusion matrix to ``target``: shaded by share of the row, with counts."""
    rows = matrix.sum(1, keepdims=True)
    shares = np.divide(matrix, rows, out=np.zeros(matrix.shape), where=rows > 0)
    with chart(target, 7.4, 6.4) as figure:
        axes = figure.add_subplot()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set_title(title)
        axes.set_xticks(range(len(EMOTIONS)), EMOTIONS, rotation=30, ha="right")
        axes.set_yticks(range(len(EMOTIONS)), [f"{name} ({int(n)})" for name, n in zip(EMOTIONS, rows[:, 0], strict=True)])
        axes.set_xlabel("predicted")
        axes.set_ylabel("true (images)")
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        for i, j in np.ndindex(*matrix.shape):
            ink = "white" if shares[i, j] > 0.55 else "#223"
            axes.text(j, i, f"{exact_percent(shares[i, j], 0)}\n{matrix[i, j]}", ha="center", va="center", color=ink, fontsize=8)


_INK: Final[Rgb] = (28, 32, 38)
_SOFT: Final[Rgb] = (110, 118, 130)
_HIGH: Final = 96
_GAP: Final = 14
_LINE: Final = 14


def draw_contact_sheet(
    target: Path, title: str, pictures: Sequence[NDArray[np.uint8]], captions: Sequence[Sequence[str]], columns: int
) -> None:
    """Write a PNG with a grid of captioned pictures.

    Args:
        target: the file to write.
        title: title above the grid.
        pictures: greyscale (H, W) or BGR (H, W, 3) uint8, all of one size.
        captions: lines of text for each picture; the first is darkest.
        columns: pictures per row.
    """
    if not pictures:
        return
    wide = max(round(_HIGH * pictures[0].shape[1] / pictures[0].shape[0]), 104)
    lines = max(len(caption) for caption in captions)
    cell_w, cell_h = wide + _GAP, _HIGH + lines * _LINE + _GAP
    rows = -(-len(pictures) // columns)
    width, height = columns * cell_w + _GAP, rows * cell_h + 44
    page = Canvas(2 * width, 2 * height, 2.0, WHITE)
    page.text(_GAP, 12, page.elided(title, 16, width - 2 * _GAP), 16, _INK)
    for k, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        x, y = _GAP + k % columns * cell_w, 40 + k // columns * cell_h
        shape = (2 * round(_HIGH * picture.shape[1] / picture.shape[0]), 2 * _HIGH)
        large = cv2.resize(picture, shape, interpolation=cv2.INTER_CUBIC)
        colour = cv2.cvtColor(large, cv2.COLOR_GRAY2RGB if large.ndim == 2 else cv2.COLOR_BGR2RGB)
        page.image[2 * y : 2 * y + shape[1], 2 * x : 2 * x + shape[0]] = colour
        for n, line in enumerate(caption):
            page.text(x, y + _HIGH + 2 + n * _LINE, page.elided(line, 10.5, wide + 8), 10.5, _SOFT if n else _INK)
    with atomic_path(target) as temporary:
        Image.fromarray(page.image).resize((width, height), Image.Resampling.BOX).save(temporary, format="PNG")
