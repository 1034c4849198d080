"""Drift references: statistics of faces that streams are compared with.

A reference holds random-feature means by expression, quantiles, principal components and scores of
simulated streams, but no pixels and no single embeddings. The reference of a session is still personal
data of the people in it and belongs with the session's data.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.monitoring.accuracy_estimate import AccuracyModel
from mien.monitoring.baseline import Baseline
from mien.monitoring.calibration import RUNS, STEPS, DriftCalibration, calibrate, run_to_completion
from mien.monitoring.chunks import CHUNK_BLOCKS, Chunks
from mien.monitoring.detectors import DETECTORS_OF
from mien.monitoring.features import FeatureMap
from mien.monitoring.observation import FaceBatch, FaceObservation, Scope

MIN_FACES: Final = 400
"""Fewest independent faces for a reference."""
MIN_CHUNKS: Final = 16
"""Fewest chunks for the reference of a stream, whose neighbouring faces are correlated."""
STREAM_REPEAT_S: Final = 2.0
"""Seconds after which the same face counts again in a stream that is compared with its own start."""


@dataclass(frozen=True, slots=True)
class Reference:
    """Statistics of reference faces for one bundle.

    Attributes:
        bundle: name of the bundle.
        bundle_sha256: hash of the bundle file; embeddings of different bundles are not comparable.
        source: description of the faces.
        dataset_hash: content hash of the data set, "" for a stream.
        faces: number of independent samples.
        repeat_s: see ``Chunks``; None for many people, each seen once.
        features: the feature map.
        baseline: mean features by expression.
        label_shares: (7,) float64 shares of the true classes; NaN if unknown.
        calibrations: detector scores under no drift, by scope.
        accuracy: the accuracy model; None without one.
    """

    bundle: str
    bundle_sha256: str
    source: str
    dataset_hash: str
    faces: int
    repeat_s: float | None
    features: FeatureMap
    baseline: Baseline
    label_shares: NDArray[np.float64]
    calibrations: Mapping[Scope, DriftCalibration]
    accuracy: AccuracyModel | None = None

    @property
    def knows_labels(self) -> bool:
        """Whether the true classes of the faces are known."""
        return bool(np.isfinite(self.label_shares).all())

    @classmethod
    def from_faces(
        cls,
        faces: FaceBatch,
        labels: NDArray[np.int64],
        *,
        bundle: str,
        bundle_sha256: str,
        source: str,
        dataset_hash: str,
        seed: int = 0,
        runs: int = RUNS,
        steps: int = STEPS,
        scopes: Sequence[Scope] = tuple(DETECTORS_OF),
    ) -> Reference:
        """Return the reference of independent faces of a data set, without an accuracy model.

        Args:
            faces: N faces that the model was not trained on.
            labels: (N,) int64 true classes; -1 if unknown.
            bundle: name of the bundle.
            bundle_sha256: hash of the bundle file.
            source: description of the faces.
            dataset_hash: content hash of the data set.
            seed: of the random frequencies and the simulated streams.
            runs: number of simulated streams.
            steps: windows per stream.
            scopes: the scopes to calibrate.

        Raises:
            DataError: too few faces, or NaN or infinite predictions.
        """
        if len(faces) < MIN_FACES:
            raise DataError(f"{len(faces)} faces are too few for a reference; use at least {MIN_FACES}, better a few thousand")
        if not (np.isfinite(faces.embedding).all() and np.isfinite(faces.probabilities).all()):
            raise DataError("the model's predictions for the reference faces are not finite; its weights are broken")
        features = FeatureMap.fit(faces, seed)
        values = features(faces)
        known = labels[labels >= 0]
        shares = np.bincount(known, minlength=faces.probabilities.shape[1]) / len(known) if len(known) else np.full(7, np.nan)
        return cls(
            bundle=bundle,
            bundle_sha256=bundle_sha256,
            source=source,
            dataset_hash=dataset_hash,
            faces=len(faces),
            repeat_s=None,
            features=features,
            baseline=Baseline.of(values, faces.probabilities),
            label_shares=shares,
            calibrations=run_to_completion(calibrate(values, faces.probabilities, None, runs, steps, seed, scopes)),
        )

    @classmethod
    def from_stream(
        cls,
        observations: Sequence[FaceObservation],
        base: Reference,
        *,
        source: str,
        repeat_s: float = STREAM_REPEAT_S,
        seed: int = 0,
        runs: int = RUNS,
        steps: int = STEPS,
        scope: Scope = "all",
    ) -> Reference:
        """Return a reference from the start of a stream.

        Args:
            observations: faces in order of time.
            base: the bundle's reference.
            source: description of the stream.
            repeat_s: seconds after which a face counts again.
            seed: of the simulated streams.
            runs: number of simulated streams.
            steps: windows per stream.
            scope: the part of a face that is known.

        Raises:
            DataError: too few faces.
        """
        chunks = Chunks(base.features, repeat_s, keep=True, scope=scope)
        groups: list[FaceBatch] = []
        for face in observations:
            filled = chunks.update(face)
            if filled is not None and filled.faces is not None:
                groups.append(filled.faces)
        return run_to_completion(
            cls.learn(groups, base, source=source, repeat_s=repeat_s, seed=seed, runs=runs, steps=steps, scope=scope)
        )

    @classmethod
    def learn(
        cls,
        groups: Sequence[FaceBatch],
        base: Reference,
        *,
        source: str,
        repeat_s: float = STREAM_REPEAT_S,
        seed: int = 0,
        runs: int = RUNS,
        steps: int = STEPS,
        scope: Scope = "all",
    ) -> Generator[None, None, Reference]:
        """Compute a reference from the start of a stream in small steps, yielding after each, and return it.

        Limits come from a moving-block bootstrap of the stream's own chunks, which preserves the correlation
        of neighbouring frames. A short start has few independent samples, so its false-alarm interval is
        approximate (``docs/explanation/drift.md`` has measurements).

        Args:
            groups: the faces of each chunk, in order.
            base: the bundle's reference, with kernel width, components and accuracy model.
            source: description of the stream.
            repeat_s: seconds after which a face counts again.
            seed: of the simulated streams.
            runs: number of simulated streams.
            steps: windows per stream.
            scope: the part of a face that is known; limits are computed for this scope only.

        Raises:
            DataError: too few faces.
        """
        if len(groups) < MIN_CHUNKS:
            raise DataError(
                f"the start of the stream has {len(groups) * CHUNK_BLOCKS} face samples (one per face every {repeat_s:g} s); "
                f"a reference needs {MIN_CHUNKS * CHUNK_BLOCKS}"
            )
        sizes = [len(group) for group in groups]
        faces = FaceBatch.join(groups)
        features = base.features.with_grid_of(faces)
        yield
        values = features(faces)
        yield
        ends = np.cumsum(sizes)
        places = [np.arange(end - size, end) for size, end in zip(sizes, ends, strict=True)]
        calibrations = yield from calibrate(values, faces.probabilities, places, runs, steps, seed, (scope,))
        return replace(
            base,
            source=source,
            dataset_hash="",
            faces=len(groups) * CHUNK_BLOCKS,
            repeat_s=repeat_s,
            features=features,
            baseline=Baseline.of(values, faces.probabilities),
            label_shares=np.full(faces.probabilities.shape[1], np.nan),
            calibrations=calibrations,
        )
