"""Reading one segment, in whatever process and on whatever computer.

What a segment's task says is all that its answer depends on. A worker that lacks the model or
the detector that was asked for refuses, for another one would answer differently.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from random import Random

import cv2

from mien.errors import BundleError, DeviceError
from mien.files import file_hash
from mien.pipeline import Pipeline, open_reader
from mien.privacy.deployment import Deployment
from mien.privacy.level import Level
from mien.privacy.policy import decide
from mien.recordings.segment_rows import segment_text
from mien.recordings.segments import Segment, segment_frames
from mien.vision.bundles import bundle_path
from mien.vision.detector_choice import open_detector
from mien.vision.predictor import Predictor
from mien.vision.tracker import name_source


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingOptions:
    """What is the same for all segments of a run.

    Attributes:
        model: a packaged bundle's name or a bundle's path.
        model_hash: SHA-256 of that bundle.
        detector: name of the face detector.
        smoothing_s: time constant of the smoothing in seconds.
        deployment: the declaration of who uses it on whom.
    """

    model: str
    model_hash: str
    detector: str
    smoothing_s: float
    deployment: Deployment


@dataclass(frozen=True, slots=True)
class SegmentTask:
    """One segment to be read.

    Attributes:
        path: the recording, by a path that holds wherever it is read.
        recording_hash: SHA-256 of the recording; seeds the names of faces.
        segment: which part of it.
        how: how to read it.
    """

    path: str
    recording_hash: str
    segment: Segment
    how: ReadingOptions


def read_segment(task: SegmentTask) -> str:
    """Return the rows of a segment as ``segment_text`` gives them, the last frame before it first.

    Raises:
        DataError: the recording cannot be read here.
        DeviceError: this worker has another detector.
        BundleError: this worker has another model.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # one worker, one core; and sums come in one order
    try:
        segment, how = task.segment, task.how
        policy = decide(how.deployment)
        detector = open_detector()
        if detector.name != how.detector:
            raise DeviceError(
                f"this worker detects faces with {detector.name}, the run with {how.detector}. Run mien doctor --fetch there"
            )
        reader = open_reader(policy, lambda: _predictor(how.model, how.model_hash))
        pipeline = Pipeline(detector, reader, _names(f"{task.recording_hash}:{segment.number}"), how.smoothing_s)
        seam = segment.first - 1
        results = (pipeline.update(frame) for frame in segment_frames(Path(task.path), segment))
        counted = (result for result in results if result.index >= seam)
        return segment_text(counted, policy.level is Level.FULL, (seam, segment.last))
    finally:
        cv2.setNumThreads(threads)


def _names(seed: str) -> Random:
    """Return the source of a segment's track names: a reading made again must give the same."""
    return name_source(int.from_bytes(hashlib.sha256(seed.encode()).digest()))


@lru_cache(maxsize=2)
def _predictor(model: str, model_hash: str) -> Predictor:
    """Return a loaded bundle; a worker reads many segments with it."""
    path = bundle_path(model)
    if file_hash(path) != model_hash:
        raise BundleError(f"the bundle {path} differs from the one the run started with. Copy that one here")
    return Predictor(path, threads=1)
