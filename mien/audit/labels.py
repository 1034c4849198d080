"""Label errors by confident learning on out-of-fold predictions.

Predictions for an image come from a model that was trained without it and its copies: folds keep all
copies of a photograph together. cleanlab then finds likely label errors by confident learning
(Northcutt et al. 2021, doi:10.1613/jair.1.12125).

The default model is a ridge classifier on histograms of oriented gradients: half a minute for FER2013,
without a deep-learning framework. Any model with out-of-fold probabilities can replace it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import FaceDataset
from mien.data.votes import OTHER_ANSWERS, Votes
from mien.emotions import EMOTIONS
from mien.errors import missing_extra
from mien.metrics import area_under_curve

FOLDS: Final = 5
MIN_IMAGES: Final = 10 * FOLDS
"""Fewest Training images for the label check."""
MIN_SKILL: Final = 0.2
"""Least skill on Training of a label model that judges labels: 0 is that of guessing the largest class, 1 is always right.

Parts of FER2013 with less (200 to 4,000 images) have 43 to 56% of their labels marked, and the raters contradict 28 to 42% of
those, not many more than of all labels (21 to 35%). All of Training has a skill of 0.28; there they contradict 51%, against 28%.
"""

_COMPONENTS: Final = 600
_THUMBNAIL_SIDE: Final = 12
_RIDGE: Final = 30.0
_SHARPNESS: Final = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0)


@dataclass(frozen=True, slots=True)
class LabelAudit:
    """Label-error estimates for N labels.

    Attributes:
        probabilities: (N, 7) float32, out of fold.
        suspicion: (N,) float32, 1 minus the probability of the given label.
        issue: (N,) bool, whether confident learning marks the label as a likely error.
        model: name of the label model.
        judged: whether the label model is good enough to judge labels; if not, no label is marked.
    """

    probabilities: NDArray[np.float32]
    suspicion: NDArray[np.float32]
    issue: NDArray[np.bool_]
    model: str
    judged: bool = True

    @property
    def suggestion(self) -> NDArray[np.int64]:
        """(N,) int64: the predicted class."""
        return np.asarray(self.probabilities.argmax(1), np.int64)


def assign_folds(groups: NDArray[np.int64], labels: NDArray[np.int64], seed: int = 0) -> NDArray[np.int64]:
    """Return (N,) int64 fold numbers, 0 to ``FOLDS`` - 1: groups are kept together, classes are stratified.

    Args:
        groups: (N,) group ids; an id is the index of the group's first image, whose label stratifies the group.
        labels: (N,) class indices.
        seed: of the random assignment.
    """
    random = np.random.default_rng(seed)
    ids = np.unique(groups)
    fold_of_group = np.zeros(len(groups), np.int64)
    for label in np.unique(labels):
        members = random.permutation(ids[labels[ids] == label])
        fold_of_group[members] = (np.arange(len(members)) + random.integers(FOLDS)) % FOLDS
    return fold_of_group[groups]


def ridge_probabilities(
    dataset: FaceDataset, folds: NDArray[np.int64], progress: Callable[[int, int], None] = lambda done, total: None
) -> NDArray[np.float32]:
    """Return (N, 7) float32 out-of-fold class probabilities of the ridge classifier.

    It is fitted on Training alone; test images are predicted by the model of their fold. The normal
    equations of ridge regression are sums over folds, so leaving a fold out costs one subtraction and
    one linear solve.
    """
    features = _features(dataset.images, progress)
    n, width = features.shape
    targets = (2 * np.eye(len(EMOTIONS))[dataset.labels] - 1).astype(np.float32)
    fitted = [(folds == f) & dataset.training for f in range(FOLDS)]
    squares = [features[rows].T @ features[rows] for rows in fitted]
    products = [features[rows].T @ targets[rows] for rows in fitted]
    scores = np.zeros((n, len(EMOTIONS)), np.float32)
    for f in range(FOLDS):
        system = sum(squares) - squares[f] + _RIDGE * np.eye(width, dtype=np.float32)
        scores[folds == f] = features[folds == f] @ np.linalg.solve(system, sum(products) - products[f])
    candidates = [_softmax(sharpness * scores) for sharpness in _SHARPNESS]
    training = np.flatnonzero(dataset.training)
    return min(candidates, key=lambda p: float(-np.log(p[training, dataset.labels[training]] + 1e-9).mean()))


def judge_labels(dataset: FaceDataset, probabilities: NDArray[np.float32], model: str) -> LabelAudit:
    """Return suspicion scores and likely label errors from (N, 7) out-of-fold probabilities.

    Training and the test splits are processed separately, so that test labels do not affect the thresholds
    for Training. No label is marked if the label model has less than ``MIN_SKILL``.

    Raises:
        DeviceError: cleanlab is not installed.
    """
    issue = np.zeros(len(dataset), np.bool_)
    training = dataset.training
    judged = _skill(dataset.labels[training], probabilities[training]) >= MIN_SKILL
    for part in (training, ~training) if judged else ():
        issue[part] = _likely_wrong(dataset.labels[part], probabilities[part])
    suspicion = 1 - probabilities[np.arange(len(dataset)), dataset.labels]
    return LabelAudit(probabilities, suspicion.astype(np.float32), issue, model, judged)


def _skill(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> float:
    """Return how far the accuracy is from the share of the largest class (0) to 1 (1); 0 if there is a single class."""
    guessed = np.bincount(labels).max() / len(labels)
    return float(((probabilities.argmax(1) == labels).mean() - guessed) / (1 - guessed)) if guessed < 1 else 0.0


def _likely_wrong(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return (N,) bool by cleanlab's default filter (prune by noise rate)."""
    try:
        from cleanlab.filter import find_label_issues
    except ImportError as error:
        raise missing_extra("cleanlab", "audit", "Finding label errors") from error
    present = np.unique(labels)
    if len(present) < 2:
        return np.zeros(len(labels), np.bool_)
    narrow = probabilities[:, present].astype(np.float64)  # cleanlab takes the classes from the labels it is given
    narrow /= narrow.sum(1, keepdims=True)
    return np.asarray(find_label_issues(np.searchsorted(present, labels), narrow, n_jobs=1, min_examples_per_class=0), np.bool_)


def summarise(dataset: FaceDataset, audit: LabelAudit | None, votes: Votes | None) -> dict[str, Any]:
    """Return label-noise statistics as a JSON-compatible dict; checks that were not run are None."""
    found: dict[str, Any] = {"model": None, "votes": None, "agreement": None}
    if audit is not None:
        correct = audit.suggestion == dataset.labels
        by_class = {
            name: _share(audit.issue, dataset.labels == k) for k, name in enumerate(EMOTIONS) if (dataset.labels == k).any()
        }
        found["model"] = {
            "name": audit.model,
            "folds": FOLDS,
            "accuracy_out_of_fold": float(correct.mean()),
            "judged": audit.judged,
            "likely_wrong": int(audit.issue.sum()),
            "likely_wrong_share": float(audit.issue.mean()),
            "likely_wrong_share_by_class": by_class,
            "noise_matrix": _matrix(dataset.labels[audit.issue], audit.suggestion[audit.issue], dataset.labels, len(EMOTIONS)),
        }
    if votes is not None:
        differs = votes.winner != dataset.labels
        found["votes"] = {
            "images": int(votes.known.sum()),
            "clear": int(votes.clear.sum()),
            "winner_differs": int((differs & votes.known).sum()),
            "winner_differs_share": _share(differs, votes.known),
            "clear_winner_differs": int((differs & votes.clear).sum()),
            "clear_winner_differs_share": _share(differs, votes.clear),
            "not_a_face": int(votes.not_a_face.sum()),
            "columns": list(EMOTIONS + OTHER_ANSWERS),
            "noise_matrix": _matrix(
                dataset.labels[votes.known],
                votes.winner[votes.known],
                dataset.labels[votes.known],
                len(EMOTIONS) + len(OTHER_ANSWERS),
            ),
        }
    if audit is not None and votes is not None:
        known, clear = votes.known, votes.clear
        differs = votes.winner != dataset.labels
        found["agreement"] = {
            "auc_votes_differ": area_under_curve_or_none(audit.suspicion[known], differs[known]),
            "auc_clear_votes_differ": area_under_curve_or_none(audit.suspicion[clear], differs[clear]),
            "votes_confirm_share_of_likely_wrong": _share(differs, audit.issue & known),
        }
    return found


def area_under_curve_or_none(scores: NDArray[np.float32], positive: NDArray[np.bool_]) -> float | None:
    """Return the area under the ROC curve, None if it is undefined: JSON has no NaN."""
    value = area_under_curve(scores, positive)
    return value if np.isfinite(value) else None


def _features(images: NDArray[np.uint8], progress: Callable[[int, int], None]) -> NDArray[np.float32]:
    """Return (N, D) float32: principal components of gradient histograms at two scales, a thumbnail, and a constant 1."""
    histograms = [cv2.HOGDescriptor((48, 48), (2 * c, 2 * c), (c, c), (c, c), 9) for c in (8, 6)]
    rows = []
    for i, image in enumerate(images):
        rows.append(np.concatenate([np.asarray(h.compute(image), np.float32).ravel() for h in histograms]))
        if (i + 1) % 200 == 0 or i + 1 == len(images):
            progress(i + 1, len(images))
    gradients = np.stack(rows)
    gradients -= gradients.mean(0)
    gradients /= gradients.std(0) + 1e-6
    components = _principal_components(gradients)
    small = np.stack([cv2.resize(i, (_THUMBNAIL_SIDE,) * 2, interpolation=cv2.INTER_AREA) for i in images])
    thumbnails = small.reshape(len(images), -1).astype(np.float32)
    thumbnails -= thumbnails.mean(1, keepdims=True)
    thumbnails /= thumbnails.std(1, keepdims=True) + 1
    return np.concatenate([components, thumbnails, np.ones((len(images), 1), np.float32)], 1).astype(np.float32)


def _principal_components(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the scores of (N, D) centred rows on their leading components, from the smaller Gram matrix."""
    if len(rows) > rows.shape[1]:
        _, vectors = np.linalg.eigh(rows.T @ rows)
        return np.asarray(rows @ vectors[:, -_COMPONENTS:], np.float32)
    values, vectors = np.linalg.eigh(rows @ rows.T)
    leading = slice(-min(_COMPONENTS, len(rows)), None)
    return np.asarray(vectors[:, leading] * np.sqrt(np.maximum(values[leading], 0)), np.float32)


def _softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows that sum to 1."""
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True), np.float32)


def _share(flags: NDArray[np.bool_], among: NDArray[np.bool_]) -> float:
    """Return the share of ``among`` that is flagged, 0 if ``among`` is empty."""
    return float(flags[among].mean()) if among.any() else 0.0


def _matrix(given: NDArray[np.int64], other: NDArray[np.int64], all_labels: NDArray[np.int64], columns: int) -> list[list[float]]:
    """Return the share of each labelled class (row) by the other label (column)."""
    counts = np.zeros((len(EMOTIONS), columns))
    np.add.at(counts, (given, other), 1)
    totals = np.bincount(all_labels, minlength=len(EMOTIONS))[:, None]
    return [[round(float(v), 5) for v in row] for row in counts / np.maximum(totals, 1)]
