"""What a watched stream comes to, as plain values: the contents of ``drift.json``, from which pages and metrics are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mien.emotions import EMOTIONS
from mien.monitoring.detectors import make_detectors
from mien.monitoring.features import answers, averages
from mien.monitoring.monitor import DriftMonitor
from mien.monitoring.reference import Reference
from mien.monitoring.trigger import DriftTrigger, retrain_request
from mien.monitoring.verdict import NOTHING, WindowVerdict, advice_of, words_of

TOO_FEW = "too few faces"


def summarise(
    source: str,
    reference: Reference,
    monitor: DriftMonitor,
    trigger: DriftTrigger,
    verdicts: Sequence[WindowVerdict],
    counts: Mapping[str, int],
    promise: Mapping[str, float],
    sessions: Sequence[tuple[str, float]] = (),
) -> dict[str, Any]:
    """Return everything that is known of a watched stream.

    Args:
        source: what was watched, in words.
        reference: what it was held against.
        monitor: that watched it.
        trigger: that decided.
        verdicts: of every window.
        counts: pictures, faces and the like.
        promise: the settings.
        sessions: name and start of each session that the stream was put together from, in seconds of the stream.
    """
    model = reference.accuracy
    usual = reference.baseline.overall
    events = trigger.events
    what = events[-1].looks_like if events else NOTHING
    words = words_of(what, monitor.sight) if verdicts else f"{TOO_FEW} for a verdict: {monitor.waiting} more are needed"
    return {
        "source": source,
        "drift": bool(events),
        "what": what if verdicts else TOO_FEW,
        "in_words": words,
        "advice": advice_of(what, monitor.sight),
        "counts": {**counts, "windows": len(verdicts), "unread": monitor.unread, "breaks": monitor.breaks},
        "promise": dict(promise),
        "level": round(monitor.level, 4),
        "sight": monitor.sight,
        "reference": {
            "source": reference.source,
            "faces": reference.faces,
            "bundle": reference.bundle,
            "bundle_sha256": reference.bundle_sha256,
            "dataset_hash": reference.dataset_hash,
            "averages": {name: round(value, 4) for name, value in averages(usual).items()},
            "shown": _by_expression(answers(usual)),
            "label_shares": _by_expression(reference.label_shares) if np.isfinite(reference.label_shares).all() else None,
            "estimated_accuracy": None if model is None else round(model.estimate(usual), 4),
            "accuracy_errors": None if model is None else {name: round(value, 4) for name, value in model.errors.items()},
        },
        "sessions": [{"name": name, "from_s": round(from_s, 3)} for name, from_s in sessions],
        "detectors": {
            detector.name: {"speaks_of": detector.kind, "effect_is": detector.effect_name, "least_effect": detector.least_effect}
            for detector in make_detectors(reference.baseline, monitor.sight)
        },
        "windows": [window_facts(verdict) for verdict in verdicts],
        "events": [retrain_request(event, reference, monitor.changes, promise, monitor.sight) for event in events],
        "change_points": [
            {"test": point.test, "signal": point.signal, "noticed_s": round(point.noticed_s, 3), "since_s": point.since_s}
            for point in monitor.changes
        ],
    }


def window_facts(verdict: WindowVerdict) -> dict[str, Any]:
    """Return one window as plain values."""
    return {
        "from_s": round(verdict.from_s, 3),
        "to_s": round(verdict.to_s, 3),
        "faces": verdict.blocks,
        "surprise": {name: round(surprise, 3) for name, surprise in verdict.surprises.items()},
        "effect": {name: round(reading.effect, 5) for name, reading in verdict.readings.items()},
        "flagged": list(verdict.flagged),
        "lasting": list(verdict.lasting),
        "shown": _by_expression(verdict.shown),
        "mix": _by_expression(verdict.mix),
        "averages": {name: round(value, 4) for name, value in verdict.averages.items()},
        "psi": {name: round(value, 4) for name, value in verdict.stability.items()},
        "confidence": None if verdict.confidence is None else round(verdict.confidence, 4),
        "estimated_accuracy": None if verdict.accuracy is None else round(verdict.accuracy, 4),
    }


def _by_expression(shares: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> dict[str, float]:
    return {name: round(float(share), 4) for name, share in zip(EMOTIONS, shares, strict=True)}
