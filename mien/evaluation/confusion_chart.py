"""The confusion matrix as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.charts import chart
from mien.emotions import EMOTIONS


def draw_confusion(target: Path, matrix: NDArray[np.int64], title: str) -> None:
    """Write a (7, 7) confusion matrix to ``target``: shade by share of the row, counts inside."""
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
            axes.text(j, i, f"{shares[i, j]:.0%}\n{matrix[i, j]}", ha="center", va="center", color=ink, fontsize=8)
