"""Preparation of new faces: label checks, removal of copies, and the split into training and held-out faces.

Exact and near copies of images in the old data are removed, because training on copies of test
images would invalidate the test. Of several copies of one new photograph, one is kept.
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
from mien.data.holdout import held_out
from mien.errors import DataError, UsageError

MIN_FACES: Final = 70
MIN_CLASSES: Final = 2


@dataclass(frozen=True, slots=True)
class NewFaces:
    """New faces, checked and split.

    Attributes:
        training: faces to train on.
        held_out: faces for evaluation only.
        audit: results of the checks, as plain values.
    """

    training: FaceDataset
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
    """Return checked and split new faces.

    Args:
        new: N new faces; their splits are ignored.
        old: the data that the model was trained and tested on.
        probabilities: (N, 7) float32 predictions of the model for the new faces.
        held_out_share: share of each class to hold out, 0.1 to 0.9.
        seed: seed of the split.
        annotations: file with the labels by annotator, if several people labelled.

    Raises:
        UsageError: ``held_out_share`` is out of range.
        DataError: too few faces or classes are left after copies are removed.
    """
    if not 0.1 <= held_out_share <= 0.9:
        raise UsageError(f"held-out share is {held_out_share:g}; it must be 0.1 to 0.9")
    labelled_by = read_annotations(annotations, new.names) if annotations is not None else None
    audit = check_new_labels(new, probabilities, labelled_by, old)
    photo, known = _photos(new, old)
    kept = ~known
    first = np.zeros(len(new), np.bool_)
    first[np.unique(photo, return_index=True)[1]] = True
    removed = {"copies_of_old_images": int(known.sum()), "copies_of_one_another": int((kept & ~first).sum())}
    kept &= first
    usable = new.take(kept)
    classes = sum(count > 0 for count in usable.class_counts().values())
    if len(usable) < MIN_FACES or classes < MIN_CLASSES:
        raise DataError(
            f"{len(usable)} of {len(new)} new faces, in {classes} classes, are left without copies; at least {MIN_FACES} faces "
            f"in {MIN_CLASSES} classes are needed. Label more"
        )
    held = held_out(usable.labels, np.arange(len(usable)), held_out_share, seed)
    if not held.any() or held.all():
        raise DataError(f"{len(usable)} faces cannot be split with a held-out share of {held_out_share:g}. Label more")
    audit |= {
        "taken_out": removed,
        "to_learn": int((~held).sum()),
        "to_judge": int(held.sum()),
        "held_out_share": held_out_share,
    }
    return NewFaces(_as(usable.take(~held), "Training"), _as(usable.take(held), "PublicTest"), audit)


def _photos(new: FaceDataset, old: FaceDataset) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the photograph of each new face (N,), as the index of its first copy, and whether it is in the old data (N,)."""
    images = np.concatenate([new.images, old.images])
    exact = exact_groups(images)
    originals = np.unique(exact)
    pairs = find_near_duplicates(images[originals])
    pairs = NearPairs(originals[pairs.first], originals[pairs.second], pairs.score, pairs.mirrored)
    photo = join_copies(exact, pairs).photo
    return photo[: len(new)], np.isin(photo[: len(new)], photo[len(new) :])


def _as(data: FaceDataset, split: str) -> FaceDataset:
    splits = np.full(len(data), SPLITS.index(split), np.int64)
    return FaceDataset(data.images, data.labels, splits, data.names, data.weights)
