"""A session, wired together: a source through the pipeline into analytics, files and a view.

The only place that knows all of these at once; each of them knows only records.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from random import Random, SystemRandom
from typing import Any, Final

import numpy as np

from mien.analytics.distribution import Distribution
from mien.analytics.timeline import Timeline
from mien.analytics.totals import Totals
from mien.analytics.trend import Trend
from mien.files import write_json
from mien.live.cameras import Wishes
from mien.live.health import News, words
from mien.live.pipeline import Pipeline
from mien.live.runner import Flow, Rate, run
from mien.live.screenshot import save_screenshot
from mien.live.sources import open_source
from mien.live.view import Command, NoView, open_view
from mien.records import Frame, FrameResult, Snapshot
from mien.settings import LiveSettings
from mien.store.observations import FILE_NAME, ObservationsFile
from mien.store.summary import health_counts, shares_by_name, summary_text, timeline_rows
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
        wishes = Wishes(settings.camera_size, settings.camera_fps)
        self._source, notice = open_source(settings.source, wishes, settings.patience_s)
        self.notices = [notice] if notice else []
        if isinstance(self._detector, HaarDetector):
            self.notices.append("Using the slower Haar face detector; for YuNet (233 kB, fetched once) run: mien fetch")
        # names must not be guessed, but a replay of a recording must give the same bytes
        random = SystemRandom() if self._source.seed is None else Random(self._source.seed)  # noqa: S311  a recording's names must replay
        self._pipeline = Pipeline(self._detector, self._predictor, random, settings.smoothing_s)
        self._view = open_view(settings.view)
        self.headless = isinstance(self._view, NoView)
        self._seconds = settings.seconds
        if self.headless and not self._seconds and self._source.preview_s:
            self._seconds = self._source.preview_s
        self._flow = Flow(0, 0, Rate(), Rate())
        self._timeline, self._totals = Timeline(), Totals()
        self._faces = Distribution()
        self._shown_distribution, self._trend = Distribution(), Trend()
        self._observations: ObservationsFile | None = None
        self._news = News(self._source.name)
        self._paused = self._quit = False
        self._notice, self._notice_until = "", 0.0
        self._shown_at = 0.0
        self._started = self._zero = time.monotonic()
        # until the first frame there is a dark one to show, so that a slow camera leaves no dead window
        self._frame = Frame(0, 0.0, np.zeros((480, 640, 3), np.uint8))
        self._result = FrameResult(0, 0.0, (640, 480), ())

    def run(
        self, progress: Callable[[int, int], None] | None = None, tell: Callable[[str], object] | None = None
    ) -> dict[str, Any]:
        """Run to the source's end, the time limit, ``q`` or Ctrl-C; return the summary.

        Whatever ends the run, the observations and the summary of what was read are saved;
        a source that gave no frame leaves no file.

        Args:
            progress: called with (frames done, frames in all) where the source knows its length.
            tell: called with a sentence whenever the source is lost, black, or back again; for
                runs that nobody watches.

        Raises:
            MienError: the source or the disk failed.
        """
        self._started = self._zero = time.monotonic()
        self._progress, self._tell = progress, tell
        interrupted = False
        try:
            run(self._source, self._flow, self._step, paced=not self.headless, idle=self._idle)
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
        self._zero = time.monotonic() - frame.t_s
        if not (self._paused and self._source.is_live):
            self._result = self._pipeline.update(frame)
            self._frame = frame
            self._take_in(self._result)
            if self._progress is not None and self._source.total and frame.index % 10 == 0:
                self._progress(frame.index, self._source.total)
        self._show()
        while self._paused and not self._source.is_live and not self._quit:
            time.sleep(_SHOW_EVERY_S)
            self._show()
        return not self._quit

    def _idle(self) -> bool:
        """Show that nothing new has come; return whether to go on."""
        self._show()
        t_s = time.monotonic() - self._zero  # the clock of a live source goes on without frames
        time_is_up = self._source.is_live and 0 < self._seconds <= t_s
        return not (time_is_up or self._quit)

    def _take_in(self, result: FrameResult) -> None:
        """Hand a result to everything that counts or keeps."""
        if self._observations is None:
            self._observations = ObservationsFile(self._settings.out)
        self._observations.update(result)
        for sink in (self._timeline, self._totals, self._faces, self._shown_distribution, self._trend):
            sink.update(result)

    def _show(self) -> None:
        """Show the state, not more often than eyes can follow, and do what the user asks."""
        now = time.monotonic()
        if now - self._shown_at < _SHOW_EVERY_S:
            return
        self._shown_at = now
        if news := self._news.update(self._source.health):
            self._say(news)
            if self._tell is not None:
                self._tell(news)
        for command in self._view.show(self._frame, self._snapshot()):
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
                hidden = () if self._settings.keep_faces else self._result.faces
                self._say(f"screenshot saved: {save_screenshot(self._settings.out, self._frame, self._snapshot(), hidden)}")

    def _say(self, notice: str) -> None:
        """Show a sentence on screen for a while."""
        self._notice, self._notice_until = notice, time.monotonic() + _NOTICE_S

    def _snapshot(self) -> Snapshot:
        health = self._source.health
        waiting = "" if self._totals.frames else f"waiting for the first picture of {self._source.name}"
        silent = health.state in ("stalled", "lost")  # who was in the last picture may be gone by now
        return Snapshot(
            result=replace(self._result, faces=()) if silent else self._result,
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
            notice=self._notice if time.monotonic() < self._notice_until else words(self._source.name, health) or waiting,
            health=health,
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
            "source_health": health_counts(self._source.health),
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


def report(summary: dict[str, Any]) -> str:
    """Return the text a person reads at the end of a session."""
    return summary_text(summary, (FILE_NAME, "summary.json", "summary.png"))
