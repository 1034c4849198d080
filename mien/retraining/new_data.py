"""New faces before anything learns from them: judged, freed of copies of test images, and parted.

What stands in a test split of the old data, exactly or nearly, is taken out: learning it would
spoil the test. Copies of one photograph stay on one side of the parting.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.audit.annotators import read_annotations
from mien.audit.copies import join_copies
from mien.audit.exact import exact_groups
from mien.audit.near import NearPairs, find_near_duplicates
from mien.audit.new_labels import check_new_labels
from mien.data.dataset import SPLITS, FaceDataset
from mien.emotions import EMOTIONS
from mien.errors import DataError, UsageError

LEAST_FACES: Final = 70
LEAST_CLASSES: Final = 2


@dataclass(frozen=True, slots=True)
class NewFaces:
    """New data, ready.

    Attributes:
        learn: to learn from.
        held_out: to judge by, never learnt from.
        audit: what was found, as plain values.
    """

    learn: FaceDataset
    held_out: FaceDataset
    audit: dict[str, Any]


def prepare_new_faces(
    new: FaceDataset,
    old: FaceDataset,
    probabilities: NDArray[np.float32],
    *,
    held_out_share: float,
    seed: int,
    annotations: Path | None = None,
) -> NewFaces:
    """Return new faces judged and parted.

    Args:
        new: all of them, whatever splits their folder names.
        old: the data the model was trained and tested on.
        probabilities: (N, 7) the model's answers to the new faces.
        held_out_share: share to judge by, by photograph and class, 0 to 1.
        seed: of the parting.
        annotations: who said what, where more than one person labelled.

    Raises:
        UsageError: the share is not between 0.1 and 0.9.
        DataError: too few faces or classes are left.
    """
    if not 0.1 <= held_out_share <= 0.9:
        raise UsageError(f"the share to judge by is {held_out_share:g}; it must be 0.1 to 0.9")
    said = read_annotations(annotations, new.names) if annotations is not None else None
    audit = check_new_labels(new, probabilities, said, old)
    photo, known = _photos(new, old)
    kept = ~known
    first = np.zeros(len(new), np.bool_)
    first[np.unique(photo, return_index=True)[1]] = True
    taken_out = {"copies_of_old_images": int(known.sum()), "copies_of_one_another": int((kept & ~first).sum())}
    kept &= first
    usable = new.take(kept)
    classes = sum(count > 0 for count in usable.class_counts().values())
    if len(usable) < LEAST_FACES or classes < LEAST_CLASSES:
        raise DataError(
            f"of {len(new)} new faces {len(usable)} in {classes} classes are left without copies; at least {LEAST_FACES} faces "
            f"in {LEAST_CLASSES} classes are needed to learn and to judge. Label more"
        )
    held = _held_out(usable.labels, held_out_share, seed)
    if not held.any() or held.all():
        raise DataError(f"{len(usable)} faces cannot be parted by {held_out_share:g}. Label more")
    audit |= {
        "taken_out": taken_out,
        "to_learn": int((~held).sum()),
        "to_judge": int(held.sum()),
        "held_out_share": held_out_share,
    }
    return NewFaces(_as(usable.take(~held), "Training"), _as(usable.take(held), "PublicTest"), audit)


def _photos(new: FaceDataset, old: FaceDataset) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the photograph of each new face, as the position of its first copy, and which stand in the old data."""
    images = np.concatenate([new.images, old.images])
    exact = exact_groups(images)
    originals = np.unique(exact)
    pairs = find_near_duplicates(images[originals])
    pairs = NearPairs(originals[pairs.first], originals[pairs.second], pairs.score, pairs.mirrored)
    photo = join_copies(exact, pairs).photo
    return photo[: len(new)], np.isin(photo[: len(new)], photo[len(new) :])


def _held_out(labels: NDArray[np.int64], share: float, seed: int) -> NDArray[np.bool_]:
    """Return (N,) bool: which faces judge, the same share of each class, at least one where there are two."""
    random = np.random.default_rng(seed)
    held = np.zeros(len(labels), np.bool_)
    for label in range(len(EMOTIONS)):
        places = random.permutation(np.flatnonzero(labels == label))
        count = round(share * len(places))
        held[places[: min(max(count, 1), len(places) - 1) if len(places) > 1 else 0]] = True
    return held


def _as(data: FaceDataset, split: str) -> FaceDataset:
    splits = np.full(len(data), SPLITS.index(split), np.int64)
    return FaceDataset(data.images, data.labels, splits, data.names, data.weights)
