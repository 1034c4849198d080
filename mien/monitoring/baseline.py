"""What the faces of the reference look like on average, by expression, and any mix of expressions.

More smiles move the mean embedding as surely as a dirty lens does. So a window is not held
against the reference's mean but against the nearest mix of its expressions: what no mix can
explain is the picture's doing. The nearest mix in the sense of the mean map is kernel mean
matching for changed class shares (Iyer, Nath and Sarawagi 2014, ICML 32(1); Zhang et al. 2013,
ICML 28(3)).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.errors import missing_extra
from mien.monitoring.chunks import Chunk
from mien.monitoring.features import mean_answers, random_features
from mien.monitoring.sight import Sight

_SUM_WEIGHT: Final = 10.0  # how firmly the shares of a mix add up to one


@dataclass(frozen=True, slots=True)
class Baseline:
    """Mean features of the reference, by expression.

    Attributes:
        means: (7, W) float64, each face counting for an expression as far as the model says so.
        shares: (7,) float64, how much of the reference each expression is; sums to 1.
    """

    means: NDArray[np.float64]
    shares: NDArray[np.float64]

    @classmethod
    def of(cls, features: NDArray[np.float32], probabilities: NDArray[np.float32]) -> Baseline:
        """Return the baseline of N faces by (N, W) features and (N, 7) answers; unread faces count for all alike."""
        probabilities = np.where(np.isfinite(probabilities), probabilities, np.float32(1 / probabilities.shape[1]))
        counts = probabilities.sum(0).astype(np.float64)
        sums = probabilities.T.astype(np.float64) @ features.astype(np.float64)
        return cls(sums / np.maximum(counts, 1e-9)[:, None], counts / counts.sum())

    @property
    def overall(self) -> NDArray[np.float64]:
        """(W,) mean features of the whole reference."""
        return self.shares @ self.means

    def nearest_mix(self, mean: NDArray[np.float64], sight: Sight = "all") -> NDArray[np.float64]:
        """Return (7,) shares, sum 1, of the mix that is nearest to (W,) mean features.

        Nearest by the mean map; where only answers are known by these (black-box shift estimation with
        soft answers, Lipton, Wang and Smola 2018, arXiv:1802.03916); where no model reads, the
        reference's own mix.
        """
        if sight == "picture":
            return self.shares
        try:
            from scipy.optimize import nnls
        except ImportError as error:
            raise missing_extra("scipy", "monitor", "Watching for drift") from error
        view = mean_answers if sight == "answers" else random_features
        maps = view(self.means)
        system = np.vstack([maps.T, np.full(len(maps), _SUM_WEIGHT)])
        found = nnls(system, np.append(view(mean), _SUM_WEIGHT))[0]
        return np.asarray(found / max(float(found.sum()), 1e-9))


@dataclass(frozen=True, slots=True)
class Window:
    """The last so many blocks, ready to be compared.

    Attributes:
        from_s: time of the first face.
        to_s: time of the last one.
        blocks: how many independent looks it is worth at least.
        mean: (W,) float64 mean features.
        mix: (7,) float64, the reference's mix of expressions that is nearest to it.
    """

    from_s: float
    to_s: float
    blocks: int
    mean: NDArray[np.float64]
    mix: NDArray[np.float64]

    @classmethod
    def of(cls, chunks: list[Chunk], baseline: Baseline, sight: Sight = "all") -> Window:
        """Return the window that one chunk or more make."""
        mean = np.mean([chunk.mean for chunk in chunks], axis=0)
        blocks = sum(len(chunk.confidence) for chunk in chunks)
        return cls(chunks[0].from_s, chunks[-1].to_s, blocks, mean, baseline.nearest_mix(mean, sight))
