"""A session, wired together: a source through the pipeline into analytics, files and a view.

The only place that knows all of these at once; each of them knows only records.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random, SystemRandom
from typing import Any, Final

import cv2
import numpy as np

from mien.analytics.distribution import Distribution
from mien.analytics.timeline import Timeline
from mien.analytics.totals import Totals
from mien.analytics.trend import Trend
from mien.errors import DeviceError
from mien.files import atomic_path, write_json
from mien.live.pipeline import Pipeline
from mien.live.runner import Flow, Rate, run
from mien.live.sources import open_source
from mien.live.view import Command, NoView, View
from mien.records import Frame, FrameResult, Snapshot
from mien.settings import LiveSettings
from mien.store.observations import FILE_NAME, ObservationsFile
from mien.store.summary import shares_by_name, summary_text, timeline_rows
from mien.store.summary_picture import draw_summary
from mien.vision.bundles import bundle_path
from mien.vision.detector import Detector, HaarDetector, open_detector
from mien.vision.predictor import Predictor

_SHOW_EVERY_S: Final = 1 / 30
_NOTICE_S: Final = 4.0


class Session:
    """One run over one source.

    Args:
        settings: what to watch and how.

    Attributes:
        notices: sentences the user should read before the run.
        headless: whether nobody watches.

    Raises:
        MienError: the source, the model, the detector or the screen is not to be had.
    """

    def __init__(self, settings: LiveSettings) -> None:
        self._settings = settings
        self._predictor = Predictor(bundle_path(settings.model))
        self._detector: Detector = open_detector()
        self._source, notice = open_source(settings.source)
        self.notices = [notice] if notice else []
        if isinstance(self._detector, HaarDetector):
            self.notices.append("Using the slower Haar face detector; for YuNet (233 kB, fetched once) run: mien fetch")
        # names must not be guessed, but a replay of a recording must give the same bytes
        random = SystemRandom() if self._source.seed is None else Random(self._source.seed)  # noqa: S311  a recording's names must replay
        self._pipeline = Pipeline(self._detector, self._predictor, random, settings.smoothing_s)
        self._view = _open_view(settings.view)
        self.headless = isinstance(self._view, NoView)
        self._seconds = settings.seconds
        if self.headless and not self._seconds and self._source.preview_s:
            self._seconds = self._source.preview_s
        self._flow = Flow(0, 0, Rate(), Rate())
        self._timeline, self._totals = Timeline(), Totals()
        self._faces = Distribution()
        self._shown_distribution, self._trend = Distribution(), Trend()
        self._observations: ObservationsFile | None = None
        self._paused = self._quit = False
        self._notice, self._notice_until = "", 0.0
        self._shown_at = 0.0
        self._started = time.monotonic()

    def run(self, progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
        """Run to the source's end, the time limit, ``q`` or Ctrl-C; return the summary.

        Whatever ends the run, the observations and the summary of what was read are saved;
        a source that gave no frame leaves no file.

        Args:
            progress: called with (frames done, frames in all) where the source knows its length.

        Raises:
            MienError: the source or the disk failed.
        """
        self._started = time.monotonic()
        self._progress = progress
        interrupted = False
        try:
            run(self._source, self._flow, self._step, paced=not self.headless)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            self._view.close()
            if self._observations is not None:
                self._save(interrupted)
                self._observations.close()
        return self._summary(interrupted)

    def _step(self, frame: Frame) -> bool:
        """Process and show one frame; return whether to go on."""
        if self._seconds and frame.t_s >= self._seconds:
            return False
        if not (self._paused and self._source.is_live):
            result = self._pipeline.update(frame)
            self._take_in(result)
            self._result = result
            if self._progress is not None and self._source.total and frame.index % 10 == 0:
                self._progress(frame.index, self._source.total)
        self._show(frame)
        while self._paused and not self._source.is_live and not self._quit:
            time.sleep(_SHOW_EVERY_S)
            self._show(frame)
        return not self._quit

    def _take_in(self, result: FrameResult) -> None:
        """Hand a result to everything that counts or keeps."""
        if self._observations is None:
            self._observations = ObservationsFile(self._settings.out)
        self._observations.update(result)
        for sink in (self._timeline, self._totals, self._faces, self._shown_distribution, self._trend):
            sink.update(result)

    def _show(self, frame: Frame) -> None:
        """Show the state, not more often than eyes can follow, and do what the user asks."""
        now = time.monotonic()
        if now - self._shown_at < _SHOW_EVERY_S:
            return
        self._shown_at = now
        for command in self._view.show(frame, self._snapshot()):
            if command is Command.QUIT:
                self._quit = True
            elif command is Command.PAUSE:
                self._paused = not self._paused
            elif command is Command.RESET:
                self._shown_distribution, self._trend = Distribution(), Trend()
                self._say("statistics on screen start anew; the files keep everything")
            elif command is Command.EXPORT:
                self._save(interrupted=False)
                self._say(f"exported to {self._settings.out}")
            elif command is Command.SCREENSHOT:
                self._say(f"screenshot saved: {self._screenshot(frame)}")

    def _say(self, notice: str) -> None:
        """Show a sentence on screen for a while."""
        self._notice, self._notice_until = notice, time.monotonic() + _NOTICE_S

    def _snapshot(self) -> Snapshot:
        return Snapshot(
            result=self._result,
            distribution=self._shown_distribution.shares,
            trend_t_s=self._trend.t_s,
            trend=self._trend.values,
            trend_window_s=self._trend.window_s,
            source=self._source.name,
            detector=self._detector.name,
            model=self._predictor.card.name,
            elapsed_s=self._totals.elapsed_s,
            frames=self._totals.frames,
            frames_with_face=self._totals.frames_with_face,
            faces_max=self._totals.faces_max,
            captured_fps=self._flow.captured_rate.per_s,
            processed_fps=self._flow.processed_rate.per_s,
            dropped=self._flow.dropped,
            paused=self._paused,
            notice=self._notice if time.monotonic() < self._notice_until else "",
        )

    def _summary(self, interrupted: bool) -> dict[str, Any]:
        wall_s = max(1e-9, time.monotonic() - self._started)
        return {
            "frames": self._totals.frames,
            "frames_with_face": self._totals.frames_with_face,
            "faces_max": self._totals.faces_max,
            "uncertain_share": round(self._totals.uncertain / max(1, self._totals.readings), 4),
            "fps": round(self._totals.frames / wall_s, 2),
            "distribution": shares_by_name(self._faces.shares),
            "out": str(self._settings.out),
            "source": self._source.name,
            "duration_s": round(self._totals.elapsed_s, 3),
            "dropped": self._flow.dropped,
            "interrupted": interrupted,
            "detector": self._detector.name,
            "model": self._predictor.card.name,
            "timeline": timeline_rows(self._timeline.t_s, self._timeline.slice_s, self._timeline.label_seconds),
        }

    def _save(self, interrupted: bool) -> None:
        """Bring the session's files up to date."""
        if self._observations is not None:
            self._observations.flush()
        summary = self._summary(interrupted)
        write_json(self._settings.out / "summary.json", summary)
        facts = [
            ("frames", str(summary["frames"])),
            ("with a face", str(summary["frames_with_face"])),
            ("faces at once", str(summary["faces_max"])),
            ("duration", f"{summary['duration_s']:.1f} s"),
            ("model", summary["model"]),
        ]
        draw_summary(
            self._settings.out / "summary.png",
            title=f"Expressions in {summary['source']}",
            t_s=self._timeline.t_s,
            values=self._timeline.probabilities,
            distribution=self._faces.shares,
            facts=facts,
        )

    def _screenshot(self, frame: Frame) -> Path:
        """Save what the screen shows; faces are made unrecognisable unless the user said otherwise."""
        from mien.live.dashboard import render

        shown = frame if self._settings.keep_faces else replace(frame, image=_without_faces(frame, self._result))
        target = self._settings.out / f"screenshot-{frame.t_s:09.3f}s.png"
        picture = render(shown, self._snapshot(), (1280, 720))
        with atomic_path(target) as temporary:
            cv2.imwrite(str(temporary), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        return target


def report(summary: dict[str, Any]) -> str:
    """Return the text a person reads at the end of a session."""
    return summary_text(summary, (FILE_NAME, "summary.json", "summary.png"))


def _open_view(name: str) -> View:
    """Return the view of that name; ``auto`` takes a window where there is a screen, else the terminal, else nothing."""
    if name == "none":
        return NoView()
    from mien.live.terminal import TerminalView
    from mien.live.window import Window, screen_available

    if name == "window":
        return Window()
    if name == "auto":
        if screen_available():
            with suppress(DeviceError):  # no pygame, or a screen that refuses: the terminal does as well
                return Window()
        if not sys.stdout.isatty():
            return NoView()
    return TerminalView()


def _without_faces(frame: Frame, result: FrameResult) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return the frame's picture with every face reduced to a few large squares."""
    image = frame.image.copy()
    height, width = image.shape[:2]
    for face in result.faces:
        box = face.detection.box
        left, top = max(0, int(box.x - 0.1 * box.w)), max(0, int(box.y - 0.1 * box.h))
        right, bottom = min(width, int(box.x + 1.1 * box.w)), min(height, int(box.y + 1.1 * box.h))
        if right > left and bottom > top:
            coarse = cv2.resize(image[top:bottom, left:right], (8, 8), interpolation=cv2.INTER_AREA)
            image[top:bottom, left:right] = cv2.resize(coarse, (right - left, bottom - top), interpolation=cv2.INTER_NEAREST)
    return image
