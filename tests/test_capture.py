"""Cameras and streams that fail: lost and back, silent, black, hanging; with a scripted reader and a real server."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from cameras import MISS, NetworkCamera, ScriptedDecoder, ScriptedDevice, grey, network_camera

from mien.errors import DeviceError
from mien.records import LONGEST_INTERVAL_S, Frame, SourceHealth
from mien.runner import Flow, Rate, run
from mien.sources.capture import CaptureSource, Stream, Timing
from mien.sources.health import HealthMonitor, HealthNotices, health_message, is_black

QUICK = Timing(first_s=2, lost_s=1, failing_s=0.05, retry_s=0.02, longest_retry_s=0.1, patience_s=20)
IMPATIENT = replace(QUICK, first_s=0.5, patience_s=0.5)
SHOT = [0.01, grey()]
"""A picture after a hundredth of a second."""


def new_flow() -> Flow:
    return Flow(0, 0, Rate(), Rate())


def read(source: CaptureSource, count: int) -> list[Frame]:
    frames = list(itertools.islice(source.frames(), count))
    source.close()
    return frames


@pytest.fixture
def never() -> Iterator[threading.Event]:
    """Something that does not happen while a test runs."""
    event = threading.Event()
    yield event
    event.set()


def test_a_camera_unplugged_and_plugged_in_again_goes_on_where_it_was() -> None:
    device = ScriptedDevice(
        ScriptedDecoder([*SHOT * 3]),
        ScriptedDecoder([], opens=False),
        ScriptedDecoder([MISS] * 3),
        ScriptedDecoder([*SHOT * 3]),
    )
    source = CaptureSource(device, QUICK)
    frames = read(source, 6)
    assert [frame.index for frame in frames] == list(range(6))
    times = [frame.t_s for frame in frames]
    assert all(b > a for a, b in itertools.pairwise(times))
    assert device.openings == 4
    health = source.health
    assert (health.losses, health.reopenings, health.stalls) == (1, 1, 0)
    assert health.lost_s == pytest.approx(times[3] - times[2])


def test_a_missed_picture_now_and_then_is_no_loss() -> None:
    device = ScriptedDevice(ScriptedDecoder([*SHOT, MISS, *SHOT, MISS, MISS, *SHOT]))
    source = CaptureSource(device, Timing())
    assert len(read(source, 3)) == 3
    assert device.openings == 1
    assert source.health == SourceHealth()


def test_a_gap_counts_as_absence() -> None:
    device = ScriptedDevice(ScriptedDecoder([*SHOT * 2, 1.5, grey(), *SHOT]))
    source = CaptureSource(device, Timing())
    frames = read(source, 4)
    assert frames[2].t_s - frames[1].t_s >= 1.5
    assert frames[2].interval_s == LONGEST_INTERVAL_S
    assert frames[3].interval_s == pytest.approx(frames[3].t_s - frames[2].t_s)
    assert (source.health.stalls, source.health.losses) == (1, 0)


def test_patience_ends_and_the_reason_is_said() -> None:
    device = ScriptedDevice(ScriptedDecoder([*SHOT * 3]))
    source, seen = CaptureSource(device, IMPATIENT), []
    with pytest.raises(DeviceError, match=r"camera 7 has sent no frame for 0\.5 s: the cable is out\."):
        run(source, new_flow(), lambda frame: not seen.append(frame), paced=False)
    assert [frame.index for frame in seen] == [0, 1, 2]
    assert 2 <= device.openings <= 12  # again and again, and ever less often
    assert source.health.losses == 1
    assert source.health.state == "lost"


def test_what_never_gave_a_frame_is_no_camera() -> None:
    with pytest.raises(DeviceError, match=r"camera 7 opened but delivered no frame within 0\.5 s: the cable is out"):
        read(CaptureSource(ScriptedDevice(ScriptedDecoder([MISS])), IMPATIENT), 1)
    with pytest.raises(DeviceError, match="the cable is out"):
        CaptureSource(ScriptedDevice(), IMPATIENT)


def test_a_read_that_never_returns_is_left_behind(never: threading.Event) -> None:
    device = ScriptedDevice(ScriptedDecoder([*SHOT * 3, never]), ScriptedDecoder([*SHOT * 3]))
    source = CaptureSource(device, QUICK)
    assert [frame.index for frame in read(source, 6)] == list(range(6))
    assert (source.health.losses, source.health.reopenings) == (1, 1)


def test_an_opening_that_never_returns_ends_in_an_error(never: threading.Event) -> None:
    with pytest.raises(DeviceError, match="the cable is out"):
        CaptureSource(ScriptedDevice(hang_on_open=never), Timing(open_s=0.2))


def test_quitting_does_not_wait_for_a_read_that_hangs(never: threading.Event) -> None:
    """The loop comes round while nothing comes, so a key is heard; nothing of the program hangs afterwards."""
    source = CaptureSource(ScriptedDevice(ScriptedDecoder([*SHOT, never])), Timing())
    rounds = itertools.count()
    run(source, new_flow(), lambda frame: True, paced=False, idle=lambda: next(rounds) < 7)
    assert next(rounds) == 8
    assert source.health.state == "stalled"
    assert not [t for t in threading.enumerate() if t.name == "mien-capture"]


def test_the_device_is_given_back_by_the_thread_that_opened_it() -> None:
    first, second = ScriptedDecoder([*SHOT * 2]), ScriptedDecoder([*SHOT * 100])
    source = CaptureSource(ScriptedDevice(first, second), QUICK)
    read(source, 4)
    assert first.released
    assert second.released
    source.close()
    assert not [t for t in threading.enumerate() if t.name == "mien-reader"]


def test_a_fault_of_the_program_is_not_taken_for_a_lost_camera() -> None:
    with pytest.raises(ZeroDivisionError):
        read(CaptureSource(ScriptedDevice(ScriptedDecoder([*SHOT, ZeroDivisionError()])), QUICK), 5)


def test_black_pictures_and_new_sizes_are_passed_on_and_counted() -> None:
    small, large = grey(90, (64, 48)), grey(90, (128, 96))
    script = [small, grey(0), grey(2), small, large, large, small]
    source = CaptureSource(ScriptedDevice(ScriptedDecoder(script)), QUICK)
    assert [frame.image.shape[1] for frame in read(source, 7)] == [64, 64, 64, 64, 128, 128, 64]
    assert (source.health.black_frames, source.health.resolution_changes) == (2, 2)


def test_health_follows_the_clock() -> None:
    now = [0.0]
    watch, news = HealthMonitor(lambda: now[0]), HealthNotices("camera 7")

    def at(t_s: float, level: int | None = None) -> str:
        now[0] = t_s
        if level is not None:
            watch.update(t_s, grey(level))
        return watch.health.state

    now[0] = 30.0
    assert watch.health == SourceHealth()  # before the first frame there is nothing to miss
    assert [at(30.0, 90), at(30.9), at(31.1), at(33.0)] == ["ok", "ok", "stalled", "stalled"]
    assert health_message("camera 7", watch.health) == "camera 7: no picture for 3 s"
    assert news.update(watch.health) == ""
    watch.mark_lost()
    watch.mark_lost()
    assert at(34.0) == "lost"
    assert news.update(watch.health) == health_message("camera 7", watch.health) == "camera 7: no signal for 4 s, reconnecting"
    assert news.update(watch.health) == ""
    assert at(42.0, 90) == "ok"
    assert news.update(watch.health) == "camera 7 is back after 4 s"
    assert (watch.health.losses, watch.health.reopenings, watch.health.lost_s) == (1, 1, 12.0)
    assert [at(42.1 + k / 10, 0) for k in range(12)] == ["ok"] * 10 + ["black"] * 2
    assert "black" in news.update(watch.health)
    assert at(43.5, 90) == "ok"
    assert "back" in news.update(watch.health)


@pytest.mark.parametrize(("mean", "spread", "black"), [(0, 0, True), (2, 1, True), (8, 1, False), (2, 12, False)])
def test_black_is_dark_and_even(mean: float, spread: float, black: bool) -> None:
    noise = np.random.default_rng(1).normal(mean, spread, (480, 640, 3))
    assert is_black(noise.round().clip(0, 255).astype(np.uint8)) is black


def stream(address: str, timing: Timing) -> CaptureSource:
    return CaptureSource(Stream(address), timing)


PATIENT = Timing(lost_s=1.5, failing_s=0.2, retry_s=0.1, patience_s=20)


def test_a_stream_that_stalls_is_opened_again(never: threading.Event) -> None:
    def film(camera: NetworkCamera) -> None:
        for _ in range(10):
            camera.send(grey(60 + 60 * camera.number))
        if camera.number == 0:
            never.wait()
        for _ in range(50):
            camera.send(grey(120))

    with network_camera(film) as address:
        source = stream(address, PATIENT)
        frames = read(source, 25)
    assert [frame.index for frame in frames] == list(range(25))
    assert {round(float(frame.image.mean()), -1) for frame in frames} == {60, 120}
    assert (source.health.losses, source.health.reopenings) == (1, 1)
    assert source.health.lost_s >= PATIENT.lost_s


def test_a_short_stall_needs_no_new_connection() -> None:
    connections = []

    def film(camera: NetworkCamera) -> None:
        connections.append(camera.number)
        for k in range(40):
            camera.send(grey(), then_s=1.3 if k == 10 else 0.03)

    with network_camera(film) as address:
        source = stream(address, Timing())
        read(source, 20)
    assert connections == [0]
    assert (source.health.stalls, source.health.losses) == (1, 0)


def test_a_server_that_goes_and_comes_back() -> None:
    def film(camera: NetworkCamera) -> None:
        for _ in range(15):
            camera.send(grey())

    with network_camera(film) as address:
        source = stream(address, PATIENT)
        frames = source.frames()
        before = list(itertools.islice(frames, 12))
    port = int(address.split(":")[2].split("/")[0])

    def later() -> None:
        time.sleep(0.8)
        with network_camera(film, port):
            back.wait()

    back = threading.Event()
    thread = threading.Thread(target=later)
    thread.start()
    after = list(itertools.islice(frames, 10))
    source.close()
    back.set()
    thread.join()
    assert [frame.index for frame in [*before, *after]] == list(range(22))
    assert source.health.losses == source.health.reopenings == 1


def test_a_stream_may_change_its_resolution() -> None:
    """OpenCV's own decoder would squeeze every later picture into the first one's size."""
    tall = grey(90, (60, 120))
    tall[40:60, 20:40] = 255

    def film(camera: NetworkCamera) -> None:
        for k in range(40):
            camera.send(grey(90, (160, 120)) if k < 8 else tall)

    with network_camera(film) as address:
        source = stream(address, PATIENT)
        frames = read(source, 20)
    assert [frame.image.shape[:2] for frame in frames] == [(120, 160)] * 8 + [(120, 60)] * 12
    assert source.health.resolution_changes == 1
    bright = frames[-1].image[..., 0] > 200
    assert (bright.any(axis=1).sum(), bright.any(axis=0).sum()) == (20, 20)
