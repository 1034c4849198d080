"""What the screen and the summary say of a stream: counts, episodes, affect, trend."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from mien import Analyzer
from mien.analytics import Affect, Trend
from mien.circumplex import COORDINATES, entropy_bits, valence_arousal
from mien.emotions import EMOTIONS
from mien.privacy.policy import decide
from mien.privacy.release import release
from mien.records import FACING_YAW_DEG, Box, Detection, FaceReading, FrameResult, HeadPose
from mien.sessions.document import summary_document
from mien.sessions.episodes import Episodes
from mien.sessions.records import SeenFrame, SessionRecord, seen
from mien.sessions.tally import Tally
from mien.vision.pose import FacingFilter

SESSION = SessionRecord("s1", datetime(2026, 3, 4, tzinfo=UTC))


def result(t_s: float, labels: list[str], interval_s: float = 0.1) -> FrameResult:
    faces = tuple(
        FaceReading(track_id=f"t{i}", detection=Detection(Box(0, 0, 10, 10), 1.0, None), raw=p, smoothed=p, label=name)
        for i, (name, p) in enumerate(zip(labels, np.eye(7, dtype=np.float32)[[EMOTIONS.index(n) for n in labels]], strict=True))
    )
    return FrameResult(int(t_s * 10), t_s, (640, 480), faces, interval_s)


def counted(*results: FrameResult) -> Tally:
    """Return the counts of a stream, as a session makes them."""
    tally, facing = Tally(), FacingFilter()
    for each in results:
        tally.update(as_seen(facing.update(each)))
    return tally


def as_seen(found: FrameResult) -> SeenFrame:
    return seen(release(decide(None), found))


@pytest.mark.parametrize("fps", [5, 30])
def test_the_distribution_counts_time_not_frames(fps: int) -> None:
    times = [k / fps for k in range(10 * fps)]
    tally = counted(*(result(t_s, ["happy"] if t_s < 2.5 else ["sad"], 1 / fps) for t_s in times))
    shares = dict(zip(EMOTIONS, tally.now(False)["distribution"], strict=True))
    assert shares["happy"] == pytest.approx(0.25, abs=0.02)
    assert shares["sad"] == pytest.approx(0.75, abs=0.02)
    assert tally.label_s.sum() == pytest.approx(10)


def test_nobody_there_is_no_distribution() -> None:
    assert counted(result(0.0, [])).now(False)["distribution"].tolist() == [0.0] * 7


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
    tally = counted(*(result(t_s, labels) for t_s, labels in [(5.0, []), (5.5, ["sad", "happy"]), (6.0, ["sad"])]))
    assert (tally.frames, tally.frames_with_face, tally.faces_max) == (3, 2, 2)
    assert tally.elapsed_s == pytest.approx(1.1)  # the last frame stands for a tenth of a second


def posed(t_s: float, yaws: dict[str, float | None], interval_s: float = 0.1) -> FrameResult:
    """Return a frame with one face per name, with the given yaw in degrees, or without a pose."""
    happy = np.eye(7, dtype=np.float32)[EMOTIONS.index("happy")]
    faces = tuple(
        FaceReading(
            track_id=name,
            detection=Detection(Box(0, 0, 10, 10), 1.0, None),
            raw=happy,
            smoothed=happy,
            label="happy",
            pose=None if yaw is None else HeadPose(yaw, 0.0, 0.0),
        )
        for name, yaw in yaws.items()
    )
    return FrameResult(int(t_s * 10), t_s, (640, 480), faces, interval_s)


def unread(t_s: float, interval_s: float = 0.1) -> FrameResult:
    nothing = np.full(7, np.nan, np.float32)
    face = FaceReading(
        track_id="t0",
        detection=Detection(Box(0, 0, 10, 10), 1.0, None),
        raw=nothing,
        smoothed=nothing,
        label="",
        uncertain_below=0.5,
        pose=None,
        unread="too dark",
    )
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
    tally, facing = Tally(), FacingFilter()
    changes = []
    for k in range(10 * fps):
        t_s = k / fps
        yaw = None if t_s < 2 else FACING_YAW_DEG + (-3 if k % 2 else 3) if t_s < 6 else 0.0
        tally.update(as_seen(facing.update(posed(t_s, {"a": yaw}, 1 / fps))))
        changes.append(tally.facing_now)
    assert changes[0] is None
    runs = [state for state, before in zip(changes, [..., *changes], strict=False) if state is not before]
    assert runs == [None, False, True]  # to and fro at the limit is one turning away
    assert tally.facing_share == pytest.approx(0.5)
    assert tally.presence_share == pytest.approx(1)


def test_a_head_that_alternates_about_the_limit_is_away_in_every_number() -> None:
    results = [posed(k / 10, {"a": 40.0 if k % 2 == 0 else 30.0}) for k in range(40)]
    tally = counted(*results)
    assert tally.facing_share == 0
    kept = tally.kept(SESSION)
    document = summary_document(kept)
    assert (document["facing_share"], document["attention"]["facing_share"]) == (0, 0)
    assert (kept.tracks[0].facing_s, kept.tracks[0].away_s) == (0, pytest.approx(4.0))


def test_presence_is_time_with_anyone_and_pose_may_be_unknown() -> None:
    assert Tally().presence_share == 0
    assert np.isnan(Tally().facing_share)
    first = [posed(0.0, {"a": None, "b": None}, 1.0), posed(1.0, {}, 3.0)]
    assert counted(*first).presence_share == pytest.approx(0.25)
    assert np.isnan(counted(*first).facing_share)
    tally = counted(*first, posed(4.0, {"a": 0.0, "b": 90.0}, 1.0))
    assert tally.facing_now is True
    assert tally.facing_share == pytest.approx(0.5)


PAUSED = [(k / 10, 0.1) for k in range(37)] + [(13.7, 0.1)]
"""Frames up to 3.7 s, then a pause of 10 s in which none is processed."""
STALLED = [(k / 10, 0.1) for k in range(30)] + [(6.0 + k / 10, 0.1 if k else 1.0) for k in range(30)]
"""A live stream that gives nothing from 2.9 to 6 s; its next frame stands for a second."""
JUMPED = [(k / 10, 1.0 if k == 29 else 0.1) for k in range(30)] + [(6.0 + k / 10, 0.1) for k in range(30)]
"""A recording whose clock jumps from 2.9 to 6 s: the frame before stands for a second."""


@pytest.mark.parametrize(("times", "share"), [(PAUSED, 3.8 / 13.8), (STALLED, 6.9 / 9), (JUMPED, 6.9 / 9)])
def test_a_gap_counts_as_absence(times: list[tuple[float, float]], share: float) -> None:
    tally = counted(*(result(t_s, ["happy"], interval_s) for t_s, interval_s in times))
    assert tally.presence_share == pytest.approx(share, abs=0.01)
    kept = tally.kept(SESSION)
    assert kept.session.presence_share == pytest.approx(share, abs=0.01)
    present_s = sum(interval_s for _, interval_s in times)
    assert sum(row.empty_s for row in kept.intervals) == pytest.approx(present_s * (1 - share) / share, abs=0.1)


def test_a_face_that_was_turned_away_stays_so_over_a_missed_frame_and_not_over_a_second() -> None:
    away = posed(0.0, {"a": 50.0})
    for later_s, facing in ((0.3, False), (1.5, True)):
        stream = FacingFilter()
        stream.update(away)
        stream.update(posed(0.1, {}))
        assert stream.update(posed(later_s, {"a": 33.0})).faces[0].facing is facing


@pytest.mark.parametrize("fps", [5, 30])
def test_episodes_last_as_long_as_their_labels_at_any_rate(fps: int) -> None:
    episodes = Episodes()
    for k in range(9 * fps):
        t_s = k / fps
        label = "neutral" if t_s < 3 or t_s >= 7 else "happy"
        # neither of the two readings that fail is long enough to end an episode
        episodes.update(as_seen(unread(t_s, 1 / fps) if 4 <= t_s < 4.3 else result(t_s, [label], 1 / fps)))
    found = episodes.episodes
    assert [(e.label, round(e.start_s), round(e.end_s)) for e in found] == [("neutral", 0, 3), ("happy", 3, 7), ("neutral", 7, 9)]
    assert episodes.transitions.sum() == 2
    assert episodes.transitions[EMOTIONS.index("neutral"), EMOTIONS.index("happy")] == 1
    assert episodes.dwell["neutral"]["count"] == 2
    assert episodes.dwell["happy"]["longest_s"] == pytest.approx(4, abs=1e-6)
    assert set(episodes.dwell) == {"neutral", "happy"}


def test_a_long_gap_ends_an_episode_and_is_no_transition() -> None:
    episodes = Episodes()
    episodes.update(as_seen(result(0.0, ["sad"])))
    for k in range(1, 20):
        episodes.update(as_seen(unread(k / 10)))
    episodes.update(as_seen(result(2.0, ["happy"])))
    assert [(e.label, e.end_s) for e in episodes.episodes] == [("sad", pytest.approx(0.1)), ("happy", pytest.approx(2.1))]
    assert episodes.transitions.sum() == 0


@pytest.mark.parametrize(("before_s", "after_s"), [(0.1, 1.0), (1.0, 0.1)])
def test_what_is_shown_after_a_gap_of_a_second_is_no_transition(before_s: float, after_s: float) -> None:
    """Whether the frame after the gap stands for part of it, as with a camera, or the frame before, as in a recording."""
    tally = counted(result(0.0, ["sad"]), result(0.1, ["sad"], before_s), result(1.5, ["happy"], after_s))
    assert tally.kept(SESSION).transitions == ()
    slow = counted(result(0.0, ["sad"], 1.0), result(1.0, ["happy"], 1.0))  # a frame a second is no gap
    assert len(slow.kept(SESSION).transitions) == 1


def test_memory_is_bounded_and_counts_are_not() -> None:
    tally = Tally()
    for k in range(3000):
        labels = ["sad" if k % 2 else "happy"]
        tally.update(as_seen(result(k / 10, labels)))
    facts = tally.kept(SESSION).more
    assert len(facts["episodes"]) <= 1001
    assert sum(times["count"] for times in facts["dwell"].values()) == 3000
    many = counted(*(posed(k / 10, {f"face{k}": 0.0}) for k in range(300)))
    faces = many.kept(SESSION).more["faces"]
    assert len(faces) == 65
    assert sum(face["presence_s"] for face in faces.values()) == pytest.approx(30)


def test_a_face_that_is_not_read_is_there_but_shows_nothing() -> None:
    tally, affect, trend = counted(unread(0.0, 1.0)), Affect(), Trend()
    affect.update(unread(0.0, 1.0))
    trend.update(unread(0.0, 1.0))
    kept = tally.kept(SESSION)
    assert (kept.session.presence_share, kept.session.unread, kept.session.readings) == (1, {"too dark": 1}, 0)
    assert kept.more["episodes"] == []
    assert kept.more["faces"]["t0"] == {"presence_s": 1.0, "read_s": 0.0, "label_s": {}}
    assert affect.mean is None
    assert tally.label_s.sum() == 0
    assert np.isnan(trend.values).all()


def test_the_screen_can_be_reset_while_the_session_goes_on() -> None:
    tally = counted(result(0.0, ["happy"], 1.0))
    tally.reset_screen()
    assert tally.now(False)["distribution"].sum() == 0
    assert tally.label_s.sum() == pytest.approx(1)
    tally.update(as_seen(result(1.0, ["sad"], 0.5)))
    assert tally.now(False)["distribution"][EMOTIONS.index("sad")] == 1


def test_a_smile_between_two_neutral_looks_is_one_episode(shared: Path, yunet: Path) -> None:
    tally = counted(*Analyzer().video(shared / "media" / "neutral_smile_neutral.mp4"))
    episodes = tally.kept(SESSION).more["episodes"]
    labels = [episode["label"] for episode in episodes]
    assert labels.count("happy") == 1
    assert set(labels) == {"neutral", "happy"}
    assert tally.facing_share > 0.9


def test_sad_to_happy_is_one_face_with_few_changes(shared: Path, yunet: Path) -> None:
    tally = counted(*Analyzer().video(shared / "media" / "sad_to_happy.mp4"))
    kept = tally.kept(SESSION)
    assert len(kept.tracks) == 1
    assert 1 <= sum(row.count for row in kept.transitions) <= 12
    assert kept.more["episodes"][-1]["label"] == "happy"
