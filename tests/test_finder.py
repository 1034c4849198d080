"""Following faces in windows: the same faces as a search of every frame, for a fraction of the time."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mien.records import Box, Detection
from mien.sources.factory import open_source
from mien.sources.files import read_picture
from mien.vision.detector import WINDOW, _window
from mien.vision.detector_choice import open_detector
from mien.vision.finder import MAX_FOLLOWED, FaceFinder
from mien.vision.yunet import YuNetDetector


class CountingYuNet(YuNetDetector):
    """The real detector, which counts how often it searches whole frames."""

    searched = searched_coarsely = 0

    def detect_coarsely(self, image):
        self.searched_coarsely += 1
        return super().detect_coarsely(image)

    def detect(self, image):
        self.searched += 1
        return super().detect(image)


@pytest.fixture
def detector(yunet: Path) -> CountingYuNet:
    return CountingYuNet(yunet)


@pytest.fixture
def group(shared: Path) -> np.ndarray:
    picture = read_picture(shared / "media" / "five_faces.jpg")
    assert picture is not None
    return picture


def moved(image: np.ndarray, dx: float, dy: float = 0.0) -> np.ndarray:
    shift = np.array([[1, 0, dx], [0, 1, dy]], np.float64)
    return cv2.warpAffine(image, shift, image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)


@pytest.mark.parametrize("clip", ["sad_to_happy.mp4", "neutral_smile_neutral.mp4"])
def test_following_finds_what_searching_finds(clip: str, shared: Path, detector: CountingYuNet) -> None:
    finder, plain = FaceFinder(detector), open_detector()
    frames = list(open_source(str(shared / "media" / clip))[0].frames())[:120]
    gaps = []
    for frame in frames:
        followed, searched = finder.update(frame.t_s, frame.image), plain.detect(frame.image)
        assert len(followed) == len(searched) == 1
        assert followed[0].box.iou(searched[0].box) > 0.6
        gaps.append(np.abs(followed[0].landmarks - searched[0].landmarks).mean() / searched[0].box.w)
    assert np.mean(gaps) < 0.05
    assert detector.searched + detector.searched_coarsely < len(frames) / 8


def test_five_faces_are_followed_in_order(group: np.ndarray, detector: CountingYuNet) -> None:
    finder = FaceFinder(detector)
    first = finder.update(0.0, group)
    second = finder.update(0.03, moved(group, 6, 3))
    assert detector.searched == 1
    assert len(first) == len(second) == 5
    for before, after in zip(first, second, strict=True):
        assert after.box.x - before.box.x == pytest.approx(6, abs=8)
        assert Box(before.box.x + 6, before.box.y + 3, before.box.w, before.box.h).iou(after.box) > 0.6
        assert np.abs(after.landmarks - before.landmarks - (6, 3)).mean() < 0.06 * before.box.w


def test_a_lost_face_means_a_search_at_once(group: np.ndarray, detector: CountingYuNet) -> None:
    finder = FaceFinder(detector)
    finder.update(0.0, group)
    covered = group.copy()
    covered[50:190, 200:320] = 90  # the first face is gone
    assert len(finder.update(0.03, covered)) == 4
    assert detector.searched == 2
    assert len(finder.update(0.06, covered)) == 4
    assert detector.searched == 2


def test_a_new_face_is_found_at_the_next_search(group: np.ndarray, detector: CountingYuNet) -> None:
    covered = group.copy()
    covered[50:190, 200:320] = 90
    finder = FaceFinder(detector, search_s=0.5)
    assert [len(finder.update(t, image)) for t, image in ((0.0, covered), (0.3, group), (0.5, group))] == [4, 4, 5]


def test_a_small_face_is_found_at_the_next_thorough_search(group: np.ndarray, detector: CountingYuNet) -> None:
    far = np.full((480, 640, 3), 90, np.uint8)
    near = cv2.resize(group[40:220, 190:330], (140, 180))
    far[200:272, 300:356] = cv2.resize(group[40:220, 190:330], (56, 72), interpolation=cv2.INTER_AREA)
    far[40:220, 20:160] = near
    alone = far.copy()
    alone[200:272, 300:356] = 90
    finder = FaceFinder(detector, search_s=0.5, thorough_s=2.0)
    times = (0.0, 0.2, 0.6, 1.2, 2.1)
    assert [len(finder.update(t, alone if t == 0 else far)) for t in times] == [1, 1, 1, 1, 2]


def test_an_empty_picture_is_searched_ten_times_a_second(detector: CountingYuNet, group: np.ndarray) -> None:
    finder = FaceFinder(detector)
    empty = np.full((480, 640, 3), 80, np.uint8)
    for k in range(30):
        assert finder.update(k / 30, empty) == ()
    assert 8 <= detector.searched + detector.searched_coarsely <= 11
    assert 2 <= detector.searched <= 4
    assert len(FaceFinder(detector).update(0.0, group)) == 5


def test_another_picture_size_or_time_running_back_means_a_search(group: np.ndarray, detector: CountingYuNet) -> None:
    finder = FaceFinder(detector)
    finder.update(1.0, group)
    finder.update(1.1, cv2.resize(group, (800, 534)))
    finder.update(0.2, cv2.resize(group, (800, 534)))
    assert detector.searched == 3


def test_a_face_at_the_edge_is_followed_until_it_is_gone(group: np.ndarray, detector: CountingYuNet) -> None:
    finder = FaceFinder(detector)
    counts = [len(finder.update(k / 25, moved(group, -12.0 * k))) for k in range(48)]
    assert counts[0] == 5
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] < 5


def test_two_windows_on_one_face_mean_a_search(group: np.ndarray, detector: CountingYuNet) -> None:
    finder = FaceFinder(detector)
    faces = finder.update(0.0, group)
    twin = Detection(faces[0].box, 0.9, faces[0].landmarks)
    finder._faces = tuple(finder._followed(face) for face in (faces[0], twin))
    finder._thumbs = [finder._thumbs[0], finder._thumbs[0] + np.int16(50)]  # something moves: they must be looked at
    assert len(finder.update(0.03, group)) == 5
    assert detector.searched == 2


def test_a_crowd_is_searched_every_frame(detector: CountingYuNet, group: np.ndarray) -> None:
    wide = np.hstack([group, group])
    finder = FaceFinder(detector)
    crowd = finder.update(0.0, wide)
    finder.update(0.03, wide)
    assert (len(crowd) > MAX_FOLLOWED) == (detector.searched == 2)


@pytest.mark.parametrize("size", [(1, 1), (2, 700), (30, 30), (2160, 3840)])
def test_any_size_can_be_searched_and_followed(size: tuple[int, int], detector: CountingYuNet) -> None:
    random = np.random.default_rng(0)
    picture = random.integers(0, 256, (*size, 3), dtype=np.uint8)
    boxes = [Box(0, 0, 5, 5), Box(-40, -40, 30, 30), Box(size[1] + 50, 3, 20, 20), Box(0, 0, 4 * size[1], 4 * size[0])]
    assert len(detector.detect_near(picture, boxes)) == 4
    finder = FaceFinder(detector)
    for k in range(3):
        assert isinstance(finder.update(k / 30, picture), tuple)


def test_a_face_that_hardly_moves_is_seen_through_the_same_window() -> None:
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3)).astype(np.uint8)
    box = Box(202.0, 124.0, 150.0, 180.0)
    tile, *place = _window(image, box)
    for dx, dy, grown in ((3, -4, 1.0), (-5, 2, 1.03), (0, 0, 0.96)):
        other, *elsewhere = _window(image, Box(box.x + dx, box.y + dy, box.w * grown, box.h * grown))
        assert elsewhere == place
        assert np.array_equal(other, tile)
    left, top, zoom = place
    middle = np.array((box.x + box.w / 2, box.y + box.h / 2)) / zoom - np.array((left, top)) / zoom
    assert np.abs(middle - WINDOW / 2).max() <= WINDOW / 16 + 1  # never further from its middle than half a cell of the grid
    assert WINDOW / 1.4 / 2**0.2 < max(box.w, box.h) / zoom < WINDOW / 1.4 * 2**0.2
