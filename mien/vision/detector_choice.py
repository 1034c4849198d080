"""Choice of the face detector: YuNet if its file is available, else the packaged ``mien-detect``."""

from __future__ import annotations

from pathlib import Path

from mien.vision.bundles import PACKAGED_DETECTOR, packaged_bundle
from mien.vision.detector import Detector
from mien.vision.own_detector import OwnDetector
from mien.vision.weights import find_yunet
from mien.vision.yunet import YuNetDetector


def find_detector() -> tuple[str, Path]:
    """Return name and path of the detector to use: YuNet if its file is found, else the packaged one."""
    path = find_yunet()
    return (YuNetDetector.name, path) if path else (OwnDetector.name, packaged_bundle(PACKAGED_DETECTOR))


def open_detector() -> Detector:
    """Return YuNet if its file is found, else the packaged detector."""
    name, path = find_detector()
    return YuNetDetector(path) if name == YuNetDetector.name else OwnDetector(path)


def detector_notice(name: str) -> str:
    """Return a notice if a better detector than ``name`` can be installed, else ""."""
    if name == OwnDetector.name:
        return "Using the packaged face detector, mien-detect. YuNet (233 kB) is more accurate: mien doctor --fetch"
    return ""
