"""Recordings as they come: uneven rates, times that run back, sizes that change, rights that are missing."""

from __future__ import annotations

import functools
import itertools
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
from cameras import grey, shut_out
from videos import animation, matroska, transport_stream

from mien.errors import DataError
from mien.records import Frame
from mien.runner import Flow, Rate, run
from mien.sources.demo import FPS, DemoSource
from mien.sources.factory import open_source
from mien.sources.recorded import VideoSource
from mien.sources.stamps import TimestampRepair


def test_a_variable_rate_keeps_its_times_and_each_frame_stands_until_the_next(tmp_path: Path) -> None:
    source = VideoSource(animation(tmp_path / "a.gif", [100, 40, 500, 700, 60]))
    frames = list(source.frames())
    assert [frame.t_s for frame in frames] == pytest.approx([0, 0.1, 0.14, 0.64, 1.34])
    assert [frame.interval_s for frame in frames[:-1]] == pytest.approx([0.1, 0.04, 0.5, 0.7])
    assert source.health.repaired_times == 0


def test_a_hole_in_a_recording_counts_as_absence(tmp_path: Path) -> None:
    frames = list(VideoSource(matroska(tmp_path / "v.mkv", [0, 1, 2, 10, 11, 5000, 5001])).frames())
    assert [frame.t_s for frame in frames] == pytest.approx([0, 0.04, 0.08, 0.4, 0.44, 200, 200.04])
    assert [frame.interval_s for frame in frames[:-1]] == pytest.approx([0.04, 0.04, 0.32, 0.04, 1.0, 0.04])


def test_a_slow_film_is_no_hole(tmp_path: Path) -> None:
    frames = list(VideoSource(matroska(tmp_path / "v.mkv", range(6), fps=0.5)).frames())
    assert [frame.interval_s for frame in frames] == pytest.approx([2.0] * 6)


def test_a_watched_recording_skips_its_holes_and_stays_awake(tmp_path: Path) -> None:
    """A hole of 200 s, kept in step, would be a dead window for three minutes."""
    rounds, seen = itertools.count(), []
    source = VideoSource(matroska(tmp_path / "v.mkv", [0, 1, 5000, 5001]))

    def step(frame: Frame) -> bool:
        seen.append(frame.index)
        return True

    run(source, Flow(0, 0, Rate(), Rate()), step, paced=True, idle=lambda: next(rounds) >= 0)
    assert seen == [0, 1, 2, 3]
    assert next(rounds) > 5


def test_glued_recordings_go_on_in_time(tmp_path: Path) -> None:
    first, second = (transport_stream(tmp_path / f"{k}.ts", 12) for k in range(2))
    (tmp_path / "both.ts").write_bytes(first + second)
    source = VideoSource(tmp_path / "both.ts")
    times = [frame.t_s for frame in source.frames()]
    assert len(times) >= 22
    steps = np.diff(times)
    assert steps.min() > 0
    assert np.median(steps) == pytest.approx(0.04)
    assert times[-1] < 1.5
    assert source.health.repaired_times > 0


@pytest.mark.parametrize(
    ("stamps", "times", "repaired"),
    [
        ([0.0, 0.1, 0.2], [0.0, 0.1, 0.2], 0),
        ([0.0, 0.0, 0.0, 0.0], [0.0, 0.1, 0.2, 0.3], 3),  # a container without times
        ([0.0, 0.1, 0.05, 0.3, 0.4], [0.0, 0.1, 0.2, 0.3, 0.4], 1),  # one that is out of order
        ([5.0, 5.1, 0.0, 0.3, 0.4], [5.0, 5.1, 5.2, 5.5, 5.6], 2),  # a clock set back: its own steps count from there
        ([-0.2, 0.1], [0.0, 0.1], 0),
    ],
)
def test_times_never_run_back(stamps: list[float], times: list[float], repaired: int) -> None:
    repair = TimestampRepair(0.1)
    assert [repair.update(stamp) for stamp in stamps] == pytest.approx(times)
    assert repair.repaired == repaired


def test_a_recording_may_change_its_size(tmp_path: Path) -> None:
    sizes = [(64, 48)] * 4 + [(48, 64)] * 3 + [(128, 96)] * 3
    (tmp_path / "a.mjpeg").write_bytes(b"".join(cv2.imencode(".jpg", grey(90, size))[1].tobytes() for size in sizes))
    source = VideoSource(tmp_path / "a.mjpeg")
    assert [(f.image.shape[1], f.image.shape[0]) for f in source.frames()] == sizes
    assert source.health.resolution_changes == 2


def test_a_broken_picture_in_a_film_is_skipped(tmp_path: Path) -> None:
    whole = [cv2.imencode(".jpg", grey(60 + 10 * k))[1].tobytes() for k in range(6)]
    broken = whole[3][:20] + bytes(len(whole[3]) - 22) + whole[3][-2:]
    (tmp_path / "a.mjpeg").write_bytes(b"".join([*whole[:3], broken, *whole[4:]]))
    frames = list(VideoSource(tmp_path / "a.mjpeg").frames())
    assert [round(float(frame.image.mean()), -1) for frame in frames][:3] == [60, 70, 80]
    assert len(frames) >= 5


def test_black_frames_of_a_film_are_counted_and_nobody_is_asked_to_uncover_it(tmp_path: Path) -> None:
    levels = [90] * 5 + [0] * 60 + [90] * 5
    (tmp_path / "a.mjpeg").write_bytes(b"".join(cv2.imencode(".jpg", grey(level))[1].tobytes() for level in levels))
    source = VideoSource(tmp_path / "a.mjpeg")
    assert {source.health.state for _ in source.frames()} == {"ok"}
    assert source.health.black_frames == 60


def test_a_recording_behind_a_url_is_read_like_a_file(tmp_path: Path) -> None:
    """Every frame once, at its own times; as a camera it would be raced through and half of it dropped."""
    recording = matroska(tmp_path / "lesson.mkv", range(20))

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            return None

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        source, notice = open_source(f"http://127.0.0.1:{server.server_port}/lesson.mkv")
        frames = list(source.frames())
        source.close()
        server.shutdown()
    assert notice == ""
    assert not source.is_live
    assert [frame.t_s for frame in frames] == pytest.approx([frame.t_s for frame in VideoSource(recording).frames()])
    assert len(frames) == 20


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("demmo", "Did you mean 'demo'?"),
        ("AUTO", "Did you mean 'auto'?"),
        ("{folder}/lesosn.mp4", "Did you mean '{folder}/lesson.mp4'?"),
        ("{folder}/lesson.mp4/x", "no file, folder or camera called"),
        ("x" * 5000, "which cannot be opened"),
        ("a\0b", "no file, folder or camera|which cannot be opened"),
    ],
)
def test_a_slip_of_the_pen_is_answered_with_what_was_meant(spec: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "lesson.mp4").touch()
    with pytest.raises(DataError, match=said.format(folder=tmp_path)):
        open_source(spec.format(folder=tmp_path))


def test_a_file_that_may_not_be_read_says_so(open_folder: Path) -> None:
    recording = animation(open_folder / "a.gif", [40, 40])
    with shut_out(recording), pytest.raises(DataError, match=r"may not be read by this user \(permission denied\)"):
        VideoSource(recording)


def test_camera_options_without_a_camera_are_reported(tmp_path: Path) -> None:
    from mien.sources.cameras import CameraOptions

    _, notice = open_source("demo", CameraOptions((1280, 720)))
    assert notice == "demo is not a camera: --camera-size and --camera-fps are ignored"
    assert next(DemoSource().frames()).interval_s == 1 / FPS
