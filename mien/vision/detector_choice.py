"""Which face detector is used: YuNet where its file is available, else ``mien-detect`` from the package."""

from __future__ import annotations

from pathlib import Path

from mien.vision.bundles import PACKAGED_DETECTOR, packaged_bundle
from mien.vision.detector import Detector
from mien.vision.own_detector import OwnDetector
from mien.vision.weights import find_yunet
from mien.vision.yunet import YuNetDetector


def find_detector() -> tuple[str, Path]:
    """Return name and file of the detector to use: YuNet if its file is found, else the packaged one."""
    path = find_yunet()
    return (YuNetDetector.name, path) if path else (OwnDetector.name, packaged_bundle(PACKAGED_DETECTOR))


def open_detector() -> Detector:
    """Return YuNet if its file is found, else the packaged detector."""
    name, path = find_detector()
    return YuNetDetector(path) if name == YuNetDetector.name else OwnDetector(path)


def detector_notice(name: str) -> str:
    """Return the sentence for the user of a detector that is not the best one, "" for the best."""
    if name == OwnDetector.name:
        return "Using the packaged face detector, mien-detect. YuNet (233 kB) is more exact: mien doctor --fetch"
    return ""
