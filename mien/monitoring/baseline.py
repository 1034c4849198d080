"""Mean features of the reference by expression, and mixes of them.

A changed mix of expressions moves the mean embedding as much as a dirty lens does. A window is
therefore compared with the nearest mix of the reference's expressions rather than with its mean: what
no mix explains is due to the picture. The nearest mix by the mean map is kernel mean matching under
label shift (Iyer, Nath and Sarawagi 2014, ICML 32(1); Zhang et al. 2013,
ICML 28(3)).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.errors import missing_extra
from mien.monitoring.chunks import Chunk
from mien.monitoring.features import mean_probabilities, random_features
from mien.monitoring.observation import Scope

_SUM_WEIGHT: Final = 10.0  # weight of the constraint that the shares of a mix sum to one


@dataclass(frozen=True, slots=True)
class Baseline:
    """Mean features of the reference, by expression.

    Attributes:
        means: (7, W) float64, weighted by the predicted probabilities.
        shares: (7,) float64 shares of the expressions in the reference; they sum to 1.
    """

    means: NDArray[np.float64]
    shares: NDArray[np.float64]

    @classmethod
    def of(cls, features: NDArray[np.float32], probabilities: NDArray[np.float32]) -> Baseline:
        """Return the baseline from (N, W) features and (N, 7) probabilities; NaN probabilities count as uniform."""
        probabilities = np.where(np.isfinite(probabilities), probabilities, np.float32(1 / probabilities.shape[1]))
        counts = probabilities.sum(0).astype(np.float64)
        sums = probabilities.T.astype(np.float64) @ features.astype(np.float64)
        return cls(sums / np.maximum(counts, 1e-9)[:, None], counts / counts.sum())

    @property
    def overall(self) -> NDArray[np.float64]:
        """(W,) mean features of the whole reference."""
        return self.shares @ self.means

    def nearest_mixes(self, means: NDArray[np.float64], scope: Scope = "all") -> NDArray[np.float64]:
        """Return (S, 7) float64 shares of the mixes nearest to (S, W) mean features; rows sum to 1.

        Distance is by the mean map, or by mean probabilities in scope ``answers`` (black-box shift estimation
        with soft predictions, Lipton, Wang and Smola 2018, arXiv:1802.03916). In scope ``picture`` it is the
        reference's own mix.

        Raises:
            DeviceError: scipy is not installed.
        """
        if scope == "picture":
            return np.tile(self.shares, (len(means), 1))
        try:
            from scipy.optimize import nnls
        except ImportError as error:
            raise missing_extra("scipy", "monitor", "Drift detection") from error
        view = mean_probabilities if scope == "answers" else random_features
        maps = view(self.means)
        system = np.vstack([maps.T, np.full(len(maps), _SUM_WEIGHT)])
        targets = np.column_stack([view(means), np.full(len(means), _SUM_WEIGHT)])
        # the same solutions from seven equations instead of hundreds
        directions, triangle = np.linalg.qr(system)
        found = np.stack([nnls(triangle, target)[0] for target in targets @ directions])
        return np.asarray(found / np.maximum(found.sum(1, keepdims=True), 1e-9))


@dataclass(frozen=True, slots=True)
class FaceWindow:
    """Statistics of the newest blocks.

    Attributes:
        from_s: time of the first face, seconds.
        to_s: time of the last face, seconds.
        blocks: number of blocks, a lower bound of the effective sample size.
        mean: (W,) float64 mean features.
        mix: (7,) float64 shares of the nearest mix of the reference's expressions.
    """

    from_s: float
    to_s: float
    blocks: int
    mean: NDArray[np.float64]
    mix: NDArray[np.float64]

    @classmethod
    def of(cls, chunks: list[Chunk], baseline: Baseline, scope: Scope = "all") -> FaceWindow:
        """Return the window of one or more chunks."""
        mean = np.mean([chunk.mean for chunk in chunks], axis=0)
        blocks = sum(len(chunk.confidence) for chunk in chunks)
        return cls(chunks[0].from_s, chunks[-1].to_s, blocks, mean, baseline.nearest_mixes(mean[None], scope)[0])
