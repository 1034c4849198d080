"""Summary of a monitored stream: the contents of ``drift.json``, from which page and metrics are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mien.emotions import EMOTIONS
from mien.monitoring.detectors import make_detectors
from mien.monitoring.features import averages, predicted_shares
from mien.monitoring.monitor import DriftMonitor
from mien.monitoring.observation import Scope
from mien.monitoring.reference import Reference
from mien.monitoring.trigger import DriftTrigger, retrain_request
from mien.monitoring.verdict import NOTHING, WindowVerdict, advice_of, description_of

TOO_FEW = "too few faces"
NO_FACE = "no face"


def summarise(
    source: str,
    reference: Reference,
    monitor: DriftMonitor,
    trigger: DriftTrigger,
    verdicts: Sequence[WindowVerdict],
    counts: Mapping[str, int],
    alarm_settings: Mapping[str, float],
    sessions: Sequence[tuple[str, float]] = (),
) -> dict[str, Any]:
    """Return the summary of a monitored stream as a JSON-compatible dict.

    Args:
        source: description of the stream.
        reference: the reference it was compared with.
        monitor: the monitor, after the whole stream.
        trigger: the trigger, after the whole stream.
        verdicts: verdicts of all windows.
        counts: numbers of pictures, faces and so on.
        alarm_settings: the alarm settings.
        sessions: name of each session in the stream and its start in seconds of the stream.
    """
    model = reference.accuracy
    mean = reference.baseline.overall
    events = trigger.events
    what = events[-1].cause if events else NOTHING
    if verdicts:
        text, advice = description_of(what, monitor.scope), advice_of(what, monitor.scope)
    else:
        what, text, advice = _no_result(counts, monitor.waiting)
    return {
        "source": source,
        "drift": bool(events),
        "what": what,
        "in_words": text,
        "advice": advice,
        "counts": {**counts, "windows": len(verdicts), "unread": monitor.unread, "breaks": monitor.breaks},
        "alarm_settings": dict(alarm_settings),
        "level": round(monitor.level, 4),
        "sight": monitor.scope,
        "reference": {
            "source": reference.source,
            "faces": reference.faces,
            "bundle": reference.bundle,
            "bundle_sha256": reference.bundle_sha256,
            "dataset_hash": reference.dataset_hash,
            "averages": {name: round(value, 4) for name, value in averages(mean).items()},
            **_reference_expressions(reference, monitor.scope),
            "estimated_accuracy": None if model is None else round(model.estimate(mean), 4),
            "accuracy_errors": None if model is None else {name: round(value, 4) for name, value in model.errors.items()},
        },
        "sessions": [{"name": name, "from_s": round(from_s, 3)} for name, from_s in sessions],
        "detectors": {
            detector.name: {"speaks_of": detector.kind, "effect_is": detector.effect_name, "least_effect": detector.min_effect}
            for detector in make_detectors(reference.baseline, monitor.scope)
        },
        "windows": [window_facts(verdict, monitor.scope) for verdict in verdicts],
        "events": [retrain_request(event, reference, monitor.changes, alarm_settings, monitor.scope) for event in events],
        "change_points": [
            {"test": point.test, "signal": point.signal, "noticed_s": round(point.noticed_s, 3), "since_s": point.since_s}
            for point in monitor.changes
        ],
    }


def _no_result(counts: Mapping[str, int], needed: int) -> tuple[str, str, str]:
    """Return cause, description and advice for a stream without a complete window."""
    if counts.get("faces", 0):
        return TOO_FEW, f"{TOO_FEW} for a result: {needed} more are needed", "Monitor for longer."
    if "pictures" not in counts:
        sessions = f"{counts.get('sessions', 0)} sessions"
        broken = f"; the files of {counts['broken']} cannot be read" if counts.get("broken") else ""
        return NO_FACE, f"no face was read in {sessions}, so nothing was compared{broken}", "List them: mien sessions list."
    if not counts["pictures"]:
        return NO_FACE, f"none of {counts.get('broken', 0)} pictures can be read, so nothing was compared", "Check the folder."
    return (
        NO_FACE,
        f"no face was found in {counts['pictures']} pictures, so nothing was compared",
        "Check what the camera sees. If each picture is one cropped face, pass --crop.",
    )


def window_facts(verdict: WindowVerdict, scope: Scope = "all") -> dict[str, Any]:
    """Return one window as a JSON-compatible dict; without expressions in scope ``picture``."""
    shown = {} if scope == "picture" else {"shown": _by_expression(verdict.shown), "mix": _by_expression(verdict.mix)}
    return {
        "from_s": round(verdict.from_s, 3),
        "to_s": round(verdict.to_s, 3),
        "faces": verdict.blocks,
        "surprise": {name: round(surprise, 3) for name, surprise in verdict.surprises.items()},
        "effect": {name: round(result.effect, 5) for name, result in verdict.results.items()},
        "flagged": list(verdict.flagged),
        "lasting": list(verdict.persistent),
        **shown,
        "averages": {name: round(value, 4) for name, value in verdict.averages.items()},
        "psi": {name: round(value, 4) for name, value in verdict.stability.items()},
        "confidence": None if verdict.confidence is None else round(verdict.confidence, 4),
        "estimated_accuracy": None if verdict.accuracy is None else round(verdict.accuracy, 4),
    }


def _reference_expressions(reference: Reference, scope: Scope) -> dict[str, Any]:
    """Return the reference's expressions; empty in scope ``picture``."""
    if scope == "picture":
        return {}
    return {
        "shown": _by_expression(predicted_shares(reference.baseline.overall)),
        "label_shares": _by_expression(reference.label_shares) if reference.knows_labels else None,
    }


def _by_expression(shares: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> dict[str, float]:
    return {name: round(float(share), 4) for name, share in zip(EMOTIONS, shares, strict=True)}
