"""Time of each stage of the live pipeline with zero, one and five faces at 640x480, and a soak test.

    python benchmarks/live.py [--frames 300] [--model mien-s] [--photo five.jpg] [--soak 600]

One face: the demo. Five faces: ``--photo``, else the portrait five times, panned like a hand-held
camera. Prints medians and 95th percentiles in milliseconds, the share of frames within the budget
(5 ms for one face, 12 ms for five), the processor time of a frame of one face at a camera's 30
frames per second, and peak memory; the last line is JSON. ``--soak`` adds a whole
session over that many seconds of the demo at full speed: missing frames and rows, change of memory
after the first tenth, remaining threads. Compare ratios of runs on one machine.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien import pipeline as stages_of
from mien.pipeline import ExpressionReader, Pipeline
from mien.privacy.policy import decide, permit_expressions
from mien.records import Frame, FrameResult, Snapshot
from mien.session import Session
from mien.settings import LiveSettings
from mien.sources.demo import FPS, DemoSource
from mien.sources.files import read_picture
from mien.views.dashboard import render
from mien.vision.bundles import DEFAULT_BUNDLE, bundle_path
from mien.vision.detector_choice import open_detector
from mien.vision.finder import FaceFinder
from mien.vision.predictor import Predictor
from mien.vision.tracker import Tracker

BUDGET_MS = {"no face": 5.0, "one face": 5.0, "five faces": 12.0}
SIZE = (640, 480)


class StageClock:
    """Adds up the time of the pipeline's stages per frame by wrapping them."""

    def __init__(self) -> None:
        self.frame: dict[str, float] = {}

    def around(self, owner: Any, name: str, stage: str) -> None:
        """Count calls of ``owner.name`` as ``stage``."""
        plain = getattr(owner, name)

        def timed(*arguments: Any) -> Any:
            started = time.perf_counter()
            try:
                return plain(*arguments)
            finally:
                self.frame[stage] = self.frame.get(stage, 0.0) + 1000 * (time.perf_counter() - started)

        setattr(owner, name, timed)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Time the stages of every pipeline created in this context."""
        places = [(FaceFinder, "update", "find"), (stages_of, "align_faces", "align"), (stages_of, "unread_reasons", "judge"),
                  (stages_of, "head_pose", "pose"), (Predictor, "predict", "read"), (Tracker, "update", "track")]  # fmt: skip
        before = [(owner, name, getattr(owner, name)) for owner, name, _ in places]
        for owner, name, stage in places:
            self.around(owner, name, stage)
        try:
            yield
        finally:
            for owner, name, plain in before:
                setattr(owner, name, plain)


def panned(picture: NDArray[np.uint8], count: int) -> Iterator[Frame]:
    """Yield a picture at 640x480 as seen by a hand-held camera, at 30 frames per second."""
    height, width = picture.shape[:2]
    zoom = min(SIZE[0] / width, SIZE[1] / height)
    for k in range(count):
        move = np.array([[zoom, 0, 6 * np.sin(k / 9)], [0, zoom, 4 * np.cos(k / 7)]])
        image = cv2.warpAffine(picture, move, SIZE, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
        yield Frame(k, k / 30, np.asarray(image, np.uint8), 1 / 30)


def five_portraits() -> NDArray[np.uint8]:
    """Return five small portraits side by side in one picture."""
    portrait = cv2.resize(next(DemoSource().frames()).image[60:420, 180:460], (128, 164))
    picture = np.full((480, 640, 3), 90, np.uint8)
    for k in range(5):
        picture[120 + 40 * (k % 2) : 284 + 40 * (k % 2), 128 * k : 128 * k + 128] = portrait
    return picture


def shown(result: FrameResult) -> Snapshot:
    times = np.linspace(0, 10, 101)
    return Snapshot(
        result=result, distribution=np.full(7, 1 / 7), trend_t_s=times, trend=np.full((101, 7), 1 / 7), trend_window_s=10.0,
        source="demo", detector="", model="", elapsed_s=10.0, frames=250, frames_with_face=250, faces_max=1,
        captured_fps=25.0, processed_fps=25.0, dropped=0, paused=False, notice="",
    )  # fmt: skip


def measure(frames: Iterator[Frame], reader: ExpressionReader) -> tuple[dict[str, list[float]], int]:
    """Return milliseconds by stage and frame, and the maximum number of faces."""
    pipeline, clock = Pipeline(open_detector(), reader, Random(0), 0.4), StageClock()  # noqa: S311  names for a recording
    found: dict[str, list[float]] = {"whole pipeline": [], "draw the window": []}
    faces = 0
    with clock.watching():
        for number, frame in enumerate(frames):
            clock.frame = {}
            started = time.perf_counter()
            result = pipeline.update(frame)
            ended = time.perf_counter()
            faces = max(faces, len(result.faces))
            if number == 0:
                continue  # loads what is loaded on first use
            found["whole pipeline"].append(1000 * (ended - started))
            for stage in ("find", "align", "judge", "pose", "read", "track"):
                found.setdefault(stage, []).append(clock.frame.get(stage, 0.0))
            if number % 10 == 0:
                render(frame, shown(result), (1100, 620))
                found["draw the window"].append(1000 * (time.perf_counter() - ended))
    return found, faces


def processor_ms(frames: Iterator[Frame], reader: ExpressionReader) -> float:
    """Return the processor time of all threads per frame in milliseconds, if frames come as from a camera of 30 per second."""
    pipeline = Pipeline(open_detector(), reader, Random(0), 0.4)  # noqa: S311  names for a recording
    pipeline.update(next(frames))  # loads what is loaded on first use
    spent_s, started, count = time.process_time(), time.monotonic(), 0
    for count, frame in enumerate(frames, 1):
        pipeline.update(frame)
        time.sleep(max(0.0, started + count / 30 - time.monotonic()))
    return 1000 * (time.process_time() - spent_s) / count


def resident_mb() -> float:
    """Return the resident memory of this process in megabytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def soak(film_s: float, model: str) -> dict[str, float]:
    """Run a whole session, including its files, over the given seconds of the demo and return the counts."""
    threads = threading.active_count()
    samples: list[float] = []
    with TemporaryDirectory() as folder:
        session = Session(LiveSettings(source="demo", out=Path(folder), model=model, view="none", seconds=film_s))
        plain = session._pipeline.update

        def counted(frame: Frame) -> FrameResult:
            if frame.index % 25 == 0:
                samples.append(resident_mb())
            return plain(frame)

        session._pipeline.update = counted  # type: ignore[method-assign]  # sample memory once per second of the recording
        summary = session.run()
        with (Path(folder) / "observations.csv").open() as rows:
            written = sum(1 for _ in rows) - 1
    settled = samples[len(samples) // 10 :]
    return {
        "film_s": film_s,
        "frames": summary["frames"],
        "fps": summary["fps"],
        "missing_frames": round(film_s * FPS) - summary["frames"],
        "rows": written,
        "missing_rows": summary["frames_with_face"] - written,
        "settled_mb": round(settled[0], 1),
        "grown_mb": round(max(settled) - settled[0], 1),
        "shrunk_mb": round(settled[0] - min(settled), 1),
        "threads_left": threading.active_count() - threads,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--model", default=DEFAULT_BUNDLE)
    parser.add_argument("--photo", type=Path)
    parser.add_argument("--soak", type=float, default=0.0, metavar="SECONDS")
    arguments = parser.parse_args()
    detector, permit = open_detector(), permit_expressions(decide())
    assert permit is not None  # own use on oneself
    reader = ExpressionReader(Predictor(bundle_path(arguments.model)), permit)
    group = read_picture(arguments.photo) if arguments.photo else five_portraits()
    if group is None:
        parser.error(f"{arguments.photo} is not a picture that can be read")
    films = {
        "no face": panned(np.full((480, 640, 3), 90, np.uint8), arguments.frames),
        "one face": itertools.islice(DemoSource().frames(), arguments.frames),
        "five faces": panned(group, arguments.frames),
    }
    print(f"detector: {detector.name}")
    answer: dict[str, Any] = {"detector": detector.name, "model": arguments.model, "frames": arguments.frames}
    for name, film in films.items():
        found, faces = measure(film, reader)
        print(f"\n{name} (at most {faces} at once)\n{'stage':<16} {'median ms':>10} {'p95 ms':>8} {'mean ms':>8}")
        for stage, values in found.items():
            print(f"{stage:<16} {np.median(values):10.2f} {np.percentile(values, 95):8.2f} {np.mean(values):8.2f}")
        within = float((np.array(found["whole pipeline"]) <= BUDGET_MS[name]).mean())
        print(f"within {BUDGET_MS[name]:g} ms: {within:.0%} of frames")
        answer[name] = {stage: round(float(np.median(values)), 2) for stage, values in found.items()}
        answer[name] |= {"p95": round(float(np.percentile(found["whole pipeline"], 95)), 2), "within_budget": round(within, 3)}
    answer["processor_ms"] = round(processor_ms(itertools.islice(DemoSource().frames(), arguments.frames), reader), 1)
    print(f"\nprocessor time of one face at 30 frames per second: {answer['processor_ms']:.1f} ms a frame")
    answer["peak_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000, 1)
    print(f"peak memory {answer['peak_mb']:.0f} MB")
    if arguments.soak:
        answer["soak"] = soak(arguments.soak, arguments.model)
        print(f"soak: {answer['soak']}")
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
