"""When is drift worth telling somebody? When it lasts, when it is large enough, and not every five minutes.

The trigger turns verdicts into events: a change counts once the same detector has flagged m of
the last n windows (which it does only with an effect that matters), then there is silence for a
while. An event can be written down as a request for retraining, for a scheduler to find.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mien.errors import DeviceError
from mien.files import write_json
from mien.locks import one_writer
from mien.monitoring.change_points import ChangePoint
from mien.monitoring.detectors import make_detectors
from mien.monitoring.features import averages
from mien.monitoring.reference import Reference
from mien.monitoring.sight import Sight
from mien.monitoring.verdict import WindowVerdict, advice_of, looks_like, words_of

EXIT_NONE: Final = 0
EXIT_DRIFT: Final = 10
"""What a command that watched ends with, for schedulers."""
REQUEST_FILE: Final = "retrain_request.json"


@dataclass(frozen=True, slots=True)
class DriftEvent:
    """Drift that was worth telling.

    Attributes:
        t_s: when it was told.
        since_s: start of the first window of the unbroken stretch of flagged ones that led to it: it began
            after that,
        by_s: and before the end of that window.
        looks_like: picture, content or confidence.
        detectors: those that lasted.
        verdict: the window that completed it.
    """

    t_s: float
    since_s: float
    by_s: float
    looks_like: str
    detectors: tuple[str, ...]
    verdict: WindowVerdict


class DriftTrigger:
    """Turns verdicts into events.

    Args:
        reference: names what the detectors speak of.
        cooldown_h: after an event there is silence for so many hours of the stream.
        least_drop: an event needs the estimated accuracy to have fallen by this much, 0 to 1; 0 asks for
            nothing. Without an estimate it does not apply.
    """

    def __init__(self, reference: Reference, cooldown_h: float = 24.0, least_drop: float = 0.0) -> None:
        self._kinds = {detector.name: detector.kind for detector in make_detectors(reference.baseline)}
        model = reference.accuracy
        self._usual = None if model is None else model.estimate(reference.baseline.overall)
        self._cooldown_s = 3600 * cooldown_h
        self._least_drop = least_drop
        self._first: WindowVerdict | None = None
        self._silent_until_s: float | None = None
        self._last_s: float | None = None
        self._events: list[DriftEvent] = []

    @property
    def events(self) -> tuple[DriftEvent, ...]:
        """All events so far."""
        return tuple(self._events)

    @property
    def exit_code(self) -> int:
        """What a command should end with."""
        return EXIT_DRIFT if self._events else EXIT_NONE

    def update(self, verdict: WindowVerdict) -> DriftEvent | None:
        """Take in the next verdict; return the event that it completes, None as a rule."""
        if self._last_s is not None and verdict.to_s < self._last_s:  # the clock was set back: old times mean nothing
            self._first = self._silent_until_s = None
        self._last_s = verdict.to_s
        if not verdict.flagged:
            self._first = None
        elif self._first is None:
            self._first = verdict
        if not verdict.lasting or self._too_small(verdict):
            return None
        if self._silent_until_s is not None and verdict.to_s < self._silent_until_s:
            return None
        assert self._first is not None
        event = DriftEvent(verdict.to_s, self._first.from_s, self._first.to_s, self.cause(verdict), verdict.lasting, verdict)
        self._events.append(event)
        self._silent_until_s = verdict.to_s + self._cooldown_s
        return event

    def cause(self, verdict: WindowVerdict) -> str:
        """Return which change the lasting detectors of a window point to."""
        return looks_like(self._kinds[name] for name in verdict.lasting)

    def _too_small(self, verdict: WindowVerdict) -> bool:
        if self._least_drop <= 0 or self._usual is None or verdict.accuracy is None:
            return False
        return self._usual - verdict.accuracy < self._least_drop


def retrain_request(
    event: DriftEvent,
    reference: Reference,
    changes: tuple[ChangePoint, ...],
    promise: Mapping[str, float],
    sight: Sight = "all",
) -> dict[str, Any]:
    """Return an event as plain values: what drifted, since when, how much, and what to do.

    Args:
        event: what happened.
        reference: what the stream was held against.
        changes: change points, to date it by.
        promise: the monitor's settings, to be kept with it.
        sight: how much of a face was given.
    """
    verdict = event.verdict
    usual = averages(reference.baseline.overall)
    detectors = {detector.name: detector for detector in make_detectors(reference.baseline)}
    near = [point for point in changes if (point.since_s if point.since_s is not None else point.noticed_s) >= event.since_s]
    accuracy = reference.accuracy
    return {
        "what": event.looks_like,
        "in_words": words_of(event.looks_like, sight),
        "advice": advice_of(event.looks_like, sight),
        "since_s": round(event.since_s, 3),
        "by_s": round(event.by_s, 3),
        "noticed_s": round(event.t_s, 3),
        "drifted": [
            {
                "detector": name,
                "speaks_of": detectors[name].kind,
                "effect": round(verdict.readings[name].effect, 4),
                "effect_is": detectors[name].effect_name,
                "surprise": round(verdict.surprises[name], 2),
                "parts": {part: round(value, 6) for part, value in list(verdict.readings[name].parts.items())[:5]},
            }
            for name in event.detectors
        ],
        "statistics": {
            name: {"reference": round(usual[name], 4), "now": round(now, 4)}
            | ({"psi": round(verdict.stability[name], 4)} if name in verdict.stability else {})
            for name, now in verdict.averages.items()
            if name in usual
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
        "promise": dict(promise),
        "commands": [
            "mien monitor labels NEW_FACES --annotations ANNOTATORS.csv",
            f"mien retrain --request {REQUEST_FILE} --new-data NEW_FACES",
        ],
    }


def write_request(folder: Path, request: Mapping[str, Any]) -> Path:
    """Write the request into ``folder``, atomically, and return the file.

    An earlier request that says something else is not lost: it gets a number. Monitors that write at
    the same time wait for one another.
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
                target.rename(kept)
            except OSError as error:
                raise DeviceError(f"cannot keep the earlier {target}: {error.strerror}") from error
        write_json(target, request)
    return target


def _content(path: Path) -> object:
    """Return a JSON document, None for a broken one."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
