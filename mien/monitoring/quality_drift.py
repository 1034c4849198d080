"""Has the picture itself changed: light, contrast, sharpness, size, pose?

Kolmogorov-Smirnov decides, the population stability index says how much (its usual marks: 0.1
and 0.25). The first to notice nearly every fault of a camera, since it looks at pixels.
"""

from __future__ import annotations

from mien.monitoring.baseline import Baseline
from mien.monitoring.column_drift import ColumnDrift
from mien.monitoring.observation import MEASURES


def quality_drift(baseline: Baseline) -> ColumnDrift:
    """Return the detector of drift in the measures of the picture."""
    return ColumnDrift("quality", "picture", tuple(MEASURES), baseline, least_effect=0.10)
