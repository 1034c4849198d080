"""A live session: source, pipeline, analytics, recorder and view.

The parts only exchange records. ``_wire`` opens the parts of a session, ``Session`` runs them, and
``_Controls`` carries out the user's commands.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Final

import numpy as np

from mien.destinations import open_recorder
from mien.errors import DeviceError, MienError, StorageError
from mien.files import file_hash
from mien.insight import Insight, suggestion
from mien.pipeline import Pipeline, model_name, open_reader
from mien.privacy.level import Level
from mien.privacy.oversight import KEEP, SHOW, Oversight
from mien.privacy.release import release
from mien.records import FaceReading, Frame, FrameResult, Snapshot
from mien.runner import Flow, Rate, run, run_in_background
from mien.sessions.document import health_counts, summary_document
from mien.sessions.layout import SESSIONS, session_id_of
from mien.sessions.recorder import SessionRecorder
from mien.sessions.records import KeptSession, SessionRecord
from mien.settings import LiveSettings
from mien.sources.cameras import CameraOptions
from mien.sources.factory import open_source
from mien.sources.health import HealthNotices, health_message
from mien.sources.source import Source
from mien.stops import ending
from mien.version import VERSION
from mien.views.factory import open_view
from mien.views.screenshot import save_screenshot
from mien.views.view import Command, NoView, View
from mien.vision.bundles import bundle_path
from mien.vision.detector_choice import detector_notice, open_detector
from mien.vision.predictor import Predictor
from mien.vision.tracker import name_source

_SHOW_EVERY_S: Final = 1 / 60
_NOTICE_S: Final = 4.0
_CONSENT_EVERY_S: Final = 1.0
_SUGGESTION_S: Final = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """The parts of a session, opened but not started."""

    oversight: Oversight
    source: Source
    pipeline: Pipeline
    insight: Insight
    recorder: SessionRecorder
    view: View
    record: SessionRecord
    model_hash: str
    notices: list[str]


def _wire(settings: LiveSettings) -> _Parts:
    """Open the parts of a session. The policy is checked first."""
    oversight = Oversight(settings.deployment, SESSIONS, settings.person)
    policy, bundle = oversight.policy, bundle_path(settings.model)
    model_hash = file_hash(bundle)
    reader = open_reader(policy, lambda: Predictor(bundle))
    detector = open_detector()
    options = CameraOptions(settings.camera_size, settings.camera_fps)
    source, source_notice = open_source(settings.source, options, settings.patience_s)
    view = open_view(settings.view)
    start = datetime.now().astimezone()
    record = SessionRecord(
        session_id_of(settings.out, start),
        start,
        source=source.name,
        model=model_name(reader),
        detector=detector.name,
        version=VERSION,
        folder=str(settings.out),
        policy=policy.level.value,
        rule=policy.rule.name,
        person=oversight.person,
    )
    recorder = open_recorder(oversight, record, settings.database)
    insight = Insight(settings.rules, settings.states, policy, bundle)
    pipeline = Pipeline(detector, reader, name_source(source.seed), settings.smoothing_s, insight.drift)
    notices = [source_notice, *oversight.sentences, detector_notice(detector.name), *insight.notices]
    return _Parts(
        oversight=oversight,
        source=source,
        pipeline=pipeline,
        insight=insight,
        recorder=recorder,
        view=view,
        record=record,
        model_hash=model_hash,
        notices=[notice for notice in notices if notice],
    )


class _Controls:
    """Carries out the user's commands during a session, and holds the notice on screen.

    Args:
        settings: of the session.
        parts: of the session.
        lock: guards state shared by the threads.
        facts: returns further values for ``summary.json``.

    Attributes:
        paused: whether frames are skipped.
        quit: whether the session is to end.
        withdrawn: whether it is also to be erased.
        missing: why something could not be stored or logged.
        not_erased: why something could not be erased, or a withdrawal not recorded.
    """

    def __init__(self, settings: LiveSettings, parts: _Parts, lock: threading.Lock, facts: Callable[[], dict[str, Any]]) -> None:
        self.paused = self.quit = self.withdrawn = False
        self.missing: list[str] = []
        self.not_erased: list[str] = []
        self._withdraws = False  # the person asked here, so that it is to be recorded
        self._settings, self._parts, self._lock, self._facts = settings, parts, lock, facts
        self._asked_to_withdraw_s = self._consent_checked_s = -math.inf
        self._notice, self._notice_until = "", 0.0

    @property
    def notice(self) -> str:
        """The notice on screen, or ""."""
        return self._notice if time.monotonic() < self._notice_until else ""

    def say(self, notice: str, seconds: float = _NOTICE_S) -> None:
        """Show a notice on screen for a while."""
        self._notice, self._notice_until = notice, time.monotonic() + seconds

    def stop(self) -> None:
        """End the session with its next frame."""
        self.quit = True

    def check_consent(self, at_once: bool = False) -> None:
        """Check whether consent was withdrawn, about once a second or at once; end or erase the session accordingly."""
        if not at_once and time.monotonic() - self._consent_checked_s < _CONSENT_EVERY_S:
            return
        self._consent_checked_s = time.monotonic()
        withdrawn = self._parts.oversight.withdrawn()
        if withdrawn == SHOW:
            self.withdrawn = self.quit = True
        elif withdrawn == KEEP and self._parts.recorder.keeps:
            self.erase()
            left = self._parts.recorder.not_erased
            self.say("consent to storage was withdrawn; " + (left[0] if left else "the data of this session has been erased"))

    def erase(self) -> None:
        """Erase the session and store nothing from now on; then record the withdrawal, if it was made here."""
        recorder, oversight = self._parts.recorder, self._parts.oversight
        if recorder.keeps:
            files = recorder.erase()
            self.not_erased += recorder.not_erased
            if files and not recorder.not_erased and (said := oversight.erased(files)):
                self.not_erased.append(said)
        if self._withdraws:
            self.not_erased += oversight.withdraw()

    def carry_out(self, command: Command, frame: Frame, faces: tuple[FaceReading, ...], snapshot: Snapshot) -> None:
        """Carry out a command.

        Args:
            command: the command.
            frame: the frame on screen.
            faces: all faces of that frame; the snapshot of a lost camera has none.
            snapshot: the state of the session on screen.
        """
        match command:
            case Command.QUIT:
                self.stop()
            case Command.PAUSE:
                self.paused = not self.paused
            case Command.WITHDRAW:
                self._withdraw()
            case Command.RESET:
                with self._lock:
                    self._parts.insight.reset_screen()
                    self._parts.recorder.tally.reset_screen()
                self.say("statistics on screen were reset; the files keep everything")
            case Command.EXPORT:
                names = self._parts.recorder.export(self._facts())
                self.say(f"exported to {self._settings.out}" if names else "cannot export: this session is not stored")
            case Command.SCREENSHOT:
                self._save_screenshot(frame, faces, snapshot)

    def _save_screenshot(self, frame: Frame, faces: tuple[FaceReading, ...], snapshot: Snapshot) -> None:
        if not self._parts.recorder.keeps:
            self.say("no screenshot: this session is not stored")
            return
        hidden = () if self._settings.keep_faces else faces
        try:
            self.say(f"screenshot saved: {save_screenshot(self._settings.out, frame, snapshot, hidden)}")
        except DeviceError as error:  # the session continues
            self.say(str(error))

    def _withdraw(self) -> None:
        """End and erase the session on the second request."""
        if time.monotonic() - self._asked_to_withdraw_s > _NOTICE_S:
            self._asked_to_withdraw_s = time.monotonic()
            self.say("press w again to end this session and erase its data")
            return
        self._withdraws = self.withdrawn = self.quit = True


class Session:
    """A session over one source.

    Args:
        settings: source, model, output and view.

    Attributes:
        notices: notices for the user before the run.
        headless: whether there is no view.

    Raises:
        NotPermittedError: the policy permits no reading.
        MienError: the source, the model, the detector or the screen is unavailable.
    """

    def __init__(self, settings: LiveSettings) -> None:
        self._settings = settings
        self._parts = parts = _wire(settings)
        self._oversight, self._policy = parts.oversight, parts.oversight.policy
        self._source, self._pipeline, self._view = parts.source, parts.pipeline, parts.view
        self._insight, self._recorder = parts.insight, parts.recorder
        self.notices = parts.notices
        self.headless = isinstance(self._view, NoView)
        self._seconds = settings.seconds or (self._source.preview_s or 0.0 if self.headless else 0.0)
        self._flow = Flow(0, 0, Rate(), Rate())
        self._lock = threading.Lock()  # guards state shared by the threads
        self._controls = _Controls(settings, parts, self._lock, self._facts)
        self._health_notices = HealthNotices(self._source.name)
        self._missing = self._controls.missing
        self._started = self._zero = time.monotonic()
        self._ended = 0.0
        self._time_is_up = self._source_ended = False
        # a dark frame is shown until the first one, so that the window responds while a camera starts
        self._frame = Frame(0, 0.0, np.zeros((480, 640, 3), np.uint8))
        self._result = FrameResult(0, 0.0, (640, 480), ())

    def run(
        self, progress: Callable[[int, int], None] | None = None, tell: Callable[[str], object] | None = None
    ) -> dict[str, Any]:
        """Run to the end of the source, the time limit, ``q``, Ctrl-C, SIGTERM or SIGHUP; return the summary.

        Whatever ends the run, all readings are saved; a source without frames leaves no file. A sink that fails
        later is switched off with a notice, and the run continues; ``missing`` lists what was not stored,
        ``not_erased`` what a withdrawal could not erase or record.

        Args:
            progress: called with the number of processed frames and the total, if the source knows it.
            tell: called with a notice when the state of the source changes; for runs without a view.

        Raises:
            MienError: the source failed, or the session's folder cannot be written.
        """
        self._oversight.begin(self._parts.model_hash)
        self._started = self._zero = time.monotonic()
        self._progress, self._tell = progress, tell
        state = "ended"
        try:
            try:
                if self.headless:
                    self._read()
                else:
                    run_in_background(self._read, self._show, self._controls.stop, _SHOW_EVERY_S)
                    self._hold()
            finally:
                ending()
        except KeyboardInterrupt:
            state = "interrupted"
        except StorageError as error:  # no space for the first frame
            self._missing.append(str(error))
        finally:
            document = self._end(state)
        return document

    def _read(self) -> None:
        """Read the source until it ends or the user quits."""
        run(self._source, self._flow, self._step, paced=not self.headless, idle=self._idle)
        self._source_ended = not (self._controls.quit or self._time_is_up)

    def _hold(self) -> None:
        """Keep a window open at the end of a recording or a picture until the user closes it."""
        self._ended = time.monotonic()
        if self._source.is_live or not self._source_ended or not self._view.stays:
            return
        self._controls.quit = False  # set by the end of the reading, not by the user
        self._controls.say(f"end of {self._source.name}; press q to close", math.inf)
        with suppress(KeyboardInterrupt):  # the reading has already ended
            while not self._controls.quit:
                self._controls.check_consent()
                self._show()
                time.sleep(_SHOW_EVERY_S)

    def _step(self, frame: Frame) -> bool:
        """Process one frame; return whether to continue."""
        if self._seconds and frame.t_s >= self._seconds:
            self._time_is_up = True
            return False
        self._zero = time.monotonic() - frame.t_s
        if not (self._controls.paused and self._source.is_live):
            result = self._pipeline.update(frame)
            with self._lock:
                self._frame, self._result = frame, result
                released = release(self._policy, result)
                self._recorder.update(released, self._flow.captured, self._flow.dropped)
                for event in self._insight.update(result, released):
                    self._recorder.add(event)
                    self._controls.say(suggestion(event), _SUGGESTION_S)
            if self._progress is not None and self._source.total and frame.index % 10 == 0:
                self._progress(frame.index, self._source.total)
        if self.headless:
            self._pass_notices()
        self._controls.check_consent()
        while self._controls.paused and not self._source.is_live and not self._controls.quit:
            self._controls.check_consent()
            time.sleep(_SHOW_EVERY_S)
        return not self._controls.quit

    def _idle(self) -> bool:
        """Called while there is no new frame; return whether to continue."""
        if self.headless:
            self._pass_notices()
        self._controls.check_consent()
        t_s = time.monotonic() - self._zero  # the clock of a live source continues without frames
        time_is_up = self._source.is_live and 0 < self._seconds <= t_s
        return not (time_is_up or self._controls.quit)

    def _pass_notices(self) -> None:
        """Pass on notices of the source and of the recorder."""
        notice = self._health_notices.update(self._source.health)
        for sentence in ([notice] if notice else []) + [*self._recorder.take_notices()]:
            self._controls.say(sentence)
            if self._tell is not None:
                self._tell(sentence)

    def _show(self) -> None:
        """Show the newest state and carry out the user's commands."""
        self._pass_notices()
        with self._lock:
            frame, faces, snapshot = self._frame, self._result.faces, self._snapshot()
        for command in self._view.show(frame, snapshot):
            self._controls.carry_out(command, frame, faces, snapshot)

    def _snapshot(self) -> Snapshot:
        health = self._source.health
        waiting = "" if self._recorder.tally.frames else f"waiting for the first frame of {self._source.name}"
        silent = health.state in ("stalled", "lost")  # the faces of the last frame may be gone
        now = {**self._insight.now(silent), **self._recorder.tally.now(silent)}
        return Snapshot(
            result=replace(self._result, faces=()) if silent else self._result,
            **now,
            source=self._source.name,
            detector=self._parts.record.detector,
            model=self._parts.record.model,
            captured_fps=self._flow.captured_rate.per_s,
            processed_fps=self._flow.processed_rate.per_s,
            dropped=self._flow.dropped,
            paused=self._controls.paused,
            notice=self._controls.notice or health_message(self._source.name, health) or waiting or " · ".join(now["signs"]),
            health=health,
            expressions=self._policy.level is Level.FULL,
        )

    def _facts(self) -> dict[str, Any]:
        """Return further values for ``summary.json``."""
        wall_s = max(1e-9, (self._ended or time.monotonic()) - self._started)  # without the time for writing the summary
        return {
            "fps": round(self._recorder.tally.frames / wall_s, 2),
            "source_health": health_counts(self._source.health),
            **self._insight.facts(),
        }

    def _end(self, state: str) -> dict[str, Any]:
        """Release everything, store the session, and return the summary."""
        self._ended = self._ended or time.monotonic()
        self._view.close()
        tally = self._recorder.tally
        self._unless_refused(lambda: self._oversight.end(tally.elapsed_s, tally.frames))
        kept = KeptSession(self._parts.record)
        check = partial(self._controls.check_consent, at_once=True)
        if not self._controls.withdrawn:
            self._unless_refused(check)
        if not self._controls.withdrawn:
            kept = self._recorder.finish(state, self._facts())
            self._unless_refused(check)  # writing the summary takes time
        ended = {"missing": self._missing, "not_erased": self._controls.not_erased}
        if self._controls.withdrawn:
            self._controls.erase()
            return {**summary_document(KeptSession(self._parts.record)), "files": [], "withdrawn": True, **ended}
        if self._recorder.files:
            write = self._insight.write
            self._unless_refused(lambda: self._recorder.files.extend(write(self._settings.out, self._source.name)))
        for sentence in self._recorder.take_notices():
            (self._tell or self.notices.append)(sentence)
        self._missing += [failure.reason for failure in self._recorder.failures if not failure.erasing]
        return {**summary_document(kept), "files": self._recorder.files, **ended}

    def _unless_refused(self, keep: Callable[[], object]) -> None:
        """Run ``keep``; if it fails, add the error to ``missing``, unless it is there, and continue."""
        try:
            keep()
        except MienError as error:
            if str(error) not in self._missing:
                self._missing.append(str(error))
