"""The dashboard's layout: which facts a window of a size shows, and that one picture never leaks into the next."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from factories import frame, reading, snapshot
from numpy.typing import NDArray

from mien.drawing import CLASS_RGB, Rgb
from mien.emotions import EMOTIONS
from mien.views.dashboard import render

HAPPY = EMOTIONS.index("happy")
NO_TREND = {"trend_t_s": np.zeros(0), "trend": np.zeros((0, 7))}


def count(picture: NDArray[np.uint8], colour: Rgb) -> int:
    return int((picture == np.array(colour, np.uint8)).all(axis=2).sum())


@pytest.mark.parametrize("size", [(1100, 620), (1600, 900), (700, 500), (640, 760), (500, 900), (400, 900)])
def test_distribution_and_trend_both_have_room(size: tuple[int, int]) -> None:
    bars = render(frame(), snapshot(distribution=np.eye(7)[HAPPY], **NO_TREND), size)
    ribbon = render(frame(), snapshot(distribution=np.zeros(7)), size)
    assert count(bars, CLASS_RGB[HAPPY]) > 500
    assert count(ribbon, CLASS_RGB[HAPPY]) > 500


def test_the_smallest_window_keeps_the_trend() -> None:
    picture = render(frame(), snapshot(distribution=np.zeros(7)), (320, 240))
    assert count(picture, CLASS_RGB[HAPPY]) > 200


def test_a_time_without_a_face_is_a_gap_in_the_trend() -> None:
    whole = snapshot(distribution=np.zeros(7))
    gap = whole.trend.copy()
    gap[-30:] = np.nan
    full, cut = (
        count(render(frame(), state, (1100, 620)), CLASS_RGB[HAPPY])
        for state in (whole, snapshot(distribution=np.zeros(7), trend=gap))
    )
    assert 0 < cut < 0.6 * full


def test_pictures_do_not_leak_into_one_another_nor_into_the_frame() -> None:
    seen, size = frame(), (1100, 620)
    before = seen.image.copy()
    first = render(seen, snapshot(), size)
    render(seen, snapshot([reading("happy", 0.9, (50, 50, 200, 200))], paused=True, notice="saved"), size)
    assert np.array_equal(render(seen, snapshot(), size), first)
    assert np.array_equal(seen.image, before)


def chip_surface(box: tuple[float, float, float, float]) -> int:
    """Return how much of the picture a chip's solid colour covers; the box's thin line is worn away."""
    picture = render(frame(), snapshot([reading("happy", 0.9, box)], distribution=np.zeros(7), **NO_TREND), (1100, 620))
    solid = (picture == np.array(CLASS_RGB[HAPPY], np.uint8)).all(axis=2).astype(np.uint8)
    return int(cv2.erode(solid, np.ones((4, 4), np.uint8)).sum())


@pytest.mark.parametrize("corner", [(0, 0), (560, 0), (0, 400), (610, 450), (-60, -60), (630, -70)])
def test_a_chip_stays_whole_at_the_edges(corner: tuple[int, int]) -> None:
    amid = chip_surface((280, 200, 80, 80))
    assert amid > 150
    assert chip_surface((*corner, 80, 80)) == pytest.approx(amid, rel=0.05)


def test_a_face_out_of_sight_has_no_chip() -> None:
    assert chip_surface((700, 100, 80, 80)) == 0
