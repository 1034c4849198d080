from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mien import Analyzer
from mien.analytics.affect import Affect
from mien.analytics.attention import Attention
from mien.analytics.distribution import Distribution
from mien.analytics.episodes import Episodes
from mien.analytics.everything import Analytics
from mien.analytics.per_face import PerFace
from mien.analytics.totals import Totals
from mien.analytics.trend import Trend
from mien.circumplex import COORDINATES, entropy_bits, valence_arousal
from mien.emotions import EMOTIONS
from mien.records import FACING_YAW_DEG, Box, Detection, FaceReading, FrameResult, HeadPose


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


def test_totals() -> None:
    totals = Totals()
    for t_s, labels in [(5.0, []), (5.5, ["sad", "happy"]), (6.0, ["sad"])]:
        totals.update(result(t_s, labels))
    assert (totals.frames, totals.frames_with_face, totals.faces_max, totals.elapsed_s) == (3, 2, 2, 1.0)


def posed(t_s: float, yaws: dict[str, float | None], interval_s: float = 0.1) -> FrameResult:
    """Return a frame with one face a name, its head turned by so many degrees, or without a known pose."""
    happy = np.eye(7, dtype=np.float32)[EMOTIONS.index("happy")]
    faces = tuple(
        FaceReading(name, Detection(Box(0, 0, 10, 10), 1.0, None), happy, happy, "happy", 0.0,
                    None if yaw is None else HeadPose(yaw, 0.0, 0.0))
        for name, yaw in yaws.items()
    )  # fmt: skip
    return FrameResult(int(t_s * 10), t_s, (640, 480), faces, interval_s)


def unread(t_s: float, interval_s: float = 0.1) -> FrameResult:
    nothing = np.full(7, np.nan, np.float32)
    face = FaceReading("t0", Detection(Box(0, 0, 10, 10), 1.0, None), nothing, nothing, "", 0.5, None, "too dark")
    return FrameResult(int(t_s * 10), t_s, (640, 480), (face,), interval_s)


def test_affect_is_the_mean_of_the_published_coordinates() -> None:
    affect = Affect()
    assert affect.mean is None
    affect.update(result(0.0, ["happy"], 3.0))
    assert affect.now == pytest.approx((0.81, 0.51, 0.0))
    affect.update(result(3.0, ["sad"], 1.0))
    assert affect.mean == pytest.approx(((3 * 0.81 - 0.63) / 4, (3 * 0.51 - 0.27) / 4, 0.0))
    affect.update(result(4.0, []))
    assert np.isnan(affect.now).all()
    assert entropy_bits(np.full(7, 1 / 7)) == pytest.approx(np.log2(7))
    assert valence_arousal(np.full(7, 1 / 7))[0] == pytest.approx(sum(v for v, _ in COORDINATES.values()) / 7)


@pytest.mark.parametrize("fps", [5, 30])
def test_facing_is_time_with_a_known_pose_and_does_not_blink_at_the_limit(fps: int) -> None:
    attention = Attention()
    changes = []
    for k in range(10 * fps):
        t_s = k / fps
        yaw = None if t_s < 2 else FACING_YAW_DEG + (-3 if k % 2 else 3) if t_s < 6 else 0.0
        attention.update(posed(t_s, {"a": yaw}, 1 / fps))
        changes.append(attention.facing_now)
    assert changes[0] is None
    runs = [state for state, before in zip(changes, [..., *changes], strict=False) if state is not before]
    assert runs == [None, False, True]  # to and fro at the limit is one turning away
    assert attention.facing_share == pytest.approx(0.5)
    assert attention.presence_share == pytest.approx(1)


def test_presence_is_time_with_anyone_and_pose_may_be_unknown() -> None:
    attention = Attention()
    assert attention.presence_share == 0
    assert np.isnan(attention.facing_share)
    attention.update(posed(0.0, {"a": None, "b": None}, 1.0))
    attention.update(posed(1.0, {}, 3.0))
    assert attention.presence_share == pytest.approx(0.25)
    assert np.isnan(attention.facing_share)
    attention.update(posed(4.0, {"a": 0.0, "b": 90.0}, 1.0))
    assert attention.facing_now is True
    assert attention.facing_share == pytest.approx(0.5)


@pytest.mark.parametrize("fps", [5, 30])
def test_episodes_last_as_long_as_their_labels_at_any_rate(fps: int) -> None:
    episodes = Episodes()
    for k in range(9 * fps):
        t_s = k / fps
        label = "neutral" if t_s < 3 or t_s >= 7 else "happy"
        # neither of the two readings that fail is long enough to end an episode
        episodes.update(unread(t_s, 1 / fps) if 4 <= t_s < 4.3 else result(t_s, [label], 1 / fps))
    found = episodes.episodes
    assert [(e.label, round(e.start_s), round(e.end_s)) for e in found] == [("neutral", 0, 3), ("happy", 3, 7), ("neutral", 7, 9)]
    assert episodes.transitions.sum() == 2
    assert episodes.transitions[EMOTIONS.index("neutral"), EMOTIONS.index("happy")] == 1
    assert episodes.dwell["neutral"]["count"] == 2
    assert episodes.dwell["happy"]["longest_s"] == pytest.approx(4, abs=1e-6)
    assert set(episodes.dwell) == {"neutral", "happy"}


def test_a_long_gap_ends_an_episode_and_is_no_transition() -> None:
    episodes = Episodes()
    episodes.update(result(0.0, ["sad"]))
    for k in range(1, 20):
        episodes.update(unread(k / 10))
    episodes.update(result(2.0, ["happy"]))
    assert [(e.label, e.end_s) for e in episodes.episodes] == [("sad", pytest.approx(0.1)), ("happy", pytest.approx(2.1))]
    assert episodes.transitions.sum() == 0


def test_memory_is_bounded_and_counts_are_not() -> None:
    episodes, per_face = Episodes(), PerFace()
    for k in range(3000):
        frame = result(k / 10, ["sad" if k % 2 else "happy"])
        episodes.update(frame)
        named = posed(k / 10, {f"face{k}": 0.0})
        per_face.update(named)
    assert len(episodes.episodes) <= 1001
    assert sum(times["count"] for times in episodes.dwell.values()) == 3000
    assert len(per_face.faces) == 65
    assert sum(time.presence_s for time in per_face.faces.values()) == pytest.approx(300)


def test_a_face_that_is_not_read_is_there_but_shows_nothing() -> None:
    analytics = Analytics()
    analytics.update(unread(0.0, 1.0))
    facts = analytics.facts()
    assert facts["presence_share"] == 1
    assert facts["unread"] == {"too dark": 1}
    assert facts["valence"] is None
    assert facts["episodes"] == []
    assert facts["faces"]["t0"] == {"presence_s": 1.0, "read_s": 0.0, "label_s": {}}
    assert analytics.totals.readings == 0
    assert analytics.distribution.shares.sum() == 0
    assert np.isnan(analytics.trend.values).all()


def test_the_screen_can_start_anew_and_what_is_kept_goes_on() -> None:
    analytics = Analytics()
    analytics.update(result(0.0, ["happy"], 1.0))
    analytics.reset_screen()
    assert analytics.shown.shares.sum() == 0
    assert len(analytics.trend.t_s) == 0
    assert analytics.distribution.shares.sum() == pytest.approx(1)


def test_a_smile_between_two_neutral_looks_is_one_episode(shared: Path, yunet: Path) -> None:
    analytics = Analytics()
    for found in Analyzer().video(shared / "media" / "neutral_smile_neutral.mp4"):
        analytics.update(found)
    labels = [episode.label for episode in analytics.episodes.episodes]
    assert labels.count("happy") == 1
    assert set(labels) == {"neutral", "happy"}
    assert analytics.attention.facing_share > 0.9


def test_sad_to_happy_is_one_face_with_few_changes(shared: Path, yunet: Path) -> None:
    analytics = Analytics()
    for found in Analyzer().video(shared / "media" / "sad_to_happy.mp4"):
        analytics.update(found)
    assert len(analytics.per_face.faces) == 1
    assert 1 <= analytics.episodes.transitions.sum() <= 12
    assert analytics.episodes.episodes[-1].label == "happy"
