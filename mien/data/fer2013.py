"""Facts about FER2013, used only if the data is FER2013.

Sources: Goodfellow et al. 2013 (arXiv:1307.0414, the contest's paper), Barsoum et al. 2016
(doi:10.1145/2993148.2993165, FER+), and the data's pages on Kaggle.
"""

from __future__ import annotations

import re
from importlib import resources
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import FaceDataset
from mien.emotions import EMOTIONS

FER2013_HASH: Final = "e71e8999b38d4126427ff71691b1842d872e69b6982c4dbb79102f2a0343cdc0"
"""Content hash of all 35,887 images as distributed by Kaggle."""

_NAME: Final = re.compile(r"(?:Training|PublicTest|PrivateTest)_\d+\.\w+$|(?:fer2013|icml_face_data)\.csv[^/]*:\d+$")
"""Pattern of image names in Kaggle's folders and in the original CSV."""
_MIXER: Final = np.uint64(0x9E3779B97F4A7C15)
"""Multiplier of Fibonacci hashing; it spreads differences over the upper bits."""


def is_fer2013_name(name: str) -> bool:
    """Return whether an image is named as in Kaggle's folders of FER2013 or in the original CSV.

    >>> [is_fer2013_name(name) for name in ("train/sad/Training_3908.jpg", "fer2013.csv:2", "mine.csv:2", "sad/photo.jpg")]
    [True, True, False, False]
    """
    return _NAME.search(name) is not None


def fingerprints(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Return a fingerprint of each image with its label, which mostly survives scaling and JPEG compression.

    It encodes which of 8x8 blocks are lighter than the mean of the image. Copies of FER2013 differ
    in their compression, so a hash of the pixels would not recognise all of them.

    Args:
        images: (N, 48, 48) uint8 grey.
        labels: (N,) int64, index into ``EMOTIONS``.

    Returns:
        (N,) uint32.
    """
    return _labelled(_patterns(images), labels)


def known_fingerprints() -> NDArray[np.uint32]:
    """Return the fingerprints of all images of FER2013 with their labels, (N,) uint32, sorted and unique."""
    with resources.as_file(resources.files("mien.data") / "fer2013_fingerprints.npy") as path:
        return np.asarray(np.load(path, allow_pickle=False), np.uint32)


def has_fer2013_labels(dataset: FaceDataset) -> bool:
    """Return whether most images of ``dataset`` are images of FER2013, and nearly all of these have FER2013's labels.

    It compares pixels and labels, not file names, so it recognises a subset, renamed files, the CSV and
    scaled or recompressed copies.
    """
    patterns, known = _patterns(dataset.images), known_fingerprints()
    same = np.isin(_labelled(patterns, dataset.labels), known)
    of_fer2013 = same.copy()
    for label in range(len(EMOTIONS)):
        of_fer2013 |= np.isin(_labelled(patterns, np.full_like(dataset.labels, label)), known)
    return bool(of_fer2013.sum() > _LEAST_IMAGES * len(dataset) and same.sum() > _LEAST_LABELS * of_fer2013.sum())


def _patterns(images: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return which of 8x8 blocks are lighter than the mean, a bit for each block, (N,) uint64."""
    blocks = images.reshape(-1, 8, 6, 8, 6).sum((2, 4), dtype=np.int64).reshape(-1, 64)
    lighter = np.packbits(blocks * 64 > blocks.sum(1, keepdims=True), axis=1)  # (N, 8)
    return lighter.view("<u8")[:, 0].astype(np.uint64)


def _labelled(patterns: NDArray[np.uint64], labels: NDArray[np.int64]) -> NDArray[np.uint32]:
    return (((patterns ^ (labels.astype(np.uint64) * _MIXER)) * _MIXER) >> np.uint64(32)).astype(np.uint32)


def is_named_fer2013(dataset: FaceDataset) -> bool:
    """Return whether most images have names like FER2013's; other images may, too."""
    return sum(map(is_fer2013_name, dataset.names)) > len(dataset) / 2


_LEAST_IMAGES: Final = 0.7
"""Of copies that were scaled to 224x224 and saved as JPEG of quality 75, 77% of the images are recognised."""
_LEAST_LABELS: Final = 0.9
"""Of FER2013 with the labels of FER+'s majority, 79% have FER2013's label."""

CLAIMED_LOW_QUALITY: Final = 0.15
CLAIMED_NEAR_DUPLICATES: Final = 0.08
"""Shares in descriptions of FER2013 that state no method; the audit prints its own beside them."""

FER2013_ANSWERS: Final[dict[str, str]] = {
    "purpose": (
        "For a contest at the ICML 2013 workshop on challenges in representation learning, to compare methods on data "
        "that was new to everyone (Goodfellow et al. 2013)."
    ),
    "creators": "Pierre-Luc Carrier and Aaron Courville, at the Université de Montréal (Goodfellow et al. 2013).",
    "people": (
        "Yes. The images show faces of people who were found on the web and not asked. Some are well known, and all can "
        "be recognised. The data contains no names."
    ),
    "subpopulations": "No: age, sex and skin colour were not recorded, so fairness across them cannot be measured on this data.",
    "acquisition": (
        "Web image search with 184 emotion words, combined with words for sex, age and ethnicity. Faces were detected by "
        "OpenCV, cropped and scaled to 48x48 grey, and people removed wrong images (Goodfellow et al. 2013)."
    ),
    "consent": "No.",
    "preprocessing": (
        "Labels come from the search terms, checked by hand (Goodfellow et al. 2013). People agree with them in 65 ± 5% "
        "of cases (same source). FER+ asked ten people about each image (Barsoum et al. 2016)."
    ),
    "uses": (
        "Training and comparing facial-expression classifiers. Posed and stock photographs dominate. Webcam images of "
        "learners look different, so accuracy on this data does not transfer without a check."
    ),
    "misuse": (
        "For decisions about a person, for claims about what a person feels, and for recognising people. In the EU, "
        "inferring emotions in education and at work is prohibited (Regulation (EU) 2024/1689, Art. 5(1)(f)), except for "
        "medical or safety reasons."
    ),
    "licence": (
        "Unclear. Kaggle's mirror names a database licence of the uploader. The photographs belong to photographers and "
        "agencies, whose watermarks are visible on hundreds of them. Research use is customary; no permission for other "
        "uses is known."
    ),
    "maintenance": "Nobody. Kaggle hosts the contest's files and copies of them; known errors have not been fixed.",
}
