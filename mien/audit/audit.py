"""The data audit: runs every check and collects the findings."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.audit import balance, copies, faces, labels, quality, verdicts
from mien.audit.exact import exact_groups
from mien.audit.near import NearPairs, find_near_duplicates
from mien.data.dataset import FaceDataset
from mien.data.fer2013 import CLAIMED_LOW_QUALITY, CLAIMED_NEAR_DUPLICATES, FER2013_HASH
from mien.data.manifest import manifest
from mien.data.preparation import findings
from mien.data.split_file import SplitFile
from mien.data.votes import Votes

ProgressBar = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
"""Opens a progress bar with a heading and yields a callback ``(done, total)``."""
LabelModel = Callable[[FaceDataset, NDArray[np.int64], Callable[[int, int], None]], NDArray[np.float32]]
"""Returns (N, 7) out-of-fold probabilities from ``(dataset, (N,) fold numbers, progress)``."""


_SIZES_KEPT: Final = 20


@dataclass(frozen=True, slots=True)
class Audit:
    """Findings of a data audit.

    Attributes:
        dataset: the audited data set of N images.
        copies: exact and near duplicates.
        scores: (N,) float32 quality scores by name.
        checks: the quality checks that were run.
        flags: (N,) bool by check name, True where the check fails.
        labels: label-error estimates, None if no label model was run.
        votes: the raters' votes, None without votes.
        decisions: action, weight and reasons for each image.
        facts: all results, as written to ``audit.json``.
    """

    dataset: FaceDataset
    copies: copies.Copies
    scores: dict[str, NDArray[np.float32]]
    checks: tuple[quality.Check, ...]
    flags: dict[str, NDArray[np.bool_]]
    labels: labels.LabelAudit | None
    votes: Votes | None
    decisions: SplitFile
    facts: dict[str, Any]


def run_audit(
    dataset: FaceDataset,
    unreadable: Sequence[str],
    progress_bar: ProgressBar,
    *,
    detector: Path | None = None,
    votes: Votes | None = None,
    label_model: tuple[str, LabelModel] | None = None,
    sizes: Mapping[tuple[int, int], int] | None = None,
    seconds: Mapping[str, float] | None = None,
) -> Audit:
    """Return the audit of a data set.

    Args:
        dataset: at least one image.
        unreadable: names of images that could not be read.
        progress_bar: opens a progress bar for each stage.
        detector: ONNX file of YuNet; None skips the face checks.
        votes: the raters' votes for these images.
        label_model: name and function of the label model; None skips the label check.
        sizes: number of images by original (width, height) in pixels.
        seconds: durations of earlier stages in seconds; the audit adds its own.

    Raises:
        DeviceError: a package of the ``audit`` extra is missing.
        BundleError: the detector file cannot be loaded.
    """
    durations = dict(seconds or {})

    @contextmanager
    def stage(key: str, heading: str) -> Iterator[Callable[[int, int], None]]:
        started = time.perf_counter()
        with progress_bar(heading) as progress:
            yield progress
        durations[key] = round(time.perf_counter() - started, 2)

    with stage("statistics", "counting images"):
        contents = manifest(dataset)
        found = findings(dataset, unreadable, contents["dataset_hash"])
    with stage("exact_duplicates", "exact duplicates"):
        exact = exact_groups(dataset.images)
    with stage("near_duplicates", "near duplicates") as progress:
        originals = np.unique(exact)
        pairs = find_near_duplicates(dataset.images[originals], progress)
        pairs = NearPairs(originals[pairs.first], originals[pairs.second], pairs.score, pairs.mirrored)
        duplicates = copies.join_copies(exact, pairs)
    with stage("quality", "quality") as progress:
        scores = quality.pixel_scores(dataset.images, progress)
    checks = quality.CHECKS
    if detector is not None:
        with stage("faces", "detecting faces") as progress:
            scores |= faces.find_faces(dataset.images, detector, progress).scores(scores["flatness"])
            checks += faces.FACE_CHECKS
    flags = quality.flag_all(scores, checks)
    label_audit = None
    if label_model is not None and dataset.split_counts()["Training"] >= labels.MIN_IMAGES:
        name, model = label_model
        with stage("labels", f"label errors ({name})") as progress:
            training_labels = np.where(dataset.training, dataset.labels, -1)  # folds must not depend on test labels
            folds = labels.assign_folds(duplicates.photo, training_labels)
            label_audit = labels.judge_labels(dataset, model(dataset, folds, progress), name)
    with stage("decisions", "decisions"):
        decisions = verdicts.decide(dataset, duplicates, flags, label_audit, votes)
        facts = {
            **found,
            "source_sizes": {f"{w}x{h}": n for (w, h), n in Counter(dict(sizes or {})).most_common(_SIZES_KEPT)},
            "manifest": contents,
            "exact_duplicates": copies.summarise(exact, dataset),
            "near_duplicates": copies.summarise_near(duplicates, dataset),
            "quality": {**quality.summarise(flags, scores, checks), "faces": _face_facts(scores, flags, votes)},
            "label_noise": labels.summarise(dataset, label_audit, votes),
            "balance": balance.compare(dataset, scores),
            "clean_split": {
                "version": verdicts.VERDICTS_VERSION,
                "rules": verdicts.RULES,
                "actions": decisions.counts(),
                "before_and_after": verdicts.before_and_after(dataset, decisions),
            },
        }
    if contents["dataset_hash"] == FER2013_HASH:
        facts["claims"] = {"low_quality_share": CLAIMED_LOW_QUALITY, "near_duplicate_share": CLAIMED_NEAR_DUPLICATES}
    facts["seconds"] = durations | {"total": round(sum(durations.values()), 2)}
    return Audit(dataset, duplicates, scores, checks, flags, label_audit, votes, decisions, facts)


def _face_facts(
    scores: dict[str, NDArray[np.float32]], flags: dict[str, NDArray[np.bool_]], votes: Votes | None
) -> dict[str, Any] | None:
    """Return how the face checks agree with the raters' "not a face" votes; None without a detector."""
    if "no_face" not in flags:
        return None
    found: dict[str, Any] = {"without_face": int(flags["no_face"].sum()), "mean_score": round(float(scores["face"].mean()), 4)}
    if votes is not None:
        voted, flagged = votes.not_a_face, flags["no_face"] | flags["placeholder"] | flags["blank"]
        both = int((voted & flagged).sum())
        found["against_not_a_face_votes"] = {
            "votes": int(voted.sum()),
            "found": both,
            "recall": both / max(1, int(voted.sum())),
            "precision": both / max(1, int(flagged.sum())),
            "auc": labels.area_under_curve_or_none(-scores["face"], voted),
        }
    return found
