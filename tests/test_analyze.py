"""Recordings analysed: every frame once at its own time, the same bytes whoever reads and however often it is stopped."""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import shutil
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
from cameras import grey
from conftest import REPOSITORY
from factories import reading
from films import animation, cut_short, matroska, presented, transport_stream, video

from mien.cli import main
from mien.errors import DataError, DeviceError, MienError, NotPermittedError, UsageError
from mien.live.recorded import VideoSource
from mien.privacy.consent import ConsentLedger
from mien.privacy.deployment import Deployment, deployment_text
from mien.privacy.notice import notice_for
from mien.privacy.policy import decide
from mien.privacy.sessions import state_folder
from mien.recordings.analysis import Analysis, RunReport
from mien.recordings.film_times import film_times
from mien.recordings.segment_rows import read_segment_text, segment_text
from mien.recordings.segments import cut, frames_of
from mien.recordings.settings import AnalyzeSettings, named_films
from mien.recordings.stitching import Stitcher
from mien.recordings.workers import Job, open_workers
from mien.records import FrameResult
from mien.session import Session
from mien.settings import LiveSettings
from mien.store.archive import Archive
from mien.store.place import SESSIONS
from mien.store.session_folder import SessionFolder
from mien.vision.detector import open_detector

CLIPS = ("sad_to_happy.mp4", "neutral_smile_neutral.mp4", "no_face.mp4")
KINDS = ("mpeg-4.avi", "mpeg-4.mp4", "mpeg-2.ts", "glued.ts", "uneven.mkv", "pictures.gif", "pictures.mjpeg", "hole.mkv")
RESULTS = ("observations.csv", "observations.parquet", "summary.json", "summary.html", "summary.png", "privacy.json")

RUN = """
import sys
from pathlib import Path
from mien.recordings.analysis import Analysis
from mien.recordings.settings import AnalyzeSettings
if __name__ == "__main__":
    Analysis(AnalyzeSettings((Path(sys.argv[1]),), Path("out"), segment_s=2.0, workers=int(sys.argv[2]))).run()
"""


def analysed(out: Path, *films: Path, **more: Any) -> RunReport:
    return Analysis(AnalyzeSettings(films, out, **more)).run()


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in RESULTS if (folder / name).is_file()}


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "observations.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.fixture
def clips(shared: Path) -> Path:
    return shared / "media"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder of one's own: results name their folder, so runs that are compared are named alike."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def place(here: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes another working folder and goes there."""

    def go(name: str) -> Path:
        (here / name).mkdir()
        monkeypatch.chdir(here / name)
        return Path("out")

    return go


@pytest.mark.parametrize("name", CLIPS)
def test_every_frame_is_there_once_at_the_time_its_container_says(name: str, clips: Path) -> None:
    times = film_times(clips / name)
    wanted = presented(clips / name)
    assert len(times.t_s) == len(wanted)
    assert times.t_s == pytest.approx(np.array(wanted) - wanted[0], abs=1e-3)
    assert times.damage == ""


@pytest.mark.parametrize("name", [*CLIPS, "five_faces.jpg"])
def test_segments_have_the_pictures_of_a_reading_from_the_start(name: str, clips: Path) -> None:
    """The clips have B-frames, and a keyframe every three seconds or one alone."""
    whole = list(VideoSource(clips / name).frames())
    counted = []
    for segment in cut(film_times(clips / name), 1.7, 0.8):
        for frame in frames_of(clips / name, segment):
            other = whole[frame.index]
            assert (frame.index, frame.t_s, frame.interval_s) == (other.index, other.t_s, other.interval_s)
            assert np.array_equal(frame.image, other.image)
            counted += [frame.index] if frame.index >= segment.first else []
    assert counted == list(range(len(whole)))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_recording_is_read_the_same_in_segments(kind: str, tmp_path: Path) -> None:
    film = tmp_path / kind
    if kind.startswith("mpeg"):
        video(film, "MPG2" if kind == "mpeg-2.ts" else "mp4v", 120)
    elif kind == "glued.ts":  # its clock starts anew in the middle
        film.write_bytes(b"".join(transport_stream(tmp_path / f"{k}.ts", 60) for k in range(2)))
    elif kind == "pictures.gif":
        animation(film, [100, 40, 500, 700, 60, 900, 80])
    elif kind == "pictures.mjpeg":
        film.write_bytes(b"".join(cv2.imencode(".jpg", grey(2 * k))[1].tobytes() for k in range(100)))
    else:
        matroska(film, [*range(0, 60, 3), *range(61, 90), *([5000] if kind == "hole.mkv" else [])])
    whole = list(VideoSource(film).frames())
    times = film_times(film)
    assert times.damage == ""
    counted = []
    for segment in cut(times, 0.7, 0.4):
        for frame in frames_of(film, segment):
            other = whole[frame.index]
            assert (frame.index, frame.t_s, frame.interval_s) == (other.index, other.t_s, other.interval_s)
            assert np.array_equal(frame.image, other.image)
            counted += [frame.index] if frame.index >= segment.first else []
    assert counted == list(range(len(whole)))
    assert len(whole) >= 7


def test_the_clips_are_read_whole(clips: Path, yunet: Path, here: Path) -> None:
    report = analysed(Path("out"), clips, clips / "five_faces.jpg")
    frames = {film.path.name: film.frames for film in report.films}
    assert frames == {"sad_to_happy.mp4": 472, "neutral_smile_neutral.mp4": 72, "no_face.mp4": 95, "five_faces.jpg": 1}
    assert report.failed == ()
    assert report.times_real_time > 0
    for film in report.films:
        summary = json.loads((film.folder / "summary.json").read_text())
        assert (summary["frames"], summary["dropped"]) == (film.frames, 0)
        assert not (film.folder / "segments").exists()
    assert json.loads((here / "out/no_face/summary.json").read_text())["faces_max"] == 0
    assert len({row["track_id"] for row in rows(here / "out/five_faces")}) == 5
    found = rows(here / "out/sad_to_happy")
    assert [int(row["frame"]) for row in found] == list(range(472))
    times = presented(clips / "sad_to_happy.mp4")
    assert [float(row["t_s"]) for row in found] == pytest.approx([t - times[0] for t in times], abs=1e-3)


@pytest.mark.parametrize("observables", [False, True])
def test_a_recording_says_what_a_live_session_over_it_says(
    observables: bool, clips: Path, yunet: Path, school: Path, here: Path
) -> None:
    film, declared = clips / "neutral_smile_neutral.mp4", school if observables else None
    live = Session(LiveSettings(str(film), Path("live"), "mien-s", "none", deployment=declared)).run()
    analysed(Path("out"), film, deployment=declared)
    mine, theirs = rows(Path("out/neutral_smile_neutral")), rows(Path("live"))
    assert [{**row, "track_id": ""} for row in mine] == [{**row, "track_id": ""} for row in theirs]
    said = json.loads(Path("out/neutral_smile_neutral/summary.json").read_text())
    other = {"session_id", "started_at", "out", "fps", "damage", "tracks", "episodes", "faces", "drift"}
    assert {k: v for k, v in said.items() if k not in other} == {k: v for k, v in live.items() if k not in {*other, "files"}}


def test_a_face_keeps_its_name_over_segments_and_little_changes_where_they_meet(clips: Path, yunet: Path, place: Any) -> None:
    whole = analysed(place("whole"), clips / "sad_to_happy.mp4").films[0].folder.resolve()
    cut_up = analysed(place("cut"), clips / "sad_to_happy.mp4", segment_s=2.0).films[0].folder.resolve()
    one, many = rows(whole), rows(cut_up)
    assert len({row["track_id"] for row in one}) == len({row["track_id"] for row in many}) == 1
    same = [a["label"] == b["label"] for a, b in zip(one, many, strict=True)]
    assert sum(same) / len(same) > 0.95


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


@pytest.mark.parametrize("workers", [2])
def test_more_workers_write_the_same_bytes(workers: int, clips: Path, yunet: Path, place: Any) -> None:
    alone = analysed(place("alone"), clips, segment_s=3.0)
    one = {film.path.name: contents(film.folder) for film in alone.films}
    together = analysed(place("together"), clips, segment_s=3.0, workers=workers)
    assert {film.path.name: contents(film.folder) for film in together.films} == one
    assert set(one["sad_to_happy.mp4"]) == set(RESULTS)


@pytest.mark.parametrize(("stop", "workers"), [(signal.SIGINT, 1), (signal.SIGKILL, 1), (signal.SIGINT, 2), (signal.SIGKILL, 2)])
def test_a_stop_in_the_middle_goes_on_to_the_same_bytes(
    stop: signal.Signals, workers: int, clips: Path, yunet: Path, place: Any
) -> None:
    film = clips / "sad_to_happy.mp4"
    wanted = contents(analysed(place("unbroken"), film, segment_s=2.0).films[0].folder)
    out = place("broken")
    Path("run.py").write_text(RUN)
    command = [sys.executable, "run.py", str(film), str(workers)]
    run = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, stderr=subprocess.PIPE)
    segments = out / "sad_to_happy" / "segments"
    while len(list(segments.glob("0*.csv"))) < 3:
        assert run.poll() is None, run.stderr and run.stderr.read().decode()
        time.sleep(0.02)
    run.send_signal(stop)
    run.communicate(timeout=60)
    there = {path.name: path.stat().st_mtime_ns for path in segments.glob("0*.csv")}
    assert 3 <= len(there) < 10
    assert not (out / "sad_to_happy" / "summary.json").exists()
    reports = []
    watched = Analysis(AnalyzeSettings((film,), out, segment_s=2.0, workers=workers))
    reports.append(watched.run())
    assert contents(out / "sad_to_happy") == wanted
    assert reports[0].films[0].read_s == pytest.approx(19.686 - 2.0 * len(there), abs=0.1)  # nothing finished is read again


def test_a_worker_that_is_killed_costs_nothing(clips: Path, yunet: Path, place: Any) -> None:
    film = clips / "sad_to_happy.mp4"
    wanted = contents(analysed(place("unharmed"), film, segment_s=2.0).films[0].folder)
    killed: list[int] = []

    def kill(done: int, total: int) -> None:
        if done and not killed:
            killed.append(multiprocessing.active_children()[0].pid or 0)
            os.kill(killed[0], signal.SIGKILL)

    report = Analysis(AnalyzeSettings((film,), place("harmed"), segment_s=2.0, workers=2)).run(kill)
    assert killed
    assert report.failed == ()
    assert report.films[0].read_s == pytest.approx(19.686, abs=0.01)
    assert contents(report.films[0].folder) == wanted


def test_a_task_that_kills_every_worker_is_given_up_and_named() -> None:
    failed: list[MienError] = []
    fine: list[int] = []
    jobs = deque([Job(os._exit, (9,), lambda _: None, failed.append), Job(abs, (-1,), fine.append, failed.append, chances=99)])
    with open_workers(2) as workers:
        workers.run(jobs, lambda: False)
    assert fine == [1]
    assert "killed again and again" in str(failed[0])
    assert len(failed) == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Dask's own sockets, when a worker is killed
def test_a_cluster_that_loses_a_worker_gives_the_same_rows(clips: Path, yunet: Path, place: Any) -> None:
    """Nothing is lost and nothing doubled: two worker processes, one of them killed in the middle."""
    from distributed import Client, LocalCluster

    film = clips / "sad_to_happy.mp4"
    wanted = contents(analysed(place("alone"), film, segment_s=2.0).films[0].folder)
    out = place("cluster")
    killed: list[int] = []
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:

        def kill(done: int, total: int) -> None:
            if done and not killed:
                with Client(cluster.scheduler_address) as client:
                    killed.append(min(client.run(os.getpid).values()))
                os.kill(killed[0], signal.SIGKILL)

        run = Analysis(AnalyzeSettings((film,), out, segment_s=2.0, dask=cluster.scheduler_address, annotate=True))
        report = run.run(kill)
    assert killed
    assert report.failed == ()
    assert report.films[0].read_s == pytest.approx(19.686, abs=0.01)  # a task that was done twice counts once
    assert contents(out / "sad_to_happy") == wanted
    assert len(film_times(out / "sad_to_happy/annotated.mp4").t_s) == 472


def test_a_kill_while_the_files_are_written_leaves_no_trace(clips: Path, yunet: Path, place: Any, monkeypatch: Any) -> None:
    film = clips / "neutral_smile_neutral.mp4"
    wanted = contents(analysed(place("unbroken"), film).films[0].folder)
    out = place("broken")
    with monkeypatch.context() as patch:
        patch.setattr(SessionFolder, "finish", lambda *_: os.abort())  # the last moment before there is a summary
        patch.setattr("os.abort", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            analysed(out, film)
    assert (out / film.stem / "observations.partial.csv").is_file()
    report = analysed(out, film)
    assert report.films[0].read_s == 0
    assert contents(out / film.stem) == wanted
    assert sorted(path.name for path in (out / film.stem).iterdir()) == sorted([*wanted, "analysis.json"])


def test_a_finished_recording_is_not_read_again(clips: Path, yunet: Path, here: Path) -> None:
    film = clips / "neutral_smile_neutral.mp4"
    analysed(Path("out"), film)
    before = (here / "out/neutral_smile_neutral/summary.json").stat().st_mtime_ns
    report = analysed(Path("out"), film)
    assert report.films[0].before
    assert (report.films[0].frames, report.films[0].read_s) == (72, 0.0)
    assert (here / "out/neutral_smile_neutral/summary.json").stat().st_mtime_ns == before
    assert not (here / "out/neutral_smile_neutral/segments").exists()


def test_other_options_or_another_file_are_refused_by_name(clips: Path, yunet: Path, here: Path) -> None:
    film = here / "lesson.mp4"
    shutil.copy(clips / "neutral_smile_neutral.mp4", film)
    film.chmod(0o644)
    analysed(Path("out"), film)
    with pytest.raises(UsageError, match=r"smoothing was 0\.4, is 0\.8\).*--again"):
        analysed(Path("out"), film, smoothing_s=0.8)
    with pytest.raises(UsageError, match=r"model was \w+, is \w+\)"):
        analysed(Path("out"), film, model="mien-xs")
    shutil.copy(clips / "no_face.mp4", film)
    with pytest.raises(UsageError, match="content was"):
        analysed(Path("out"), film)
    report = analysed(Path("out"), film, again=True)
    assert report.films[0].frames == 95
    assert json.loads((here / "out/lesson/earlier-1/summary.json").read_text())["frames"] == 72
    assert json.loads((here / "out/lesson/earlier-1/analysis.json").read_text())["frames"] == 72


def test_a_half_finished_recording_is_not_mixed_with_other_options(clips: Path, yunet: Path, here: Path) -> None:
    film = clips / "sad_to_happy.mp4"

    def stop(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Analysis(AnalyzeSettings((film,), Path("out"), segment_s=5.0)).run(stop)
    with pytest.raises(UsageError, match=r"segment was 5\.0, is 30\.0"):
        analysed(Path("out"), film)
    assert analysed(Path("out"), film, again=True).films[0].frames == 472


def test_broken_files_do_not_stop_the_others(clips: Path, yunet: Path, here: Path, capsys: Any, monkeypatch: Any) -> None:
    folder = here / "lessons"
    folder.mkdir()
    whole = (clips / "sad_to_happy.mp4").read_bytes()
    (folder / "a_noise.mp4").write_bytes(Random(1).randbytes(50_000))
    (folder / "b_cut.mp4").write_bytes(cut_short(whole, 0.5))
    (folder / "c_empty.mp4").touch()
    shutil.copy(clips / "neutral_smile_neutral.mp4", folder / "d_good.mp4")
    monkeypatch.setattr(sys, "argv", ["mien", "analyze", str(folder), "--out", "out", "--workers", "1"])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert ended.value.code == 3
    assert "3 of 4" in said.err
    line = json.loads(said.out.splitlines()[-1])
    assert line["failed"] == ["a_noise.mp4", "b_cut.mp4", "c_empty.mp4"]
    assert set(line) == {"files", "frames", "video_s", "times_real_time", "policy", "failed"}
    assert "s are missing at its end" in said.out
    half = json.loads((here / "out/b_cut/summary.json").read_text())
    assert 100 < half["frames"] < 400
    assert "missing" in half["damage"]
    assert json.loads((here / "out/d_good/summary.json").read_text())["frames"] == 72
    assert not (here / "out/a_noise/summary.json").exists()


@pytest.mark.parametrize("blur", [False, True])
def test_an_annotated_video_has_every_frame_at_the_right_rate(blur: bool, clips: Path, yunet: Path, here: Path) -> None:
    film = clips / "neutral_smile_neutral.mp4"
    analysed(Path("out"), film)
    assert not (here / "out/neutral_smile_neutral/annotated.mp4").exists()
    analysed(Path("out"), film, annotate=True, blur_faces=blur)
    drawn = film_times(here / "out/neutral_smile_neutral/annotated.mp4")
    assert drawn.t_s == pytest.approx(film_times(film).t_s, abs=2e-3)
    before, after = (next(VideoSource(path).frames()).image for path in (film, here / "out/neutral_smile_neutral/annotated.mp4"))
    assert before.shape == after.shape
    row = rows(here / "out/neutral_smile_neutral")[0]
    x, y, h = (round(float(row[name])) for name in ("x", "y", "h"))
    assert bool(open_detector().detect(after)) != blur  # nobody is to be found there, least of all by whom found them before
    outside = (slice(0, max(1, y - 40)), slice(0, max(1, x - 40)))
    assert np.abs(before[outside].astype(int) - after[outside]).mean() < 12
    rim = np.abs(before[y : y + h, x - 2 : x + 3].astype(int) - after[y : y + h, x - 2 : x + 3]).mean()
    assert rim > 12
    for found in Archive(here / "out", None).sessions():
        assert Archive(here / "out", None).delete(found) == []
    assert not (here / "out/neutral_smile_neutral").exists()


@pytest.fixture
def school(here: Path) -> Path:
    """A declaration under which no expression may be read."""
    path = here / "deployment.toml"
    declared = Deployment(
        "education-institution", "EU", "feedback-to-the-learner", "a school", "office@example.org", legal_basis="public-task"
    )
    path.write_text(deployment_text(declared))
    return path


def test_where_only_observables_are_permitted_nothing_else_is_kept_or_drawn(
    clips: Path, yunet: Path, school: Path, here: Path
) -> None:
    film = clips / "neutral_smile_neutral.mp4"
    report = analysed(Path("out"), film, deployment=school, annotate=True, segment_s=1.0)
    assert report.policy == "observables"
    found = rows(here / "out/neutral_smile_neutral")
    assert len(found) == 72
    assert len({row["track_id"] for row in found}) == 1
    kept = {name for row in found for name, value in row.items() if value}
    assert kept == {"t_s", "frame", "track_id", "unread", "facing"}
    assert len(film_times(here / "out/neutral_smile_neutral/annotated.mp4").t_s) == 72


def test_the_rows_of_an_unfinished_segment_hold_no_more_than_is_released(
    clips: Path, yunet: Path, school: Path, here: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        Analysis(AnalyzeSettings((clips / "sad_to_happy.mp4",), Path("out"), deployment=school, segment_s=4.0)).run(
            _stop_after(96)
        )
    found = list(csv.DictReader((here / "out/sad_to_happy/segments/00001.csv").read_text().splitlines()))
    assert len(found) == 96
    assert not any(
        value for row in found for name, value in row.items() if name.endswith(("_raw", "_smoothed")) or name == "label"
    )
    assert all(row["x"] == row["y"] == "0" for row in found[:-1])
    assert float(found[-1]["x"]) > 0
    assert {row["yaw_deg"] for row in found} <= {"0.0", "31.5", "90.0", ""}


def _stop_after(frames: int) -> Any:
    def stop(done: int, total: int) -> None:
        if done >= frames:
            raise KeyboardInterrupt

    return stop


def test_rows_read_back_are_the_same_bits() -> None:
    face = replace(reading("happy", 0.8, (1.0, 2.0, 3.0, 4.0)), raw=np.array([0.1, 0.2, 0.3, 0.1, 0.1, 0.1, 0.1], np.float32))
    results = [FrameResult(7, 1 / 3, (640, 360), (face,), 1 / 24), FrameResult(8, 2 / 3, (640, 360), (), 1 / 24)]
    text = segment_text(results, True, ())
    again = list(read_segment_text(text, "x"))
    assert segment_text(again, True, ()) == text
    assert [(r.index, r.t_s, r.interval_s, len(r.faces)) for r in again] == [(7, 1 / 3, 1 / 24, 1), (8, 2 / 3, 1 / 24, 0)]
    assert again[0].faces[0].raw.tobytes() == face.raw.tobytes()
    with pytest.raises(DataError, match="x is no finished segment"):
        list(read_segment_text(text.replace("frame", "flame"), "x"))


def test_consent_that_is_taken_back_erases_what_was_made(clips: Path, yunet: Path, here: Path) -> None:
    ledger, notice = ConsentLedger(state_folder(SESSIONS)), notice_for(decide())
    for purpose in ("show", "keep"):
        ledger.record("Ada", purpose, "granted", notice)
    film = clips / "sad_to_happy.mp4"

    def withdraw(done: int, total: int) -> None:
        if done:
            ledger.record("Ada", "keep", "withdrawn", notice)

    with pytest.raises(NotPermittedError, match="took their consent back"):
        Analysis(AnalyzeSettings((film,), Path("out"), person="Ada", segment_s=5.0)).run(withdraw)
    assert not (here / "out/sad_to_happy").exists()
    with pytest.raises(NotPermittedError, match="not agreed to being kept"):
        Analysis(AnalyzeSettings((film,), Path("out"), person="Ada"))


def test_the_rights_of_a_person_reach_recordings(clips: Path, yunet: Path, here: Path, capsys: Any, monkeypatch: Any) -> None:
    ledger, notice = ConsentLedger(state_folder(SESSIONS)), notice_for(decide())
    for purpose in ("show", "keep"):
        ledger.record("Ada", purpose, "granted", notice)
    ada, other = clips / "neutral_smile_neutral.mp4", clips / "no_face.mp4"
    analysed(Path("results/analyses"), ada, person="Ada", annotate=True)
    analysed(Path("results/analyses"), other)
    with pytest.raises(KeyboardInterrupt):
        Analysis(AnalyzeSettings((clips / "sad_to_happy.mp4",), person="Ada", segment_s=4.0)).run(_stop_after(96))
    monkeypatch.setattr(sys, "argv", ["mien", "privacy", "erase", "--person", "Ada", "--yes"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0, capsys.readouterr()
    assert [path.name for path in (here / "results/analyses").iterdir()] == ["no_face"]
    assert len(film_times(ada).t_s) == 72  # the recording itself is not Mien's


def test_two_runs_do_not_write_into_one_folder(clips: Path, yunet: Path, here: Path) -> None:
    film = clips / "neutral_smile_neutral.mp4"
    seen: list[str] = []

    def also(done: int, total: int) -> None:
        if not seen:
            seen.append("")
            seen[0] = analysed(Path("out"), film, segment_s=1.0).films[0].error

    Analysis(AnalyzeSettings((film,), Path("out"), segment_s=1.0)).run(also)
    assert "another analysis" in seen[0]
    assert json.loads((here / "out/neutral_smile_neutral/summary.json").read_text())["frames"] == 72


def test_a_folder_removed_meanwhile_stays_removed(clips: Path, yunet: Path, here: Path) -> None:
    def remove(done: int, total: int) -> None:
        shutil.rmtree(here / "out", ignore_errors=True)

    report = Analysis(AnalyzeSettings((clips / "sad_to_happy.mp4",), Path("out"), segment_s=5.0)).run(remove)
    assert "was removed while" in report.films[0].error
    assert not (here / "out").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"workers": 0}, "workers is 0"),
        ({"smoothing_s": -1.0}, "smoothing is -1 s"),
        ({"blur_faces": True}, "ask for that with --annotate"),
        ({"dask": "somewhere"}, "dask is 'somewhere'"),
        ({"films": ()}, "no recording is named"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(more: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        AnalyzeSettings(**{"films": (Path("a.mp4"),), **more})


def test_recordings_of_one_name_are_refused(here: Path) -> None:
    for name in ("a/lesson.mp4", "b/lesson.mkv"):
        (here / name).parent.mkdir()
        (here / name).touch()
    assert len(named_films([Path("a"), Path("a/lesson.mp4")], Path("out"))) == 1
    with pytest.raises(UsageError, match=r"a/lesson\.mp4 and .*b/lesson\.mkv would both go to out/lesson"):
        named_films([Path("a"), Path("b")], Path("out"))
    with pytest.raises(DataError, match="no videos in the folder"):
        named_films([here], Path("out"))
    with pytest.raises(DataError, match="no file or folder called c"):
        named_films([Path("c")], Path("out"))


def test_a_cluster_that_is_not_there_is_named(clips: Path, here: Path) -> None:
    with pytest.raises(DeviceError, match="no Dask scheduler answers at"):
        analysed(Path("out"), clips / "no_face.mp4", dask="tcp://127.0.0.1:9")
