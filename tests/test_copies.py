"""Exact and near duplicates, as groups and across splits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from photos import CHANGES, copies_of, data_of, few, photo

from mien.audit.copies import group_sizes, leaked, summarise
from mien.audit.exact import exact_groups
from mien.audit.near import find_near_duplicates
from mien.data.dataset import FaceDataset


@few
@given(seed=st.integers(0, 10_000))
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_photograph_is_found_among_others_and_mirroring_is_detected(change: str, seed: int) -> None:
    others = [photo(100 * seed + k) for k in range(12)]
    images = np.stack([*others, CHANGES[change](others[5])])
    assert exact_groups(images).tolist() == list(range(13))
    pairs = find_near_duplicates(images)
    assert list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)) == [(5, 12)]
    assert pairs.mirrored.tolist() == ["mirrored" in change]


def test_two_hundred_distinct_photographs_are_not_paired() -> None:
    done: list[tuple[int, int]] = []
    images = np.stack([photo(50_000 + k) for k in range(200)])
    assert len(find_near_duplicates(images, lambda n, total: done.append((n, total)))) == 0
    assert done[-1] == (200, 200)


def test_the_index_finds_what_comparing_all_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    originals = [photo(7_000 + k) for k in range(400)]
    changes = list(CHANGES.values())
    images = np.stack([*originals, *(changes[k % len(changes)](image) for k, image in enumerate(originals))])
    exact = find_near_duplicates(images)
    assert len(exact) >= 390
    monkeypatch.setattr("mien.audit.near.EXACT_UP_TO", 100)
    indexed = find_near_duplicates(images)
    pairs = list(zip(indexed.first.tolist(), indexed.second.tolist(), strict=True))
    assert len(pairs) == len(set(pairs))
    assert pairs == sorted(pairs)
    known = set(zip(exact.first.tolist(), exact.second.tolist(), strict=True))
    assert len(known & set(pairs)) >= 0.99 * len(known)
    both = [k for k, pair in enumerate(zip(exact.first.tolist(), exact.second.tolist(), strict=True)) if pair in set(pairs)]
    scores = dict(zip(pairs, indexed.score.tolist(), strict=True))
    assert all(scores[int(exact.first[k]), int(exact.second[k])] == pytest.approx(exact.score[k], abs=1e-5) for k in both)


def test_a_photograph_with_many_copies_keeps_all_its_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search for a fixed number of neighbours would lose some."""
    one = photo(3)
    copies = [np.clip(one.astype(int) + k, 0, 255).astype(np.uint8) for k in range(-20, 20)]
    images = np.stack([*copies, *(photo(9_000 + k) for k in range(400))])
    monkeypatch.setattr("mien.audit.near.EXACT_UP_TO", 10)
    assert len(find_near_duplicates(images)) >= 0.99 * 40 * 39 // 2


def test_no_images_and_blank_images_make_no_pairs() -> None:
    assert len(find_near_duplicates(np.empty((0, 48, 48), np.uint8))) == 0
    assert len(find_near_duplicates(np.stack([np.full((48, 48), level, np.uint8) for level in (0, 7, 7, 255)]))) == 0


def test_a_plain_gradient_is_not_a_copy_of_an_image_with_the_same_lighting() -> None:
    y, x = np.mgrid[:48, :48]
    gradient = (100 + 0.6 * x).astype(np.uint8)
    textured = np.clip(100 + 0.6 * x + 12 * np.sin(2.9 * x) * np.sin(2.5 * y), 0, 255).astype(np.uint8)
    assert len(find_near_duplicates(np.stack([gradient, textured]))) == 0


@few
@given(st.lists(st.integers(0, 4), min_size=1, max_size=30))
def test_equal_pixels_share_the_id_of_the_first_image(which: list[int]) -> None:
    images = np.stack([photo(k) for k in which])
    assert exact_groups(images).tolist() == [which.index(k) for k in which]


def test_changed_real_photographs_are_found(fer2013: FaceDataset) -> None:
    images = fer2013.images[60::120]
    known = find_near_duplicates(images)
    images = np.delete(images, np.unique(known.second), axis=0)
    n = len(images)
    for change, make in CHANGES.items():
        pairs = find_near_duplicates(np.concatenate([images, np.stack([make(image) for image in images])]))
        planted = pairs.second - pairs.first == n
        assert planted.sum() >= 0.97 * n, change
        assert (pairs.mirrored[planted] == ("mirrored" in change)).mean() >= 0.98, change
        assert (~planted).sum() <= 0.03 * n, change


def test_copies_are_joined_transitively() -> None:
    copies = copies_of([0, 1, 0, 3, 4, 5], (0, 4), (1, 4))
    assert copies.photo.tolist() == [0, 0, 0, 3, 0, 5]
    assert group_sizes(copies.photo).tolist() == [4, 4, 4, 1, 4, 1]
    assert copies.exact.tolist() == [0, 1, 0, 3, 4, 5]


def test_copies_are_counted_within_and_across_splits() -> None:
    groups = np.array([0, 1, 0, 0, 1, 5, 6, 5, 8], np.int64)
    dataset = data_of([3, 2, 3, 3, 5, 1, 0, 1, 1], [0, 0, 0, 1, 2, 1, 0, 2, 2])
    assert summarise(groups, dataset) == {
        "groups": 3,
        "images": 7,
        "redundant": 4,
        "conflicting_label_groups": 1,
        "largest_group": 3,
        "cross_split": {"Training>PublicTest": 1, "Training>PrivateTest": 1, "PublicTest>PrivateTest": 1},
    }
    assert np.flatnonzero(leaked(groups, dataset.splits)).tolist() == [3, 4, 7]
    alone = summarise(np.arange(9), dataset)
    assert (alone["groups"], alone["images"], alone["redundant"], alone["conflicting_label_groups"]) == (0, 0, 0, 0)


def test_leaks_do_not_depend_on_the_order_of_the_data() -> None:
    groups, splits = np.array([0, 0, 0, 3], np.int64), np.array([2, 1, 0, 0], np.int64)
    assert leaked(groups, splits).tolist() == [True, True, False, False]


def test_exact_copies_in_fer2013_are_counted(fer2013: FaceDataset) -> None:
    found = summarise(exact_groups(fer2013.images), fer2013)
    assert (found["groups"], found["images"], found["redundant"]) == (1516, 3369, 1853)
    assert found["conflicting_label_groups"] == 57
    assert found["cross_split"] == {"Training>PublicTest": 280, "Training>PrivateTest": 288, "PublicTest>PrivateTest": 44}
