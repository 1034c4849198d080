"""Turns verdicts into drift events, and events into retrain requests.

An event occurs when a detector has flagged m of the last n windows with a relevant effect; a cooldown
follows. An event can be written as a retrain request for a scheduler.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mien.documents import load_json
from mien.errors import DeviceError
from mien.files import close_to_others, write_json
from mien.locks import one_writer
from mien.monitoring.change_points import ChangePoint
from mien.monitoring.detectors import make_detectors
from mien.monitoring.features import averages
from mien.monitoring.observation import Scope
from mien.monitoring.reference import Reference
from mien.monitoring.verdict import WindowVerdict, advice_of, description_of, likely_cause

EXIT_NONE: Final = 0
EXIT_DRIFT: Final = 10
"""Exit codes of monitoring commands, for schedulers."""
REQUEST_FILE: Final = "retrain_request.json"


@dataclass(frozen=True, slots=True)
class DriftEvent:
    """A drift alarm.

    Attributes:
        t_s: time of the alarm, seconds.
        since_s: earliest onset, seconds: the start of the first window in the unbroken run of flagged windows.
        by_s: latest onset, seconds: the end of that window.
        cause: likely cause: ``picture``, ``content`` or ``confidence``.
        detectors: the persistent detectors.
        verdict: verdict of the window that raised the alarm.
    """

    t_s: float
    since_s: float
    by_s: float
    cause: str
    detectors: tuple[str, ...]
    verdict: WindowVerdict


class DriftTrigger:
    """Turns verdicts into events.

    Args:
        reference: the reference of the monitor.
        cooldown_h: hours of the stream after an event without another.
        min_drop: smallest drop of estimated accuracy for an event, 0 to 1; 0 for any. Ignored without an
            estimate.
    """

    def __init__(self, reference: Reference, cooldown_h: float = 24.0, min_drop: float = 0.0) -> None:
        self._kinds = {detector.name: detector.kind for detector in make_detectors(reference.baseline)}
        model = reference.accuracy
        self._reference_accuracy = None if model is None else model.estimate(reference.baseline.overall)
        self._cooldown_s = 3600 * cooldown_h
        self._least_drop = min_drop
        self._first: WindowVerdict | None = None
        self._cooldown_until_s: float | None = None
        self._last_s: float | None = None
        self._events: list[DriftEvent] = []

    @property
    def events(self) -> tuple[DriftEvent, ...]:
        """All events so far."""
        return tuple(self._events)

    @property
    def exit_code(self) -> int:
        """Exit code for a command."""
        return EXIT_DRIFT if self._events else EXIT_NONE

    def update(self, verdict: WindowVerdict) -> DriftEvent | None:
        """Process the next verdict; return the event it raises, usually None."""
        if self._last_s is not None and verdict.to_s < self._last_s:  # the clock was set back: earlier times are invalid
            self._first = self._cooldown_until_s = None
        self._last_s = verdict.to_s
        if not verdict.flagged:
            self._first = None
        elif self._first is None:
            self._first = verdict
        if not verdict.persistent or self._too_small(verdict):
            return None
        if self._cooldown_until_s is not None and verdict.to_s < self._cooldown_until_s:
            return None
        assert self._first is not None
        event = DriftEvent(verdict.to_s, self._first.from_s, self._first.to_s, self.cause(verdict), verdict.persistent, verdict)
        self._events.append(event)
        self._cooldown_until_s = verdict.to_s + self._cooldown_s
        return event

    def cause(self, verdict: WindowVerdict) -> str:
        """Return the likely cause by the persistent detectors of a window."""
        return likely_cause(self._kinds[name] for name in verdict.persistent)

    def _too_small(self, verdict: WindowVerdict) -> bool:
        if self._least_drop <= 0 or self._reference_accuracy is None or verdict.accuracy is None:
            return False
        return self._reference_accuracy - verdict.accuracy < self._least_drop


def retrain_request(
    event: DriftEvent,
    reference: Reference,
    changes: tuple[ChangePoint, ...],
    alarm_settings: Mapping[str, float],
    scope: Scope = "all",
) -> dict[str, Any]:
    """Return an event as a JSON-compatible dict: cause, time, size, and recommended actions.

    Args:
        event: the event.
        reference: the reference of the monitor.
        changes: change points of the stream.
        alarm_settings: the alarm settings.
        scope: the part of a face that was used.
    """
    verdict = event.verdict
    expected = averages(reference.baseline.overall)
    detectors = {detector.name: detector for detector in make_detectors(reference.baseline)}
    near = [point for point in changes if (point.since_s if point.since_s is not None else point.noticed_s) >= event.since_s]
    accuracy = reference.accuracy
    return {
        "what": event.cause,
        "in_words": description_of(event.cause, scope),
        "advice": advice_of(event.cause, scope),
        "since_s": round(event.since_s, 3),
        "by_s": round(event.by_s, 3),
        "noticed_s": round(event.t_s, 3),
        "drifted": [
            {
                "detector": name,
                "speaks_of": detectors[name].kind,
                "effect": round(verdict.results[name].effect, 4),
                "effect_is": detectors[name].effect_name,
                "surprise": round(verdict.surprises[name], 2),
                "parts": {part: round(value, 6) for part, value in list(verdict.results[name].parts.items())[:5]},
            }
            for name in event.detectors
        ],
        "statistics": {
            name: {"reference": round(expected[name], 4), "now": round(now, 4)}
            | ({"psi": round(verdict.stability[name], 4)} if name in verdict.stability else {})
            for name, now in verdict.averages.items()
            if name in expected
        },
        "estimated_accuracy": None
        if accuracy is None or verdict.accuracy is None
        else {
            "reference": round(accuracy.estimate(reference.baseline.overall), 4),
            "now": round(verdict.accuracy, 4),
            "error_p90_known_damage": round(accuracy.errors["new_photographs_p90"], 4),
            "error_p90_unknown_damage": round(accuracy.errors["new_damage_p90"], 4),
        },
        "change_points": [
            {"test": point.test, "signal": point.signal, "noticed_s": round(point.noticed_s, 3), "since_s": point.since_s}
            for point in near[:20]
        ],
        "faces": verdict.blocks,
        "model": {"name": reference.bundle, "sha256": reference.bundle_sha256},
        "reference": {"source": reference.source, "faces": reference.faces, "dataset_hash": reference.dataset_hash},
        "alarm_settings": dict(alarm_settings),
        "commands": [
            "mien labels NEW_FACES --annotations ANNOTATORS.csv",
            f"mien retrain --request {REQUEST_FILE} --new-data NEW_FACES",
        ],
    }


def write_request(folder: Path, request: Mapping[str, Any]) -> Path:
    """Write the request into ``folder`` atomically and return its path.

    A different earlier request is renamed with a number. Concurrent writers wait for each other.

    Raises:
        DeviceError: the earlier request cannot be renamed, or the folder cannot be written.
    """
    target = folder / REQUEST_FILE
    with one_writer(target):
        if target.exists():
            if _content(target) == json.loads(json.dumps(request)):
                return target
            number = 1
            while (kept := target.with_name(f"{target.stem}-{number}.json")).exists():
                number += 1
            try:
                close_to_others(target.rename(kept))
            except OSError as error:
                raise DeviceError(f"cannot rename the earlier {target}: {error.strerror}") from error
        write_json(target, request, private=True)
    return target


def _content(path: Path) -> object:
    """Return a JSON document, None if it is invalid."""
    try:
        return load_json(path)
    except (OSError, ValueError):
        return None
