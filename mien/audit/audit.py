"""The audit as a whole: each part in its turn, timed, and every finding as plain values."""

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

Bars = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
"""Opens a progress bar with a heading; yields a function of (done, total)."""
LabelModel = Callable[[FaceDataset, NDArray[np.int64], Callable[[int, int], None]], NDArray[np.float32]]
"""Gives (N, 7) out-of-fold probabilities for (data set, (N,) fold numbers, progress)."""


_SIZES_KEPT: Final = 20


@dataclass(frozen=True, slots=True)
class Audit:
    """All that was found out about a data set.

    Attributes:
        dataset: what was looked at.
        copies: exact and near duplicates.
        scores: (N,) float32 quality scores by name.
        checks: the checks that were made.
        flags: (N,) bool by name of the check.
        labels: the label model's opinion, None if it was left out.
        votes: the crowd's, None if there are none.
        decisions: what to do with each image.
        facts: every number, as written to ``audit.json``.
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
    bars: Bars,
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
        bars: progress.
        detector: YuNet's file; None leaves the face checks out.
        votes: the crowd's votes for these images.
        label_model: name and function of the label model; None leaves it out.
        sizes: how many images had which (width, height) before they were scaled.
        seconds: stages timed before, such as reading; the audit's own are added.

    Raises:
        DeviceError: a package of the extra ``audit`` is missing.
        BundleError: the detector's file is broken.
    """
    timed = dict(seconds or {})

    @contextmanager
    def stage(key: str, heading: str) -> Iterator[Callable[[int, int], None]]:
        started = time.perf_counter()
        with bars(heading) as progress:
            yield progress
        timed[key] = round(time.perf_counter() - started, 2)

    with stage("statistics", "counting"):
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
        with stage("faces", "looking for faces") as progress:
            scores |= faces.find_faces(dataset.images, detector, progress).scores(scores["flatness"])
            checks += faces.FACE_CHECKS
    flags = quality.flag_all(scores, checks)
    opinion = None
    if label_model is not None and dataset.split_counts()["Training"] >= labels.MIN_IMAGES:
        name, model = label_model
        with stage("labels", f"labels, by a {name}") as progress:
            training_labels = np.where(dataset.training, dataset.labels, -1)  # no test label moves a fold
            folds = labels.assign_folds(duplicates.photo, training_labels)
            opinion = labels.judge_labels(dataset, model(dataset, folds, progress), name)
    with stage("decisions", "deciding"):
        decisions = verdicts.decide(dataset, duplicates, flags, opinion, votes)
        facts = {
            **found,
            "source_sizes": {f"{w}x{h}": n for (w, h), n in Counter(dict(sizes or {})).most_common(_SIZES_KEPT)},
            "manifest": contents,
            "exact_duplicates": copies.summarise(exact, dataset),
            "near_duplicates": copies.summarise_near(duplicates, dataset),
            "quality": {**quality.summarise(flags, scores, checks), "faces": _face_facts(scores, flags, votes)},
            "label_noise": labels.summarise(dataset, opinion, votes),
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
    facts["seconds"] = timed | {"total": round(sum(timed.values()), 2)}
    return Audit(dataset, duplicates, scores, checks, flags, opinion, votes, decisions, facts)


def _face_facts(
    scores: dict[str, NDArray[np.float32]], flags: dict[str, NDArray[np.bool_]], votes: Votes | None
) -> dict[str, Any] | None:
    """Return how the face checks agree with the crowd's "not a face", None without a detector."""
    if "no_face" not in flags:
        return None
    found: dict[str, Any] = {"without_face": int(flags["no_face"].sum()), "mean_score": round(float(scores["face"].mean()), 4)}
    if votes is not None:
        crowd, ours = votes.not_a_face, flags["no_face"] | flags["placeholder"] | flags["blank"]
        both = int((crowd & ours).sum())
        found["against_not_a_face_votes"] = {
            "votes": int(crowd.sum()),
            "found": both,
            "recall": both / max(1, int(crowd.sum())),
            "precision": both / max(1, int(ours.sum())),
            "auc": labels.area_under_curve_or_none(-scores["face"], crowd),
        }
    return found
