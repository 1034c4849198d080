"""Is the model less sure, or surer, than of the reference's faces?

Confidence and entropy are what remains to look at where labels never come (Hendrycks and Gimpel
2017, arXiv:1610.02136). A model may get *surer* as it gets worse (noise does that here), so
both directions count.
"""

from __future__ import annotations

from mien.monitoring.baseline import Baseline
from mien.monitoring.column_drift import ColumnDrift


def confidence_drift(baseline: Baseline) -> ColumnDrift:
    """Return the detector of drift in confidence and entropy of the answers."""
    return ColumnDrift("confidence", "confidence", ("confidence", "entropy"), baseline, least_effect=0.10)
