"""Recordings analysed: every frame once at its own time, the same bytes with any number of workers and stops."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections import deque
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import cv2
import numpy as np
import pytest
from analysing import RESULTS, analysed, contents, rows
from cameras import grey
from conftest import REPOSITORY
from factories import reading
from videos import animation, matroska, presented, transport_stream, video

from mien.errors import DataError, MienError
from mien.recordings.analysis import Analysis, RunReport
from mien.recordings.frame_times import frame_times
from mien.recordings.segment_rows import read_segment_text, segment_text
from mien.recordings.segments import segment_frames, split
from mien.recordings.settings import AnalyzeSettings
from mien.recordings.stitching import Stitcher
from mien.recordings.workers import Job, open_workers
from mien.records import FrameResult
from mien.session import Session
from mien.sessions.folder import SessionFolder
from mien.settings import LiveSettings
from mien.sources.recorded import VideoSource

CLIPS = ("sad_to_happy.mp4", "neutral_smile_neutral.mp4", "no_face.mp4")
KINDS = ("mpeg-4.avi", "mpeg-4.mp4", "mpeg-2.ts", "glued.ts", "uneven.mkv", "pictures.gif", "pictures.mjpeg", "hole.mkv")
RUN = """
import sys
from pathlib import Path
from mien.recordings.analysis import Analysis
from mien.recordings.settings import AnalyzeSettings
if __name__ == "__main__":
    Analysis(AnalyzeSettings((Path(sys.argv[1]),), Path("out"), segment_s=float(sys.argv[3]), workers=int(sys.argv[2]))).run()
"""
SHORT, LENGTH_S, SEGMENT_S = "neutral_smile_neutral.mp4", 2.4, 0.2
"""A short clip, its length, and the length of the twelve segments in which it is analysed."""


@pytest.mark.parametrize("name", CLIPS)
def test_every_frame_is_there_once_at_the_time_its_container_says(name: str, clips: Path) -> None:
    times = frame_times(clips / name)
    wanted = presented(clips / name)
    assert len(times.t_s) == len(wanted)
    assert times.t_s == pytest.approx(np.array(wanted) - wanted[0], abs=1e-3)
    assert times.damage == ""


@pytest.mark.parametrize("name", [*CLIPS, "five_faces.jpg"])
def test_segments_have_the_pictures_of_a_reading_from_the_start(name: str, clips: Path) -> None:
    """The clips have B-frames, and a keyframe every three seconds or one alone."""
    whole = list(VideoSource(clips / name).frames())
    counted = []
    for segment in split(frame_times(clips / name), 1.7, 0.8):
        for frame in segment_frames(clips / name, segment):
            other = whole[frame.index]
            assert (frame.index, frame.t_s, frame.interval_s) == (other.index, other.t_s, other.interval_s)
            assert np.array_equal(frame.image, other.image)
            counted += [frame.index] if frame.index >= segment.first else []
    assert counted == list(range(len(whole)))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_recording_is_read_the_same_in_segments(kind: str, tmp_path: Path) -> None:
    recording = tmp_path / kind
    if kind.startswith("mpeg"):
        video(recording, "MPG2" if kind == "mpeg-2.ts" else "mp4v", 120)
    elif kind == "glued.ts":  # its clock restarts in the middle
        recording.write_bytes(b"".join(transport_stream(tmp_path / f"{k}.ts", 60) for k in range(2)))
    elif kind == "pictures.gif":
        animation(recording, [100, 40, 500, 700, 60, 900, 80])
    elif kind == "pictures.mjpeg":
        recording.write_bytes(b"".join(cv2.imencode(".jpg", grey(2 * k))[1].tobytes() for k in range(100)))
    else:
        matroska(recording, [*range(0, 60, 3), *range(61, 90), *([5000] if kind == "hole.mkv" else [])])
    whole = list(VideoSource(recording).frames())
    times = frame_times(recording)
    assert times.damage == ""
    counted = []
    for segment in split(times, 0.7, 0.4):
        for frame in segment_frames(recording, segment):
            other = whole[frame.index]
            assert (frame.index, frame.t_s, frame.interval_s) == (other.index, other.t_s, other.interval_s)
            assert np.array_equal(frame.image, other.image)
            counted += [frame.index] if frame.index >= segment.first else []
    assert counted == list(range(len(whole)))
    assert len(whole) >= 7


@pytest.fixture(scope="module")
def whole(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> RunReport:
    """An analysis of all clips and a picture as the command makes it."""
    clips = shared / "media"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIEN_MODELS", str(shared / "models"))
        return analysed(tmp_path_factory.mktemp("whole") / "out", clips, clips / "five_faces.jpg")


def test_the_clips_are_read_whole(clips: Path, whole: RunReport) -> None:
    report, out = whole, whole.recordings[0].folder.parent
    frames = {recording.path.name: recording.frames for recording in report.recordings}
    assert frames == {"sad_to_happy.mp4": 472, "neutral_smile_neutral.mp4": 72, "no_face.mp4": 95, "five_faces.jpg": 1}
    assert report.failed == ()
    assert report.times_real_time > 0
    for recording in report.recordings:
        summary = json.loads((recording.folder / "summary.json").read_text())
        assert (summary["frames"], summary["dropped"]) == (recording.frames, 0)
        assert not (recording.folder / "segments").exists()
    assert json.loads((out / "no_face/summary.json").read_text())["faces_max"] == 0
    assert len({row["track_id"] for row in rows(out / "five_faces")}) == 5
    found = rows(out / "sad_to_happy")
    assert [int(row["frame"]) for row in found] == list(range(472))
    times = presented(clips / "sad_to_happy.mp4")
    assert [float(row["t_s"]) for row in found] == pytest.approx([t - times[0] for t in times], abs=1e-3)


@pytest.mark.parametrize("observables", [False, True])
def test_a_recording_says_what_a_live_session_over_it_says(
    observables: bool, clips: Path, yunet: Path, school: Path, here: Path
) -> None:
    recording = clips / "neutral_smile_neutral.mp4"
    if not observables:
        school.unlink()
    live = Session(LiveSettings(source=str(recording), out=Path("live"), model="mien-s", view="none")).run()
    analysed(Path("out"), recording)
    mine, theirs = rows(Path("out/neutral_smile_neutral")), rows(Path("live"))
    assert [{**row, "track_id": ""} for row in mine] == [{**row, "track_id": ""} for row in theirs]
    said = json.loads(Path("out/neutral_smile_neutral/summary.json").read_text())
    other = {"session_id", "started_at", "out", "fps", "damage", "tracks", "episodes", "faces", "drift"}
    assert {k: v for k, v in said.items() if k not in other} == {
        k: v for k, v in live.items() if k not in {*other, "files", "missing", "not_erased"}
    }


@pytest.fixture(scope="module")
def unbroken(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of an uninterrupted analysis of ``sad_to_happy.mp4`` in segments of two seconds."""
    folder = tmp_path_factory.mktemp("unbroken")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MIEN_MODELS", str(shared / "models"))
        return analysed(Path("out"), shared / "media" / "sad_to_happy.mp4", segment_s=2.0).recordings[0].folder.resolve()


def test_a_face_keeps_its_name_over_segments_and_little_changes_where_they_meet(whole: RunReport, unbroken: Path) -> None:
    one, many = rows(whole.recordings[0].folder.parent / "sad_to_happy"), rows(unbroken)
    assert len({row["track_id"] for row in one}) == len({row["track_id"] for row in many}) == 1
    same = [a["label"] == b["label"] for a, b in zip(one, many, strict=True)]
    assert sum(same) / len(same) > 0.9  # smoothing restarts at nine seams, each in the middle of a doubtful expression


def test_names_are_handed_on_by_place_and_never_given_twice() -> None:
    def frame(index: int, *faces: tuple[str, float]) -> FrameResult:
        return FrameResult(
            index, index / 10, (100, 60), tuple(reading("happy", 0.8, (x, 0.0, 20.0, 20.0), name) for name, x in faces), 0.1
        )

    stitcher = Stitcher(Random(0))
    first = list(stitcher.segment([frame(0, ("aaa", 0.0), ("bbb", 60.0)), frame(1, ("aaa", 0.0), ("bbb", 60.0))], 0))
    second = list(
        stitcher.segment([frame(1, ("bbb", 0.0), ("ccc", 60.0)), frame(2, ("bbb", 0.0), ("ccc", 60.0), ("aaa", 30.0))], 2)
    )
    names = [[face.track_id for face in result.faces] for result in (*first, *second)]
    assert names[:3] == [["aaa", "bbb"]] * 2 + [["aaa", "bbb", names[2][2]]]
    assert names[2][2] not in ("aaa", "bbb")
    late = list(stitcher.segment([frame(9, ("ccc", 0.0))], 9))
    assert late[0].faces[0].track_id == "ccc"  # another frame than where the last segment ended: nobody is known


@pytest.fixture(scope="module")
def unbroken_short(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of an uninterrupted analysis of the short clip."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("unbroken"))
        patch.setenv("MIEN_MODELS", str(shared / "models"))
        return contents(analysed(Path("out"), shared / "media" / SHORT, segment_s=SEGMENT_S).recordings[0].folder)


def test_more_workers_write_the_same_bytes(clips: Path, yunet: Path, place: Any) -> None:
    recordings = [clips / name for name in CLIPS[1:]]
    alone = analysed(place("alone"), *recordings, segment_s=0.8)
    one = {recording.path.name: contents(recording.folder) for recording in alone.recordings}
    together = analysed(place("together"), *recordings, segment_s=0.8, workers=2)
    assert {recording.path.name: contents(recording.folder) for recording in together.recordings} == one
    assert set(one[SHORT]) == set(RESULTS)


@pytest.mark.parametrize(("stop", "workers"), [(signal.SIGINT, 1), (signal.SIGKILL, 2)])
def test_a_stop_in_the_middle_goes_on_to_the_same_bytes(
    stop: signal.Signals, workers: int, clips: Path, yunet: Path, place: Any, unbroken_short: dict[str, bytes]
) -> None:
    recording = clips / SHORT
    out = place("broken")
    Path("run.py").write_text(RUN)
    command = [sys.executable, "run.py", str(recording), str(workers), str(SEGMENT_S)]
    run = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, stderr=subprocess.PIPE)
    segments = out / recording.stem / "segments"
    while len(list(segments.glob("0*.csv"))) < 3:
        assert run.poll() is None, run.stderr and run.stderr.read().decode()
        time.sleep(0.02)
    run.send_signal(stop)
    run.communicate(timeout=900)
    there = {path.name: path.stat().st_mtime_ns for path in segments.glob("0*.csv")}
    assert 3 <= len(there) < 12
    assert not (out / recording.stem / "summary.json").exists()
    report = Analysis(AnalyzeSettings((recording,), out, segment_s=SEGMENT_S, workers=workers)).run()
    assert contents(out / recording.stem) == unbroken_short
    # nothing finished is read again
    assert report.recordings[0].read_s == pytest.approx(LENGTH_S - SEGMENT_S * len(there), abs=0.1)


def test_a_worker_that_is_killed_costs_nothing(clips: Path, yunet: Path, place: Any, unbroken_short: dict[str, bytes]) -> None:
    recording = clips / SHORT
    killed: list[int] = []

    def kill(done: int, total: int) -> None:
        if done and not killed:
            killed.append(multiprocessing.active_children()[0].pid or 0)
            os.kill(killed[0], signal.SIGKILL)

    report = Analysis(AnalyzeSettings((recording,), place("harmed"), segment_s=SEGMENT_S, workers=2)).run(kill)
    assert killed
    assert report.failed == ()
    assert report.recordings[0].read_s == pytest.approx(LENGTH_S, abs=0.01)
    assert contents(report.recordings[0].folder) == unbroken_short


def test_a_task_that_kills_every_worker_is_given_up_and_named() -> None:
    failed: list[MienError] = []
    fine: list[int] = []
    jobs = deque([Job(os._exit, (9,), lambda _: None, failed.append), Job(abs, (-1,), fine.append, failed.append, chances=99)])
    with open_workers(2) as workers:
        workers.run(jobs, lambda: False)
    assert fine == [1]
    assert "killed repeatedly" in str(failed[0])
    assert len(failed) == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Dask's own sockets, when a worker is killed
def test_a_cluster_that_loses_a_worker_gives_the_same_rows(
    clips: Path, yunet: Path, place: Any, unbroken_short: dict[str, bytes]
) -> None:
    """Nothing is lost and nothing doubled: two worker processes, one of them killed in the middle."""
    from distributed import Client, LocalCluster

    recording = clips / SHORT
    out = place("cluster")
    killed: list[int] = []
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:

        def kill(done: int, total: int) -> None:
            if done and not killed:
                with Client(cluster.scheduler_address) as client:
                    killed.append(min(client.run(os.getpid).values()))
                os.kill(killed[0], signal.SIGKILL)

        run = Analysis(AnalyzeSettings((recording,), out, segment_s=SEGMENT_S, dask=cluster.scheduler_address, annotate=True))
        report = run.run(kill)
    assert killed
    assert report.failed == ()
    assert report.recordings[0].read_s == pytest.approx(LENGTH_S, abs=0.01)  # a task that was done twice counts once
    assert contents(out / recording.stem) == unbroken_short
    assert len(frame_times(out / recording.stem / "annotated.mp4").t_s) == 72


def test_a_kill_while_the_files_are_written_leaves_no_trace(clips: Path, yunet: Path, place: Any, monkeypatch: Any) -> None:
    recording = clips / "neutral_smile_neutral.mp4"
    wanted = contents(analysed(place("unbroken"), recording).recordings[0].folder)
    out = place("broken")
    with monkeypatch.context() as patch:
        # the last moment before there is a summary; a killed process holds no lock
        patch.setattr(SessionFolder, "finish", lambda folder, *_: (folder.abandon(), os.abort()))
        patch.setattr("os.abort", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            analysed(out, recording)
    assert (out / recording.stem / "observations.partial.csv").is_file()
    report = analysed(out, recording)
    assert report.recordings[0].read_s == 0
    assert contents(out / recording.stem) == wanted
    assert sorted(path.name for path in (out / recording.stem).iterdir()) == sorted([*wanted, "analysis.json"])


def test_a_finished_recording_is_not_read_again(clips: Path, yunet: Path, here: Path) -> None:
    recording = clips / "neutral_smile_neutral.mp4"
    analysed(Path("out"), recording)
    before = (here / "out/neutral_smile_neutral/summary.json").stat().st_mtime_ns
    report = analysed(Path("out"), recording)
    assert report.recordings[0].before
    assert (report.recordings[0].frames, report.recordings[0].read_s) == (72, 0.0)
    assert (here / "out/neutral_smile_neutral/summary.json").stat().st_mtime_ns == before
    assert not (here / "out/neutral_smile_neutral/segments").exists()


def test_rows_read_back_are_the_same_bits() -> None:
    face = replace(reading("happy", 0.8, (1.0, 2.0, 3.0, 4.0)), raw=np.array([0.1, 0.2, 0.3, 0.1, 0.1, 0.1, 0.1], np.float32))
    results = [FrameResult(7, 1 / 3, (640, 360), (face,), 1 / 24), FrameResult(8, 2 / 3, (640, 360), (), 1 / 24)]
    text = segment_text(results, True, ())
    again = list(read_segment_text(text, "x"))
    assert segment_text(again, True, ()) == text
    assert [(r.index, r.t_s, r.interval_s, len(r.faces)) for r in again] == [(7, 1 / 3, 1 / 24, 1), (8, 2 / 3, 1 / 24, 0)]
    assert again[0].faces[0].raw.tobytes() == face.raw.tobytes()
    with pytest.raises(DataError, match=r"^x .*--overwrite"):
        list(read_segment_text(text.replace("frame", "flame"), "x"))
