"""The library's front door: the README's lines, and anything that may be a picture."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import cv2
import numpy as np
import pytest

from mien import Analyzer
from mien.emotions import EMOTIONS
from mien.errors import DataError
from mien.live.demo import DemoSource
from mien.records import Frame
from mien.vision.pictures import as_bgr

README = Path(__file__).parent.parent / "README.md"


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
    with pytest.raises(DataError, match="a picture is"):
        analyzer.image(picture)


def test_files_that_are_not_there_or_no_pictures_are_refused(analyzer: Analyzer, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("not a picture")
    for call, message in (
        (lambda: analyzer.image(tmp_path / "none.jpg"), "there is no picture"),
        (lambda: analyzer.image(tmp_path / "text.jpg"), "not a picture that can be read"),
        (lambda: analyzer.video(tmp_path / "none.mp4"), "there is no video"),
    ):
        with pytest.raises(DataError, match=message):
            call()


def test_a_thousand_random_frames_of_any_size_and_kind_crash_nothing(analyzer: Analyzer, portrait: np.ndarray) -> None:
    """One pipeline gets them all, so its state meets every change of size, and every fourth holds a face."""
    random = np.random.default_rng(4)
    pipeline = analyzer._pipeline(Random(0))
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
        result = pipeline.update(Frame(k, k / 30, as_bgr(image)))
        faces += len(result.faces)
        for face in result.faces:
            assert face.unread or face.smoothed.sum() == pytest.approx(1, abs=1e-4)
    assert faces > 50


def test_the_lines_of_the_readme_run(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = [block for block in re.findall(r"```python\n(.*?)```", README.read_text(), re.S) if "Analyzer" in block]
    assert blocks
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").write_bytes((shared / "media" / "five_faces.jpg").read_bytes())
    (tmp_path / "lesson.mp4").write_bytes((shared / "media" / "neutral_smile_neutral.mp4").read_bytes())
    for block in blocks:
        exec(compile(block, str(README), "exec"), {})
