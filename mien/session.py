"""A session, wired together: a source through the pipeline into analytics, files and a view.

The only place that knows all of these at once; each of them knows only records.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from random import Random, SystemRandom
from typing import Any, Final

import numpy as np

from mien.errors import MienError
from mien.files import file_hash
from mien.insight import Insight, suggestion
from mien.live.cameras import Wishes
from mien.live.health import News, words
from mien.live.pipeline import ExpressionReader, Pipeline
from mien.live.runner import Flow, Rate, beside, run
from mien.live.screenshot import save_screenshot
from mien.live.sources import open_source
from mien.live.view import Command, NoView, open_view
from mien.privacy.level import Level
from mien.privacy.oversight import KEEP, SHOW, Oversight
from mien.privacy.permit import permit_expressions
from mien.privacy.release import release
from mien.records import Frame, FrameResult, Snapshot
from mien.settings import LiveSettings
from mien.store.keeping import Keeping
from mien.store.names import new_session_id, start_of
from mien.store.place import SESSIONS
from mien.store.session_records import KeptSession, SessionRecord
from mien.store.summary import health_counts, summary_text
from mien.store.summary_document import summary_document
from mien.version import VERSION
from mien.vision.bundles import bundle_path
from mien.vision.detector import Detector, HaarDetector, open_detector
from mien.vision.predictor import Predictor

_SHOW_EVERY_S: Final = 1 / 60
_NOTICE_S: Final = 4.0
_SUGGESTION_S: Final = 15.0


class Session:
    """One run over one source.

    Args:
        settings: what to watch and how.

    Attributes:
        notices: sentences the user should read before the run.
        headless: whether nobody watches.

    Raises:
        NotPermittedError: the declared deployment permits nothing.
        MienError: the source, the model, the detector or the screen is not to be had.
    """

    def __init__(self, settings: LiveSettings) -> None:
        self._settings = settings
        self._oversight = Oversight(settings.deployment, SESSIONS, settings.person)
        self._policy = self._oversight.policy
        permit = permit_expressions(self._policy)
        bundle = bundle_path(settings.model)
        self._model_hash = file_hash(bundle)
        reader = None if permit is None else ExpressionReader(Predictor(bundle), permit)
        self._model = "no model" if reader is None else reader.predictor.card.name
        self._detector: Detector = open_detector()
        wishes = Wishes(settings.camera_size, settings.camera_fps)
        self._source, notice = open_source(settings.source, wishes, settings.patience_s)
        self.notices = [notice] if notice else []
        self.notices += self._oversight.sentences
        if isinstance(self._detector, HaarDetector):
            self.notices.append("Using the slower Haar face detector; for YuNet (233 kB, fetched once) run: mien fetch")
        # names must not be guessed, but a replay of a recording must give the same bytes
        random = SystemRandom() if self._source.seed is None else Random(self._source.seed)  # noqa: S311  a recording's names must replay
        self._view = open_view(settings.view)
        self.headless = isinstance(self._view, NoView)
        self._seconds = settings.seconds
        if self.headless and not self._seconds and self._source.preview_s:
            self._seconds = self._source.preview_s
        start = datetime.now().astimezone()
        self._record = SessionRecord(
            settings.out.name if start_of(settings.out.name) else new_session_id(start),
            start,
            source=self._source.name,
            model=self._model,
            detector=self._detector.name,
            version=VERSION,
            folder=str(settings.out),
            policy=self._policy.level.value,
            rule=self._policy.rule.name,
            person=self._oversight.person,
        )
        self._keeping = Keeping(self._oversight, self._record, settings.database)
        self._flow = Flow(0, 0, Rate(), Rate())
        self._insight = Insight(settings.rules, settings.states, self._policy, bundle)
        self.notices += self._insight.notices
        self._pipeline = Pipeline(self._detector, reader, random, settings.smoothing_s, self._insight.drift)
        self._lock = threading.Lock()  # around what one thread reads and another writes
        self._news = News(self._source.name)
        self._paused = self._quit = self._withdrawn = False
        self._asked_to_withdraw_s = -math.inf
        self._notice, self._notice_until = "", 0.0
        self._started = self._zero = time.monotonic()
        self._ended = 0.0
        # until the first frame there is a dark one to show, so that a slow camera leaves no dead window
        self._frame = Frame(0, 0.0, np.zeros((480, 640, 3), np.uint8))
        self._result = FrameResult(0, 0.0, (640, 480), ())

    def run(
        self, progress: Callable[[int, int], None] | None = None, tell: Callable[[str], object] | None = None
    ) -> dict[str, Any]:
        """Run to the source's end, the time limit, ``q`` or Ctrl-C; return the summary.

        Whatever ends the run, what was read is saved; a source that gave no frame leaves no
        file. A place that refuses later on is given up and named, and the run goes on.

        Args:
            progress: called with (frames done, frames in all) where the source knows its length.
            tell: called with a sentence whenever the source is lost, black, or back again; for
                runs that nobody watches.

        Raises:
            MienError: the source or the disk failed.
        """
        self._oversight.begin(self._model_hash)
        self._started = self._zero = time.monotonic()
        self._progress, self._tell = progress, tell
        state = "ended"
        try:
            if self.headless:
                self._read()
            else:
                beside(self._read, self._show, lambda: setattr(self, "_quit", True), _SHOW_EVERY_S)
        except KeyboardInterrupt:
            state = "interrupted"
        finally:
            self._ended = time.monotonic()
            self._view.close()
            document = self._end(state)
        return document

    def _read(self) -> None:
        """Read the source to its end, or until the user has had enough."""
        run(self._source, self._flow, self._step, paced=not self.headless, idle=self._idle)

    def _step(self, frame: Frame) -> bool:
        """Process one frame; return whether to go on."""
        if self._seconds and frame.t_s >= self._seconds:
            return False
        self._zero = time.monotonic() - frame.t_s
        if not (self._paused and self._source.is_live):
            result = self._pipeline.update(frame)
            with self._lock:
                self._frame, self._result = frame, result
                released = release(self._policy, result)
                self._keeping.update(released, self._flow.captured, self._flow.dropped)
                for event in self._insight.update(result, released):
                    self._keeping.add(event)
                    self._say(suggestion(event), _SUGGESTION_S)
            if self._progress is not None and self._source.total and frame.index % 10 == 0:
                self._progress(frame.index, self._source.total)
        if self.headless:
            self._hear_news()
        self._heed_withdrawal()
        while self._paused and not self._source.is_live and not self._quit:
            time.sleep(_SHOW_EVERY_S)
        return not self._quit

    def _idle(self) -> bool:
        """Note that nothing new has come; return whether to go on."""
        if self.headless:
            self._hear_news()
        self._heed_withdrawal()
        t_s = time.monotonic() - self._zero  # the clock of a live source goes on without frames
        time_is_up = self._source.is_live and 0 < self._seconds <= t_s
        return not (time_is_up or self._quit)

    def _heed_withdrawal(self) -> None:
        """Stop at once where the person has taken their consent back."""
        taken_back = self._keeping.heed()
        if taken_back == SHOW:
            self._withdrawn = self._quit = True
        elif taken_back == KEEP:
            self._say("consent to keeping was taken back: what was kept of this session is erased")

    def _hear_news(self) -> None:
        """Pass on what has happened to the source, and to the places where the session is kept."""
        news = self._news.update(self._source.health)
        for sentence in ([news] if news else []) + [*self._keeping.take_notices()]:
            self._say(sentence)
            if self._tell is not None:
                self._tell(sentence)

    def _show(self) -> None:
        """Show the newest state, and do what the user asks."""
        self._hear_news()
        with self._lock:
            frame, faces, snapshot = self._frame, self._result.faces, self._snapshot()
        for command in self._view.show(frame, snapshot):
            if command is Command.QUIT:
                self._quit = True
            elif command is Command.PAUSE:
                self._paused = not self._paused
            elif command is Command.WITHDRAW:
                self._withdraw()
            elif command is Command.RESET:
                with self._lock:
                    self._insight.analytics.reset_screen()
                self._say("statistics on screen start anew; the files keep everything")
            elif command is Command.EXPORT:
                names = self._keeping.export(self._facts())
                self._say(f"exported to {self._settings.out}" if names else "nothing is exported: nothing is kept")
            elif command is Command.SCREENSHOT and not self._keeping.keeps:
                self._say("no screenshot: nothing is kept")
            elif command is Command.SCREENSHOT:
                hidden = () if self._settings.keep_faces else faces  # those of the frame: a lost camera's snapshot has none
                self._say(f"screenshot saved: {save_screenshot(self._settings.out, frame, snapshot, hidden)}")

    def _withdraw(self) -> None:
        """End the session and erase it, when asked twice."""
        if time.monotonic() - self._asked_to_withdraw_s > _NOTICE_S:
            self._asked_to_withdraw_s = time.monotonic()
            self._say("press w again to end this session and erase all of it")
            return
        self._oversight.withdraw()
        self._withdrawn = self._quit = True

    def _say(self, notice: str, seconds: float = _NOTICE_S) -> None:
        """Show a sentence on screen for a while."""
        self._notice, self._notice_until = notice, time.monotonic() + seconds

    def _snapshot(self) -> Snapshot:
        health = self._source.health
        waiting = "" if self._insight.analytics.totals.frames else f"waiting for the first picture of {self._source.name}"
        silent = health.state in ("stalled", "lost")  # who was in the last picture may be gone by now
        now = self._insight.now(silent)
        return Snapshot(
            result=replace(self._result, faces=()) if silent else self._result,
            **now,
            source=self._source.name,
            detector=self._detector.name,
            model=self._model,
            captured_fps=self._flow.captured_rate.per_s,
            processed_fps=self._flow.processed_rate.per_s,
            dropped=self._flow.dropped,
            paused=self._paused,
            notice=self._notice
            if time.monotonic() < self._notice_until
            else words(self._source.name, health) or waiting or " · ".join(now["signs"]),
            health=health,
            expressions=self._policy.level is Level.FULL,
        )

    def _facts(self) -> dict[str, Any]:
        """Return what the summary says beyond what every place keeps."""
        wall_s = max(1e-9, (self._ended or time.monotonic()) - self._started)  # writing the summary is not reading
        return {
            "fps": round(self._insight.analytics.totals.frames / wall_s, 2),
            "source_health": health_counts(self._source.health),
            **self._insight.facts(),
        }

    def _end(self, state: str) -> dict[str, Any]:
        """Let everything go, save what was read, and return the summary."""
        self._ended = time.monotonic()
        self._view.close()
        totals = self._insight.analytics.totals
        self._oversight.end(totals.elapsed_s, totals.frames)
        if self._withdrawn:
            self._keeping.erase()
            return {**summary_document(KeptSession(self._record)), "files": [], "withdrawn": True}
        kept = self._keeping.finish(state, self._facts())
        if self._keeping.files:
            with suppress(MienError):  # the place has refused before, and was named
                self._keeping.files += self._insight.write(self._settings.out, self._source.name)
        for sentence in self._keeping.take_notices():
            (self._tell or self.notices.append)(sentence)
        return {**summary_document(kept), "files": self._keeping.files}


def report(summary: dict[str, Any]) -> str:
    """Return the text a person reads at the end of a session."""
    if summary.get("withdrawn"):
        return "Consent was taken back: the session has ended, and what was kept of it is erased."
    return summary_text(summary, summary["files"])
