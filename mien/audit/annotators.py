"""Chance-corrected agreement between annotators.

Cohen's kappa for two annotators (Cohen 1960, doi:10.1177/001316446002000104), Fleiss' for equally many labels on
every image (Fleiss 1971, doi:10.1037/h0031619), Krippendorff's alpha where labels are missing
(Krippendorff 2011, "Computing Krippendorff's alpha-reliability"). All are 1 for perfect
agreement and 0 for agreement by chance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.data.tables import read_rows, short_name
from mien.emotions import EMOTIONS, canonical_name
from mien.errors import DataError

MISSING: Final = -1
MIN_SHARED: Final = 10
"""Pairs of annotators with fewer images in common are not scored."""
_DRAWS: Final = 500


@dataclass(frozen=True, slots=True)
class Annotations:
    """Labels of N images by A annotators.

    Attributes:
        annotators: A names.
        labels: (N, A) int64, index into ``EMOTIONS``; -1 where an annotator gave no label.
    """

    annotators: tuple[str, ...]
    labels: NDArray[np.int64]


def read_annotations(path: Path, names: tuple[str, ...]) -> Annotations:
    """Return the annotations in a CSV with the columns ``image``, ``annotator`` and ``label``.

    Args:
        path: the file.
        names: names of the images; in the file, the last three path components of a name are enough.

    Raises:
        DataError: missing file or columns, an unknown image or label, or two labels by one annotator for one image.
    """
    rows = read_rows(path, "the annotations")
    columns = ("image", "annotator", "label")
    if not rows or not set(columns) <= set(rows[0]):
        raise DataError(f"the annotations {path} must have the columns {','.join(columns)} and at least one line")
    place = {short_name(name): i for i, name in enumerate(names)} | {name: i for i, name in enumerate(names)}
    annotators = tuple(sorted({(row["annotator"] or "").strip() for row in rows}))
    labels = np.full((len(names), len(annotators)), MISSING, np.int64)
    for line, row in enumerate(rows, start=2):
        image, annotator, word = ((row[column] or "").strip() for column in columns)
        at, label = place.get(image, place.get(short_name(image))), canonical_name(word)
        if at is None:
            raise DataError(f"the annotations {path}, line {line}: no image {image!r} in this data; names look like {names[0]!r}")
        if not annotator or label is None:
            raise DataError(
                f"the annotations {path}, line {line}: annotator {annotator!r}, label {word!r}; expected a name and one of "
                f"{', '.join(EMOTIONS)}"
            )
        if labels[at, annotators.index(annotator)] != MISSING:
            raise DataError(f"the annotations {path}, line {line}: {annotator!r} labelled {image!r} twice. Keep one of the lines")
        labels[at, annotators.index(annotator)] = EMOTIONS.index(label)
    return Annotations(annotators, labels)


def cohen_kappa(first: NDArray[np.int64], second: NDArray[np.int64], classes: int) -> float:
    """Return Cohen's kappa of two annotators' (N,) labels; NaN if both used one and the same label throughout.

    >>> round(cohen_kappa(np.array([0, 0, 1, 1, 0]), np.array([0, 1, 1, 1, 0]), 2), 3)
    0.615
    """
    table = np.bincount(first * classes + second, minlength=classes**2).reshape(classes, classes) / max(len(first), 1)
    expected = float(table.sum(1) @ table.sum(0))
    return (float(np.trace(table)) - expected) / (1 - expected) if expected < 1 else math.nan


def fleiss_kappa(counts: NDArray[np.int64]) -> float:
    """Return Fleiss' kappa of (N, K) label counts, equally many labels per image and at least two; NaN if it is undefined."""
    raters = counts.sum(1)
    if not len(counts) or raters[0] < 2 or (raters != raters[0]).any():
        return math.nan
    n = float(raters[0])
    expected = float(((counts.sum(0) / counts.sum()) ** 2).sum())
    observed = float((((counts**2).sum(1) - n) / (n * (n - 1))).mean())
    return (observed - expected) / (1 - expected) if expected < 1 else math.nan


def krippendorff_alpha(counts: NDArray[np.int64]) -> float:
    """Return Krippendorff's alpha for nominal data from (N, K) label counts; images with a single label are ignored.

    NaN if it is undefined: no image with two labels, or only one class used.
    """
    pairable = counts[counts.sum(1) >= 2].astype(np.float64)
    raters = pairable.sum(1, keepdims=True)
    totals = pairable.sum(0)
    n = float(totals.sum())
    if not n or (totals > 0).sum() < 2:
        return math.nan
    disagreement = float(((pairable * (raters - pairable)) / (raters - 1)).sum()) / n
    expected = (n * n - float((totals**2).sum())) / (n * (n - 1))
    return 1 - disagreement / expected


def summarise(annotations: Annotations, seed: int = 0) -> dict[str, Any]:
    """Return the agreement of all annotators and of each pair as a JSON-compatible dict; undefined numbers are None.

    ``krippendorff_ci`` is a 95% percentile bootstrap interval over images.
    """
    counts = label_counts(annotations.labels)
    shared = counts[counts.sum(1) >= 2]
    interval = None
    if len(shared) >= MIN_SHARED:
        random = np.random.default_rng(seed)
        draws = [krippendorff_alpha(shared[random.integers(0, len(shared), len(shared))]) for _ in range(_DRAWS)]
        defined = [value for value in draws if math.isfinite(value)]
        interval = [float(end) for end in np.percentile(defined, (2.5, 97.5))] if defined else None
    pairs = []
    for i, one in enumerate(annotations.annotators):
        for j in range(i + 1, len(annotations.annotators)):
            both = (annotations.labels[:, [i, j]] != MISSING).all(1)
            if both.sum() >= MIN_SHARED:
                first, second = annotations.labels[both, i], annotations.labels[both, j]
                kappa = cohen_kappa(first, second, len(EMOTIONS))
                agree = float((first == second).mean())
                pairs.append(
                    {
                        "pair": [one, annotations.annotators[j]],
                        "images": int(both.sum()),
                        "agree": agree,
                        "cohen": _or_none(kappa),
                    }
                )
    return {
        "annotators": len(annotations.annotators),
        "images_with_two_or_more": len(shared),
        "krippendorff": _or_none(krippendorff_alpha(counts)),
        "krippendorff_ci": interval,
        "fleiss": _or_none(fleiss_kappa(counts[counts.sum(1) > 0])),
        "pairs": sorted(pairs, key=lambda pair: math.inf if pair["cohen"] is None else pair["cohen"]),
    }


def label_counts(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (N, 7) int64 label counts per image from (N, A) labels."""
    return np.stack([(labels == k).sum(1) for k in range(len(EMOTIONS))], axis=1).astype(np.int64)


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
