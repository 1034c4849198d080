"""How a model agrees with people: the FER+ raters as its judges and as its rivals.

A label is one opinion; ten people were asked about each image. Leaving one of them out, the
others' favourite is a target that the one left out and the model can both be held against.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.evaluation.significance import bootstrap_ratio

_RATER, _MODEL, _CONSTANT, _VOTES = range(4)


def human_agreement(
    counts: NDArray[np.float32], labels: NDArray[np.int64], probabilities: NDArray[np.float32]
) -> dict[str, Any] | None:
    """Return the agreement of model and raters as plain values; None where fewer than two people voted on every image.

    * ``cross_entropy``: of the answers to the distribution of votes, in nats; the votes' own
      ``entropy`` is the least that is possible.
    * ``rater_accuracy``, ``model_accuracy``, ``constant_accuracy``: share of left-out votes that
      hit the favourite of the remaining raters, by the rater, the model, and whoever always
      says the commonest expression. Ties count in part.
    * ``level``: where the model stands between the constant answer (0) and one rater (1), with
      a bootstrap interval.
    * ``rater_label_accuracy``, ``model_label_accuracy``: the same against the label of the data set.

    Args:
        counts: (N, K) votes, the seven expressions first; other answers are left out, because
            the model cannot give them.
        labels: (N,) the data set's labels.
        probabilities: (N, 7) answers.
    """
    votes = counts[:, : len(EMOTIONS)].astype(np.float64)
    kept = votes.sum(1) >= 2
    if not kept.any():
        return None
    votes, labels, answers = votes[kept], labels[kept], probabilities[kept].astype(np.float64)
    rows = np.arange(len(votes))
    predicted = answers.argmax(1)
    totals = votes.sum(1)
    parts = _left_out(votes, predicted)
    sums = parts.sum(0)
    shares = votes / totals[:, None]
    log_shares = np.log(np.where(shares > 0, shares, 1))
    return {
        "n": int(kept.sum()),
        "cross_entropy": float(-(shares * np.log(np.clip(answers, 1e-12, None))).sum(1).mean()),
        "entropy": float(-(shares * log_shares).sum(1).mean()),
        "rater_accuracy": float(sums[_RATER] / sums[_VOTES]),
        "model_accuracy": float(sums[_MODEL] / sums[_VOTES]),
        "constant_accuracy": float(sums[_CONSTANT] / sums[_VOTES]),
        "level": _level(sums),
        "level_ci": list(bootstrap_ratio(parts, _level)),
        "rater_label_accuracy": float(votes[rows, labels].sum() / totals.sum()),
        "model_label_accuracy": float((predicted == labels).mean()),
    }


def _left_out(votes: NDArray[np.float64], predicted: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (N, 4): hits of raters, model and constant answer over all left-out votes of an image, and the votes.

    Votes of identical images were averaged, so a count may be a fraction; at most one vote is left out.
    """
    rows = np.arange(len(votes))
    constant = int(votes.sum(0).argmax())
    parts = np.zeros((len(votes), 4))
    for k in range(votes.shape[1]):
        others = votes.copy()
        others[:, k] -= np.minimum(1, votes[:, k])
        favourite = others == others.max(1, keepdims=True)
        weight = votes[:, k] / favourite.sum(1)
        parts[:, _RATER] += weight * favourite[:, k]
        parts[:, _MODEL] += weight * favourite[rows, predicted]
        parts[:, _CONSTANT] += weight * favourite[:, constant]
        parts[:, _VOTES] += votes[:, k]
    return parts


def _level(sums: NDArray[np.float64]) -> float:
    """Return where the model stands between the constant answer (0) and one rater (1)."""
    room = sums[_RATER] - sums[_CONSTANT]
    return float((sums[_MODEL] - sums[_CONSTANT]) / room) if room > 0 else 0.0
