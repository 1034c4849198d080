"""The newest state as metrics in Prometheus' text format, for the node exporter's textfile collector.

https://prometheus.io/docs/instrumenting/exposition_formats/ says what the format is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from mien.files import write_text

_HELP: Final[dict[str, tuple[str, str]]] = {
    "mien_drift": ("gauge", "1 where drift was found that lasts, else 0"),
    "mien_drift_events_total": ("counter", "Events since the start of the stream"),
    "mien_drift_windows_total": ("counter", "Windows judged"),
    "mien_drift_faces_total": ("counter", "Faces seen"),
    "mien_drift_level": ("gauge", "Surprise from which on a window is flagged"),
    "mien_drift_surprise": ("gauge", "-log10 of the share of windows without drift that stray as far, newest window"),
    "mien_drift_effect": ("gauge", "Size of the change in the detector's own unit, newest window"),
    "mien_drift_flagged": ("gauge", "1 where the detector flags the newest window"),
    "mien_drift_confidence": ("gauge", "Mean confidence, newest window, 0 to 1"),
    "mien_drift_estimated_accuracy": ("gauge", "Estimated accuracy, newest window, 0 to 1"),
    "mien_drift_expression_share": ("gauge", "Share of faces by the model's answer, newest window"),
}

_Sample = tuple[str, Mapping[str, str], float]


def metrics_text(facts: Mapping[str, Any]) -> str:
    """Return the metrics of what ``summary.summarise`` returned."""
    samples = list(_samples(facts))
    lines = []
    for name, (kind, meaning) in _HELP.items():
        found = [(labels, value) for sample, labels, value in samples if sample == name]
        if found:
            lines += [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]
            lines += [f"{name}{{{_labels(labels)}}} {value:.10g}" for labels, value in found]
    return "\n".join(lines) + "\n"


def write_metrics(target: Path, facts: Mapping[str, Any]) -> None:
    """Write the metrics, atomically: a collector never reads half a file."""
    write_text(target, metrics_text(facts))


def _samples(facts: Mapping[str, Any]) -> Iterable[_Sample]:
    model = {"model": facts["reference"]["bundle"]}
    yield "mien_drift", model, float(facts["drift"])
    yield "mien_drift_events_total", model, len(facts["events"])
    yield "mien_drift_windows_total", model, facts["counts"]["windows"]
    yield "mien_drift_faces_total", model, facts["counts"]["faces"]
    yield "mien_drift_level", model, facts["level"]
    if not facts["windows"]:
        return
    newest = facts["windows"][-1]
    for detector, surprise in newest["surprise"].items():
        labels = {**model, "detector": detector}
        yield "mien_drift_surprise", labels, surprise
        yield "mien_drift_effect", labels, newest["effect"][detector]
        yield "mien_drift_flagged", labels, float(detector in newest["flagged"])
    if newest["confidence"] is not None:
        yield "mien_drift_confidence", model, newest["confidence"]
    if newest["estimated_accuracy"] is not None:
        yield "mien_drift_estimated_accuracy", model, newest["estimated_accuracy"]
    for expression, share in newest["shown"].items() if facts["sight"] != "picture" else ():
        yield "mien_drift_expression_share", {**model, "expression": expression}, share


def _labels(labels: Mapping[str, str]) -> str:
    """Return labels as Prometheus writes them, with what must be escaped escaped."""
    marks = {"\\": "\\\\", '"': '\\"', "\n": "\\n"}
    return ",".join(f'{name}="{"".join(marks.get(c, c) for c in value)}"' for name, value in labels.items())
