"""The library's front door, and anything that may be a picture."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import REPOSITORY
from PIL import Image

import mien
from mien import Analyzer, FaceReading, Frame, FrameResult
from mien.emotions import EMOTIONS
from mien.errors import DataError, DeviceError, UsageError
from mien.records import Box, Detection
from mien.sessions.observations import COLUMNS
from mien.sources.demo import DemoSource
from mien.vision.bundles import bundle_path
from mien.vision.pictures import as_bgr
from mien.vision.predictor import Predictor


@pytest.fixture(scope="module")
def analyzer() -> Analyzer:
    return Analyzer("mien-xs")


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    return next(DemoSource().frames()).image


def test_a_picture_by_path_and_by_array_is_the_same(analyzer: Analyzer, portrait: np.ndarray, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "portrait.png"), portrait)
    results = [
        analyzer.image(tmp_path / "portrait.png"),
        analyzer.image(str(tmp_path / "portrait.png")),
        analyzer.image(portrait),
    ]
    rows = [result.faces[0].raw for result in results]
    assert all(np.array_equal(row, rows[0]) for row in rows)
    assert results[0].faces[0].label in EMOTIONS
    assert results[0].size == (640, 480)
    assert results[0].faces[0].track_id != results[1].faces[0].track_id  # names do not last


@pytest.mark.parametrize(
    "change",
    [
        lambda p: cv2.cvtColor(p, cv2.COLOR_BGR2BGRA),
        lambda p: p.astype(np.float32) / 255,
        lambda p: p.astype(np.float64),
        lambda p: p.astype(np.uint16) * 257,
        lambda p: p.astype(np.int64),
        np.asfortranarray,
    ],
)
def test_number_types_and_layouts_do_not_matter(analyzer: Analyzer, portrait: np.ndarray, change) -> None:
    assert np.array_equal(analyzer.image(change(portrait)).faces[0].raw, analyzer.image(portrait).faces[0].raw)


def test_grey_is_read_as_well(analyzer: Analyzer, portrait: np.ndarray) -> None:
    grey = cv2.cvtColor(portrait, cv2.COLOR_BGR2GRAY)
    (flat,), (deep,) = analyzer.image(grey).faces, analyzer.image(grey[:, :, None]).faces
    assert np.array_equal(flat.raw, deep.raw)
    assert np.abs(flat.raw - analyzer.image(portrait).faces[0].raw).max() < 0.2


def test_a_stream_gives_one_track_and_a_replay_the_same(analyzer: Analyzer) -> None:
    def first_second() -> list[tuple[float, str, bytes]]:
        found = []
        for result in analyzer.stream("demo"):
            if result.t_s >= 1:
                break
            found += [(result.t_s, face.track_id, face.smoothed.tobytes()) for face in result.faces]
        return found

    once = first_second()
    assert len(once) == 25
    assert len({track for _, track, _ in once}) == 1
    assert once == first_second()


def test_a_video_gives_every_frame(analyzer: Analyzer, shared: Path) -> None:
    results = list(analyzer.video(shared / "media" / "neutral_smile_neutral.mp4"))
    assert len(results) == 72
    assert all(len(result.faces) == 1 for result in results)
    assert results[-1].t_s == pytest.approx(71 / 30, abs=0.05)


@pytest.mark.parametrize(
    "picture", [np.zeros((0, 4)), np.zeros(5), np.zeros((4, 4, 2)), np.zeros((2, 2, 2, 2)), np.array([["a"]])]
)
def test_what_is_no_picture_is_refused(analyzer: Analyzer, picture: np.ndarray) -> None:
    with pytest.raises(DataError, match="picture"):
        analyzer.image(picture)


def test_files_that_are_not_there_or_no_pictures_are_refused(analyzer: Analyzer, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("not a picture")
    for call, message in (
        (lambda: analyzer.image(tmp_path / "none.jpg"), r"none\.jpg"),
        (lambda: analyzer.image(tmp_path / "text.jpg"), r"text\.jpg"),
        (lambda: analyzer.video(tmp_path / "none.mp4"), r"none\.mp4"),
    ):
        with pytest.raises(DataError, match=message):
            call()


def test_a_thousand_random_frames_of_any_size_and_kind_crash_nothing(analyzer: Analyzer, portrait: np.ndarray) -> None:
    """One pipeline gets them all, so its state meets every change of size, and every fourth holds a face."""
    random = np.random.default_rng(4)
    pending: list[Frame] = []
    results = analyzer.stream(iter(pending.pop, None))
    sizes = [(1, 1), (1, 500), (500, 1), (2160, 3840), (7, 9), (48, 48), (480, 640)]
    kinds = [np.uint8, np.float32, np.uint16, np.bool_, np.int16]
    faces = 0
    for k in range(1000):
        height, width = sizes[k % len(sizes)] if k < 70 else tuple(int(v) for v in random.integers(1, 160, 2))
        channels = [(), (1,), (3,), (4,)][k % 4]
        if k % 4 == 2 and k >= 70:
            image = cv2.resize(portrait, (width + 120, height + 90)).astype(kinds[k % 3])
        else:
            image = random.integers(0, 2 if k % 5 == 3 else 256, (height, width, *channels)).astype(kinds[k % 5])
        if image.dtype == np.float32:
            image[random.random(image.shape) < 0.01] = random.choice([np.nan, np.inf, -np.inf, 1e9])
        pending.append(Frame(k, k / 30, as_bgr(image)))
        result = next(results)
        faces += len(result.faces)
        for face in result.faces:
            assert face.unread or face.smoothed.sum() == pytest.approx(1, abs=1e-4)
    assert faces > 50


def test_the_detector_is_opened_once(portrait: np.ndarray, yunet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    analyzer = Analyzer("mien-xs")
    assert analyzer.detector == "yunet"
    faces = analyzer.image(portrait).faces
    monkeypatch.setenv("MIEN_MODELS", str(yunet.parent / "nowhere"))  # a second search would find the packaged detector only
    again = analyzer.image(portrait).faces
    assert again[0].detection.landmarks is not None
    assert np.array_equal(again[0].raw, faces[0].raw)


def test_a_lesser_detector_is_said_once(
    portrait: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MIEN_MODELS", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    analyzer = Analyzer("mien-xs")
    analyzer.image(portrait)
    (said,) = caplog.records
    assert (said.name, said.levelname) == ("mien", "WARNING")
    assert "mien doctor --fetch" in said.getMessage()
    assert analyzer.detector == "mien-detect"


@pytest.mark.parametrize("name", ["demo", "auto", "0", "10:30 lesson.mp4"])
def test_a_path_is_a_path(name: str, analyzer: Analyzer, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes((shared / "media" / "neutral_smile_neutral.mp4").read_bytes())
    first = next(analyzer.video(name))
    assert first.size == next(analyzer.video(shared / "media" / "neutral_smile_neutral.mp4")).size != (640, 480)


def test_colours_in_any_order_give_the_same(analyzer: Analyzer, portrait: np.ndarray, tmp_path: Path) -> None:
    portrait = portrait.copy()
    portrait[:, :, 0] //= 3  # a yellow light: with red and blue swapped the greys differ
    expected = analyzer.image(portrait)
    rgb = np.ascontiguousarray(portrait[:, :, ::-1])
    pillow = Image.fromarray(rgb)
    pillow.save(tmp_path / "portrait.png")
    sideways = pillow.transpose(Image.Transpose.ROTATE_90)
    sideways.getexif()[0x0112] = 6  # to be turned back by 90 degrees
    rgba = np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])
    results = [
        analyzer.image(pillow),
        analyzer.image(pillow, order="rgb"),
        analyzer.image(pillow.convert("RGBA")),
        analyzer.image(sideways),
        analyzer.image(rgb, order="rgb"),
        analyzer.image(rgba, order="rgb"),
        analyzer.image(tmp_path / "portrait.png"),
        analyzer.image(Image.open(io.BytesIO((tmp_path / "portrait.png").read_bytes()))),
    ]
    for result in results:
        assert np.array_equal(result.faces[0].raw, expected.faces[0].raw)
    assert not np.array_equal(analyzer.image(rgb).faces[0].raw, expected.faces[0].raw)
    with pytest.raises(UsageError):
        analyzer.image(rgb, order="gbr")


def test_a_pillow_image_of_sixteen_bits_or_one_keeps_its_greys(portrait: np.ndarray) -> None:
    grey = cv2.cvtColor(portrait, cv2.COLOR_BGR2GRAY)
    assert np.array_equal(as_bgr(Image.fromarray(grey.astype(np.uint16) * 257))[:, :, 0], grey)
    assert np.array_equal(as_bgr((grey.astype(np.uint16) * 257).astype(">u2"))[:, :, 0], grey)
    assert np.array_equal(as_bgr(Image.fromarray(grey))[:, :, 0], grey)
    assert set(np.unique(as_bgr(Image.fromarray(grey > 99)))) == {0, 255}


def test_a_pillow_image_cut_short_is_refused(analyzer: Analyzer, portrait: np.ndarray, tmp_path: Path) -> None:
    data = cv2.imencode(".jpg", portrait)[1].tobytes()
    (tmp_path / "short.jpg").write_bytes(data[: len(data) // 2])
    with Image.open(tmp_path / "short.jpg") as short, pytest.raises(DataError):
        analyzer.image(short)


def test_pictures_in_a_batch_are_read_as_each_alone(analyzer: Analyzer, portrait: np.ndarray, shared: Path) -> None:
    pictures = [shared / "media" / "five_faces.jpg", np.zeros((50, 50, 3), np.uint8), portrait]
    together = analyzer.images(iter(pictures))
    assert [result.index for result in together] == [0, 1, 2]
    assert not together[1].faces
    for result, picture in zip(together, pictures, strict=True):
        alone = analyzer.image(picture)
        assert result.size == alone.size
        for one, other in zip(result.faces, alone.faces, strict=True):
            assert (one.unread, one.label, one.detection.box) == (other.unread, other.label, other.detection.box)
            assert np.allclose(one.raw, other.raw, atol=1e-5, equal_nan=True)
    assert analyzer.images([]) == []


def test_crops_are_read_without_a_detector(analyzer: Analyzer) -> None:
    random = np.random.default_rng(0)
    crops = [random.integers(0, 256, (48, 48)).astype(np.uint8), np.zeros((90, 120, 3), np.uint8)]
    readings = analyzer.faces(crops)
    predicted = Predictor(bundle_path("mien-xs")).predict(np.stack([crops[0], np.zeros((48, 48), np.uint8)])[:, None])
    for reading, row in zip(readings, predicted.probabilities, strict=True):
        assert not reading.unread
        assert [*reading.probabilities] == list(EMOTIONS)
        assert list(reading.probabilities.values()) == pytest.approx(row.tolist(), abs=1e-5)
    assert analyzer.faces([]) == []


def test_a_part_of_a_video_is_read_at_the_times_that_were_asked_for(analyzer: Analyzer, shared: Path) -> None:
    path = shared / "media" / "neutral_smile_neutral.mp4"
    every = list(analyzer.video(path))
    told: list[tuple[int, int]] = []
    part = list(analyzer.video(path, every_s=0.5, start_s=0.4, end_s=2.0, progress=lambda *counts: told.append(counts)))
    expected = [next(r.t_s for r in every if r.t_s >= 0.4)]
    while (due := next((r.t_s for r in every if r.t_s >= expected[-1] + 0.5 - 1e-6), 9.0)) < 2.0:
        expected.append(due)
    assert [result.t_s for result in part] == expected
    # each stands for the time up to the next, so that shares of time stay right
    covered = sum(result.interval_s for result in every if 0.4 <= result.t_s < 2.0)
    assert sum(result.interval_s for result in part) == pytest.approx(covered)
    assert [done for done, _ in told] == list(range(1, len(told) + 1))
    assert told[0][1] == 72
    assert list(analyzer.video(path, start_s=100)) == []


@pytest.mark.parametrize("times", [{"every_s": -1}, {"start_s": np.nan}, {"start_s": 2, "end_s": 2}, {"every_s": np.inf}])
def test_times_that_make_no_sense_are_refused(analyzer: Analyzer, shared: Path, times: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        analyzer.video(shared / "media" / "neutral_smile_neutral.mp4", **times)


def test_a_block_closes_what_is_open(portrait: np.ndarray, shared: Path) -> None:
    with Analyzer("mien-xs") as analyzer:
        video = analyzer.video(shared / "media" / "neutral_smile_neutral.mp4")
        demo = analyzer.stream("demo")
        next(video), next(demo)
    assert len(list(video)) <= 1  # the frame that was decoded already
    for call in (lambda: analyzer.image(portrait), lambda: analyzer.faces([]), lambda: analyzer.stream("demo")):
        with pytest.raises(RuntimeError, match="closed"):
            call()


def test_a_result_is_plain_values_a_table_and_a_picture(analyzer: Analyzer, shared: Path) -> None:
    path = shared / "media" / "five_faces.jpg"
    result = analyzer.image(path)
    face, values = result.faces[0], json.loads(json.dumps(result.to_dict()))
    assert values["faces"][0]["probabilities"] == face.probabilities
    assert (values["width"], values["height"], len(values["faces"])) == (*result.size, len(result.faces))
    assert face.probabilities[face.label] == face.confidence
    assert len(repr(face)) < 80
    assert len(repr(result)) < 40 + 30 * len(result.faces)
    assert result._repr_html_().count("<tr>") == 1 + len(result.faces)
    drawn, plain = mien.draw(path, result), Image.open(path).convert("RGB")
    assert drawn.size == plain.size
    assert (np.asarray(drawn) != np.asarray(plain)).any()
    half = plain.resize((plain.width // 2, plain.height // 2))
    assert mien.draw(half, result).size == half.size

    pandas = pytest.importorskip("pandas")
    table = mien.to_dataframe([result, result])
    assert isinstance(table, pandas.DataFrame)
    assert len(table) == 2 * len(result.faces)
    assert table[list(EMOTIONS)].iloc[0].to_dict() == face.probabilities
    assert set(table.columns) - set(EMOTIONS) <= set(COLUMNS)  # a session's file has the same names
    empty = mien.to_dataframe([])
    assert list(empty.columns) == list(table.columns)


def test_a_face_that_was_not_read_has_no_probabilities(analyzer: Analyzer) -> None:
    place = Detection(Box(0, 0, 10, 10), 0.9, None)
    unread = FaceReading(
        track_id="a", detection=place, raw=np.full(7, np.nan), smoothed=np.full(7, np.nan), label="", unread="too small"
    )
    result = FrameResult(0, 0.0, (20, 20), (unread,))
    assert unread.probabilities == {}
    json.dumps(result.to_dict(), allow_nan=False)
    assert "too small" in repr(result)
    assert "too small" in result._repr_html_()


def test_without_pandas_a_table_says_what_to_install(analyzer: Analyzer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(DeviceError, match="pip install pandas"):
        mien.to_dataframe([])


def test_importing_costs_nothing() -> None:
    program = (
        "import sys\n"
        "from mien import EMOTIONS, MienError\n"
        "print(sorted({'numpy', 'cv2', 'onnxruntime', 'PIL', 'pandas'} & set(sys.modules)))\n"
        "import mien\n"
        "print(all(hasattr(mien, name) for name in mien.__all__), 'pandas' in sys.modules)\n"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert answer.stdout.split("\n")[:2] == ["[]", "True False"]
