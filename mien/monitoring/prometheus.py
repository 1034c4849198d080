"""Metrics in Prometheus' text format, for the node exporter's textfile collector."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mien.errors import missing_extra
from mien.files import write_text

if TYPE_CHECKING:
    from prometheus_client import Metric

_HELP: Final[dict[str, str]] = {
    "mien_drift": "1 if persistent drift was found, else 0",
    "mien_drift_events_total": "Drift events since the start of the stream",
    "mien_drift_windows_total": "Windows compared",
    "mien_drift_faces_total": "Faces processed",
    "mien_drift_level": "Surprise above which a window is flagged",
    "mien_drift_surprise": "-log10 of the share of windows without drift with as high a score, newest window",
    "mien_drift_effect": "Size of the change in the detector's own unit, newest window",
    "mien_drift_flagged": "1 if the detector flags the newest window",
    "mien_drift_confidence": "Mean confidence, newest window, 0 to 1",
    "mien_drift_estimated_accuracy": "Estimated accuracy, newest window, 0 to 1",
    "mien_drift_expression_share": "Share of faces by predicted class, newest window",
}
"""Help text by metric; names that end with ``_total`` are counters, all others gauges."""

_Sample = tuple[str, Mapping[str, str], float]


def metrics_text(facts: Mapping[str, Any]) -> str:
    """Return the metrics for the result of ``summary.summarise``.

    Raises:
        DeviceError: prometheus_client is not installed.
    """
    try:
        from prometheus_client import CollectorRegistry, generate_latest
    except ImportError as error:
        raise missing_extra("prometheus_client", "monitor", "The metrics file") from error
    registry = CollectorRegistry()
    registry.register(_Newest(facts))
    return generate_latest(registry).decode("utf-8")


def write_metrics(target: Path, facts: Mapping[str, Any]) -> None:
    """Write the metrics atomically, so that a collector never reads an incomplete file."""
    write_text(target, metrics_text(facts))


class _Newest:
    """A collector that yields the samples by metric.

    Args:
        facts: result of ``summary.summarise``.
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._samples = list(_samples(facts))

    def collect(self) -> Iterable[Metric]:
        from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

        for name, meaning in _HELP.items():
            found = [(labels, value) for sample, labels, value in self._samples if sample == name]
            if not found:
                continue
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            metric = kind(name, meaning, labels=list(found[0][0]))
            for labels, value in found:
                metric.add_metric(list(labels.values()), value)
            yield metric


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
