"""Which face detector is used: YuNet where its file is available, else ``mien-detect`` from the package."""

from __future__ import annotations

from mien.vision.detector import Detector
from mien.vision.own_detector import OwnDetector
from mien.vision.weights import find_yunet
from mien.vision.yunet import YuNetDetector


def open_detector() -> Detector:
    """Return YuNet if its file is found, else the packaged detector."""
    path = find_yunet()
    return YuNetDetector(path) if path else OwnDetector()


def detector_notice(detector: Detector) -> str:
    """Return the sentence for the user of a detector that is not the best one, "" for the best."""
    if isinstance(detector, OwnDetector):
        return "Using the packaged face detector, mien-detect. YuNet (233 kB) finds more faces: mien doctor --fetch"
    return ""
