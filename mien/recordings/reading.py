"""Reads one segment, in any process and on any computer.

The result depends only on the task. A worker without the requested model or detector raises an
error, since another one would give different results.
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
    """Options shared by all segments of an analysis.

    Attributes:
        model: name of a packaged bundle, or path of a bundle.
        model_hash: SHA-256 of that bundle.
        detector: name of the face detector.
        smoothing_s: time constant of the smoothing in seconds.
        deployment: the deployment declaration.
    """

    model: str
    model_hash: str
    detector: str
    smoothing_s: float
    deployment: Deployment


@dataclass(frozen=True, slots=True)
class SegmentTask:
    """The task of reading one segment.

    Attributes:
        path: absolute path of the recording, valid on every worker.
        recording_hash: SHA-256 of the recording; seeds the track names.
        segment: the segment.
        options: the options of the analysis.
    """

    path: str
    recording_hash: str
    segment: Segment
    options: ReadingOptions


def read_segment(task: SegmentTask) -> str:
    """Return the rows of a segment as formatted by ``segment_text``, starting with the frame before the segment.

    Raises:
        DataError: the worker cannot read the recording.
        DeviceError: the worker has another detector.
        BundleError: the worker has another model.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # one core per worker, and a fixed order of summation
    try:
        segment, options = task.segment, task.options
        policy = decide(options.deployment)
        detector = open_detector()
        if detector.name != options.detector:
            raise DeviceError(
                f"this worker detects faces with {detector.name}, the run with {options.detector}. Run mien doctor --fetch there"
            )
        reader = open_reader(policy, lambda: _predictor(options.model, options.model_hash))
        pipeline = Pipeline(detector, reader, _names(f"{task.recording_hash}:{segment.number}"), options.smoothing_s)
        seam = segment.first - 1
        results = (pipeline.update(frame) for frame in segment_frames(Path(task.path), segment))
        counted = (result for result in results if result.index >= seam)
        return segment_text(counted, policy.level is Level.FULL, (seam, segment.last))
    finally:
        cv2.setNumThreads(threads)


def _names(seed: str) -> Random:
    """Return the random generator of a segment's track names, seeded so that the names are reproducible."""
    return name_source(int.from_bytes(hashlib.sha256(seed.encode()).digest()))


@lru_cache(maxsize=2)
def _predictor(model: str, model_hash: str) -> Predictor:
    """Return a loaded bundle, cached across the segments that a worker reads."""
    path = bundle_path(model)
    if file_hash(path) != model_hash:
        raise BundleError(f"the bundle {path} differs from the one the run started with. Copy that bundle here")
    return Predictor(path, threads=1)
