"""Every kind of recording is read as a player shows it: all frames, upright, undistorted, at their own times."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from videos import encoded

from mien.analyzer import Analyzer
from mien.errors import DataError
from mien.recordings.frame_times import frame_times
from mien.recordings.segments import segment_frames, split
from mien.records import FrameResult
from mien.sources.animation import is_animated
from mien.sources.factory import open_source
from mien.sources.recorded import VideoSource
from mien.sources.video import open_video

Case = Callable[[str], Path]
CLIP_LABELS = {"neutral": 27, "happy": 45}
"""Frames by label of neutral_smile_neutral.mp4 with the bundle of the package; one or two may differ after re-encoding."""


@pytest.fixture(scope="module")
def case(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Makes the files of a script in ``shared/cases/video`` and returns their folder."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("these recordings are made with the command ffmpeg, which is not installed")
    made: dict[str, Path] = {}

    def make(number: str) -> Path:
        if number not in made:
            made[number] = tmp_path_factory.mktemp(f"case{number}")
            script = next((shared / "cases/video").glob(f"{number}_*"))
            command = [sys.executable, script] if script.suffix == ".py" else ["bash", script]
            subprocess.run([*command, shared, made[number]], check=True, capture_output=True)
        return made[number]

    return make


@pytest.fixture(scope="module")
def analyzer(shared: Path) -> Iterator[Analyzer]:
    before = os.environ.get("MIEN_MODELS")
    os.environ["MIEN_MODELS"] = str(shared / "models")
    with Analyzer() as opened:
        yield opened
    if before is not None:
        os.environ["MIEN_MODELS"] = before


def labels(results: list[FrameResult]) -> Counter[str]:
    return Counter(face.label for result in results for face in result.faces)


def assert_like_the_clip(results: list[FrameResult], times: int = 1) -> None:
    """One undistorted face in each frame, with the labels of the clip that the recording was made of."""
    assert [len(result.faces) for result in results] == [1] * (72 * times)
    boxes = [face.detection.box for result in results for face in result.faces]
    assert np.mean([box.w / box.h for box in boxes]) == pytest.approx(0.69, abs=0.04)
    found = labels(results)
    for label, count in CLIP_LABELS.items():
        assert found[label] == pytest.approx(times * count, abs=3 * times), found


# recordings of the collection of cases


@pytest.mark.parametrize("name", ["interlaced_h264.mp4", "interlaced_avchd.mts", "interlaced_mpeg2.mpg"])
def test_interlaced_recordings_are_read_like_the_clip(name: str, case: Case, analyzer: Analyzer) -> None:
    assert_like_the_clip(list(analyzer.video(case("01") / name)))


def test_a_camcorders_dv_has_its_frames_and_its_shape(case: Case, analyzer: Analyzer) -> None:
    results = list(analyzer.video(case("01") / "camcorder.dv"))
    assert len(results) == 60
    assert results[0].size == (1024, 576)
    assert [len(result.faces) for result in results] == [1] * 60
    assert labels(results)["happy"] == pytest.approx(38, abs=3)


def test_a_hard_cut_ends_a_track_and_its_smoothing(case: Case, analyzer: Analyzer, shared: Path) -> None:
    results = list(analyzer.video(case("03") / "scene_cut.mp4"))
    spans: dict[str, list[float]] = {}
    for result in results:
        for face in result.faces:
            spans.setdefault(face.track_id, []).append(round(result.t_s, 2))
    assert sorted((times[0], times[-1]) for times in spans.values()) == [(0.0, 0.76), (0.8, 2.76), (2.8, 3.56)]
    alone = next(iter(analyzer.video(shared / "media/sad_to_happy.mp4"))).faces[0]
    first = results[20].faces[0]
    assert first.smoothed == pytest.approx(first.raw)
    assert first.raw == pytest.approx(alone.raw, abs=0.15)
    assert results[70].faces[0].label == "happy"


@pytest.mark.parametrize(
    ("name", "size"), [("sar_half.mp4", (640, 360)), ("sar_halfd1.mp4", (768, 576)), ("sar_halfd1_ref.mp4", (768, 576))]
)
def test_pixels_that_are_not_square(name: str, size: tuple[int, int], case: Case, analyzer: Analyzer) -> None:
    results = list(analyzer.video(case("04") / name))
    assert results[0].size == size
    assert_like_the_clip(results)


def test_pixels_of_a_super_video_cd(case: Case, analyzer: Analyzer) -> None:
    results = list(analyzer.video(case("04") / "sar_svcd.mpg"))
    assert results[0].size == (1024, 576)
    assert labels(results)["happy"] == pytest.approx(38, abs=3)
    assert set(labels(results)) == {"neutral", "happy"}


@pytest.mark.parametrize("name", ["size_changes.webm", "size_changes.ts"])
def test_a_recording_that_changes_its_size(name: str, case: Case, analyzer: Analyzer) -> None:
    results = list(analyzer.video(case("05") / name))
    assert Counter(result.size for result in results) == {(640, 360): 72, (360, 640): 72}
    assert_like_the_clip(results, 2)
    source = VideoSource(case("05") / name)
    assert len(list(source.frames())) == 144
    assert source.health.resolution_changes == 1


@pytest.mark.parametrize("name", ["longer.mp4", "longer_mkv.mkv", "longer_ts.ts", "longer_flv.flv", "longer_webm.webm"])
def test_sound_that_is_longer_than_the_pictures_is_no_damage(name: str, case: Case) -> None:
    times = frame_times(case("06") / f"sound_{name}")
    assert (len(times.t_s), times.damage) == (72, "")
    assert times.seconds == pytest.approx(2.4, abs=0.01)


@pytest.mark.parametrize(("name", "frames", "seconds"), [("browser_1000fps.webm", 192, 8.0), ("fps1000.mp4", 72, 0.072)])
def test_a_thousand_frames_a_second_or_a_clock_of_milliseconds(name: str, frames: int, seconds: float, case: Case) -> None:
    times = frame_times(case("07") / name)
    assert (len(times.t_s), times.damage) == (frames, "")
    assert times.seconds == pytest.approx(seconds, rel=0.005)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_turned_motion_jpeg_is_read_upright(degrees: int, case: Case, analyzer: Analyzer) -> None:
    assert_like_the_clip(list(analyzer.video(case("08") / f"mjpeg_turned_{degrees}.mov")))


@pytest.mark.parametrize("name", ["2024-05-01T10:30:00.mp4", "lesson: part 1.mp4", "C:\\clips\\clip.mp4", "file:x.mp4", "7"])
def test_any_name_is_the_name_of_a_file(name: str, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(case("09") / "colon")
    assert len(frame_times(Path(name)).t_s) == 72
    assert len(list(VideoSource(Path(name)).frames())) == 72
    if name != "7":  # a number is a camera for ``--source``
        source, _ = open_source(name)
        assert sum(1 for _ in source.frames()) == 72


@pytest.mark.parametrize("name", ["lapse_2s.mp4", "lapse_1_5s.mp4"])
def test_a_time_lapse_of_one_person_is_one_track(name: str, case: Case, analyzer: Analyzer) -> None:
    results = list(analyzer.video(case("10") / name))
    assert len(results) == 20
    assert len({face.track_id for result in results for face in result.faces}) == 1
    shown = [result.faces[0].label for result in results]
    order = [label for k, label in enumerate(shown) if k == 0 or label != shown[k - 1]]
    # between sad and happy the face passes through fear or surprise, which no expression leads clearly
    between = order[order.index("sad") + 1 : order.index("happy")]
    assert between
    assert set(between) <= {"fear", "surprise", "neutral", "sad"}


@pytest.mark.parametrize(("name", "faces"), [("pan_16000x1000.jpg", 10), ("pan_20000x1500.jpg", 5), ("tall_1000x20000.jpg", 5)])
def test_faces_in_very_long_pictures(name: str, faces: int, case: Case, analyzer: Analyzer) -> None:
    assert len(analyzer.image(case("11") / name).faces) == faces


def test_a_pause_is_absence(case: Case) -> None:
    times = frame_times(case("12") / "pause.mp4")
    assert (len(times.t_s), times.damage) == (72, "")
    assert times.interval_s.sum() / times.seconds == pytest.approx(0.27, abs=0.01)
    jumped = frame_times(case("12") / "clock_jump.ts")
    assert (len(jumped.t_s), jumped.damage) == (144, "")
    assert jumped.interval_s.sum() == pytest.approx(5.8, abs=0.1)


@pytest.mark.parametrize("name", ["talk.mp3", "talk.m4a"])
def test_a_cover_picture_is_no_recording(name: str, case: Case) -> None:
    with pytest.raises(DataError, match="is not a video"):
        VideoSource(case("13") / name)


@pytest.mark.parametrize("ending", ["webp", "png", "gif"])
def test_animated_pictures_are_read_frame_by_frame(ending: str, case: Case, analyzer: Analyzer) -> None:
    source, _ = open_source(str(case("14") / f"moving.{ending}"))
    frames = list(source.frames())
    source.close()
    assert [round(frame.t_s, 2) for frame in frames] == [0.0, 1.0]
    assert [len(analyzer.image(frame.image).faces) for frame in frames] == [0, 5]


def test_raw_h264_has_the_rate_of_its_parameter_set(case: Case) -> None:
    times = frame_times(case("15") / "raw.h264")
    assert (len(times.t_s), times.damage) == (72, "")
    assert times.seconds == pytest.approx(2.4, abs=1e-6)


# the same with small recordings that are made here


def moving(count: int = 20, size: tuple[int, int] = (160, 128)) -> list[NDArray[np.uint8]]:
    """A bright square that moves to the right on a dark ground, near the upper left corner."""
    frames = [np.full((size[1], size[0], 3), 40, np.uint8) for _ in range(count)]
    for k, frame in enumerate(frames):
        cv2.rectangle(frame, (4 + 4 * k, 10), (44 + 4 * k, 50), (220, 220, 220), -1)
    return frames


def woven(frames: list[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    """Each two frames as the two fields of one."""
    for even, odd in zip(frames[::2], frames[1::2], strict=True):
        even[1::2] = odd[1::2]
    return frames[::2]


def combing(image: NDArray[np.uint8]) -> float:
    """How much neighbouring rows differ more than rows of the same field."""
    grey = image[..., 1].astype(float)
    return float(np.abs(grey[1:-1] - grey[:-2]).mean() - np.abs(grey[2:] - grey[:-2]).mean())


def pictures(path: Path) -> list[NDArray[np.uint8]]:
    return [frame.image for frame in VideoSource(path).frames()]


def test_fields_are_put_apart_and_segments_have_the_same_pictures(tmp_path: Path) -> None:
    fields = {"filters": [("setfield", "tff")], "flags": 0x20040000}
    path = encoded(tmp_path / "a.mp4", woven(moving(60, (320, 128))), rate=10, **fields)
    plain = encoded(tmp_path / "b.mp4", woven(moving(60, (320, 128))), rate=10)
    whole = list(VideoSource(path).frames())
    assert len(whole) == 30
    assert combing(pictures(plain)[10]) > 0.5
    assert max(combing(frame.image) for frame in whole) < 0.3
    for segment in split(frame_times(path), 0.7, 0.4):
        for frame in segment_frames(path, segment):
            assert frame.t_s == whole[frame.index].t_s
            assert np.array_equal(frame.image, whole[frame.index].image)


def test_colours_are_those_of_the_standard(tmp_path: Path) -> None:
    """Flat pictures, stored without loss: ITU-R BT.601 with limited range says which colour each of them is."""
    random = np.random.default_rng(0)
    path = tmp_path / "flat.mkv"
    stored = random.integers((60, 112, 112), (180, 145, 145), (24, 3))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for y, u, v in stored:
            planes = np.concatenate([np.full(64 * 48, y), np.full(32 * 24, u), np.full(32 * 24, v)]).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(planes.reshape(72, 64), format="yuv420p")))
        container.mux(stream.encode())
    found = np.array([picture.mean((0, 1)) for picture in pictures(path)])
    luma, blue, red = ((stored - (16, 128, 128)) * (255 / 219, 255 / 224, 255 / 224)).T
    expected = np.stack([luma + 1.772 * blue, luma - 0.344136 * blue - 0.714136 * red, luma + 1.402 * red], 1)
    assert np.abs(found - expected).max() <= 0.6


@pytest.mark.parametrize("matrix", [8, 14])
def test_a_matrix_that_cannot_be_converted_is_read_all_the_same(matrix: int, tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.colorspace = matrix
        frame = av.VideoFrame.from_ndarray(np.full((72, 64), 128, np.uint8), format="yuv420p")
        container.mux([*stream.encode(frame), *stream.encode()])
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).colorspace == matrix
    (picture,) = pictures(path)
    assert np.abs(picture.astype(int) - 130).max() <= 3


def test_pixels_become_square(tmp_path: Path) -> None:
    path = encoded(tmp_path / "a.mp4", moving(), sample_aspect_ratio=Fraction(2, 1))
    assert {image.shape for image in pictures(path)} == {(128, 320, 3)}
    path = encoded(tmp_path / "b.mp4", moving(), sample_aspect_ratio=Fraction(1, 2))
    assert {image.shape for image in pictures(path)} == {(256, 160, 3)}


@pytest.mark.parametrize("degrees", [0, 90, 180, -90])
@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_a_turned_picture_is_upright(codec: str, degrees: int, tmp_path: Path) -> None:
    turned = [np.ascontiguousarray(np.rot90(frame, -degrees // 90)) for frame in moving()]
    found = pictures(encoded(tmp_path / "a.mov", turned, codec=codec, turned=degrees))[0]
    assert np.abs(found.astype(int) - moving()[0]).mean() < 8


def test_late_pictures_start_late(tmp_path: Path) -> None:
    times = frame_times(encoded(tmp_path / "a.mkv", moving(), first_tick=25, sound_s=3.0))
    assert times.t_s[0] == pytest.approx(1.0, abs=0.03)
    assert times.damage == ""


def test_long_sound_is_no_damage_and_a_cut_file_is(tmp_path: Path) -> None:
    path = encoded(tmp_path / "a.mkv", moving(), sound_s=6.0)
    assert frame_times(path).damage == ""
    data = encoded(tmp_path / "b.mkv", moving(200)).read_bytes()
    (tmp_path / "c.mkv").write_bytes(data[: len(data) // 2])
    assert "s missing at the end" in frame_times(tmp_path / "c.mkv").damage


def test_raw_h264_is_timed_by_its_own_rate(tmp_path: Path) -> None:
    times = frame_times(encoded(tmp_path / "a.h264", moving(), rate=50))
    assert (len(times.t_s), times.seconds) == (20, pytest.approx(0.4))


def test_animated_webp_keeps_its_durations(tmp_path: Path) -> None:
    images = [Image.fromarray(frame) for frame in moving(3)]
    for ending in ("webp", "png"):
        path = tmp_path / f"a.{ending}"
        images[0].save(path, save_all=True, append_images=images[1:], duration=[100, 500, 300], lossless=True)
        assert is_animated(path)
        reader = open_video(path)
        stamps = [reader.stamp_s for _ in iter(reader.advance, False)]
        reader.close()
        assert stamps == pytest.approx([0.0, 0.1, 0.6])
    images[0].save(tmp_path / "still.png")
    assert not is_animated(tmp_path / "still.png")


PLAYLISTS = {
    "a.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{file}\n#EXT-X-ENDLIST\n",
    "b.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n",
    "c.mkv": "ffconcat version 1.0\nfile {file}\n",
    "d.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
}


@pytest.mark.parametrize("name", PLAYLISTS)
def test_a_file_leads_to_no_other_file_or_address(name: str, tmp_path: Path) -> None:
    other = encoded(tmp_path / "other.ts", moving())
    (tmp_path / name).write_text(PLAYLISTS[name].format(file=other.name))
    with pytest.raises(DataError, match="is not a video"):
        VideoSource(tmp_path / name)


def test_a_name_with_a_percent_sign_is_one_file(tmp_path: Path) -> None:
    for k in range(3):
        cv2.imwrite(str(tmp_path / f"img{k}.jpg"), moving(1)[0])
    (tmp_path / "img%d.jpg").write_bytes((tmp_path / "img0.jpg").read_bytes())
    assert len(pictures(tmp_path / "img%d.jpg")) == 1


def test_a_damaged_recording_gives_the_same_frames_with_any_number_of_threads(tmp_path: Path) -> None:
    data = bytearray(encoded(tmp_path / "a.mp4", moving(120, (320, 240)), rate=30).read_bytes())
    middle = data.index(b"mdat") + 2000
    data[middle : middle + 1500] = bytes(1500)
    (tmp_path / "b.mp4").write_bytes(data)
    stamps = []
    for threads in (1, 2, 4):
        reader = open_video(tmp_path / "b.mp4", threads=threads)
        stamps.append([reader.stamp_s for _ in iter(reader.advance, False)])
        reader.close()
    assert 10 < len(stamps[0]) <= 120
    assert stamps[0] == stamps[1] == stamps[2]
    assert "cannot be decoded" in frame_times(tmp_path / "b.mp4").damage
