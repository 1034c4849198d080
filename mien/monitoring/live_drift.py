"""Drift detection in a running session, which is compared with its own start.

A session shows few people, who differ from the thousands in the bundle's reference whatever the
camera. Face samples are numbers, kept in memory while the baseline is learned and for one chunk after
that; they are never written. Work is done in small steps between frames; all times are the source's.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from mien.errors import MienError, UsageError
from mien.files import write_json
from mien.monitoring.chunks import CHUNK_BLOCKS, Chunks
from mien.monitoring.monitor import DriftMonitor
from mien.monitoring.observation import FaceBatch, FaceObservation, Scope, observe, unread_prediction
from mien.monitoring.page import write_page
from mien.monitoring.persistence import PersistenceRule
from mien.monitoring.reference import MIN_CHUNKS, STREAM_REPEAT_S, Reference
from mien.monitoring.summary import summarise
from mien.monitoring.trigger import DriftEvent, DriftTrigger, write_request
from mien.monitoring.verdict import DESCRIPTIONS, WindowVerdict
from mien.records import Detection, Prediction

Status = Literal["watching", "ok", "drift", "unavailable"]
"""watching: no result yet; ok, drift: result of the newest window; unavailable: drift detection is off."""
SAMPLE_EVERY_S: Final = 1.0
"""Interval between samples of one face, in seconds; more samples are redundant."""
_MIN_WINDOWS: Final = 4
_STEP_EVERY: Final = 6  # frames
_RUNS: Final = 20
_STEPS: Final = 100


@dataclass(frozen=True, slots=True)
class LiveDriftSettings:
    """Alarm settings of a session.

    Attributes:
        false_alarm_every_h: mean hours between false alarms, at least 1.
        rule: number of flagged windows for an alarm.
        cooldown_h: hours after an alarm without another.
        min_drop: smallest drop of estimated accuracy for an alarm, 0 to 1.
    """

    false_alarm_every_h: float = 24.0
    rule: PersistenceRule = field(default_factory=PersistenceRule)
    cooldown_h: float = 1.0
    min_drop: float = 0.0

    def __post_init__(self) -> None:
        if not self.false_alarm_every_h >= 1:
            raise UsageError(f"false_alarm_every_h is {self.false_alarm_every_h:g}; it must be 1 hour or more")


class LiveDrift:
    """Detects drift in a running session; an observer of the pipeline.

    Args:
        reference: the bundle's reference, with kernel, components and accuracy model.
        scope: the part of a face that may be used.
        settings: alarm settings; None for the defaults.
        start: the baseline of an earlier session with this camera and these people; None learns it from the start of
            this session.
    """

    def __init__(
        self,
        reference: Reference,
        scope: Scope = "all",
        settings: LiveDriftSettings | None = None,
        start: Reference | None = None,
    ) -> None:
        self._base = reference
        self._sight: Scope = scope
        self._settings = settings or LiveDriftSettings()
        self._sampled_s: dict[str, float] = {}
        self._first_s: float | None = None
        self._last_s = 0.0
        self._samples = self._frames = 0
        self._chunks = Chunks(reference.features, STREAM_REPEAT_S, keep=True, scope=scope)
        self._groups: list[FaceBatch] = []
        self._work: Generator[None, None, Reference] | None = None
        self._start: Reference | None = None
        self._monitor: DriftMonitor | None = None
        self._trigger: DriftTrigger | None = None
        self._verdicts: list[WindowVerdict] = []
        self._reported = 0
        self._faces_per_h = 0.0
        self._failed = ""
        if start is not None:
            self._watch(start, 3600 / STREAM_REPEAT_S)

    @property
    def status(self) -> Status:
        """The status in one word."""
        if self._failed:
            return "unavailable"
        if not self._verdicts:
            return "watching"
        return "drift" if self._verdicts[-1].persistent else "ok"

    @property
    def sentence(self) -> str:
        """The status as a sentence for users."""
        if self._failed:
            return f"drift detection is off: {self._failed}"
        if self._verdicts:
            cause = self._cause
            return "no drift since the start of the session" if cause is None else f"drift: {DESCRIPTIONS[cause]}"
        if self._monitor is not None:
            return f"watching for drift: {self._monitor.waiting} more face samples until the first result"
        if self._work is not None:
            return "watching for drift: computing limits from the start of the session"
        seen = min(MIN_CHUNKS, len(self._groups)) * CHUNK_BLOCKS + self._chunks.waiting
        return f"learning the session's baseline: {seen} of {MIN_CHUNKS * CHUNK_BLOCKS} face samples"

    @property
    def start(self) -> Reference | None:
        """The baseline learned from the start of the session, None before; it is personal data of the people in the session."""
        return self._start

    def new_events(self) -> tuple[DriftEvent, ...]:
        """Return the events since the last call."""
        events = self._trigger.events if self._trigger is not None else ()
        new, self._reported = events[self._reported :], len(events)
        return new

    def observe(
        self,
        t_s: float,
        track_ids: Sequence[str],
        crops: NDArray[np.uint8],
        detections: Sequence[Detection],
        prediction: Prediction | None,
    ) -> None:
        """Process the faces of a frame.

        Args:
            t_s: time of the frame in seconds.
            track_ids: track ids of N faces that pass the quality gate; N may be 0.
            crops: (N, 1, 48, 48) uint8 model inputs.
            detections: detections of the faces.
            prediction: predictions for the faces; None if the policy permits none.
        """
        self._frames += 1
        if self._work is not None and self._frames % _STEP_EVERY == 0:
            self._step()
        due = [k for k, name in enumerate(track_ids) if not 0 <= t_s - self._sampled_s.get(name, -np.inf) < SAMPLE_EVERY_S]
        self._sampled_s = {name: self._sampled_s[name] for name in track_ids if name in self._sampled_s}
        if not due:
            return
        for k in due:
            self._sampled_s[track_ids[k]] = t_s
        names, chosen = [track_ids[k] for k in due], [detections[k] for k in due]
        if prediction is None or self._sight == "picture":
            sampled = unread_prediction(len(due), len(self._base.features.centre))
        else:
            sampled = Prediction(prediction.probabilities[due], prediction.embedding[due])
        for face in observe(t_s, names, crops[due], sampled, chosen):
            self._process(face)

    def facts(self) -> dict[str, Any]:
        """Return the drift section of the session summary as a JSON-compatible dict."""
        newest = self._verdicts[-1] if self._verdicts else None
        return {
            "status": self.status,
            "in_words": self.sentence,
            "looks": self._samples,
            "windows": len(self._verdicts),
            "baseline": self._start.source if self._start is not None else None,
            "estimated_accuracy": None if newest is None or newest.accuracy is None else round(newest.accuracy, 4),
            "events": [event_details(event) for event in (self._trigger.events if self._trigger is not None else ())],
        }

    def write(self, folder: Path, name: str) -> tuple[str, ...]:
        """Write ``drift.html``, ``drift.json`` and, after an event, a retrain request; return the file names.

        A session without a result writes no files.

        Args:
            folder: the output folder.
            name: name of the session for the report.
        """
        if self._monitor is None or self._trigger is None or self._start is None or not self._verdicts:
            return ()
        settings = self._settings
        alarm_settings = {
            "false_alarm_every_h": settings.false_alarm_every_h,
            "faces_per_h": round(self._faces_per_h, 1),
            "m": settings.rule.m,
            "n": settings.rule.n,
            "cooldown_h": settings.cooldown_h,
        }
        counts = {"faces": self._samples}
        facts = summarise(name, self._start, self._monitor, self._trigger, self._verdicts, counts, alarm_settings)
        write_json(folder / "drift.json", facts, private=True)
        write_page(folder / "drift.html", facts)
        if not facts["events"]:
            return ("drift.html", "drift.json")
        return ("drift.html", "drift.json", write_request(folder, facts["events"][-1]).name)

    @property
    def _cause(self) -> str | None:
        """The likely cause in the newest window; None without drift."""
        if self.status != "drift" or self._trigger is None:
            return None
        return self._trigger.cause(self._verdicts[-1])

    def _process(self, face: FaceObservation) -> None:
        """Process one sample: add it to the baseline, or compare it."""
        self._samples += 1
        if self._monitor is not None and self._trigger is not None:
            verdict = self._monitor.update(face)
            if verdict is not None:
                self._verdicts.append(verdict)
                self._trigger.update(verdict)
            return
        if self._work is not None:
            return  # limits are being computed: samples of a few minutes are skipped
        chunk = self._chunks.update(face)
        if chunk is None or chunk.faces is None:
            return
        self._first_s = chunk.from_s if self._first_s is None else self._first_s
        self._last_s = chunk.to_s
        self._groups.append(chunk.faces)
        if len(self._groups) == MIN_CHUNKS:
            minutes = (self._last_s - self._first_s) / 60
            source = f"the first {minutes:.0f} minutes of the session"
            self._work = Reference.learn(self._groups, self._base, source=source, runs=_RUNS, steps=_STEPS, scope=self._sight)

    def _step(self) -> None:
        """Do one step of computing limits; start monitoring after the last."""
        assert self._work is not None
        try:
            next(self._work)
        except StopIteration as end:
            hours = max(self._last_s - (self._first_s or 0.0), 1.0) / 3600
            self._work = None
            self._groups = []
            try:
                self._watch(end.value, MIN_CHUNKS * CHUNK_BLOCKS / hours)
            except MienError as error:  # the session continues without drift detection
                self._failed = str(error)

    def _watch(self, start: Reference, faces_per_h: float) -> None:
        """Start monitoring with the baseline ``start``."""
        settings = self._settings
        least_per_h = _MIN_WINDOWS * CHUNK_BLOCKS / settings.false_alarm_every_h  # a lower bound for streams with few faces
        self._start, self._faces_per_h = start, max(faces_per_h, least_per_h)
        self._monitor = DriftMonitor(
            start, settings.false_alarm_every_h, self._faces_per_h, settings.rule, self._sight, date_changes=False
        )
        self._trigger = DriftTrigger(start, settings.cooldown_h, settings.min_drop)


def event_details(event: DriftEvent) -> Mapping[str, Any]:
    """Return an event as a JSON-compatible dict for the event log."""
    return {
        "what": event.cause,
        "in_words": DESCRIPTIONS[event.cause],
        "since_s": round(event.since_s, 3),
        "noticed_s": round(event.t_s, 3),
        "detectors": list(event.detectors),
    }
