"""The evaluation as a whole: a bundle, a split, and everything that can be said about the two."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.audit.faces import find_faces
from mien.audit.quality import pixel_scores
from mien.data.dataset import FaceDataset
from mien.data.manifest import manifest, manifest_differences
from mien.data.votes import Votes, read_votes
from mien.emotions import EMOTIONS
from mien.evaluation import calibration, mistakes
from mien.evaluation.agreement import human_agreement
from mien.evaluation.explanation import where_it_looks
from mien.evaluation.groups import WHAT_IT_CANNOT_TELL, by_group, read_groups
from mien.evaluation.robustness import robustness
from mien.evaluation.scores import Scores, score_mirrored, score_with_maps
from mien.evaluation.views import views
from mien.modelcard import ModelCard
from mien.vision.predictor import Predictor

Bars = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
"""Opens a progress bar with a heading; yields a function of (done, total)."""

_LONG: Final = frozenset(
    ["reliability", "selective", "confused_pairs", "quality", "robustness", "where_it_looks", "agreement", "groups", "seconds"]
)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All that was found out about a bundle on one split.

    Attributes:
        card: of the bundle.
        data: the images judged.
        scores: the answers.
        masks: (N,) bool by view.
        maps: (N, 7, h, w) float32 activation maps; None from a bundle without.
        votes: (N, K) of these images; None if there are none.
        facts: every number, as written to ``metrics.json``.
    """

    card: ModelCard
    data: FaceDataset
    scores: Scores
    masks: dict[str, NDArray[np.bool_]]
    maps: NDArray[np.float32] | None
    votes: Votes | None
    facts: dict[str, Any]

    @property
    def short(self) -> dict[str, Any]:
        """The numbers without the long tables: what is printed, and kept beside the bundle."""
        return {key: value for key, value in self.facts.items() if key not in _LONG}


def evaluate_bundle(
    bundle: Path,
    dataset: FaceDataset,
    split: str,
    bars: Bars,
    *,
    split_file: Path | None = None,
    votes: Path | None = None,
    groups: Path | None = None,
    detector: Path | None = None,
    corruptions: bool = False,
    seed: int = 0,
) -> Evaluation:
    """Return the evaluation of a bundle on one split.

    Args:
        bundle: the ONNX file.
        dataset: the whole data set.
        split: one of ``SPLITS``.
        bars: progress.
        split_file: the audit's decisions, for the strict view.
        votes: the FER+ votes, for the consensus view and the agreement with people.
        groups: a CSV of image and group.
        detector: YuNet's file, for pose, face size and the places of eyes and mouths; None leaves them out.
        corruptions: whether to run the robustness suite.
        seed: of the suite.

    Raises:
        UsageError: no such split, or it is empty.
        DataError: a file is broken or is for other data.
        BundleError: the bundle is.
    """
    seconds: dict[str, float] = {}

    @contextmanager
    def stage(key: str, heading: str) -> Iterator[Callable[[int, int], None]]:
        started = time.perf_counter()
        with bars(heading) as progress:
            yield progress
        seconds[key] = round(time.perf_counter() - started, 2)

    predictor = Predictor(bundle)
    card = predictor.card
    judged = dataset.split(split)
    masks = views(dataset, split, split_file, votes)
    crowd = read_votes(votes, judged) if votes else None
    named = read_groups(groups, judged.names) if groups else None
    with stage("answers", "reading faces") as progress:
        scores, maps = score_with_maps(predictor, judged, progress)
    with stage("mirrored", "reading mirror images") as progress:
        mirrored = score_mirrored(predictor, judged, scores, progress)
    with stage("quality", "judging pictures") as progress:
        measures = pixel_scores(judged.images, progress)
    landmarks = None
    if detector is not None:
        with stage("faces", "looking for eyes and mouths") as progress:
            geometry = find_faces(judged.images, detector, progress)
        measures |= geometry.scores(measures["flatness"])
        measures["turn"] = np.abs(measures["turn"])
        landmarks = geometry.landmarks
    predicted = scores.probabilities.argmax(1)
    with stage("numbers", "counting"):
        contents = manifest(dataset)
        facts = {
            "model": card.name,
            "split": split,
            "dataset_hash": contents["dataset_hash"],
            "manifest_differences": manifest_differences(contents, {"dataset_hash": card.dataset_hash, "steps": card.data_steps}),
            **scores.as_dict(),
            "views": {name: scores.part(mask).as_dict() for name, mask in masks.items()},
            "mirrored": {"accuracy": mirrored.as_dict()["accuracy"]},
            "reliability": calibration.reliability_bins(scores.probabilities, judged.labels),
            "selective": calibration.summarise(scores.probabilities, judged.labels, card.uncertain_below),
            "agreement": human_agreement(crowd.counts, judged.labels, scores.probabilities) if crowd else None,
            "confused_pairs": mistakes.confused_pairs(scores.matrix),
            "quality": {
                name: mistakes.accuracy_by_bin(measures[name], predicted == judged.labels)
                for name in mistakes.MEASURES
                if name in measures
            },
            "where_it_looks": where_it_looks(maps, predicted, landmarks) if maps is not None else None,
            "groups": by_group(named, judged.labels, predicted, len(EMOTIONS)) if named else None,
            "groups_note": WHAT_IT_CANNOT_TELL,
        }
    facts["robustness"] = None
    if corruptions:
        with stage("robustness", "spoiling pictures") as progress:
            facts["robustness"] = robustness(predictor, judged, landmarks, seed, progress=progress)
    facts["seconds"] = seconds
    return Evaluation(card, judged, scores, masks, maps, crowd, facts)
