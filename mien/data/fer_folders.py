"""Reading folders of faces: FER2013 from Kaggle, or class folders.

``layouts`` finds the images, ``decoding`` decodes them; this module combines the two and refuses
a data set with too many broken files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import SPLITS, FaceDataset
from mien.data.decoding import decode_face
from mien.data.layouts import list_images
from mien.data.trees import Tree
from mien.emotions import EMOTIONS
from mien.errors import DataError
from mien.limits import worker_count
from mien.preprocess import INPUT_SIZE

Progress = Callable[[int, int], None]
"""Called with (done, total) during a long operation."""

_MAX_UNREADABLE_SHARE: Final = 0.01
_MAX_UNREADABLE_OWN: Final = 5
_CHUNK: Final = 32
_NAMED: Final = 6
_MAX_THREADS: Final = 4  # each may hold a large image


@dataclass(frozen=True, slots=True)
class ReadResult:
    """A data set, and the names of the images that could not be read and were skipped.

    Attributes:
        dataset: the images that could be read.
        unreadable: names of the other images.
        sizes: number of images by their original (width, height) in pixels.
        skipped_folders: folders whose images were not read, and the number of images in each; "" is the top folder.
    """

    dataset: FaceDataset
    unreadable: tuple[str, ...]
    sizes: dict[tuple[int, int], int] = field(default_factory=dict)
    skipped_folders: dict[str, int] = field(default_factory=dict)

    @property
    def notice(self) -> str:
        """What a user should know of the images that were not read, "" if all were."""
        if not self.skipped_folders:
            return ""
        named = [f"{folder or 'the top folder'} ({n:,} images)" for folder, n in list(self.skipped_folders.items())[:_NAMED]]
        more = f" and {len(self.skipped_folders) - _NAMED} more folders" if len(self.skipped_folders) > _NAMED else ""
        return (
            f"not read: {', '.join(named)}{more}. Splits are folders called train, val (or valid, validation, dev) and test, "
            "with the class folders in them"
        )


def read_tree(
    tree: Tree, where: str, progress: Progress | None = None, classes: Mapping[str, str | None] | None = None
) -> ReadResult:
    """Return the data set in ``tree``.

    ``train``, ``val`` and ``test`` folders, or class folders without them, are found at the
    root or below folders that wrap them. Images of another size are cut to a square and
    scaled to 48x48, and colour becomes grey.

    Args:
        tree: a folder or a zip.
        where: how errors name the tree.
        progress: called now and then with (images done, images in all).
        classes: class by folder name, None for a folder to leave out; other folders go by
            their own names. With it, classes may be missing or empty.

    Raises:
        DataError: the folders are not as they should be (see ``list_images``), no image can
            be read, or more than 1% cannot; five may be broken in any user's own data set.
    """
    listing = list_images(tree, where, classes)
    names = tuple(name for name, _, _ in listing.images)
    pixels = np.empty((len(names), INPUT_SIZE, INPUT_SIZE), np.uint8)
    sizes = _decode_all(tree, names, pixels, progress)
    unreadable = tuple(name for name, size in zip(names, sizes, strict=True) if size is None)
    _check_unreadable(where, unreadable, len(names), listing.own)
    dataset = FaceDataset(
        pixels,
        np.array([EMOTIONS.index(emotion) for _, emotion, _ in listing.images], np.int64),
        np.array([SPLITS.index(split) for _, _, split in listing.images], np.int64),
        names,
        unsplit=listing.unsplit,
    )
    if unreadable:
        dataset = dataset.take(np.array([size is not None for size in sizes], np.bool_))
    return ReadResult(dataset, unreadable, dict(Counter(size for size in sizes if size is not None)), listing.skipped_folders)


def _decode_all(
    tree: Tree, names: Sequence[str], pixels: NDArray[np.uint8], progress: Progress | None
) -> list[tuple[int, int] | None]:
    """Fill ``pixels`` (N, 48, 48) with N named images; return their sizes, None for each that cannot be read.

    OpenCV decodes without holding Python's lock, so threads are worth it.
    """

    def decode_chunk(start: int) -> list[tuple[int, int] | None]:
        sizes: list[tuple[int, int] | None] = []
        for i in range(start, min(start + _CHUNK, len(names))):
            face = decode_face(tree.read(names[i]))
            if face is not None:
                pixels[i] = face[0]
            sizes.append(face and face[1])
        return sizes

    found: list[tuple[int, int] | None] = []
    with ThreadPoolExecutor(min(_MAX_THREADS, worker_count())) as pool:
        for sizes in pool.map(decode_chunk, range(0, len(names), _CHUNK)):
            found.extend(sizes)
            if progress is not None:
                progress(len(found), len(names))
    return found


def _check_unreadable(where: str, unreadable: Sequence[str], total: int, own: bool) -> None:
    """Raise where no image can be read, or so many cannot that the set is not what it claims to be."""
    allowed = _MAX_UNREADABLE_SHARE * total
    if own:
        allowed = min(max(_MAX_UNREADABLE_OWN, allowed), total - 1)
    if len(unreadable) > allowed:
        advice = "Repair or remove them" if own else "Fetch the data set again"
        raise DataError(f"{where}: {len(unreadable)} of {total} images cannot be read, starting with {unreadable[0]}. {advice}")
