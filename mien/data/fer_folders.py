"""Reading FER2013 as Kaggle ships it: ``train/CLASS/*.jpg`` and ``test/CLASS/*.jpg``.

Kaggle's test folder holds two splits, told apart by the file name's prefix. The layout is
checked before a pixel is decoded, and every fault is named at once, so that a user fixes
a folder in one go.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import SPLITS, FaceDataset
from mien.data.trees import Tree
from mien.emotions import EMOTIONS, canonical_name
from mien.errors import DataError
from mien.preprocess import INPUT_SIZE

Progress = Callable[[int, int], None]
"""Called with (done, total) while a long job goes on."""

_FOLDER_SPLIT: Final[dict[str, str]] = {
    "train": "Training",
    "training": "Training",
    "val": "PublicTest",
    "validation": "PublicTest",
    "test": "PrivateTest",
}
_IMAGE_ENDINGS: Final = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm"})
_MAX_UNREADABLE_SHARE: Final = 0.01


@dataclass(frozen=True, slots=True)
class ReadResult:
    """A data set, and the names of the images that were left out because they cannot be read."""

    dataset: FaceDataset
    unreadable: tuple[str, ...]


def read_tree(tree: Tree, where: str, progress: Progress | None = None) -> ReadResult:
    """Return the data set that stands in ``tree``.

    ``train``, ``val`` and ``test`` folders are found at the root or one folder below.
    Images of another size are scaled to 48x48 and colour becomes grey.

    Args:
        tree: a folder or a zip.
        where: how errors name the tree.
        progress: called now and then with (images done, images in all).

    Raises:
        DataError: a class folder is missing, unknown or empty, or more than 1 % of the
            images cannot be read.
    """
    members = _members_by_class(tree, where)
    total = sum(len(names) for names in members.values())
    images = np.empty((total, INPUT_SIZE, INPUT_SIZE), np.uint8)
    labels: list[int] = []
    splits: list[int] = []
    kept: list[str] = []
    unreadable: list[str] = []
    for (split_folder, emotion), names in sorted(members.items()):
        for name in names:
            image = decode_face(tree.read(name))
            if image is None:
                unreadable.append(name)
            else:
                images[len(kept)] = image
                labels.append(EMOTIONS.index(emotion))
                splits.append(SPLITS.index(_split_of(name, split_folder)))
                kept.append(name)
            done = len(kept) + len(unreadable)
            if progress is not None and (done % 500 == 0 or done == total):
                progress(done, total)
    if len(unreadable) > _MAX_UNREADABLE_SHARE * total:
        raise DataError(
            f"{where}: {len(unreadable)} of {total} images cannot be read, {unreadable[0]} the first. Fetch the data set again"
        )
    dataset = FaceDataset(images[: len(kept)], np.array(labels, np.int64), np.array(splits, np.int64), tuple(kept))
    return ReadResult(dataset, tuple(unreadable))


def decode_face(data: bytes) -> NDArray[np.uint8] | None:
    """Return the picture in ``data`` as (48, 48) uint8 grey, or None when it is not a picture."""
    if not data:
        return None
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    except cv2.error:
        return None
    if image is None:
        return None
    if image.shape != (INPUT_SIZE, INPUT_SIZE):
        shrink = min(image.shape) > INPUT_SIZE
        image = cv2.resize(image, (INPUT_SIZE, INPUT_SIZE), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR)
    return image.astype(np.uint8, copy=False)


def _members_by_class(tree: Tree, where: str) -> dict[tuple[str, str], list[str]]:
    """Return image names by (split folder, class); every fault of the layout is raised at once."""
    root = _find_root(tree, where)
    members: dict[tuple[str, str], list[str]] = defaultdict(list)
    faults: list[str] = []
    present = [f for f in sorted(tree.folders) if PurePosixPath(f).parent == root]
    split_folders = [PurePosixPath(f).name for f in present if PurePosixPath(f).name.lower() in _FOLDER_SPLIT]
    for split_folder in split_folders:
        class_folders = [f for f in sorted(tree.folders) if PurePosixPath(f).parent == root / split_folder]
        for folder in class_folders:
            emotion = canonical_name(PurePosixPath(folder).name)
            if emotion is None:
                faults.append(f"unknown class folder {folder} (the classes are {', '.join(EMOTIONS)})")
            else:
                members[split_folder, emotion] = []
        faults.extend(
            f"class folder missing: {root / split_folder / emotion}"
            for emotion in EMOTIONS
            if (split_folder, emotion) not in members
        )
    for name in tree.files:
        parts = PurePosixPath(name).relative_to(root).parts if PurePosixPath(name).is_relative_to(root) else ()
        if len(parts) == 3 and parts[0] in split_folders and PurePosixPath(name).suffix.lower() in _IMAGE_ENDINGS:
            emotion = canonical_name(parts[1])
            if emotion is not None:
                members[parts[0], emotion].append(name)
    faults.extend(
        f"class folder empty: {root / split_folder / emotion}"
        for (split_folder, emotion), names in sorted(members.items())
        if not names
    )
    if faults:
        more = f" (and {len(faults) - 8} more)" if len(faults) > 8 else ""
        raise DataError(f"{where}: " + "; ".join(faults[:8]) + more)
    return members


def _find_root(tree: Tree, where: str) -> PurePosixPath:
    """Return the folder that holds ``train``: the root, or the shallowest folder that does."""
    candidates = sorted(
        (PurePosixPath(f) for f in tree.folders if PurePosixPath(f).name.lower() in ("train", "training")),
        key=lambda path: (len(path.parts), path.as_posix()),
    )
    if not candidates:
        raise DataError(f"{where}: no folder 'train' in it. Expected train/CLASS/*.jpg and test/CLASS/*.jpg")
    return candidates[0].parent


def _split_of(name: str, split_folder: str) -> str:
    """Return the split of a file: by its name's prefix where it has one, else by its folder."""
    prefix = PurePosixPath(name).name.split("_", 1)[0]
    return prefix if prefix in SPLITS else _FOLDER_SPLIT[split_folder.lower()]
