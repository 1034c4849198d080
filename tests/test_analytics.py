from __future__ import annotations

import numpy as np
import pytest

from mien.analytics.distribution import Distribution
from mien.analytics.timeline import Timeline
from mien.analytics.totals import Totals
from mien.analytics.trend import Trend
from mien.emotions import EMOTIONS
from mien.records import Box, Detection, FaceReading, FrameResult


def result(t_s: float, labels: list[str], interval_s: float = 0.1) -> FrameResult:
    faces = tuple(
        FaceReading(f"t{i}", Detection(Box(0, 0, 10, 10), 1.0, None), p, p, name)
        for i, (name, p) in enumerate(zip(labels, np.eye(7, dtype=np.float32)[[EMOTIONS.index(n) for n in labels]], strict=True))
    )
    return FrameResult(int(t_s * 10), t_s, (640, 480), faces, interval_s)


@pytest.mark.parametrize("fps", [5, 30])
def test_the_distribution_counts_time_not_frames(fps: int) -> None:
    distribution = Distribution()
    for k in range(10 * fps):
        t_s = k / fps
        distribution.update(result(t_s, ["happy"] if t_s < 2.5 else ["sad"], 1 / fps))
    shares = dict(zip(EMOTIONS, distribution.shares, strict=True))
    assert shares["happy"] == pytest.approx(0.25, abs=0.02)
    assert shares["sad"] == pytest.approx(0.75, abs=0.02)
    assert distribution.seconds.sum() == pytest.approx(10)


def test_nobody_there_is_no_distribution() -> None:
    distribution = Distribution()
    distribution.update(result(0.0, []))
    assert distribution.shares.tolist() == [0.0] * 7


def test_the_trend_keeps_its_window_and_shows_gaps() -> None:
    trend = Trend(window_s=2.0, step_s=0.1)
    for k in range(100):
        trend.update(result(k * 0.05, [] if 60 < k < 70 else ["fear", "happy"]))
    assert trend.t_s[-1] - trend.t_s[0] <= 2.0
    assert len(trend.t_s) <= 21
    gap = np.isnan(trend.values).all(1)
    assert 4 <= gap.sum() <= 5
    assert trend.values[~gap][:, [EMOTIONS.index("fear"), EMOTIONS.index("happy")]] == pytest.approx(0.5)
    assert Trend().values.shape == (0, 7)


def test_the_timeline_is_bounded_and_loses_no_time() -> None:
    timeline = Timeline(slice_s=0.5)
    for k in range(36_000):
        timeline.update(result(k * 0.1, ["neutral"] if k < 18_000 else ["happy"]))
    assert len(timeline.t_s) <= 240
    assert timeline.label_seconds.sum() == pytest.approx(3600)
    half = len(timeline.t_s) * timeline.slice_s
    assert half >= 3600
    assert timeline.label_seconds[: int(1800 / timeline.slice_s), EMOTIONS.index("happy")].sum() == 0
    assert np.nanmax(timeline.probabilities) == pytest.approx(1)


def test_a_slice_without_a_face_is_a_gap() -> None:
    timeline = Timeline(slice_s=1.0)
    for t_s, labels in [(0.0, ["sad"]), (1.0, []), (2.0, ["sad"])]:
        timeline.update(result(t_s, labels))
    assert np.isnan(timeline.probabilities).all(1).tolist() == [False, True, False]


def test_totals() -> None:
    totals = Totals()
    for t_s, labels in [(5.0, []), (5.5, ["sad", "happy"]), (6.0, ["sad"])]:
        totals.update(result(t_s, labels))
    assert (totals.frames, totals.frames_with_face, totals.faces_max, totals.elapsed_s) == (3, 2, 2, 1.0)
