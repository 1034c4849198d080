"""Synthetic faces for drift tests: seven clusters of embeddings with matching predictions and measures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.monitoring.chunks import CHUNK_BLOCKS, WINDOW_CHUNKS
from mien.monitoring.monitor import DriftMonitor
from mien.monitoring.observation import MEASURES, FaceBatch, FaceObservation
from mien.monitoring.reference import Reference
from mien.monitoring.verdict import WindowVerdict

DEPTH = 16
EVEN = np.full(len(EMOTIONS), 1 / len(EMOTIONS))
WINDOW = CHUNK_BLOCKS * WINDOW_CHUNKS
MORE_HAPPY = np.where(np.arange(len(EMOTIONS)) == EMOTIONS.index("happy"), 0.4, 0.1)


def make_faces(
    n: int, seed: int, *, shift: float = 0.0, darker: float = 0.0, doubt: float = 1.0, shares: NDArray[np.float64] = EVEN
) -> tuple[FaceBatch, NDArray[np.int64]]:
    """Return n faces and their classes.

    Args:
        n: number of faces.
        seed: of the random generator.
        shift: shift of the embeddings, in standard deviations.
        darker: decrease of brightness, in standard deviations.
        doubt: temperature of the predictions.
        shares: class shares.
    """
    random = np.random.default_rng(seed)
    centres = 2.0 * np.random.default_rng(7).normal(size=(len(EMOTIONS), DEPTH))
    labels = random.choice(len(EMOTIONS), n, p=shares)
    embedding = centres[labels] + random.normal(size=(n, DEPTH))
    logits = -((embedding[:, None] - centres) ** 2).sum(2) / 8 / doubt
    powers = np.exp(logits - logits.max(1, keepdims=True))
    direction = np.random.default_rng(8).normal(size=DEPTH)
    measures = random.normal(size=(n, len(MEASURES))).astype(np.float32) * 10 + 100
    measures[:, 0] -= 10 * darker
    measures[:, 3:] = np.nan
    moved = embedding + shift * direction / np.linalg.norm(direction)
    probabilities = powers / powers.sum(1, keepdims=True)
    return FaceBatch(moved.astype(np.float32), probabilities.astype(np.float32), measures), labels


def reference_of(faces: FaceBatch, labels: NDArray[np.int64], **changes: Any) -> Reference:
    """Return a reference with few simulated streams."""
    facts: dict[str, Any] = {
        "bundle": "toy", "bundle_sha256": "a" * 64, "source": "made up", "dataset_hash": "b" * 64, "runs": 12, "steps": 80,
    }  # fmt: skip
    return Reference.from_faces(faces, labels, **facts | changes)


def monitor_of(reference: Reference, windows: float = 400.0, **settings: object) -> DriftMonitor:
    """Return a monitor with a false-alarm interval in windows."""
    return DriftMonitor(reference, 1.0, windows * CHUNK_BLOCKS, **settings)


def stream(faces: FaceBatch, *, start_s: float = 0.0, step_s: float = 1.0, name: str = "n") -> Iterator[FaceObservation]:
    """Yield the faces in order, each with a new track."""
    for k in range(len(faces)):
        yield FaceObservation(start_s + k * step_s, f"{name}{k}", faces.embedding[k], faces.probabilities[k], faces.measures[k])


def verdicts(monitor: DriftMonitor, observations: Iterable[FaceObservation]) -> list[WindowVerdict]:
    """Return the verdicts on a stream."""
    return [verdict for face in observations if (verdict := monitor.update(face)) is not None]
