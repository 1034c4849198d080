"""Drift in a running session: its start is learnt, then every window is held against it.

A session shows few people, and a few people differ from the thousands of the bundle's
reference however good the camera is; so a session is compared with itself. Looks at faces are
numbers, held in memory while the start is learnt and for one chunk after that, and never
written. Work comes in small steps, between frames, and all times are the source's.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.errors import MienError, UsageError
from mien.files import write_json
from mien.monitoring.chunks import CHUNK_BLOCKS, Chunks
from mien.monitoring.monitor import DriftMonitor
from mien.monitoring.observation import FaceBatch, FaceObservation, observe
from mien.monitoring.page import write_page
from mien.monitoring.persistence import Persistence
from mien.monitoring.reference import LEAST_CHUNKS, STREAM_REPEAT_S, Reference
from mien.monitoring.sight import Sight
from mien.monitoring.summary import summarise
from mien.monitoring.trigger import DriftEvent, DriftTrigger, write_request
from mien.monitoring.verdict import WORDS, WindowVerdict
from mien.records import Detection, Prediction

Status = Literal["watching", "ok", "drift", "unavailable"]
"""watching: not yet enough seen for a verdict; ok, drift: the newest window's; unavailable: nothing is watched."""
LOOK_EVERY_S: Final = 1.0
"""A face is measured this often; more looks would tell nothing new."""
_LEAST_WINDOWS: Final = 4
_STEP_EVERY: Final = 6  # frames
_RUNS: Final = 20
_STEPS: Final = 100


@dataclass(frozen=True, slots=True)
class LiveDriftSettings:
    """What a session promises and how it speaks up.

    Attributes:
        false_alarm_every_h: hours of watching from one false alarm to the next, on average.
        rule: how many flagged windows make an alarm.
        cooldown_h: silence after an alarm, in hours.
        least_drop: an alarm needs the estimated accuracy to have fallen by this much, 0 to 1.
    """

    false_alarm_every_h: float = 24.0
    rule: Persistence = field(default_factory=Persistence)
    cooldown_h: float = 1.0
    least_drop: float = 0.0

    def __post_init__(self) -> None:
        if not self.false_alarm_every_h >= 1:
            raise UsageError(f"false_alarm_every_h is {self.false_alarm_every_h:g}; a session can promise 1 hour or more")


class LiveDrift:
    """Watches a running session; given to a pipeline as its observer.

    Args:
        reference: the bundle's: kernel, components and the estimate of accuracy are its.
        sight: how much of a face may be looked at.
        settings: what is promised.
        start: what an earlier session with this camera and these people learnt; None learns this session's start.
    """

    def __init__(
        self,
        reference: Reference,
        sight: Sight = "all",
        settings: LiveDriftSettings | None = None,
        start: Reference | None = None,
    ) -> None:
        self._base = reference
        self._sight: Sight = sight
        self._settings = settings or LiveDriftSettings()
        self._unknown = np.full(len(reference.features.centre), np.nan, np.float32)
        self._looked: dict[str, float] = {}
        self._first_s: float | None = None
        self._last_s = 0.0
        self._looks = self._frames = 0
        self._chunks = Chunks(reference.features, STREAM_REPEAT_S, keep=True, sight=sight)
        self._learnt: list[FaceBatch] = []
        self._work: Generator[None, None, Reference] | None = None
        self._start: Reference | None = None
        self._monitor: DriftMonitor | None = None
        self._trigger: DriftTrigger | None = None
        self._verdicts: list[WindowVerdict] = []
        self._told = 0
        self._hourly = 0.0
        self._failed = ""
        if start is not None:
            self._watch(start, 3600 / STREAM_REPEAT_S)

    @property
    def status(self) -> Status:
        """One word for a light."""
        if self._failed:
            return "unavailable"
        if not self._verdicts:
            return "watching"
        return "drift" if self._verdicts[-1].lasting else "ok"

    @property
    def sentence(self) -> str:
        """The same for people."""
        if self._failed:
            return f"drift is not watched: {self._failed}"
        if self._verdicts:
            cause = self._cause
            return "no drift against the session's start" if cause is None else f"drift: {WORDS[cause]}"
        if self._monitor is not None:
            return f"watching for drift: {self._monitor.waiting} looks at faces until the first verdict"
        if self._work is not None:
            return "watching for drift: working out limits from the session's start"
        seen = min(LEAST_CHUNKS, len(self._learnt)) * CHUNK_BLOCKS + self._chunks.waiting
        return f"learning how this session looks: {seen} of {LEAST_CHUNKS * CHUNK_BLOCKS} looks at faces"

    @property
    def start(self) -> Reference | None:
        """What was learnt of the session's start; it tells of the people in it, so it belongs with the session's data."""
        return self._start

    def new_events(self) -> tuple[DriftEvent, ...]:
        """Return the events since the last call."""
        events = self._trigger.events if self._trigger is not None else ()
        new, self._told = events[self._told :], len(events)
        return new

    def observe(
        self,
        t_s: float,
        track_ids: Sequence[str],
        crops: NDArray[np.uint8],
        detections: Sequence[Detection],
        prediction: Prediction | None,
    ) -> None:
        """Take in the faces of a frame.

        Args:
            t_s: the frame's time in seconds.
            track_ids: names of N faces that are good enough to be read; N may be 0.
            crops: (N, 1, 48, 48) uint8, what the model was or would be shown.
            detections: where they are.
            prediction: what the model makes of them; None where none may read them.
        """
        self._frames += 1
        if self._work is not None and self._frames % _STEP_EVERY == 0:
            self._step()
        due = [k for k, name in enumerate(track_ids) if not 0 <= t_s - self._looked.get(name, -np.inf) < LOOK_EVERY_S]
        self._looked = {name: self._looked[name] for name in track_ids if name in self._looked}
        if not due:
            return
        for k in due:
            self._looked[track_ids[k]] = t_s
        names, some = [track_ids[k] for k in due], [detections[k] for k in due]
        if prediction is None or self._sight == "picture":
            taken = Prediction(np.full((len(due), len(EMOTIONS)), np.nan, np.float32), np.tile(self._unknown, (len(due), 1)))
        else:
            taken = Prediction(prediction.probabilities[due], prediction.embedding[due])
        for face in observe(t_s, names, crops[due], taken, some):
            self._take(face)

    def facts(self) -> dict[str, Any]:
        """Return what a session's summary says of drift."""
        newest = self._verdicts[-1] if self._verdicts else None
        return {
            "status": self.status,
            "in_words": self.sentence,
            "looks": self._looks,
            "windows": len(self._verdicts),
            "held_against": self._start.source if self._start is not None else None,
            "estimated_accuracy": None if newest is None or newest.accuracy is None else round(newest.accuracy, 4),
            "events": [event_details(event) for event in (self._trigger.events if self._trigger is not None else ())],
        }

    def write(self, folder: Path, name: str) -> tuple[str, ...]:
        """Write ``drift.html``, ``drift.json`` and, after an event, a request for retraining; return the files' names.

        A session that was too short for a verdict leaves no file.

        Args:
            folder: where to.
            name: of the session, for people.
        """
        if self._monitor is None or self._trigger is None or self._start is None or not self._verdicts:
            return ()
        settings = self._settings
        promise = {
            "false_alarm_every_h": settings.false_alarm_every_h,
            "faces_per_h": round(self._hourly, 1),
            "m": settings.rule.m,
            "n": settings.rule.n,
            "cooldown_h": settings.cooldown_h,
        }
        counts = {"faces": self._looks}
        facts = summarise(name, self._start, self._monitor, self._trigger, self._verdicts, counts, promise)
        write_json(folder / "drift.json", facts)
        write_page(folder / "drift.html", facts)
        if not facts["events"]:
            return ("drift.html", "drift.json")
        return ("drift.html", "drift.json", write_request(folder, facts["events"][-1]).name)

    @property
    def _cause(self) -> str | None:
        """What the newest window looks like; None without drift."""
        if self.status != "drift" or self._trigger is None:
            return None
        return self._trigger.cause(self._verdicts[-1])

    def _take(self, face: FaceObservation) -> None:
        """Take in one look: to learn from, or to judge."""
        self._looks += 1
        if self._monitor is not None and self._trigger is not None:
            verdict = self._monitor.update(face)
            if verdict is not None:
                self._verdicts.append(verdict)
                self._trigger.update(verdict)
            return
        if self._work is not None:
            return  # limits are being worked out: a few minutes of looks are let go
        chunk = self._chunks.update(face)
        if chunk is None or chunk.faces is None:
            return
        self._first_s = chunk.from_s if self._first_s is None else self._first_s
        self._last_s = chunk.to_s
        self._learnt.append(chunk.faces)
        if len(self._learnt) == LEAST_CHUNKS:
            minutes = (self._last_s - self._first_s) / 60
            source = f"the first {minutes:.0f} minutes of the session"
            self._work = Reference.learn(self._learnt, self._base, source=source, runs=_RUNS, steps=_STEPS, sight=self._sight)

    def _step(self) -> None:
        """Do a step of the work on limits; watch from the last one on."""
        assert self._work is not None
        try:
            next(self._work)
        except StopIteration as end:
            hours = max(self._last_s - (self._first_s or 0.0), 1.0) / 3600
            self._work = None
            self._learnt = []
            try:
                self._watch(end.value, LEAST_CHUNKS * CHUNK_BLOCKS / hours)
            except MienError as error:  # a session goes on without
                self._failed = str(error)

    def _watch(self, start: Reference, faces_per_h: float) -> None:
        """Hold what comes from now on against ``start``."""
        settings = self._settings
        slowest = (
            _LEAST_WINDOWS * CHUNK_BLOCKS / settings.false_alarm_every_h
        )  # hardly anybody there: nothing rarer can be promised
        self._start, self._hourly = start, max(faces_per_h, slowest)
        self._monitor = DriftMonitor(
            start, settings.false_alarm_every_h, self._hourly, settings.rule, self._sight, date_changes=False
        )
        self._trigger = DriftTrigger(start, settings.cooldown_h, settings.least_drop)


def event_details(event: DriftEvent) -> Mapping[str, Any]:
    """Return an event as the small plain values that an event log keeps."""
    return {
        "what": event.looks_like,
        "in_words": WORDS[event.looks_like],
        "since_s": round(event.since_s, 3),
        "noticed_s": round(event.t_s, 3),
        "detectors": list(event.detectors),
    }
