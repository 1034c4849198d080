"""Do the people who label agree with one another? Chance-corrected agreement, for any number of them.

Cohen's kappa for two (Cohen 1960, doi:10.1177/001316446002000104), Fleiss' for as many on every
image (Fleiss 1971, doi:10.1037/h0031619), Krippendorff's alpha where not everybody saw everything
(Krippendorff 2011, "Computing Krippendorff's alpha-reliability"). All are 1 for perfect
agreement and 0 for what chance alone would make. It knows nothing of faces.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.data.names import short_name
from mien.data.tables import read_rows
from mien.emotions import EMOTIONS, canonical_name
from mien.errors import DataError

MISSING: Final = -1
LEAST_SHARED: Final = 10
"""Two people who saw fewer images in common get no number."""
_DRAWS: Final = 500


@dataclass(frozen=True, slots=True)
class Annotations:
    """What A people said of N images.

    Attributes:
        people: A names.
        labels: (N, A) int64, index into ``EMOTIONS``; -1 where someone did not say.
    """

    people: tuple[str, ...]
    labels: NDArray[np.int64]


def read_annotations(path: Path, names: tuple[str, ...]) -> Annotations:
    """Return the annotations in a CSV with the columns ``image``, ``annotator`` and ``label``.

    Args:
        path: the file.
        names: the images' names; the last three parts of a name are enough in the file.

    Raises:
        DataError: no such file or columns, an image that is not there, an unknown label, or someone who labelled an image twice.
    """
    rows = read_rows(path, "the annotations")
    columns = ("image", "annotator", "label")
    if not rows or not set(columns) <= set(rows[0]):
        raise DataError(f"the annotations {path} must have the columns {','.join(columns)} and at least one line")
    place = {short_name(name): i for i, name in enumerate(names)} | {name: i for i, name in enumerate(names)}
    people = tuple(sorted({(row["annotator"] or "").strip() for row in rows}))
    labels = np.full((len(names), len(people)), MISSING, np.int64)
    for line, row in enumerate(rows, start=2):
        image, person, word = ((row[column] or "").strip() for column in columns)
        at, label = place.get(image, place.get(short_name(image))), canonical_name(word)
        if at is None:
            raise DataError(f"the annotations {path}, line {line}: no image {image!r} in this data; names look like {names[0]!r}")
        if not person or label is None:
            raise DataError(
                f"the annotations {path}, line {line}: annotator {person!r}, label {word!r}; expected a name and one of "
                f"{', '.join(EMOTIONS)}"
            )
        if labels[at, people.index(person)] != MISSING:
            raise DataError(f"the annotations {path}, line {line}: {person!r} labelled {image!r} twice. Keep one of the lines")
        labels[at, people.index(person)] = EMOTIONS.index(label)
    return Annotations(people, labels)


def cohen_kappa(first: NDArray[np.int64], second: NDArray[np.int64], classes: int) -> float:
    """Return Cohen's kappa of two people's (N,) labels; NaN where both only ever gave one and the same label.

    >>> round(cohen_kappa(np.array([0, 0, 1, 1, 0]), np.array([0, 1, 1, 1, 0]), 2), 3)
    0.615
    """
    table = np.bincount(first * classes + second, minlength=classes**2).reshape(classes, classes) / max(len(first), 1)
    expected = float(table.sum(1) @ table.sum(0))
    return (float(np.trace(table)) - expected) / (1 - expected) if expected < 1 else math.nan


def fleiss_kappa(counts: NDArray[np.int64]) -> float:
    """Return Fleiss' kappa of (N, K) counts of answers, as many for each image, at least two; NaN where it is not defined."""
    raters = counts.sum(1)
    if not len(counts) or raters[0] < 2 or (raters != raters[0]).any():
        return math.nan
    n = float(raters[0])
    expected = float(((counts.sum(0) / counts.sum()) ** 2).sum())
    observed = float((((counts**2).sum(1) - n) / (n * (n - 1))).mean())
    return (observed - expected) / (1 - expected) if expected < 1 else math.nan


def krippendorff_alpha(counts: NDArray[np.int64]) -> float:
    """Return Krippendorff's alpha for nominal labels of (N, K) counts of answers; images with one answer say nothing.

    NaN where nothing can disagree: no image with two answers, or one label only.
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
    """Return the agreement of all and of each pair as plain values; None where a number is not defined.

    ``krippendorff_ci`` is a 95 % percentile bootstrap interval over images.
    """
    counts = answer_counts(annotations.labels)
    shared = counts[counts.sum(1) >= 2]
    interval = None
    if len(shared) >= LEAST_SHARED:
        random = np.random.default_rng(seed)
        draws = [krippendorff_alpha(shared[random.integers(0, len(shared), len(shared))]) for _ in range(_DRAWS)]
        known = [value for value in draws if math.isfinite(value)]
        interval = [float(end) for end in np.percentile(known, (2.5, 97.5))] if known else None
    pairs = []
    for i, one in enumerate(annotations.people):
        for j in range(i + 1, len(annotations.people)):
            both = (annotations.labels[:, [i, j]] != MISSING).all(1)
            if both.sum() >= LEAST_SHARED:
                first, second = annotations.labels[both, i], annotations.labels[both, j]
                kappa = cohen_kappa(first, second, len(EMOTIONS))
                agree = float((first == second).mean())
                pairs.append(
                    {"pair": [one, annotations.people[j]], "images": int(both.sum()), "agree": agree, "cohen": _known(kappa)}
                )
    return {
        "annotators": len(annotations.people),
        "images_with_two_or_more": len(shared),
        "krippendorff": _known(krippendorff_alpha(counts)),
        "krippendorff_ci": interval,
        "fleiss": _known(fleiss_kappa(counts[counts.sum(1) > 0])),
        "pairs": sorted(pairs, key=lambda pair: math.inf if pair["cohen"] is None else pair["cohen"]),
    }


def answer_counts(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (N, 7) how many people gave each answer, of (N, A) labels."""
    return np.stack([(labels == k).sum(1) for k in range(len(EMOTIONS))], axis=1).astype(np.int64)


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
