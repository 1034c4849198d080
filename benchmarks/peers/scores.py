"""From raw turns to the numbers of a row, and from two rows to their ratio.

Times of a round stand beside Mien's of the same round, since a busy moment of the machine hits both: a
ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien import metrics
from mien.emotions import EMOTIONS
from mien.evaluation.significance import bootstrap_difference

TIMES: Final = ("face_ms", "frame_ms", "frame_p95_ms", "picture_ms", "first_result_s")
"""Numbers of every round that are compared round by round."""


def answers(turns: Sequence[dict[str, Any]], part: str) -> NDArray[np.int64]:
    """Return the class answered for each image, -1 where no face was found, the rounds one after the other.

    Args:
        turns: of one peer, in the order of the rounds.
        part: ``crops`` or ``canvases``.
    """
    rows = [row for turn in turns for row in turn[part]["scores"]]
    return np.array([-1 if row is None else int(np.argmax(row)) for row in rows], np.int64)


def truth(turns: Sequence[dict[str, Any]], part: str, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the labels that belong to ``answers``: of canvases a round may have had only the first of its images.

    Args:
        turns: of one peer, in the order of the rounds.
        part: ``crops`` or ``canvases``.
        labels: (N,) int64, the truth of all images.
    """
    counts = [len(turn["crops"]["ms"]) for turn in turns]
    starts = np.cumsum([0, *counts[:-1]])
    return np.concatenate([labels[start : start + len(turn[part]["ms"])] for start, turn in zip(starts, turns, strict=True)])


def numbers(turns: Sequence[dict[str, Any]], labels: NDArray[np.int64], size_mb: float) -> dict[str, Any]:
    """Return every number of a peer's row as plain values; None where it was not measured.

    Args:
        turns: what it did, one entry a round.
        labels: (N,) int64, the truth of the images.
        size_mb: of its install.
    """
    direct, loop, loop_labels = answers(turns, "crops"), answers(turns, "canvases"), truth(turns, "canvases", labels)
    probabilities = np.array([row for turn in turns for row in turn["crops"]["scores"]], np.float64)
    matrix = metrics.confusion_matrix(labels, direct, len(EMOTIONS))
    clips = [row for turn in turns for clip in turn["clips"].values() for row in clip["scores"]]
    memory = [turn["memory_mb"] for turn in turns if turn["memory_mb"] is not None]
    n = len(labels)
    return {
        "n": n,
        "accuracy": metrics.accuracy(labels, direct),
        "accuracy_ci": list(metrics.wilson_interval(int((direct == labels).sum()), n)),
        "macro_f1": metrics.macro_f1(matrix),
        "ece": metrics.expected_calibration_error(probabilities, labels),
        "loop_n": len(loop),
        "loop_accuracy": metrics.accuracy(loop_labels, loop),
        "loop_accuracy_ci": list(metrics.wilson_interval(int((loop == loop_labels).sum()), len(loop))),
        "detection_rate": float((loop >= 0).mean()),
        "clip_detection_rate": sum(row is not None for row in clips) / len(clips),
        **{name: float(np.median(values)) for name, values in times(turns).items()},
        "size_mb": size_mb,
        "memory_mb": max(memory, default=None),
    }


def times(turns: Sequence[dict[str, Any]]) -> dict[str, list[float]]:
    """Return the times of each round: medians of milliseconds, the 95th percentile, seconds to the first result."""
    frames = [[ms for clip in turn["clips"].values() for ms in clip["ms"]] for turn in turns]
    return {
        "face_ms": [float(np.median(turn["crops"]["ms"])) for turn in turns],
        "frame_ms": [float(np.median(values)) for values in frames],
        "frame_p95_ms": [float(np.percentile(values, 95)) for values in frames],
        "picture_ms": [float(np.median(turn["canvases"]["ms"])) for turn in turns],
        "first_result_s": [turn["first_result_s"] for turn in turns],
    }


def against(
    turns: Sequence[dict[str, Any]],
    ours: Sequence[dict[str, Any]],
    labels: NDArray[np.int64],
    row: dict[str, Any],
    our_row: dict[str, Any],
) -> dict[str, Any]:
    """Return how a peer stands against Mien: above 1 in a ratio it takes more, below 0 in a difference it is worse.

    Args:
        turns: of the peer.
        ours: of Mien, the same rounds.
        labels: (N,) int64, the truth.
        row: the peer's numbers.
        our_row: Mien's numbers.
    """
    result: dict[str, Any] = {}
    mine, theirs = times(ours), times(turns)
    for name in TIMES:
        ratios = [theirs[name][k] / mine[name][k] for k in range(len(turns))]
        result[name] = {"ratio": float(np.median(ratios)), "least": min(ratios), "most": max(ratios)}
    for name in ("size_mb", "memory_mb"):
        if row[name] is not None and our_row[name]:
            result[name] = {"ratio": row[name] / our_row[name]}
    for name, part in (("accuracy", "crops"), ("loop_accuracy", "canvases")):
        right, our_right = (answers(who, part) == truth(who, part, labels) for who in (turns, ours))
        low, high = bootstrap_difference(right, our_right)
        result[name] = {"difference": row[name] - our_row[name], "ci": [low, high]}
    return result
