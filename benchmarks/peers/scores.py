"""Numbers of a row from raw turns, and ratios of two rows.

Times are compared with Mien's of the same round, because load on the machine affects both. A ratio is
the median of the ratios of all rounds.
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
"""Numbers that are compared per round."""


def answers(turns: Sequence[dict[str, Any]], part: str) -> NDArray[np.int64]:
    """Return the predicted class of each image, -1 if no face was found, concatenated over the rounds.

    Args:
        turns: turns of one peer, in the order of the rounds.
        part: ``crops`` or ``canvases``.
    """
    rows = [row for turn in turns for row in turn[part]["scores"]]
    return np.array([-1 if row is None else int(np.argmax(row)) for row in rows], np.int64)


def truth(turns: Sequence[dict[str, Any]], part: str, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the labels that match ``answers``; a round may have run only its first images with detection.

    Args:
        turns: turns of one peer, in the order of the rounds.
        part: ``crops`` or ``canvases``.
        labels: (N,) int64, the truth of all images.
    """
    counts = [len(turn["crops"]["ms"]) for turn in turns]
    starts = np.cumsum([0, *counts[:-1]])
    return np.concatenate([labels[start : start + len(turn[part]["ms"])] for start, turn in zip(starts, turns, strict=True)])


def numbers(turns: Sequence[dict[str, Any]], labels: NDArray[np.int64], size_mb: float) -> dict[str, Any]:
    """Return the numbers of a peer's row as plain values; None if not measured.

    Args:
        turns: its turns, one per round.
        labels: (N,) int64, the truth of the images; -1 if unknown.
        size_mb: size of its installation.
    """
    loop = answers(turns, "canvases")
    clips = [row for turn in turns for clip in turn["clips"].values() for row in clip["scores"]]
    memory = [turn["memory_mb"] for turn in turns if turn["memory_mb"] is not None]
    return {
        **agreement(turns, labels),
        "detection_rate": float((loop >= 0).mean()),
        "clip_detection_rate": sum(row is not None for row in clips) / len(clips),
        **{name: float(np.median(values)) for name, values in times(turns).items()},
        "size_mb": size_mb,
        "memory_mb": max(memory, default=None),
    }


def agreement(turns: Sequence[dict[str, Any]], labels: NDArray[np.int64]) -> dict[str, Any]:
    """Return a peer's accuracy against a truth, on crops and with detection.

    Args:
        turns: its turns, one per round.
        labels: (N,) int64, the truth of the images; -1 if unknown.
    """
    known, loop_labels = labels >= 0, truth(turns, "canvases", labels)
    direct, loop = answers(turns, "crops")[known], answers(turns, "canvases")[loop_labels >= 0]
    probabilities = np.array([row for turn in turns for row in turn["crops"]["scores"]], np.float64)[known]
    labels, loop_labels = labels[known], loop_labels[loop_labels >= 0]
    return {
        "n": len(labels),
        "accuracy": metrics.accuracy(labels, direct),
        "accuracy_ci": list(metrics.wilson_interval(int((direct == labels).sum()), len(labels))),
        "macro_f1": metrics.macro_f1(metrics.confusion_matrix(labels, direct, len(EMOTIONS))),
        "ece": metrics.expected_calibration_error(probabilities, labels),
        "loop_n": len(loop),
        "loop_accuracy": metrics.accuracy(loop_labels, loop),
        "loop_accuracy_ci": list(metrics.wilson_interval(int((loop == loop_labels).sum()), len(loop))),
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
    """Compare a peer with Mien: a ratio above 1 means more, a difference below 0 means worse.

    Args:
        turns: turns of the peer.
        ours: turns of Mien in the same rounds.
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
        judged = truth(turns, part, labels)
        right, our_right = ((answers(who, part) == judged)[judged >= 0] for who in (turns, ours))
        low, high = bootstrap_difference(right, our_right)
        result[name] = {"difference": row[name] - our_row[name], "ci": [low, high]}
    return result
