from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from datasets import make_dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from mien.audit import quality
from mien.audit.audit import Audit, run_audit
from mien.audit.copies import Copies, group_sizes, join_copies, leaked, summarise
from mien.audit.exact import exact_groups
from mien.audit.faces import FACE_CHECKS, FaceGeometry, find_faces
from mien.audit.labels import FOLDS, LabelAudit, assign_folds, judge_labels, ridge_probabilities
from mien.audit.near import NearPairs, find_near_duplicates
from mien.audit.verdicts import RULES, before_and_after, decide
from mien.audit.votes import OTHER_ANSWERS, Votes, read_votes
from mien.data.dataset import SPLITS, FaceDataset
from mien.data.manifest import manifest, manifest_differences
from mien.data.preparation import effective_number_weights
from mien.data.split_file import COLUMNS, SplitFile, read_split_file, split_text
from mien.emotions import EMOTIONS
from mien.errors import DataError
from mien.metrics import area_under_curve

few = settings(derandomize=True, deadline=None, max_examples=8)
Grey = NDArray[np.uint8]


def photo(seed: int) -> Grey:
    """Return a smooth random picture that looks like a photograph: light from a side, blobs, a little noise."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:48, :48].astype(float)
    picture = 110 + random.normal() * (x - 24) + random.normal() * (y - 24)
    for _ in range(40):
        (cx, cy), width = random.uniform(0, 48, 2), random.uniform(1.5, 8)
        picture += random.normal(0, 35) * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * width**2))
    return np.clip(picture + random.normal(0, 2, (48, 48)), 0, 255).astype(np.uint8)


def moved(image: Grey, dx: float, dy: float, scale: float = 1.0) -> Grey:
    middle = 23.5 * (1 - scale)
    transform = np.array([[scale, 0, middle + dx], [0, scale, middle + dy]])
    return cv2.warpAffine(image, transform, (48, 48), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def encoded(image: Grey) -> Grey:
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_GRAYSCALE)


CHANGES: dict[str, Callable[[Grey], Grey]] = {
    "one pixel to the right": lambda image: moved(image, 1, 0),
    "two pixels up": lambda image: moved(image, 0, -2),
    "half a pixel and one": lambda image: moved(image, 0.5, -1),
    "brighter": lambda image: cv2.convertScaleAbs(image, alpha=0.8, beta=30),
    "less contrast": lambda image: cv2.convertScaleAbs(image, alpha=0.5, beta=60),
    "re-encoded": encoded,
    "larger": lambda image: moved(image, 0, 0, 1.05),
    "mirrored": lambda image: np.ascontiguousarray(image[:, ::-1]),
    "mirrored and moved": lambda image: moved(np.ascontiguousarray(image[:, ::-1]), 1, -1),
}


def data_of(labels: list[int], splits: list[int] | None = None) -> FaceDataset:
    """Return different pictures with these labels, in Training if not said otherwise."""
    n = len(labels)
    images = np.stack([photo(i) for i in range(n)])
    names = tuple(f"train/{EMOTIONS[label]}/{i}.png" for i, label in enumerate(labels))
    return FaceDataset(images, np.array(labels, np.int64), np.array(splits or [0] * n, np.int64), names)


def near(*pairs: tuple[int, int]) -> NearPairs:
    first, second = np.array([*pairs], np.int64).reshape(-1, 2).T
    return NearPairs(first, second, np.ones(len(pairs), np.float32), np.zeros(len(pairs), np.bool_))


def copies_of(exact: list[int], *pairs: tuple[int, int]) -> Copies:
    return join_copies(np.array(exact, np.int64), near(*pairs))


@few
@given(seed=st.integers(0, 10_000))
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_photograph_is_found_among_strangers_and_told_whether_it_is_mirrored(change: str, seed: int) -> None:
    strangers = [photo(100 * seed + k) for k in range(12)]
    images = np.stack([*strangers, CHANGES[change](strangers[5])])
    assert exact_groups(images).tolist() == list(range(13))
    pairs = find_near_duplicates(images)
    assert list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)) == [(5, 12)]
    assert pairs.mirrored.tolist() == ["mirrored" in change]


def test_two_hundred_strangers_are_not_paired() -> None:
    done: list[tuple[int, int]] = []
    images = np.stack([photo(50_000 + k) for k in range(200)])
    assert len(find_near_duplicates(images, lambda n, total: done.append((n, total)))) == 0
    assert done[-1] == (200 * 201 // 2, 200 * 201 // 2)


def test_no_images_and_blank_images_make_no_pairs() -> None:
    assert len(find_near_duplicates(np.empty((0, 48, 48), np.uint8))) == 0
    assert len(find_near_duplicates(np.stack([np.full((48, 48), level, np.uint8) for level in (0, 7, 7, 255)]))) == 0


def test_a_plain_gradient_is_no_copy_of_a_picture_with_the_same_light() -> None:
    y, x = np.mgrid[:48, :48]
    gradient = (100 + 0.6 * x).astype(np.uint8)
    textured = np.clip(100 + 0.6 * x + 12 * np.sin(2.9 * x) * np.sin(2.5 * y), 0, 255).astype(np.uint8)
    assert len(find_near_duplicates(np.stack([gradient, textured]))) == 0


@few
@given(st.lists(st.integers(0, 4), min_size=1, max_size=30))
def test_equal_pixels_share_the_id_of_the_first(which: list[int]) -> None:
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


def test_copies_are_joined_over_several_steps() -> None:
    copies = copies_of([0, 1, 0, 3, 4, 5], (0, 4), (1, 4))
    assert copies.photo.tolist() == [0, 0, 0, 3, 0, 5]
    assert group_sizes(copies.photo).tolist() == [4, 4, 4, 1, 4, 1]
    assert copies.exact.tolist() == [0, 1, 0, 3, 4, 5]


def test_copies_are_counted_within_splits_and_across() -> None:
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


def test_the_order_of_the_data_does_not_hide_a_leak() -> None:
    groups, splits = np.array([0, 0, 0, 3], np.int64), np.array([2, 1, 0, 0], np.int64)
    assert leaked(groups, splits).tolist() == [True, True, False, False]


def test_fer2013_holds_the_copies_that_were_counted(fer2013: FaceDataset) -> None:
    found = summarise(exact_groups(fer2013.images), fer2013)
    assert (found["groups"], found["images"], found["redundant"]) == (1516, 3369, 1853)
    assert found["conflicting_label_groups"] == 57
    assert found["cross_split"] == {"Training>PublicTest": 280, "Training>PrivateTest": 288, "PublicTest>PrivateTest": 44}


def astronaut() -> Grey:
    data = pytest.importorskip("skimage.data")
    return cv2.resize(cv2.cvtColor(data.astronaut()[60:220, 150:310], cv2.COLOR_RGB2GRAY), (48, 48), interpolation=cv2.INTER_AREA)


def captioned(image: Grey) -> Grey:
    written = cv2.GaussianBlur(image, (0, 0), 1.0)
    return cv2.putText(written, "MILLIHILL", (0, 42), cv2.FONT_HERSHEY_PLAIN, 0.6, 255, 1)


FAULTS: dict[str, tuple[Callable[[Grey], Grey], set[str]]] = {
    "nothing": (lambda face: face, set()),
    "black": (np.zeros_like, {"blank", "dark", "low_contrast"}),
    "white": (lambda face: np.full_like(face, 255), {"blank", "bright", "low_contrast"}),
    "blurred": (lambda face: cv2.GaussianBlur(face, (0, 0), 2.0), {"blurred"}),
    "dark": (lambda face: (0.35 * face).astype(np.uint8), {"dark"}),
    "bright": (lambda face: (185 + 0.27 * face).astype(np.uint8), {"bright", "low_contrast"}),
    "grey": (lambda face: (90 + 0.2 * face).astype(np.uint8), {"low_contrast"}),
    "captioned": (captioned, {"text"}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_told_and_no_other(fault: str) -> None:
    make, expected = FAULTS[fault]
    flags = quality.flag_all(quality.pixel_scores(make(astronaut())[None]))
    assert {name for name, flag in flags.items() if flag[0]} == expected


def test_a_caption_is_told_from_the_smooth_picture_below_it() -> None:
    smooth = np.stack([cv2.GaussianBlur(photo(k), (0, 0), 1.0) for k in range(8)])
    before = quality.pixel_scores(smooth)["text"]
    after = quality.pixel_scores(np.stack([captioned(image) for image in smooth]))["text"]
    threshold = next(check.threshold for check in quality.CHECKS if check.name == "text")
    assert before.max() < threshold < np.median(after)
    assert (after > before + 0.1).all()


def test_scores_of_many_images_are_those_of_each_and_always_finite() -> None:
    images = (
        np.random.default_rng(3).integers(0, 256, (1100, 48, 48)).astype(np.uint8) // np.arange(1, 12).repeat(100)[:, None, None]
    )
    images = images.astype(np.uint8)
    images[7], images[900] = 0, 255
    done: list[int] = []
    scores = quality.pixel_scores(images, lambda n, total: done.append(n))
    assert done[-1] == 1100
    for i in (0, 7, 511, 512, 900, 1099):
        alone = quality.pixel_scores(images[i : i + 1])
        for name, values in scores.items():
            assert values[i] == pytest.approx(alone[name][0], rel=1e-4, abs=1e-5), name
    assert all(np.isfinite(values).all() for values in scores.values())
    assert scores["flatness"][7] == 1.0


def test_flatness_is_the_share_of_eight_neighbouring_levels() -> None:
    image = np.full((48, 48), 100, np.uint8)
    image[:12], image[12:24] = 107, 108
    assert quality.pixel_scores(image[None])["flatness"][0] == pytest.approx(0.75)


def test_faces_are_found_in_real_crops_and_not_in_noise(fer2013: FaceDataset, yunet: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3, 48, 48)).astype(np.uint8)
    empty = np.zeros((1, 48, 48), np.uint8)
    real = fer2013.images[::700]
    images = np.concatenate([real, noise, empty])
    found = find_faces(images, yunet)
    assert (found.score[: len(real)] > 0.3).mean() > 0.9
    assert (found.score[len(real) :] < 0.3).all()
    seen = found.landmarks[: len(real)][found.score[: len(real)] > 0.3]
    assert ((seen > -4) & (seen < 52)).all()
    assert (seen[:, 0, 0] < seen[:, 1, 0]).mean() > 0.95
    scores = found.scores(quality.pixel_scores(images)["flatness"])
    assert set(scores) == {"face", "faceless_flatness", "tilt_deg", "turn", "nod", "zoom_off"}
    flags = quality.flag_all(scores, FACE_CHECKS)
    assert flags["no_face"][-4:].all()
    assert flags["placeholder"].tolist() == [False] * (len(images) - 1) + [True]
    assert np.isnan(scores["turn"][-1])
    assert np.median(scores["tilt_deg"][: len(real)][found.score[: len(real)] > 0.3]) < 15


def test_a_turned_face_has_its_angle_and_a_missing_one_none() -> None:
    upright = np.array([[15, 18], [33, 18], [24, 28], [17, 36], [31, 36]], np.float64) - 24
    angle = math.radians(30)
    turned = upright @ np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    points = np.stack([upright + 24, turned + 24, np.full((5, 2), np.nan)]).astype(np.float32)
    scores = FaceGeometry(np.array([0.9, 0.9, 0.0], np.float32), points).scores(np.zeros(3, np.float32))
    assert scores["tilt_deg"][:2].tolist() == pytest.approx([0, 30], abs=1)
    assert scores["turn"][:2].tolist() == pytest.approx([0, 0], abs=0.02)
    assert all(np.isnan(scores[name][2]) for name in ("tilt_deg", "turn", "nod", "zoom_off"))
    assert quality.flag_all(scores, FACE_CHECKS)["tilted"].tolist() == [False, True, False]


FERPLUS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")


def write_votes(path: Path, head: list[str], rows: list[list[object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([head, *rows])
    return path


def original_order(dataset: FaceDataset) -> FaceDataset:
    return replace(dataset, names=tuple(f"fer2013.csv:{line}" for line in range(2, len(dataset) + 2)))


def test_votes_are_matched_by_path_whatever_order_and_folder(tmp_path: Path) -> None:
    dataset = data_of([3, 4, 2])
    rows: list[list[object]] = [[f"archive/{name}", 0, k + 3, 0, 0, 0, 0, 2, 0, 0, 5 * k] for k, name in enumerate(dataset.names)]
    votes = read_votes(write_votes(tmp_path / "v.csv", ["path", *FERPLUS], rows[1::-1]), dataset)
    assert votes.counts.shape == (3, len(EMOTIONS) + len(OTHER_ANSWERS))
    assert votes.counts[:, EMOTIONS.index("happy")].tolist() == [3, 4, 0]
    assert votes.counts[:, EMOTIONS.index("fear")].tolist() == [2, 2, 0]
    assert votes.known.tolist() == [True, True, False]
    assert votes.clear.tolist() == [True, False, False]
    assert votes.winner[:2].tolist() == [EMOTIONS.index("happy"), len(EMOTIONS) + OTHER_ANSWERS.index("NF")]
    assert votes.not_a_face.tolist() == [False, True, True]


MICROSOFT = ["Usage", "Image name", *FERPLUS]


def test_microsofts_own_file_is_matched_by_the_line(tmp_path: Path) -> None:
    dataset = original_order(make_dataset((2, 1, 1)))
    rows: list[list[object]] = [[SPLITS[s], f"fer{i:07}.png", i, *[0] * 9] for i, s in enumerate(dataset.splits)]
    path = write_votes(tmp_path / "fer2013new.csv", MICROSOFT, rows)
    order = np.random.default_rng(0).permutation(len(dataset))[:20]
    votes = read_votes(path, dataset.take(order))
    assert votes.counts[:, EMOTIONS.index("neutral")].tolist() == order.tolist()
    with pytest.raises(DataError, match=r"not in the order of this CSV: line 2 is 'PrivateTest'"):
        read_votes(write_votes(tmp_path / "turned.csv", MICROSOFT, rows[::-1]), dataset)
    with pytest.raises(DataError, match="5 lines, the data set 28"):
        read_votes(write_votes(tmp_path / "short.csv", MICROSOFT, rows[:5]), dataset)
    with pytest.raises(DataError, match=r"no image names.*path column") as caught:
        read_votes(path, make_dataset((2, 1, 1)))
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("head", "row", "said"),
    [
        (["path", *FERPLUS[:-1]], [0] * 9, "expected FER\\+'s ten answers"),
        (["path", *FERPLUS], None, "are empty"),
        (["path", *FERPLUS], ["many", *[0] * 9], "line 2: .*'many'"),
        (["path", *FERPLUS], [0] * 9, "line 2: "),
        (["path", *FERPLUS], ["inf", *[0] * 9], "not a number"),
        (["path", *FERPLUS], ["nan", *[0] * 9], "not a number"),
        (["file", *FERPLUS], [0] * 10, "no image names"),
    ],
)
def test_votes_that_are_none_are_refused(tmp_path: Path, head: list[str], row: list[object] | None, said: str) -> None:
    dataset = data_of([3])
    rows = [] if row is None else [[dataset.names[0], *row]]
    with pytest.raises(DataError, match=said):
        read_votes(write_votes(tmp_path / "v.csv", head, rows), dataset)


def test_votes_for_other_data_or_no_text_at_all_are_refused(tmp_path: Path) -> None:
    dataset = data_of([3, 2])
    with pytest.raises(DataError, match="cannot read the votes"):
        read_votes(tmp_path / "none.csv", dataset)
    with pytest.raises(DataError, match="only 0 of 2 match"):
        read_votes(write_votes(tmp_path / "o.csv", ["path", *FERPLUS], [["train/happy/x.png", *[1] * 10]]), dataset)
    (tmp_path / "b.csv").write_bytes(b"\x89PNG\xff\xfe\x00")
    with pytest.raises(DataError, match="not a text CSV"):
        read_votes(tmp_path / "b.csv", dataset)


def test_a_line_of_votes_that_ends_before_its_path_is_refused(tmp_path: Path) -> None:
    dataset = data_of([3, 2])
    rows: list[list[object]] = [[*[1] * 10, dataset.names[0]], [1] * 10]
    with pytest.raises(DataError, match="line 3"):
        read_votes(write_votes(tmp_path / "v.csv", [*FERPLUS, "path"], rows), dataset)


@few
@given(st.integers(0, 1000))
def test_folds_keep_copies_together_and_spread_classes(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = random.integers(0, 7, 700)
    groups = np.arange(700)
    groups[350:] = np.where(random.random(350) < 0.3, random.integers(0, 350, 350), groups[350:])
    folds = assign_folds(groups, labels)
    assert set(folds.tolist()) == set(range(FOLDS))
    assert (folds == folds[groups]).all()
    for label in range(7):
        counts = np.bincount(folds[(labels == label) & (groups == np.arange(700))], minlength=FOLDS)
        assert counts.max() - counts.min() <= 1


def relabelled_tests(dataset: FaceDataset, seed: int = 9) -> FaceDataset:
    """Return the data set with the labels of the test splits exchanged among them."""
    labels, tests = dataset.labels.copy(), dataset.splits != 0
    labels[tests] = np.random.default_rng(seed).permutation(labels[tests])
    return replace(dataset, labels=labels)


@pytest.fixture(scope="module")
def noisy() -> tuple[FaceDataset, NDArray[np.bool_], NDArray[np.int64], NDArray[np.float32]]:
    """Patterns with every tenth Training label wrong: data set, what is wrong, folds, the small model's probabilities."""
    random = np.random.default_rng(0)
    clean = make_dataset((60, 6, 0))
    wrong = (random.random(len(clean)) < 0.1) & (clean.splits == 0)
    dataset = replace(clean, labels=np.where(wrong, (clean.labels + random.integers(1, 7, len(clean))) % 7, clean.labels))
    folds = assign_folds(np.arange(len(dataset)), dataset.labels)
    return dataset, wrong, folds, ridge_probabilities(dataset, folds)


def test_planted_wrong_labels_are_suspected(noisy: tuple[Any, ...]) -> None:
    dataset, wrong, _, probabilities = noisy
    audit = judge_labels(dataset, probabilities, "ridge")
    training = dataset.splits == 0
    assert np.allclose(probabilities.sum(1), 1, atol=1e-5)
    assert (probabilities >= 0).all()
    assert roc_auc_score(wrong[training], audit.suspicion[training]) > 0.95
    assert audit.issue[wrong].mean() > 0.7
    assert audit.issue[training & ~wrong].mean() < 0.05
    assert (audit.suggestion[~training] == dataset.labels[~training]).mean() > 0.9


def test_test_labels_teach_the_label_model_nothing(noisy: tuple[Any, ...]) -> None:
    dataset, _, folds, probabilities = noisy
    other = relabelled_tests(dataset)
    training = dataset.splits == 0
    assert np.array_equal(ridge_probabilities(other, folds)[training], probabilities[training])
    ours, theirs = judge_labels(dataset, probabilities, "ridge"), judge_labels(other, probabilities, "ridge")
    assert np.array_equal(ours.issue[training], theirs.issue[training])


def test_the_small_model_never_saw_the_labels_it_judges(noisy: tuple[Any, ...]) -> None:
    dataset, _, folds, probabilities = noisy
    judged = folds == 2
    other = replace(dataset, labels=np.where(judged, (dataset.labels + 1) % 7, dataset.labels))
    assert np.array_equal(ridge_probabilities(other, folds)[judged].argmax(1), probabilities[judged].argmax(1))


def no_faults(n: int, **flags: list[int]) -> dict[str, NDArray[np.bool_]]:
    return {name: np.isin(np.arange(n), where) for name, where in ({"blank": []} | flags).items()}


def votes_of(*rows: dict[str, int]) -> Votes:
    answers = EMOTIONS + OTHER_ANSWERS
    return Votes(np.array([[row.get(answer, 0) for answer in answers] for row in rows], np.float32))


def opinion_of(dataset: FaceDataset, suspicion: list[float], issue: list[int]) -> LabelAudit:
    """Return a model that gives the rest of its belief to the class after the given label."""
    n, doubt = len(dataset), np.array(suspicion, np.float32)
    probabilities = np.zeros((n, 7), np.float32)
    probabilities[np.arange(n), dataset.labels] = 1 - doubt
    probabilities[np.arange(n), (dataset.labels + 1) % 7] += doubt
    return LabelAudit(probabilities, doubt, np.isin(np.arange(n), issue), "made up")


def test_of_exact_copies_the_first_stays() -> None:
    decisions = decide(data_of([3, 3, 3, 3]), copies_of([0, 0, 2, 0]), no_faults(4), None, None)
    assert decisions.actions == ("keep", "drop", "keep", "drop")
    assert decisions.weights.tolist() == [1, 0, 1, 0]
    assert decisions.reasons == ("", "exact copy (train/happy/0.png)", "", "exact copy (train/happy/0.png)")


def test_copies_that_disagree_go_unless_a_majority_or_the_crowd_decides() -> None:
    pair, triple = data_of([3, 5]), data_of([5, 3, 3])
    both = decide(pair, copies_of([0, 0]), no_faults(2), None, None)
    assert both.actions == ("drop", "drop")
    assert all(reason.startswith("copies disagree") for reason in both.reasons)
    assert decide(triple, copies_of([0, 0, 0]), no_faults(3), None, None).actions == ("drop", "keep", "drop")
    sad = votes_of(*[{"sad": 8, "happy": 2}] * 2)
    assert decide(pair, copies_of([0, 0]), no_faults(2), None, sad).actions == ("drop", "keep")
    for crowd in ({"sad": 5, "happy": 5}, {"fear": 10}):
        assert decide(pair, copies_of([0, 0]), no_faults(2), None, votes_of(crowd, crowd)).actions == ("drop", "drop")


def test_near_copies_share_the_weight_of_one() -> None:
    dataset = data_of([3, 3, 3, 3, 3, 3], [0, 0, 0, 0, 1, 0])
    decisions = decide(dataset, copies_of([0, 1, 2, 0, 4, 5], (0, 1), (1, 2), (2, 4)), no_faults(6), None, None)
    assert decisions.weights.tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0, 1, 1])
    assert decisions.actions == ("down-weight", "down-weight", "down-weight", "drop", "leaked", "keep")
    assert decisions.reasons[0] == "near copy (3 versions)"
    assert decisions.reasons[4] == "near copy in an earlier split"


def test_a_test_image_between_two_training_images_does_not_make_them_copies() -> None:
    dataset = data_of([3, 3, 3], [0, 1, 0])
    decisions = decide(dataset, copies_of([0, 1, 2], (0, 1), (1, 2)), no_faults(3), None, None)
    assert decisions.weights.tolist() == [1, 1, 1]
    assert decisions.actions == ("keep", "leaked", "keep")


def test_test_images_are_marked_and_nothing_else() -> None:
    dataset = data_of([3, 3, 5, 2, 2, 3], [0, 1, 2, 1, 2, 1])
    opinion = opinion_of(dataset, [0.1, 0.99, 0.99, 0.99, 0.99, 0.99], [1, 2, 3, 4, 5])
    faults = no_faults(6, blank=[3], no_face=[1, 2, 3])
    votes = votes_of({"happy": 9}, *[{"NF": 9}] * 5)
    decisions = decide(dataset, copies_of([0, 0, 2, 3, 3, 5]), faults, opinion, votes)
    assert decisions.actions == ("keep", "leaked", "clean", "clean", "leaked", "clean")
    assert decisions.weights.tolist() == [1] * 6
    assert decisions.clean.tolist() == [False, False, True, True, False, True]
    assert decisions.reasons[1] == "same pixels in an earlier split"


def test_what_is_no_face_is_dropped_and_what_is_doubtful_counts_half() -> None:
    votes = votes_of({"happy": 9}, {"NF": 9}, {"NF": 9}, {"happy": 9}, {"NF": 4, "happy": 5})
    faults = no_faults(5, blank=[0], no_face=[1, 3], placeholder=[])
    decisions = decide(data_of([3] * 5), copies_of([0, 1, 2, 3, 4]), faults, None, votes)
    assert decisions.actions == ("drop", "drop", "down-weight", "down-weight", "keep")
    assert decisions.weights.tolist() == [0, 0, 0.5, 0.5, 1]
    assert decisions.reasons == ("not a face", "not a face", "not a face by vote", "no face found", "")
    assert decide(data_of([3] * 5), copies_of([0, 1, 2, 3, 4]), faults, None, None).weights.tolist() == [0, 0.5, 1, 0.5, 1]


def test_doubted_labels_count_less_and_never_change() -> None:
    dataset = data_of([3] * 5)
    opinion = opinion_of(dataset, [0.95, 0.85, 0.95, 0.95, 0.2], [0, 1, 2, 3])
    votes = votes_of({"happy": 5, "sad": 5}, {"happy": 5, "sad": 5}, {"neutral": 10}, {"happy": 10}, {"sad": 10})
    decisions = decide(dataset, copies_of([0, 1, 2, 3, 4]), no_faults(5), opinion, votes)
    assert decisions.weights.tolist() == [0.5, 1, 0.25, 1, 1]
    assert decisions.reasons == ("label doubtful (neutral)", "", "label contradicted (neutral)", "", "")
    assert decide(dataset, copies_of([0, 1, 2, 3, 4]), no_faults(5), opinion, None).weights.tolist() == [0.5, 1, 0.5, 0.5, 1]


@few
@given(st.integers(0, 10_000))
def test_decisions_about_training_do_not_look_at_test_labels_and_name_their_rules(seed: int) -> None:
    random = np.random.default_rng(seed)
    n = 40
    dataset = data_of(random.integers(0, 7, n).tolist(), random.integers(0, 3, n).tolist())
    exact = np.arange(n)
    exact[20:] = np.where(random.random(20) < 0.5, random.integers(0, 20, 20), exact[20:])
    copies = copies_of(exact.tolist(), *[tuple(sorted(random.choice(20, 2, replace=False).tolist())) for _ in range(5)])
    faults = no_faults(n, blank=random.choice(n, 3).tolist(), no_face=random.choice(n, 8).tolist())
    votes = Votes(random.integers(0, 6, (n, 10)).astype(np.float32) ** 2)
    opinion = opinion_of(dataset, random.uniform(0.5, 1, n).tolist(), random.choice(n, 15).tolist())
    ours = decide(dataset, copies, faults, opinion, votes)
    theirs = decide(relabelled_tests(dataset, seed), copies, faults, opinion, votes)
    training = dataset.splits == 0
    assert np.array_equal(ours.weights, theirs.weights)
    assert ours.actions == theirs.actions
    assert (ours.weights[~training] == 1).all()
    assert {a for a, t in zip(ours.actions, training, strict=True) if not t} <= {"clean", "leaked"}
    for i in np.flatnonzero(training):
        rules = [reason.split(" (")[0] for reason in ours.reasons[i].split("; ") if reason]
        assert set(rules) <= set(RULES)
        assert bool(rules) == (ours.weights[i] < 1)
    told = before_and_after(dataset, ours)
    assert sum(told[name]["effective"] for name in EMOTIONS) == pytest.approx(float(ours.weights[training].sum()), abs=0.05)


def decided(n: int = 5) -> tuple[FaceDataset, SplitFile]:
    dataset = data_of([3, 2, 0, 6, 4][:n], [0, 0, 0, 1, 2][:n])
    weights = np.array([1, 1 / 3, 0, 1, 1][:n], np.float32)
    reasons = ("", 'near copy ("a, b"); label doubtful (sad)', "not a face", "", "same pixels in an earlier split")
    return dataset, SplitFile(("keep", "down-weight", "drop", "clean", "leaked")[:n], weights, reasons[:n])


def test_a_split_file_is_read_back_in_any_order_and_under_any_folder(tmp_path: Path) -> None:
    dataset, decisions = decided()
    path = tmp_path / "clean_split.csv"
    path.write_text(split_text(dataset, decisions), encoding="utf-8")
    order = np.array([4, 2, 0, 1, 3])
    wrapped = replace(dataset.take(order), names=tuple(f"archive/fer/{dataset.names[i]}" for i in order))
    for ours, at in ((dataset, np.arange(5)), (wrapped, order)):
        read = read_split_file(path, ours)
        assert read.actions == tuple(decisions.actions[i] for i in at)
        assert read.reasons == tuple(decisions.reasons[i] for i in at)
        assert np.allclose(read.weights, decisions.weights[at], rtol=1e-5)
    assert read_split_file(path, dataset).counts() == {"keep": 1, "down-weight": 1, "drop": 1, "clean": 1, "leaked": 1}


def test_applying_a_split_drops_and_weighs_training_and_leaves_tests_alone() -> None:
    dataset, decisions = decided()
    applied = decisions.apply(dataset)
    assert applied.names == tuple(name for i, name in enumerate(dataset.names) if i != 2)
    assert applied.weights.tolist() == pytest.approx([1, 1 / 3, 1, 1])
    assert applied.take(np.array([3, 1])).weights.tolist() == pytest.approx([1, 1 / 3])
    assert applied.split("Training").weights.tolist() == pytest.approx([1, 1 / 3])
    assert dataset.weights.tolist() == [1] * 5
    assert len(applied.split("PublicTest")) == len(applied.split("PrivateTest")) == 1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Training,fear", "Training,happy", "line 3: .*happy; the data set says Training fear"),
        ("Training,fear", "PublicTest,fear", "line 3: .*PublicTest fear"),
        ("down-weight", "delete", "line 3: action 'delete'"),
        ("down-weight", "clean", "line 3: action 'clean'; an image of Training"),
        ("clean,1", "drop,0", "line 5: action 'drop'; an image of PublicTest"),
        ("0.333333", "nan", "line 3: weight 'nan'"),
        ("0.333333", "2", "line 3: weight '2'"),
        ("0.333333", "-1", "line 3: weight '-1'"),
        ("0.333333", "inf", "line 3: weight 'inf'"),
        ("0.333333", "half", "line 3: weight 'half'"),
        ("0.333333", "", "line 3: weight ''"),
        ("0.333333", "0", "line 3: weight '0'"),
        ("drop,0", "drop,1", "line 4: weight '1'"),
        ("clean,1", "clean,0.5", "line 5: weight '0.5'"),
        ("train/fear/1.png", "train/fear/11.png", "does not name 1 of 5 images, train/fear/1.png"),
        ("action", "deed", "not a split file: its first line must name name, split"),
    ],
)
def test_a_split_file_that_does_not_fit_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    dataset, decisions = decided()
    text = split_text(dataset, decisions)
    assert old in text
    (tmp_path / "s.csv").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(DataError, match=said):
        read_split_file(tmp_path / "s.csv", dataset)


def test_a_split_file_that_is_none_is_refused(tmp_path: Path) -> None:
    dataset, decisions = decided()
    with pytest.raises(DataError, match="mien prepare") as caught:
        read_split_file(tmp_path / "none.csv", dataset)
    assert caught.value.exit_code == 3
    for name, content in {"empty": b"", "head": ",".join(COLUMNS).encode(), "binary": b"\xff\xfe\x00"}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match="not a"):
            read_split_file(tmp_path / name, dataset)
    (tmp_path / "cut").write_text(split_text(dataset, decisions).split(",keep")[0], encoding="utf-8")
    with pytest.raises(DataError):
        read_split_file(tmp_path / "cut", dataset)


def test_a_manifest_tells_content_and_steps_and_not_order() -> None:
    dataset = make_dataset((3, 1, 1))
    ours = manifest(dataset)
    assert manifest(dataset.take(np.random.default_rng(0).permutation(len(dataset)))) == ours
    images = dataset.images.copy()
    images[5, 3, 3] ^= 1
    changed = manifest(replace(dataset, images=images))
    (line,) = manifest_differences(ours, changed)
    assert line.startswith("data set: hash " + ours["dataset_hash"][:12])
    later = json.loads(json.dumps(ours))
    later["steps"]["crop"]["version"] = "later"
    (line,) = manifest_differences(ours, later)
    assert line.startswith("step crop: version ")
    assert "'later' there" in line
    assert manifest_differences(ours, json.loads(json.dumps(ours))) == []


@contextmanager
def bars(heading: str) -> Iterator[Callable[[int, int], None]]:
    assert heading
    yield lambda done, total: None


def nearest_mean(dataset: FaceDataset, folds: NDArray[np.int64], progress: Callable[[int, int], None]) -> NDArray[np.float32]:
    """A label model that takes a moment: likeness to the mean picture of each class in the other folds of Training."""
    pixels = dataset.images.reshape(len(dataset), -1).astype(np.float64) / 255
    found = np.zeros((len(dataset), len(EMOTIONS)))
    for fold in range(FOLDS):
        for k in range(len(EMOTIONS)):
            learn = (folds != fold) & (dataset.splits == 0) & (dataset.labels == k)
            mean = pixels[learn].mean(0) if learn.any() else np.full(pixels.shape[1], 9.0)
            found[folds == fold, k] = -((pixels[folds == fold] - mean) ** 2).mean(1)
    powers = np.exp(20 * found)
    return np.asarray(powers / powers.sum(1, keepdims=True), np.float32)


def audited(dataset: FaceDataset, **options: Any) -> Audit:
    audit = run_audit(
        dataset, ("broken.png",), bars, label_model=("nearest mean", nearest_mean), seconds={"read": 1.0}, **options
    )
    facts = json.loads(json.dumps(audit.facts, allow_nan=False))
    assert facts["images"]["total"] == len(dataset)
    parts = {"exact_duplicates", "near_duplicates", "quality", "label_noise", "balance", "clean_split", "seconds", "manifest"}
    assert parts <= set(facts)
    assert facts["seconds"]["total"] == pytest.approx(sum(v for k, v in facts["seconds"].items() if k != "total"), abs=0.01)
    assert sum(facts["clean_split"]["actions"].values()) == len(audit.decisions.weights) == len(dataset)
    return audit


def photos(per_split: tuple[int, int, int]) -> FaceDataset:
    """Return photographs that all differ, labels in turn."""
    splits = np.repeat(np.arange(3), per_split).tolist()
    return data_of([k % 7 for k in range(len(splits))], splits)


def test_the_audit_finds_what_was_planted() -> None:
    dataset = photos((70, 14, 14))
    images = dataset.images.copy()
    images[1], images[75], images[2], images[90] = (
        images[0],
        images[3],
        CHANGES["brighter"](images[4]),
        CHANGES["mirrored"](images[5]),
    )
    images[6] = 0
    audit = audited(replace(dataset, images=images), votes=votes_of(*[{"happy": 9}] * 98))
    exact, near_found = audit.facts["exact_duplicates"], audit.facts["near_duplicates"]
    assert (exact["groups"], exact["redundant"], exact["conflicting_label_groups"]) == (2, 2, 2)
    assert exact["cross_split"] == {"Training>PublicTest": 1, "Training>PrivateTest": 0, "PublicTest>PrivateTest": 0}
    assert (near_found["pairs"], near_found["mirrored_pairs"], near_found["beyond_exact"]["redundant"]) == (2, 1, 2)
    assert near_found["groups"] == 4
    assert audit.facts["quality"]["checks"]["blank"]["images"] == 1
    assert [audit.decisions.actions[i] for i in (0, 1, 6, 75, 90, 97)] == ["drop", "drop", "drop", "leaked", "leaked", "clean"]
    assert audit.decisions.weights[[2, 4]].max() <= 0.5
    assert audit.facts["images"]["unreadable"] == ["broken.png"]
    assert audit.facts["seconds"]["read"] == 1.0
    assert audit.facts["label_noise"]["agreement"] is not None
    assert "claims" not in audit.facts


def test_an_audit_decides_about_training_without_the_test_labels() -> None:
    dataset = photos((70, 14, 14))
    dataset = dataset.take(np.random.default_rng(4).permutation(len(dataset)))
    ours, theirs = audited(dataset), audited(relabelled_tests(dataset))
    training = dataset.splits == 0
    assert ours.labels is not None
    assert theirs.labels is not None
    assert np.array_equal(ours.labels.suspicion[training], theirs.labels.suspicion[training])
    assert np.array_equal(ours.decisions.weights, theirs.decisions.weights)


def without_contrast(dataset: FaceDataset) -> FaceDataset:
    return replace(dataset, images=np.full_like(dataset.images, 90) + np.arange(len(dataset), dtype=np.uint8)[:, None, None])


@pytest.mark.parametrize(
    ("take", "judged"),
    [
        (lambda data: data.take(data.labels != EMOTIONS.index("disgust")), True),
        (lambda data: replace(data, labels=np.where(data.labels == 1, 2, data.labels) - (np.arange(98) == 2)), True),
        (lambda data: data.take(data.splits == 0), True),
        (lambda data: data.take(data.splits == 1), False),
        (lambda data: data.take(np.array([4])), False),
        (lambda data: without_contrast(data.take(np.array([4]))), False),
        (without_contrast, True),
    ],
    ids=["no disgust", "one disgust", "Training alone", "PublicTest alone", "one image", "one blank image", "all blank"],
)
def test_an_audit_copes_with_what_is_not_there(take: Callable[[FaceDataset], FaceDataset], judged: bool) -> None:
    audit = audited(take(photos((70, 14, 14))))
    assert (audit.labels is not None) == judged
    assert (audit.facts["label_noise"]["model"] is not None) == judged


def test_effective_numbers_are_milder_than_inverse_frequency() -> None:
    counts = {"happy": 7215, "disgust": 436, "sad": 0}
    weights = effective_number_weights(counts)
    assert weights["sad"] == 0
    assert weights["happy"] + weights["disgust"] == pytest.approx(2)
    assert weights["disgust"] / weights["happy"] == pytest.approx((1 - 0.999**7215) / (1 - 0.999**436))
    assert 1 < weights["disgust"] / weights["happy"] < 7215 / 436
    equal = effective_number_weights(counts, beta=0.0)
    assert (equal["happy"], equal["disgust"]) == (1, 1)
    assert set(effective_number_weights(dict.fromkeys(counts, 0)).values()) == {0.0}


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
def test_area_under_curve_is_scikit_learns_with_ties(rows: list[tuple[int, bool]]) -> None:
    scores, positive = np.array([s for s, _ in rows], float), np.array([p for _, p in rows])
    if positive.all() or not positive.any():
        assert math.isnan(area_under_curve(scores, positive))
    else:
        assert area_under_curve(scores, positive) == pytest.approx(roc_auc_score(positive, scores))
