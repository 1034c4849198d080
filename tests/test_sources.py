from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

import mien.sources.factory
from mien.errors import DataError, DeviceError
from mien.records import Frame
from mien.runner import Flow, Rate, run
from mien.sources.cameras import Camera
from mien.sources.demo import FPS, DemoSource
from mien.sources.factory import open_source
from mien.sources.recorded import PictureSource, VideoSource


def new_flow() -> Flow:
    return Flow(0, 0, Rate(), Rate())


class FakeCamera:
    """A live source that delivers as fast as told, and can lose its cable."""

    name = "fake"
    is_live = True
    total: int | None = None
    seed: int | None = None
    preview_s: float | None = None

    def __init__(self, frames: int, every_s: float = 0.0, lost: bool = False) -> None:
        self._frames, self._every_s, self._lost = frames, every_s, lost
        self.closed = False

    def frames(self) -> Iterator[Frame]:
        for index in range(self._frames):
            time.sleep(self._every_s)
            yield Frame(index, index * 0.01, np.zeros((4, 4, 3), np.uint8), 0.01)
        if self._lost:
            raise DeviceError("fake delivers no frames any more")

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(("name", "frames"), [("sad_to_happy", 472), ("neutral_smile_neutral", 72)])
def test_every_frame_of_a_clip_comes_once_with_its_own_time(shared: Path, name: str, frames: int) -> None:
    source, notice = open_source(str(shared / "media" / f"{name}.mp4"))
    assert notice == ""
    read = [(f.index, f.t_s, f.interval_s) for f in source.frames()]
    assert [index for index, _, _ in read] == list(range(frames)) == list(range(source.total or 0))
    times = [t for _, t, _ in read]
    assert times[0] == 0
    assert all(b > a for a, b in itertools.pairwise(times))
    assert sum(interval for _, _, interval in read) == pytest.approx(times[-1] + read[0][2], abs=1e-6)


def test_a_folder_of_pictures_is_read_by_name_and_broken_ones_are_skipped(tmp_path: Path) -> None:
    for name in ("b.png", "a.png"):
        cv2.imwrite(str(tmp_path / name), np.full((10, 20), 7, np.uint8))
    (tmp_path / "c.jpg").write_bytes(b"not a picture")
    (tmp_path / "notes.txt").write_text("x")
    source = PictureSource(tmp_path)
    frames = list(source.frames())
    assert source.total == 3
    assert source.skipped == ["c.jpg"]
    assert [f.image.shape for f in frames] == [(10, 20, 3)] * 2


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: p / "none.mp4", "no file, folder or camera called"),
        (lambda p: _written(p / "text.mp4", b"hello\n" * 500), "not a video that can be read"),
        (lambda p: _written(p / "empty.mp4", b""), "not a video that can be read"),
        (lambda p: _folder(p / "empty"), "no pictures in the folder"),
        (lambda p: _written(p / "broken.png", b"\x89PNG"), "cannot be decoded as a picture"),
    ],
)
def test_what_is_no_source_is_named(tmp_path: Path, make: object, said: str) -> None:
    with pytest.raises(DataError, match=said):
        list(open_source(str(make(tmp_path)))[0].frames())  # parametrised as object


def test_a_cut_video_is_refused(shared: Path, tmp_path: Path) -> None:
    whole = (shared / "media" / "neutral_smile_neutral.mp4").read_bytes()
    with pytest.raises(DataError):
        list(VideoSource(_written(tmp_path / "cut.mp4", whole[: len(whole) // 3])).frames())


def test_no_camera_and_no_stream_say_what_to_do() -> None:
    with pytest.raises(DeviceError, match="no camera 97"):
        open_source("97")
    with pytest.raises(DeviceError, match="cannot open the stream") as caught:
        open_source("http://user:secret@127.0.0.1:9/stream")
    assert "secret" not in str(caught.value)


def test_a_camera_goes_by_its_name_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """No machine that runs tests has a camera, so one that is listed and gone has to do."""
    monkeypatch.setattr(mien.sources.factory, "list_cameras", lambda: (Camera(97, "HD Pro Webcam C920"),))
    with pytest.raises(DeviceError, match="no camera 97"):
        open_source("c920")
    with pytest.raises(DeviceError, match="no camera 97"):
        open_source("/dev/video97")
    with pytest.raises(DataError, match=r"Did you mean 'HD Pro Webcam C920'\?.*cameras here: 97 HD Pro Webcam C920"):
        open_source("HD Pro Webcm C920")
    source, notice = open_source("auto")
    assert source.name == "demo"
    assert notice.startswith("no camera 97 here")
    assert "built-in demo" in notice


def test_the_demo_is_the_same_film_every_time() -> None:
    first, again = ([f.image for f in itertools.islice(DemoSource().frames(), 3)] for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], first[2])
    frame = next(DemoSource().frames())
    assert frame.image.shape == (480, 640, 3)
    assert frame.interval_s == 1 / FPS


def test_a_slow_loop_drops_old_frames_and_counts_them() -> None:
    camera, flow = FakeCamera(60, every_s=0.005), new_flow()
    seen: list[Frame] = []

    def slow(frame: Frame) -> bool:
        seen.append(frame)
        time.sleep(0.05)
        return True

    run(camera, flow, slow, paced=False)
    assert flow.captured == 60
    assert flow.dropped == 60 - len(seen) > 0
    assert [f.index for f in seen] == sorted(f.index for f in seen)
    assert seen[-1].index == 59
    # no time is lost with a dropped frame: the next one stands for it
    assert sum(f.interval_s for f in seen) == pytest.approx(0.6)
    assert camera.closed
    assert not [t for t in threading.enumerate() if t.name == "mien-capture"]


def test_a_lost_camera_is_reported_after_its_last_frame() -> None:
    camera, seen = FakeCamera(3, every_s=0.02, lost=True), []
    with pytest.raises(DeviceError, match="no frames any more"):
        run(camera, new_flow(), lambda f: bool(seen.append(f)) or True, paced=False)
    assert [f.index for f in seen] == [0, 1, 2]
    assert camera.closed


def test_stopping_in_the_middle_leaves_no_thread() -> None:
    camera = FakeCamera(10_000, every_s=0.001)
    run(camera, new_flow(), lambda frame: frame.index < 5, paced=False)
    assert camera.closed
    assert not [t for t in threading.enumerate() if t.name == "mien-capture"]


def test_a_watched_recording_keeps_its_pace() -> None:
    demo, flow = DemoSource(), new_flow()
    started = time.monotonic()
    run(demo, flow, lambda frame: frame.index < 10, paced=True)
    assert time.monotonic() - started >= 10 / FPS
    assert flow.dropped == 0


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_is_no_source(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "y.jpg")
    with pytest.raises(DataError, match="neither a file nor a folder"):
        open_source(str(tmp_path / "y.jpg"))
