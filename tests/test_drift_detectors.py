"""Features, distances and detectors of drift."""

from __future__ import annotations

import math

import numpy as np
import pytest
from drifting import EVEN, make_faces, reference_of
from hypothesis import given
from hypothesis import strategies as st
from photos import few

from mien.monitoring.baseline import Baseline, FaceWindow
from mien.monitoring.detectors import DETECTORS, make_detectors
from mien.monitoring.distances import jensen_shannon, ks_p_value, stability_index
from mien.monitoring.features import FEATURES, FeatureMap, averages, distribution, random_features
from mien.monitoring.observation import MEASURES, measure, pose_measures
from mien.monitoring.reference import Reference
from mien.preprocess import CANONICAL_LANDMARKS
from mien.records import Box, Detection


@pytest.fixture(scope="module")
def reference() -> Reference:
    return reference_of(*make_faces(1600, seed=0))


# --- features and detectors ---------------------------------------------------------------------


def test_random_features_approximate_the_gaussian_kernel(reference: Reference) -> None:
    first, _ = make_faces(300, seed=1)
    second, _ = make_faces(300, seed=2, shift=2.0)
    features = reference.features
    gap = random_features(features(first).astype(np.float64).mean(0) - features(second).astype(np.float64).mean(0))

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        squares = ((a[:, None].astype(np.float64) - b) ** 2).sum(2)
        return float(np.exp(-squares / (2 * features.width**2)).mean())

    one, other = first.embedding, second.embedding
    exact = kernel(one, one) + kernel(other, other) - 2 * kernel(one, other)
    assert float(gap @ gap) == pytest.approx(exact, rel=0.2)


def test_the_kernel_width_is_the_median_distance() -> None:
    faces, _ = make_faces(300, seed=1)
    distances = np.linalg.norm(faces.embedding[:, None] - faces.embedding, axis=2)
    assert FeatureMap.fit(faces).width == pytest.approx(np.median(distances[np.triu_indices(300, 1)]), rel=1e-3)


def test_equal_faces_have_finite_features() -> None:
    faces, _ = make_faces(1, seed=1)
    alike = faces.take(np.zeros(50, np.int64))
    features = FeatureMap.fit(alike)
    assert features.width == 1
    assert np.isfinite(features(alike)).all()
    assert features(alike).shape == (50, FEATURES)


def test_means_of_features_are_distribution_functions_and_averages(reference: Reference) -> None:
    faces, _ = make_faces(2000, seed=3)
    mean = reference.features(faces).astype(np.float64).mean(0)
    shares = distribution(mean, ("brightness", "confidence", "turn"))
    grid = reference.features.grid
    assert shares[0, 19] == pytest.approx((faces.measures[:, 0] <= grid[12, 19]).mean(), abs=1e-5)
    assert np.isnan(shares[2]).all()  # pose is unknown
    assert averages(mean)["brightness"] == pytest.approx(faces.measures[:, 0].mean(), rel=1e-4)
    assert averages(mean)["confidence"] == pytest.approx(faces.probabilities.max(1).mean(), rel=1e-4)
    assert "turn" not in averages(mean)


@few
@given(st.integers(0, 10_000))
def test_the_nearest_mix_is_the_planted_one(seed: int) -> None:
    faces, _ = make_faces(2000, seed=0)
    features = FeatureMap.fit(faces)
    baseline = Baseline.of(features(faces), faces.probabilities)
    shares = np.random.default_rng(seed).dirichlet(np.full(7, 1.0))
    others, labels = make_faces(2000, seed=seed + 1, shares=shares)
    found = baseline.nearest_mixes(features(others).astype(np.float64).mean(0)[None])[0]
    assert found.sum() == pytest.approx(1)
    assert found == pytest.approx(np.bincount(labels, minlength=7) / 2000, abs=0.06)


def test_chi_square_agrees_with_scipy(reference: Reference) -> None:
    from scipy.stats import chisquare

    faces, _ = make_faces(200, seed=5)
    mean = reference.features(faces).astype(np.float64).mean(0)
    detector = make_detectors(reference.baseline)[DETECTORS.index("expressions")]
    detector.update(FaceWindow(0, 1, 200, mean, EVEN))
    counts = np.bincount(faces.probabilities.argmax(1), minlength=7)
    expected = 200 * reference.baseline.overall[-14:-7]
    assert detector.result is not None
    assert detector.result.score == pytest.approx(chisquare(counts, expected / expected.sum() * 200).statistic, rel=1e-3)


def test_distances_agree_with_scipy() -> None:
    from scipy.spatial.distance import jensenshannon
    from scipy.stats import kstwo

    first, second = np.random.default_rng(0).dirichlet(np.ones(7), 2)
    assert jensen_shannon(first, second) == pytest.approx(jensenshannon(first, second, 2) ** 2)
    assert jensen_shannon(first, first) == 0
    assert ks_p_value(0.08, 500) == pytest.approx(kstwo.sf(0.08, 500), rel=0.1)
    even = (np.arange(39) + 1) / 40
    assert stability_index(even, even) == 0
    moved = np.clip(even + 0.05, 0, 1)  # the lowest bin has 1.5 times its share, the highest half
    assert stability_index(moved, even) == pytest.approx(0.05 * np.log(1.5) + 0.05 * np.log(2), abs=1e-9)
    assert math.isfinite(stability_index(np.zeros(39), even))


def test_detectors_have_a_fixed_order(reference: Reference) -> None:
    detectors = make_detectors(reference.baseline)
    assert tuple(detector.name for detector in detectors) == DETECTORS
    assert all(detector.result is None for detector in detectors)


def test_quality_measures() -> None:
    dark = np.full((2, 48, 48), 30, np.uint8)
    dark[1, 24:] = 90
    detection = Detection(Box(0, 0, 80.0, 90.0), 0.9, CANONICAL_LANDMARKS * 3)
    found = dict(zip(MEASURES, measure(dark, [detection, None]).T, strict=True))
    assert found["brightness"].tolist() == [30, 60]
    assert found["contrast"].tolist() == [0, 30]
    assert found["face_size_px"][0] == 80
    assert abs(found["turn"][0]) < 0.05
    assert abs(found["nod"][0]) < 0.05
    assert found["tilt_deg"][0] == pytest.approx(0, abs=0.1)
    assert all(np.isnan(found[name][1]) for name in ("face_size_px", "turn", "nod", "tilt_deg"))
    assert measure(dark[:0]).shape == (0, len(MEASURES))


def test_yaw_is_measured() -> None:
    turned = CANONICAL_LANDMARKS.copy()
    turned[2, 0] += 5
    assert pose_measures(turned[None])[0, 0] == pytest.approx(2 * 5 / 17.4, abs=0.02)
