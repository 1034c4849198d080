"""Tracks end at cuts and where tiles move, and go on where a person is hidden for a moment."""

from __future__ import annotations

from random import Random

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.records import Box, Detection
from mien.vision.appearance import CutDetector
from mien.vision.tracker import Tracker

PLACES = [Box(40, 40, 60, 80), Box(240, 40, 60, 80)]
"""Where the faces of two tiles are, in a picture of 400x160."""


def person(seed: int) -> NDArray[np.uint8]:
    """A tile of 200x160 with a pattern of its own."""
    coarse = np.random.default_rng(seed).integers(0, 255, (8, 10, 3)).astype(np.uint8)
    return cv2.resize(coarse, (200, 160), interpolation=cv2.INTER_CUBIC).astype(np.uint8, copy=False)


def call(*seeds: int) -> NDArray[np.uint8]:
    """A call of two tiles, side by side; 0 is an empty one."""
    return np.hstack([person(seed) if seed else np.full((160, 200, 3), 30, np.uint8) for seed in seeds])


def faces(count: int) -> list[Detection]:
    return [Detection(box, 0.9, None) for box in PLACES[:count]]


def noisy(image: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """The next frame of the same scene: another exposure, noise, and a movement of two pixels."""
    moved = np.roll(image, 2, axis=1).astype(np.float64) * 0.9 + 8
    return np.clip(moved + np.random.default_rng(seed).normal(0, 6, image.shape), 0, 255).astype(np.uint8)


def test_a_person_who_stays_keeps_the_track() -> None:
    tracker, image = Tracker(Random(1)), call(1, 2)
    first = tracker.update(0.0, faces(2), image)
    assert all(tracker.update(k / 25, faces(2), noisy(image, k)) == first for k in range(1, 10))


def test_a_cut_to_somebody_at_the_same_place_begins_a_track() -> None:
    tracker = Tracker(Random(1))
    (before,) = tracker.update(0.0, faces(1), call(1, 0))
    (after,) = tracker.update(0.04, faces(1), call(3, 0))
    (back,) = tracker.update(0.08, faces(1), call(1, 0))
    assert len({before, after, back}) >= 2
    assert after not in (before, back)


def test_no_track_goes_on_with_another_person_when_a_tile_moves() -> None:
    tracker = Tracker(Random(1))
    ada, ben = tracker.update(0.0, faces(2), call(1, 2))
    (moved,) = tracker.update(0.04, faces(1), call(2, 0))  # Ada leaves, and Ben's tile takes her place
    assert moved not in (ada, ben)


def test_a_person_hidden_for_half_a_second_keeps_the_track() -> None:
    tracker, image = Tracker(Random(1)), call(1, 2)
    first = tracker.update(0.0, faces(2), image)
    for k in range(1, 13):  # a hand before the face of the left one
        hidden = image.copy()
        hidden[30:130, 30:110] = 90
        tracker.update(k / 25, faces(2)[1:], hidden)
    assert tracker.update(0.52, faces(2), noisy(image, 1)) == first


def test_tracks_of_a_time_lapse_last_from_picture_to_picture() -> None:
    tracker, image = Tracker(Random(1)), call(1, 2)
    first = tracker.update(0.0, faces(2), image, 2.0)
    assert tracker.update(2.0, faces(2), noisy(image, 1), 2.0) == first
    assert tracker.update(12.0, faces(2), image, 2.0) != first
    quick = Tracker(Random(1))
    assert quick.update(2.0, faces(2), image, 0.04) != quick.update(0.0, faces(2), image, 0.04)


def test_cuts_are_noticed_and_noise_and_darkness_are_none() -> None:
    cuts, image = CutDetector(), call(1, 2)
    assert [cuts.update(frame) for frame in (image, noisy(image, 1), noisy(image, 2))] == [False] * 3
    assert cuts.update(call(3, 4))
    dark = [np.clip(np.random.default_rng(k).normal(6, 2, image.shape), 0, 255).astype(np.uint8) for k in range(3)]
    assert cuts.update(dark[0])
    assert [cuts.update(frame) for frame in dark[1:]] == [False, False]
    even = CutDetector()
    assert not any(even.update(np.full((48, 64, 3), 80, np.uint8)) for _ in range(3))
