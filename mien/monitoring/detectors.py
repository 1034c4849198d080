"""The detectors that decide, in one order: calibration, monitor and reports follow it."""

from __future__ import annotations

from mien.monitoring.baseline import Baseline
from mien.monitoring.component_drift import component_drift
from mien.monitoring.confidence_drift import confidence_drift
from mien.monitoring.detector import Detector
from mien.monitoring.embedding_drift import EmbeddingDrift
from mien.monitoring.expression_drift import ExpressionDrift
from mien.monitoring.quality_drift import quality_drift
from mien.monitoring.sight import DETECTORS_OF, Sight

DETECTORS = DETECTORS_OF["all"]
"""Names, in the order of ``make_detectors``."""


def make_detectors(baseline: Baseline, sight: Sight = "all") -> tuple[Detector, ...]:
    """Return a new set of the detectors that ``sight`` permits; they hold windows against ``baseline``."""
    everything: tuple[Detector, ...] = (
        EmbeddingDrift(baseline),
        component_drift(baseline),
        quality_drift(baseline),
        confidence_drift(baseline),
        ExpressionDrift(baseline),
    )
    return tuple(detector for detector in everything if detector.name in DETECTORS_OF[sight])
