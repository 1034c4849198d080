"""Cost of drift monitoring per live frame, on real video.

    MIEN_MODELS=models python benchmarks/drift_cost.py --clip lesson.mp4 [--model mien-s] [--frames 20000]

The clip is repeated on one clock through three phases: learning the session's start, computing the
limits, and evaluating windows. Each phase is timed separately, along with the rest of the same frames.
During the first two phases the clock runs eight times as fast, because the start would take half an hour;
"learning" therefore processes eight times as many faces as usual. Prints means, 95th percentiles and
maxima in milliseconds; the last line is JSON. Compare ratios.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, Final

import cv2
import numpy as np

from mien.monitoring.live_drift import LiveDrift
from mien.monitoring.open_live import open_live_drift
from mien.pipeline import ExpressionReader, Observer, Pipeline
from mien.privacy.level import Level
from mien.privacy.policy import decide, permit_expressions
from mien.records import Frame
from mien.sources.recorded import VideoSource
from mien.vision.bundles import DEFAULT_BUNDLE, bundle_path
from mien.vision.detector_choice import open_detector
from mien.vision.predictor import Predictor

FAST: Final = 8.0


class Clock:
    """Wraps an observer and adds up its time."""

    def __init__(self, observer: LiveDrift) -> None:
        self._observer = observer
        self.spent_ms = 0.0

    def observe(self, *given: Any) -> None:
        """Pass on the faces of a frame."""
        started = time.perf_counter()
        self._observer.observe(*given)
        self.spent_ms = 1000 * (time.perf_counter() - started)


def segment_frames(clip: Path) -> list[Frame]:
    return list(VideoSource(clip).frames())


def endless(frames: list[Frame]) -> Iterator[Frame]:
    """Yield the frames endlessly, forwards and backwards, without jumps."""
    while True:
        yield from (*frames, *frames[::-1])


def pipeline(model: str, observer: Observer | None) -> Pipeline:
    permit = permit_expressions(decide(None))
    assert permit is not None
    return Pipeline(open_detector(), ExpressionReader(Predictor(bundle_path(model), 1), permit), Random(0), 0.4, observer)  # noqa: S311


def told(values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    found = np.array(values)
    return {
        "frames": len(found),
        "mean_ms": round(float(found.mean()), 4),
        "p95_ms": round(float(np.quantile(found, 0.95)), 4),
        "longest_ms": round(float(found.max()), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, required=True, help="a video with a face in it")
    parser.add_argument("--model", default=DEFAULT_BUNDLE, help="name or path of a bundle")
    parser.add_argument("--frames", type=int, default=20_000, help="number of frames")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    frames = segment_frames(arguments.clip)
    drift = open_live_drift(bundle_path(arguments.model), Level.FULL)
    if not isinstance(drift, LiveDrift):
        raise SystemExit(drift.sentence)
    clock = Clock(drift)
    watched = pipeline(arguments.model, clock)
    spent: dict[str, list[float]] = {"learning": [], "working out limits": [], "watching": []}
    rest: list[float] = []
    step_s, t_s = (frames[-1].t_s - frames[0].t_s) / (len(frames) - 1), 0.0
    for number, frame in enumerate(itertools.islice(endless(frames), arguments.frames)):
        phase = "watching" if drift.start is not None else "learning" if "learning" in drift.sentence else "working out limits"
        t_s += step_s * (1 if phase == "watching" else FAST)
        clock.spent_ms = 0.0
        started = time.perf_counter()
        watched.update(replace(frame, index=number, t_s=t_s))
        spent[phase].append(clock.spent_ms)
        if phase == "watching":
            rest.append(1000 * (time.perf_counter() - started) - clock.spent_ms)
    report: dict[str, Any] = {"model": arguments.model}
    print(f"{'':<20} {'frames':>8} {'mean ms':>9} {'p95 ms':>9} {'longest':>9}")
    for name, values in {"the rest of a frame": rest, **spent}.items():
        row = told(values)
        report[name] = row
        print(f"{name:<20} " + " ".join(f"{row.get(key, 0):>9}" for key in ("frames", "mean_ms", "p95_ms", "longest_ms")))
    if rest:
        report["share_of_a_frame"] = round(float(np.mean(spent["watching"]) / np.mean(rest)), 4)
        print(f"watching takes {report['share_of_a_frame']:.1%} of a frame's time")
    print(f"status at the end: {drift.status}, {drift.sentence}")
    print(json.dumps(report))


if __name__ == "__main__":
    main()
