"""Facts about FER2013, used only if the data is FER2013.

Sources: Goodfellow et al. 2013 (arXiv:1307.0414, the contest's paper), Barsoum et al. 2016
(doi:10.1145/2993148.2993165, FER+), and the data's pages on Kaggle.
"""

from __future__ import annotations

import re
from typing import Final

from mien.data.dataset import FaceDataset

FER2013_HASH: Final = "e71e8999b38d4126427ff71691b1842d872e69b6982c4dbb79102f2a0343cdc0"
"""Content hash of all 35,887 images as distributed by Kaggle."""

_NAME: Final = re.compile(r"(?:Training|PublicTest|PrivateTest)_\d+\.\w+$|(?:fer2013|icml_face_data)\.csv[^/]*:\d+$")
"""Pattern of image names in Kaggle's folders and in the original CSV."""


def is_fer2013_name(name: str) -> bool:
    """Return whether an image is named as in Kaggle's folders of FER2013 or in the original CSV.

    >>> [is_fer2013_name(name) for name in ("train/sad/Training_3908.jpg", "fer2013.csv:2", "mine.csv:2", "sad/photo.jpg")]
    [True, True, False, False]
    """
    return _NAME.search(name) is not None


def has_fer2013_labels(dataset: FaceDataset) -> bool:
    """Return whether the labels of ``dataset``, with all its splits, are FER2013's.

    It goes by the names of most images, or by the content hash of the whole data set, which a split does not have.
    """
    named = sum(map(is_fer2013_name, dataset.names))
    return named > len(dataset) / 2 or dataset.content_hash() == FER2013_HASH


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
