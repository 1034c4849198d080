"""Time the live pipeline stage by stage on the demo film (no data set, no camera).

    python benchmarks/live.py [--frames 200]

Prints medians and 95th percentiles in milliseconds and ends in one JSON line. Compare runs on
one machine only, and by their ratio.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from random import Random

import numpy as np

from mien.live.dashboard import render
from mien.live.demo import DemoSource
from mien.live.pipeline import Pipeline
from mien.records import FrameResult, Snapshot
from mien.vision.aligner import align_faces
from mien.vision.bundles import DEFAULT_BUNDLE, bundle_path
from mien.vision.detector import HaarDetector, open_detector
from mien.vision.predictor import Predictor


def snapshot(result: FrameResult) -> Snapshot:
    times = np.linspace(0, 10, 101)
    return Snapshot(
        result=result,
        distribution=np.full(7, 1 / 7),
        trend_t_s=times,
        trend=np.full((101, 7), 1 / 7),
        trend_window_s=10.0,
        source="demo",
        detector="",
        model="",
        elapsed_s=10.0,
        frames=250,
        frames_with_face=250,
        faces_max=1,
        captured_fps=25.0,
        processed_fps=25.0,
        dropped=0,
        paused=False,
        notice="",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=200)
    arguments = parser.parse_args()
    detector, predictor = open_detector(), Predictor(bundle_path(DEFAULT_BUNDLE))
    pipeline = Pipeline(detector, predictor, Random(0), 0.4)  # noqa: S311  names for a recording
    stages: dict[str, list[float]] = {name: [] for name in ("detect", "align", "predict", "whole pipeline", "draw the window")}
    for frame in itertools.islice(DemoSource().frames(), arguments.frames):
        marks = [time.perf_counter()]
        detections = detector.detect(frame.image)
        marks.append(time.perf_counter())
        faces = align_faces(frame.image, detections)
        marks.append(time.perf_counter())
        predictor.predict(faces)
        marks.append(time.perf_counter())
        result = pipeline.update(frame)
        marks.append(time.perf_counter())
        render(frame, snapshot(result), (1100, 620))
        marks.append(time.perf_counter())
        for name, (start, end) in zip(stages, itertools.pairwise(marks), strict=True):
            stages[name].append(1000 * (end - start))
    print(f"detector: {detector.name}{' (the slow fallback: run mien fetch)' if isinstance(detector, HaarDetector) else ''}")
    print(f"{'stage':<16} {'median ms':>10} {'p95 ms':>8}")
    medians = {}
    for name, values in stages.items():
        medians[name] = round(float(np.median(values)), 2)
        print(f"{name:<16} {medians[name]:10.2f} {np.percentile(values, 95):8.2f}")
    print(json.dumps({"detector": detector.name, "frames": arguments.frames, "median_ms": medians}))


if __name__ == "__main__":
    main()
