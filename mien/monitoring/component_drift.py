"""Which direction did the embeddings move in? One test a principal component, corrected for their number.

Univariate Kolmogorov-Smirnov tests after a reduction of dimensions did best of what Rabanser,
Günnemann and Lipton 2019 compared ("Failing loudly", arXiv:1810.11953); they correct after
Bonferroni, here it is Holm 1979.
"""

from __future__ import annotations

from mien.monitoring.baseline import Baseline
from mien.monitoring.column_drift import ColumnDrift
from mien.monitoring.features import COLUMNS, COMPONENTS


def component_drift(baseline: Baseline) -> ColumnDrift:
    """Return the detector of drift in the first principal components of the embedding."""
    return ColumnDrift("components", "picture", COLUMNS[:COMPONENTS], baseline, least_effect=0.10)
