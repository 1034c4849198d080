"""Stores the sessions of a page in the folder layout of the desktop version.

The page sends its readings without landmarks. They are converted to the same records and pass the same release step
before anything is written.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from mien.destinations import open_recorder
from mien.documents import parse_json, record_from
from mien.emotions import EMOTIONS
from mien.errors import DataError, MienError, NotPermittedError, StorageError, UsageError
from mien.insight import Insight, suggestion
from mien.privacy.oversight import SHOW, Oversight
from mien.privacy.release import release
from mien.records import Box, Detection, FaceReading, FrameResult, HeadPose, SourceHealth
from mien.sessions.document import health_counts
from mien.sessions.layout import new_session_id
from mien.sessions.records import SessionRecord
from mien.version import VERSION
from mien.visible import visible

_QUIET_S: Final = 15.0
"""A page that has sent nothing for this many seconds no longer prevents another page from recording."""
_LONGEST_NAME: Final = 120
_TRACK: Final = re.compile("[a-z]{6}")
_REASON: Final = re.compile("[a-z ]{1,40}")


@dataclass(frozen=True, slots=True)
class SentFace:
    """One face as sent by the page; see :class:`mien.records.FaceReading`."""

    track_id: str
    box: Box
    score: float
    raw: tuple[float, ...]
    smoothed: tuple[float, ...]
    label: str
    unread: str
    pose: HeadPose | None
    facing: bool | None

    def __post_init__(self) -> None:
        if not _TRACK.fullmatch(self.track_id):
            raise ValueError("track_id is not six letters")
        if self.unread:
            if self.label or self.raw or self.smoothed or not _REASON.fullmatch(self.unread):
                raise ValueError("a face that was not read must have a reason and nothing else")
        elif self.label not in EMOTIONS or not (_are_shares(self.raw) and _are_shares(self.smoothed)):
            raise ValueError("a face that was read must have a label and seven probabilities")

    def reading(self, uncertain_below: dict[str, float]) -> FaceReading:
        """Return the face as a record of the pipeline."""
        nothing = (np.nan,) * len(EMOTIONS)
        raw, smoothed = (np.array(row or nothing, np.float32) for row in (self.raw, self.smoothed))
        seen, below = Detection(self.box, self.score, None), uncertain_below.get(self.label, 0.0)
        return FaceReading(
            track_id=self.track_id,
            detection=seen,
            raw=raw,
            smoothed=smoothed,
            label=self.label,
            uncertain_below=below,
            pose=self.pose,
            unread=self.unread,
            facing=self.facing,
        )


@dataclass(frozen=True, slots=True)
class SentFrame:
    """All faces of one frame as sent by the page."""

    index: int
    t_s: float
    interval_s: float
    width: int
    height: int
    faces: tuple[SentFace, ...]

    def __post_init__(self) -> None:
        if self.index < 0 or self.t_s < 0 or not 0 <= self.interval_s <= 3600 or len(self.faces) > 500:
            raise ValueError("a frame must have an index, a time and an interval of at least 0, and at most 500 faces")


@dataclass(frozen=True, slots=True)
class Batch:
    """Readings that a page sends about once a second.

    Attributes:
        captured: number of frames captured so far.
        dropped: number of frames dropped so far.
        frames: frames read since the last batch.
    """

    captured: int
    dropped: int
    frames: tuple[SentFrame, ...]


def read_batch(body: bytes) -> Batch:
    """Parse the body of a request as a batch.

    Raises:
        DataError: the body is not a valid batch.
    """
    try:
        return record_from(Batch, parse_json(body), "the batch")
    except ValueError as error:
        raise DataError(f"the page sent an invalid batch of readings ({error})") from error


class ConsentWithdrawnError(NotPermittedError):
    """Consent was withdrawn after the server started, so no session may begin.

    Attributes:
        purpose: the consent that was withdrawn: ``show`` or ``keep``.
    """

    def __init__(self, purpose: str) -> None:
        super().__init__("consent was withdrawn" if purpose == SHOW else "consent to storage was withdrawn")
        self.purpose = purpose


class KeptSessions:
    """Stores sessions, one at a time.

    Args:
        oversight: decides what may be stored.
        root: parent of the session folders.
        model: display name of the model.
        detector: name of the face detector.
        model_hash: SHA-256 of the bundle, even if expressions may not be read.
        uncertain_below: the model's confidence thresholds by class.
    """

    def __init__(
        self, oversight: Oversight, root: Path, model: str, detector: str, model_hash: str, uncertain_below: dict[str, float]
    ) -> None:
        self._oversight, self._root = oversight, root
        self._model, self._detector, self._model_hash = model, detector, model_hash
        self._uncertain_below = uncertain_below
        self._lock = threading.Lock()
        self._running: _Running | None = None

    def begin(self, source: str) -> tuple[str, Path]:
        """Begin a session and return its id and its folder.

        Raises:
            UsageError: another page is recording.
            ConsentWithdrawnError: consent was withdrawn.
            MienError: writing is not permitted or fails.
        """
        with self._lock:
            if self._running is not None:
                if time.monotonic() - self._running.heard_s < _QUIET_S:
                    raise UsageError("another page of this server is recording; end its session first")
                self._interrupt()
            if withdrawn := self._oversight.withdrawn():
                raise ConsentWithdrawnError(withdrawn)
            start = datetime.now().astimezone()
            session_id = new_session_id(start)
            policy = self._oversight.policy
            record = SessionRecord(
                session_id,
                start,
                source=visible(source[:_LONGEST_NAME]) or "browser",
                model=self._model,
                detector=self._detector,
                version=VERSION,
                folder=str(self._root / session_id),
                policy=policy.level.value,
                rule=policy.rule.name,
                person=self._oversight.person,
            )
            self._oversight.begin(self._model_hash)
            self._running = _Running(self._oversight, record, self._uncertain_below)
            return session_id, self._root / session_id

    def add(self, session_id: str, batch: Batch) -> dict[str, Any]:
        """Add a batch; return ``withdrawn``, the consent that the person has withdrawn, and ``notices`` for the person.

        Raises:
            DataError: there is no such session.
            MienError: the folder cannot be created.
        """
        with self._lock:
            running = self._session(session_id)
            added = running.add(batch)
            return {**added, "notices": running.take_unread() + added["notices"]}

    def end(self, session_id: str, batch: Batch) -> dict[str, Any]:
        """Add the last batch and end the session; return the same values as ``add``.

        Raises:
            DataError: there is no such session.
            MienError: the folder cannot be created.
        """
        with self._lock:
            running = self._session(session_id)
            added = running.add(batch)
            self._running = None
            ended = running.finish("ended")
            return {**ended, "notices": running.take_unread() + added["notices"] + ended["notices"]}

    def erase(self, session_id: str) -> list[str]:
        """End the session, erase its data and record the withdrawal.

        Returns:
            why consent ledger or audit log could not be written; empty if they were.

        Raises:
            DataError: there is no such session.
            StorageError: something could not be erased; all else was. The session has ended.
        """
        with self._lock:
            running = self._session(session_id)
            self._running = None
            return running.erase()

    def check_consent(self) -> None:
        """Erase the running session, if any, if consent to it was withdrawn.

        Notices are printed, since the page may be gone, and returned by the next ``add`` or ``end``.

        Raises:
            DataError: the consent ledger is broken.
        """
        with self._lock:
            if self._running is not None:
                checked = self._running.check_consent()
                self._running.unread += checked["notices"]
                _say(checked)

    def close(self) -> None:
        """End the running session, if any, when the server stops."""
        with self._lock:
            if self._running is not None:
                self._interrupt()

    def _interrupt(self) -> None:
        """End the running session, whose page is gone; print the notices for the page."""
        assert self._running is not None
        running, self._running = self._running, None
        _say(running.finish("interrupted"))

    def _session(self, session_id: str) -> _Running:
        if self._running is None or self._running.session_id != session_id:
            raise DataError("this session is not running: it has ended, or the server was restarted")
        return self._running


class _Running:
    """The running session.

    Attributes:
        unread: notices of which the page does not know yet.
    """

    def __init__(self, oversight: Oversight, record: SessionRecord, uncertain_below: dict[str, float]) -> None:
        self.session_id = record.session_id
        self._oversight, self._uncertain_below = oversight, uncertain_below
        self._recorder = open_recorder(oversight, record)
        self._insight = Insight(None, False, oversight.policy, None)
        self._started_s = self.heard_s = time.monotonic()
        self.unread: list[str] = []

    def take_unread(self) -> list[str]:
        unread, self.unread = self.unread, []
        return unread

    def add(self, batch: Batch) -> dict[str, Any]:
        self.heard_s = time.monotonic()
        checked = self.check_consent()
        if checked["withdrawn"] == SHOW:
            return checked
        notices: list[str] = checked["notices"]
        for sent in batch.frames:
            faces = tuple(face.reading(self._uncertain_below) for face in sent.faces)
            result = FrameResult(sent.index, sent.t_s, (sent.width, sent.height), faces, sent.interval_s)
            released = release(self._oversight.policy, result)
            self._recorder.update(released, batch.captured, batch.dropped)
            for event in self._insight.update(result, released):
                self._recorder.add(event)
                notices.append(suggestion(event))
        return {**checked, "notices": notices + self._recorder.take_notices()}

    def check_consent(self) -> dict[str, Any]:
        """Erase the session if consent to it was withdrawn; return the same values as ``add``."""
        withdrawn, notices = self._oversight.withdrawn(), []
        if withdrawn and self._recorder.keeps:
            notices = self._erase() or ["The data of this session has been erased"]
        return {"withdrawn": withdrawn, "notices": notices}

    def finish(self, state: str) -> dict[str, Any]:
        """Store the session, or erase it if consent was withdrawn.

        Returns:
            the same values as ``add``; errors are among the notices.
        """
        tally, notices = self._recorder.tally, []
        try:
            self._oversight.end(tally.elapsed_s, tally.frames)
        except MienError as error:  # the session is stored all the same
            notices.append(str(error))
        checked = self._try_check()
        if self._recorder.keeps:
            wall_s = max(1e-9, time.monotonic() - self._started_s)
            health = health_counts(SourceHealth())
            facts = {"fps": round(tally.frames / wall_s, 2), "source_health": health, **self._insight.facts()}
            self._recorder.finish(state, facts)
            notices += self._recorder.take_notices()
            checked = self._try_check()  # writing the summary takes time
        return {**checked, "notices": notices + checked["notices"]}

    def _try_check(self) -> dict[str, Any]:
        try:
            return self.check_consent()
        except MienError as error:  # the consent ledger is broken: nothing was withdrawn
            return {"withdrawn": "", "notices": [str(error)]}

    def erase(self) -> list[str]:
        tally = self._recorder.tally
        faults = [*self._erase(), *self._oversight.withdraw()]
        try:
            self._oversight.end(tally.elapsed_s, tally.frames)
        except MienError as error:
            faults.append(str(error))
        if self._recorder.not_erased:
            raise StorageError("; ".join(faults))
        return faults

    def _erase(self) -> list[str]:
        """Erase the session, unless it was erased before; return why something could not be erased or logged."""
        files = self._recorder.erase() if self._recorder.keeps else 0
        if not files or self._recorder.not_erased:
            return self._recorder.not_erased
        said = self._oversight.erased(files)
        return [said] if said else []


def _are_shares(row: tuple[float, ...]) -> bool:
    return len(row) == len(EMOTIONS) and all(0 <= value <= 1.001 for value in row)


def _say(answer: dict[str, Any]) -> None:
    """Print the notices of an answer that no page receives."""
    with suppress(OSError):  # its reader is gone
        for notice in answer["notices"]:
            print("Consent was withdrawn." if answer["withdrawn"] else "warning:", notice, file=sys.stderr)
