"""What a session adds up to: against numbers made by hand, live and from the file of its readings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from factories import reading, released
from kept_sessions import START, seconds

from mien.emotions import EMOTIONS
from mien.errors import DataError
from mien.privacy.policy import decide
from mien.privacy.release import ReleasedResult, release
from mien.records import Box, Detection, FaceReading, FrameResult, HeadPose
from mien.session import Session
from mien.sessions.observations import COLUMNS, ObservationsFile, read_observations
from mien.sessions.records import EventRecord, SeenFace, SeenFrame, SessionRecord, TransitionRecord, seen
from mien.sessions.tally import Tally
from mien.settings import LiveSettings
from mien.vision.pose import FacingFilter

BOX = (10.0, 10.0, 80.0, 100.0)
SESSION = SessionRecord("s1", START)


def result(index: int, *faces: FaceReading) -> ReleasedResult:
    return released(index, index / 10, faces, 0.1)


def frame(index: int, *faces: FaceReading, fps: float = 10.0) -> SeenFrame:
    return seen(released(index, index / fps, faces, 1 / fps))


def unread(track_id: str = "k3f9", why: str = "too small") -> FaceReading:
    nothing = np.full(len(EMOTIONS), np.nan, np.float32)
    return FaceReading(
        track_id=track_id, detection=Detection(Box(*BOX), 0.9, None), raw=nothing, smoothed=nothing, label="", unread=why
    )


def turned(yaw_deg: float, pitch_deg: float = 0.0) -> FaceReading:
    face = reading("happy", 0.8, BOX)
    return FaceReading(
        track_id="k3f9",
        detection=face.detection,
        raw=face.raw,
        smoothed=face.smoothed,
        label="happy",
        pose=HeadPose(yaw_deg, pitch_deg, 40.0),
    )


def test_seconds_go_to_slices_tracks_and_reasons() -> None:
    tally = Tally(slice_s=0.5)
    for k in range(5):
        tally.update(frame(k, reading("happy", 0.9, BOX), reading("sad", 0.9, BOX, "b2")))
    for k in range(5, 8):
        tally.update(frame(k, unread()))
    for k in range(8, 10):
        tally.update(frame(k))
    kept = tally.kept(SESSION)
    assert (kept.session.frames, kept.session.frames_with_face, kept.session.faces_max) == (10, 8, 2)
    assert (kept.session.readings, kept.session.unread) == (10, {"too small": 3})
    assert kept.session.duration_s == pytest.approx(1.0)
    assert [(row.from_s, row.to_s) for row in kept.intervals] == [(0.0, 0.5), (0.5, 1.0)]
    assert kept.intervals[0].label_s == pytest.approx(seconds(happy=0.5, sad=0.5))
    assert (kept.intervals[1].unread_s, kept.intervals[1].empty_s) == (pytest.approx(0.3), pytest.approx(0.2))
    assert [(track.track_id, track.readings) for track in kept.tracks] == [("k3f9", 5), ("b2", 5)]
    assert kept.tracks[0].label_s == pytest.approx(seconds(happy=0.5))
    assert kept.tracks[0].last_s == pytest.approx(0.7)


def test_transitions_are_counted_by_face_and_survive_a_short_gap() -> None:
    tally = Tally()
    for k, (first, second) in enumerate([("happy", "sad"), ("happy", "sad"), ("sad", "sad"), ("happy", "neutral")]):
        tally.update(frame(k, reading(first, 0.9, BOX), reading(second, 0.9, BOX, "b2")))
    tally.update(frame(4, unread()))
    tally.update(frame(5, reading("sad", 0.9, BOX)))
    assert tally.kept(SESSION).transitions == (
        TransitionRecord("happy", "sad", 2),
        TransitionRecord("sad", "happy", 1),
        TransitionRecord("sad", "neutral", 1),
    )


def test_who_faces_the_screen_is_a_matter_of_pose_and_unknown_without() -> None:
    tally = Tally()
    for k, face in enumerate([turned(0), turned(-34), turned(36), turned(0, -29), reading("happy", 0.9, BOX)]):
        tally.update(frame(k, face))
    (row,) = tally.kept(SESSION).intervals
    assert (row.facing_s, row.away_s) == (pytest.approx(0.2), pytest.approx(0.2))
    assert sum(row.label_s) == pytest.approx(0.5)


def test_an_hour_takes_no_more_slices_than_a_minute_and_loses_no_second() -> None:
    tally = Tally(slice_s=0.5)
    for k in range(7200):
        tally.update(frame(k, reading("happy" if k % 3 else "sad", 0.9, BOX), fps=2.0))
    kept = tally.kept(SESSION)
    assert len(kept.intervals) <= 240
    assert kept.intervals[0].to_s == 16.0
    assert kept.face_s == pytest.approx(3600)
    assert kept.label_s == pytest.approx(seconds(happy=2400, sad=1200))


def test_events_are_kept_in_order() -> None:
    tally = Tally()
    events = [EventRecord(1.0, "note"), EventRecord(2.0, "intervention", "k3f9", {"rule": "x"})]
    for event in events:
        tally.add(event)
    assert tally.kept(SESSION).events == tuple(events)


def test_a_file_of_observations_comes_back_as_what_was_seen(tmp_path: Path) -> None:
    results = [result(0, turned(12.3), reading("sad", 0.7, BOX, "b2")), result(1, unread()), result(2, turned(50)), result(3)]
    results += [result(4, turned(2)), result(30, turned(1))]
    file = ObservationsFile(tmp_path)
    for each in results:
        file.update(each)
    found = list(read_observations(file.close()))
    assert [round(f.t_s, 3) for f in found] == [0.0, 0.1, 0.2, 0.4, 3.0]
    assert [f.interval_s for f in found] == pytest.approx([0.1, 0.1, 0.1, 0.2, 0.1])
    assert found[0].faces == (SeenFace("k3f9", "happy", facing=True), SeenFace("b2", "sad"))
    assert found[1].faces == (SeenFace("k3f9", "", unread="too small"),)
    assert found[2].faces == (SeenFace("k3f9", "happy", facing=False),)
    assert [f.faces for f in found if f.faces] == [seen(each).faces for each in results if each.faces]


def test_rows_without_expressions_and_places_are_faces_all_the_same(tmp_path: Path) -> None:
    """As a file is where only observables may be kept."""
    head = ",".join(COLUMNS)
    blank = ["" for _ in COLUMNS]
    rows = []
    for k in range(3):
        row = dict(zip(COLUMNS, blank, strict=True)) | {"t_s": f"{k / 10}", "frame": str(k), "track_id": "k3f9", "facing": "1"}
        rows.append(",".join(row.values()))
    (tmp_path / "o.csv").write_text("\n".join([head, *rows]) + "\n")
    tally = Tally()
    for each in read_observations(tmp_path / "o.csv"):
        tally.update(each)
    kept = tally.kept(SESSION)
    assert (kept.face_s, kept.session.readings, kept.session.frames_with_face) == (0.0, 0, 3)
    assert kept.intervals[0].facing_s == pytest.approx(0.3)


@pytest.mark.parametrize(
    "text", ["", "t_s,frame\n1,2\n", "t_s,frame,track_id,label,uncertain,unread\n0,0,a,joyful,0,\n", "t_s,frame\nx,2\n"]
)
def test_a_file_that_is_none_of_ours_is_said(text: str, tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text(text)
    if not text:
        assert list(read_observations(tmp_path / "o.csv")) == []
        return
    with pytest.raises(DataError, match="is not an observations file"):
        list(read_observations(tmp_path / "o.csv"))


def test_a_session_and_its_readings_add_up_to_what_was_made_by_hand(tmp_path: Path) -> None:
    """Two faces, a turn with a head at the limit, a face that cannot be read, nobody, and a pause of ten seconds."""
    frames = [(k / 10, [turned(0.0), reading("sad", 0.9, BOX, "b2")]) for k in range(10)]
    frames += [(k / 10, [turned(40.0 if k % 2 else 30.0)]) for k in range(11, 21)]  # one turn away, from 1.1 s on
    frames += [(k / 10, [unread()]) for k in range(21, 24)]
    frames += [(k / 10, []) for k in range(24, 30)]
    frames += [(k / 10, [reading("neutral", 0.9, BOX)]) for k in range(130, 140)]
    tally, facing, file = Tally(), FacingFilter(), ObservationsFile(tmp_path)
    for index, (t_s, faces) in enumerate(frames):
        each = release(decide(None), facing.update(FrameResult(index, t_s, (640, 480), tuple(faces), 0.1)))
        tally.update(seen(each))
        file.update(each)
    again = Tally()
    for frame_seen in read_observations(file.close()):
        again.update(frame_seen)
    for name, found in (("live", tally.kept(SESSION)), ("from the file", again.kept(SESSION))):
        loose_s = 0.0 if name == "live" else 0.11  # a file does not say how long the frame before a gap stood
        assert (found.session.readings, found.session.unread, found.session.faces_max) == (40, {"too small": 3}, 2), name
        assert found.label_s == pytest.approx(seconds(happy=2.0, sad=1.0, neutral=1.0), abs=1e-6 + loose_s), name
        assert sum(row.facing_s for row in found.intervals) == pytest.approx(1.0, abs=1e-6 + loose_s), name
        assert sum(row.away_s for row in found.intervals) == pytest.approx(1.0, abs=1e-6 + loose_s), name
        assert sum(row.unread_s for row in found.intervals) == pytest.approx(0.3, abs=1e-6 + loose_s), name
        assert found.transitions == (), name  # happy before the pause and neutral after it is no transition
        assert found.session.duration_s == pytest.approx(14.0)
        assert found.session.presence_share == pytest.approx(3.3 / 14.0, abs=0.01), name
        assert sum(row.empty_s for row in found.intervals) == pytest.approx(10.7, abs=1e-6 + loose_s), name
        assert all(row.empty_s <= row.to_s - row.from_s + 1e-6 for row in found.intervals), name
        assert found.more["dwell"]["happy"]["count"] == 1


def test_a_recorded_clip_is_read_back_as_the_live_run_counted_it(yunet: Path, shared: Path, tmp_path: Path) -> None:
    """The recording has 472 frames at 24 a second; one face is in all of them."""
    out = tmp_path / "out"
    summary = Session(LiveSettings(source=str(shared / "media" / "sad_to_happy.mp4"), out=out, model="mien-s", view="none")).run()
    assert (summary["frames"], summary["frames_with_face"], summary["presence_share"]) == (472, 472, 1.0)
    assert sum(track["face_s"] for track in summary["tracks"]) == pytest.approx(summary["duration_s"], abs=0.002)
    tally = Tally()
    for each in read_observations(out / "observations.csv"):
        tally.update(each)
    found = tally.kept(SESSION)
    assert [(row.before, row.after, row.count) for row in found.transitions] == [
        (before, after, count) for before, row in sorted(summary["transitions"].items()) for after, count in sorted(row.items())
    ]
    assert found.face_s == pytest.approx(summary["duration_s"], abs=0.002)
    for name, second_s in zip(EMOTIONS, found.label_s, strict=True):
        assert second_s / found.face_s == pytest.approx(summary["distribution"][name], abs=0.002)
    live = json.loads((out / "summary.json").read_text())["timeline"]
    assert len(found.intervals) == len(live)
    for row, wanted in zip(found.intervals, live, strict=True):
        assert sum(row.label_s) == pytest.approx(wanted["face_s"], abs=0.045)  # a frame on the edge of a slice
