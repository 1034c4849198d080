"""Agreement of a model with the FER+ raters, compared with that of a single rater.

Ten raters voted on each image. Leaving one vote out, the most frequent of the others is a target for
both the left-out rater and the model.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien import metrics
from mien.emotions import EMOTIONS
from mien.evaluation.significance import bootstrap_ratio

_RATER, _MODEL, _CONSTANT, _VOTES = range(4)


def human_agreement(counts: NDArray[np.float32], probabilities: NDArray[np.float32]) -> dict[str, Any] | None:
    """Return the agreement of model and raters as a JSON-compatible dict; None if no image has two votes.

    * ``cross_entropy``: of the predictions to the distribution of votes, in nats; its lower bound is
      the ``entropy`` of the votes.
    * ``rater_accuracy``, ``model_accuracy``, ``constant_accuracy``: share of left-out votes for which
      the rater, the model, or a constant prediction of the most frequent class equals the mode of the
      remaining votes. Ties count in part.
    * ``level``: position of the model between the constant prediction (0) and one rater (1), with
      a bootstrap interval in ``level_ci``.
    * ``one_rater``: probability that a single rater agrees with the majority, on images with a majority
      for one of the seven classes.

    Args:
        counts: (N, K) votes, the seven expressions first; other columns are ignored, because
            the model cannot predict them.
        probabilities: (N, 7) predictions.
    """
    votes = counts[:, : len(EMOTIONS)].astype(np.float64)
    kept = votes.sum(1) >= 2
    if not kept.any():
        return None
    votes, predictions = votes[kept], probabilities[kept].astype(np.float64)
    predicted = predictions.argmax(1)
    totals = votes.sum(1)
    parts = _left_out(votes, predicted)
    sums = parts.sum(0)
    shares = votes / totals[:, None]
    log_shares = np.log(np.where(shares > 0, shares, 1))
    return {
        "n": int(kept.sum()),
        "cross_entropy": float(-(shares * np.log(np.clip(predictions, 1e-12, None))).sum(1).mean()),
        "entropy": float(-(shares * log_shares).sum(1).mean()),
        "rater_accuracy": float(sums[_RATER] / sums[_VOTES]),
        "model_accuracy": float(sums[_MODEL] / sums[_VOTES]),
        "constant_accuracy": float(sums[_CONSTANT] / sums[_VOTES]),
        "level": _level(sums),
        "level_ci": list(bootstrap_ratio(parts, _level)),
        "one_rater": _one_rater(counts.astype(np.float64)),
    }


def ferplus_accuracy(counts: NDArray[np.float32], probabilities: NDArray[np.float32]) -> dict[str, Any]:
    """Return accuracy by the protocol of FER+ (Barsoum et al. 2016, "majority voting"), with its Wilson interval.

    Classes with a single vote are discarded. An image is scored if more than half of the remaining votes are for one of
    eight expressions; contempt is one of them and always an error for a model of seven.

    Args:
        counts: (N, 10) votes: the seven expressions, contempt, unknown, not a face.
        probabilities: (N, 7) predictions.

    Returns:
        ``n`` images, ``accuracy``, 0 to 1, and ``accuracy_ci``.
    """
    kept = np.where(counts > 1, counts, 0).astype(np.float64)
    eight = kept[:, : len(EMOTIONS) + 1]
    scored = eight.max(1) > 0.5 * np.maximum(kept.sum(1), 1)
    correct = int((probabilities.argmax(1) == eight.argmax(1))[scored].sum())
    n = int(scored.sum())
    return {"n": n, "accuracy": correct / n if n else 0.0, "accuracy_ci": list(metrics.wilson_interval(correct, n))}


def _one_rater(counts: NDArray[np.float64]) -> float | None:
    """Return how often one rater agrees with the majority; None if no image has a majority."""
    agreed = counts[:, : len(EMOTIONS)].max(1) > 0.5 * np.maximum(counts.sum(1), 1)
    clear = counts[agreed]
    if not len(clear):
        return None
    winner = clear.argmax(1)
    return float(clear[np.arange(len(clear)), winner].sum() / clear.sum())


def _left_out(votes: NDArray[np.float64], predicted: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (N, 4) hits of raters, model and constant prediction over all left-out votes of an image, and its votes.

    Votes of identical images are averaged, so counts may be fractions; at most one vote is left out.
    """
    rows = np.arange(len(votes))
    constant = int(votes.sum(0).argmax())
    parts = np.zeros((len(votes), 4))
    for k in range(votes.shape[1]):
        others = votes.copy()
        others[:, k] -= np.minimum(1, votes[:, k])
        modes = others == others.max(1, keepdims=True)
        weight = votes[:, k] / modes.sum(1)
        parts[:, _RATER] += weight * modes[:, k]
        parts[:, _MODEL] += weight * modes[rows, predicted]
        parts[:, _CONSTANT] += weight * modes[:, constant]
        parts[:, _VOTES] += votes[:, k]
    return parts


def _level(sums: NDArray[np.float64]) -> float:
    """Return the position of the model between the constant prediction (0) and one rater (1)."""
    span = sums[_RATER] - sums[_CONSTANT]
    return float((sums[_MODEL] - sums[_CONSTANT]) / span) if span > 0 else 0.0
