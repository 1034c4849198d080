"""What a stream is held against: a summary of faces that the model was judged on, and none of the faces.

Statistics only: random-feature means by expression, quantiles, principal components, scores of
simulated streams. No pixel and no single embedding is kept. A reference of one person's stream
still tells something of that person: it belongs with that session's data.
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
from mien.monitoring.calibration import RUNS, STEPS, Calibration, calibrate, done
from mien.monitoring.chunks import CHUNK_BLOCKS, Chunks
from mien.monitoring.features import FeatureMap
from mien.monitoring.observation import FaceBatch, FaceObservation
from mien.monitoring.sight import DETECTORS_OF, Sight

LEAST_FACES: Final = 400
"""Fewer independent faces make no reference: one half must fill windows."""
LEAST_CHUNKS: Final = 16
"""The same for a stream, whose neighbouring faces are alike."""
STREAM_REPEAT_S: Final = 2.0
"""In a stream with a reference of its own the same face counts again after so many seconds."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference.

    Attributes:
        bundle: name of the model.
        bundle_sha256: of its file; embeddings of another model mean something else.
        source: what it was made of, in words.
        dataset_hash: content hash of the data set, "" for a stream.
        faces: how many independent looks it holds.
        repeat_s: see ``Chunks``; None where it is of many people, each seen once.
        features: from a face to features.
        baseline: mean features by expression.
        label_shares: (7,) float64, shares of the true classes; NaN where nobody knows them.
        calibrations: scores of streams without drift, by how much of a face is given.
        accuracy: the learnt estimate of accuracy; None without.
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
    calibrations: Mapping[Sight, Calibration]
    accuracy: AccuracyModel | None = None

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
        sights: Sequence[Sight] = tuple(DETECTORS_OF),
    ) -> Reference:
        """Return the reference of independent faces, as in a data set; without an accuracy model.

        Args:
            faces: what the model makes of N faces that it was not trained on.
            labels: (N,) their true classes.
            bundle: name of the model.
            bundle_sha256: of its file.
            source: what the faces are, in words.
            dataset_hash: content hash of the data set.
            seed: of the random frequencies and the simulated streams.
            runs: simulated streams.
            steps: windows in each.
            sights: which limits are wanted.

        Raises:
            DataError: too few faces, or values that are not numbers.
        """
        if len(faces) < LEAST_FACES:
            raise DataError(f"{len(faces)} faces make no reference: at least {LEAST_FACES} are needed, a few thousand are better")
        if not (np.isfinite(faces.embedding).all() and np.isfinite(faces.probabilities).all()):
            raise DataError("the model's answers to the reference's faces are not all numbers: its weights are broken")
        features = FeatureMap.fit(faces, seed)
        values = features(faces)
        shares = np.bincount(labels, minlength=faces.probabilities.shape[1]) / len(labels)
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
            calibrations=done(calibrate(values, faces.probabilities, None, runs, steps, seed, sights)),
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
        sight: Sight = "all",
    ) -> Reference:
        """Return the reference that the first minutes of a deployment make.

        Args:
            observations: faces in the order of their times; held only for this call.
            base: the bundle's own reference.
            source: what the stream is, in words.
            repeat_s: after how many seconds a face counts again.
            seed: of the simulated streams.
            runs: simulated streams.
            steps: windows in each.
            sight: how much of a face is known.

        Raises:
            DataError: too few faces.
        """
        chunks = Chunks(base.features, repeat_s, keep=True, sight=sight)
        groups: list[FaceBatch] = []
        for face in observations:
            filled = chunks.update(face)
            if filled is not None and filled.faces is not None:
                groups.append(filled.faces)
        return done(cls.learn(groups, base, source=source, repeat_s=repeat_s, seed=seed, runs=runs, steps=steps, sight=sight))

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
        sight: Sight = "all",
    ) -> Generator[None, None, Reference]:
        """Yield many times, after small steps of work, and return the reference of the start of a stream.

        Its limits come from the stream's own chunks, put together in stretches, so that what
        neighbouring frames have in common is allowed for. A short start holds few independent
        moments; the promise of false alarms is then rough (``docs/drift.md`` has numbers).

        Args:
            groups: the faces of each chunk, in order.
            base: the bundle's own reference: kernel width, components and accuracy model are its.
            source: what the stream is, in words.
            repeat_s: after how many seconds a face counts again.
            seed: of the simulated streams.
            runs: simulated streams.
            steps: windows in each.
            sight: how much of a face is known, and so which limits are made.

        Raises:
            DataError: too few faces.
        """
        if len(groups) < LEAST_CHUNKS:
            raise DataError(
                f"the start of the stream holds {len(groups)} times {CHUNK_BLOCKS} looks at a face (one every {repeat_s:g} s a "
                f"face); a reference needs {LEAST_CHUNKS}. Start from more minutes"
            )
        sizes = [len(group) for group in groups]
        faces = FaceBatch.join(groups)
        features = base.features.with_grid_of(faces)
        yield
        values = features(faces)
        yield
        ends = np.cumsum(sizes)
        places = [np.arange(end - size, end) for size, end in zip(sizes, ends, strict=True)]
        calibrations = yield from calibrate(values, faces.probabilities, places, runs, steps, seed, (sight,))
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
