"""What is known about FER2013 as such, and used only where the data at hand is FER2013.

Sources: Goodfellow et al. 2013 (arXiv:1307.0414, the paper of the contest), Barsoum et al.
2016 (doi:10.1145/2993148.2993165, FER+), and the data's pages on Kaggle.
"""

from __future__ import annotations

from typing import Final

FER2013_HASH: Final = "e71e8999b38d4126427ff71691b1842d872e69b6982c4dbb79102f2a0343cdc0"
"""Content hash of all 35,887 images as Kaggle ships them."""

CLAIMED_LOW_QUALITY: Final = 0.15
CLAIMED_NEAR_DUPLICATES: Final = 0.08
"""Shares that descriptions of FER2013 give without a method; the audit sets its own beside them."""

FER2013_ANSWERS: Final[dict[str, str]] = {
    "purpose": (
        "For a contest at the ICML 2013 workshop on challenges in representation learning, to compare methods on data "
        "that was new to all "
        "(Goodfellow et al. 2013)."
    ),
    "creators": "Pierre-Luc Carrier and Aaron Courville, at the Université de Montréal (Goodfellow et al. 2013).",
    "people": (
        "Yes: the pictures show faces, found on the web, of people who were not asked; some are well known and all may "
        "be recognised. "
        "No names are part of the data."
    ),
    "subpopulations": "No: age, sex and skin colour were not recorded, so fairness across them cannot be measured on this data.",
    "acquisition": (
        "Web image search with 184 emotion words, combined with words for sex, age and ethnicity; faces were found by "
        "OpenCV's detector, "
        "cropped and scaled to 48x48 grey, and people rejected wrong ones (Goodfellow et al. 2013)."
    ),
    "consent": "No.",
    "preprocessing": (
        "Labels come from the search words, checked by hand (Goodfellow et al. 2013). People agree with them in 65 ± 5 "
        "% of cases (same "
        "source). FER+ asked ten people about each image (Barsoum et al. 2016)."
    ),
    "uses": (
        "Training and comparing facial-expression classifiers. Posed and stock photographs dominate; webcam faces of "
        "learners look "
        "otherwise, so accuracy here does not carry over unchecked."
    ),
    "misuse": (
        "For decisions about a person, for claims about what somebody feels, and for recognising people. In the EU, "
        "inferring emotions in "
        "education and at work is prohibited (Regulation (EU) 2024/1689, Art. 5(1)(f)), save for medical or safety reasons."
    ),
    "licence": (
        "Unclear. Kaggle's mirror names a database licence of the uploader; the photographs belong to their "
        "photographers and agencies, "
        "whose watermarks are visible in hundreds of them. Research use is customary; permission for anything else is "
        "not established."
    ),
    "maintenance": "Nobody. Kaggle hosts the contest's files and copies of them; known faults have not been mended.",
}
