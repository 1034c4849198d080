"""The complete evaluation of a bundle on one split."""

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
from mien.data.fer2013 import has_fer2013_labels
from mien.data.manifest import manifest, manifest_differences
from mien.data.votes import Votes, read_votes
from mien.emotions import EMOTIONS
from mien.errors import BundleError
from mien.evaluation import calibration, mistakes
from mien.evaluation.agreement import ferplus_accuracy, human_agreement
from mien.evaluation.explanation import evidence_by_region
from mien.evaluation.groups import NO_GROUPS_NOTE, by_group, read_groups
from mien.evaluation.robustness import robustness
from mien.evaluation.scores import HeadPredictions, Scores, predict_heads, predict_mirrored
from mien.evaluation.truths import Truth, labelled, truths_about
from mien.evaluation.views import views
from mien.modelcard import FER2013, PEOPLE, ModelCard
from mien.vision.predictor import Predictor

ProgressBar = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
"""Opens a progress bar with a heading and yields a callback ``(done, total)``."""

_LONG: Final = frozenset(
    ["reliability", "selective", "confused_pairs", "quality", "robustness", "where_it_looks", "agreement", "groups", "seconds"]
)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Results of a bundle on one split.

    Attributes:
        card: model card of the bundle.
        data: the N images of the split.
        truths: the ground truths the predictions are scored against, most important first.
        predictions: predictions of every head.
        masks: (N,) bool by view.
        votes: FER+ votes of the images, None without votes.
        facts: all results, as written to ``metrics.json``.
    """

    card: ModelCard
    data: FaceDataset
    truths: tuple[Truth, ...]
    predictions: HeadPredictions
    masks: dict[str, NDArray[np.bool_]]
    votes: Votes | None
    facts: dict[str, Any]

    @property
    def short(self) -> dict[str, Any]:
        """The results without the long tables, as printed and stored beside the bundle."""
        return {key: value for key, value in self.facts.items() if key not in _LONG}

    @property
    def scored(self) -> FaceDataset:
        """The images with a known first truth, labelled with it."""
        return labelled(self.data, self.truths[0])

    @property
    def scores(self) -> Scores:
        """Scores on the ``scored`` images."""
        return self.predictions.scores(self.truths[0])

    @property
    def maps(self) -> NDArray[np.float32] | None:
        """(N, 7, h, w) float32 activation maps of the ``scored`` images; None if the bundle has none for the scored head."""
        first = self.truths[0]
        return (
            self.predictions.maps[first.known] if self.predictions.maps is not None and first.head == self.card.heads[0] else None
        )

    @property
    def numbers(self) -> dict[str, Any]:
        """The results for the first truth."""
        return dict(self.facts["truths"][self.truths[0].name])


def evaluate_bundle(
    bundle: Path,
    dataset: FaceDataset,
    split: str,
    progress_bar: ProgressBar,
    *,
    fer2013_labels: bool | None = None,
    split_file: Path | None = None,
    votes: Path | None = None,
    groups: Path | None = None,
    detector: Path | None = None,
    corruptions: bool = False,
    seed: int = 0,
) -> Evaluation:
    """Return the evaluation of a bundle on one split.

    The long sections (calibration, mistakes, quality, ...) refer to the first truth; the scores cover all of them.

    Args:
        bundle: the ONNX file.
        dataset: the whole data set.
        split: one of ``SPLITS``.
        progress_bar: opens a progress bar for each stage.
        fer2013_labels: whether the labels are FER2013's; None recognises FER2013 by its images.
        split_file: the audit's split file, for the strict view.
        votes: FER+ votes, for the agreement with people.
        groups: CSV with the columns ``image`` and ``group``.
        detector: ONNX file of YuNet, for pose, face size and landmarks; None skips them.
        corruptions: whether to run the robustness suite.
        seed: of the robustness suite.

    Raises:
        UsageError: unknown or empty split, or no ground truth for any head of the bundle.
        DataError: a file is invalid or belongs to other data.
        BundleError: the bundle is invalid, or its heads are swapped.
    """
    seconds: dict[str, float] = {}

    @contextmanager
    def stage(key: str, heading: str) -> Iterator[Callable[[int, int], None]]:
        started = time.perf_counter()
        with progress_bar(heading) as progress:
            yield progress
        seconds[key] = round(time.perf_counter() - started, 2)

    predictor = Predictor(bundle)
    card = predictor.card
    data = dataset.split(split)
    masks = views(dataset, split, split_file)
    crowd = read_votes(votes, data) if votes else None
    of_fer2013 = has_fer2013_labels(dataset) if fer2013_labels is None else fer2013_labels
    truths = truths_about(data, crowd, card.heads, of_fer2013)
    named = read_groups(groups, data.names, dataset.names) if groups else None
    with stage("answers", "predicting") as progress:
        predictions = predict_heads(predictor, data, progress, maps=True)
    if crowd is not None and of_fer2013 and len(card.heads) > 1:
        check_heads(card.name, crowd.majority, data.labels, predictions.of(PEOPLE), predictions.of(FER2013))
    with stage("mirrored", "predicting mirror images") as progress:
        mirrored = predict_mirrored(predictor, data, predictions, progress)
    first = truths[0]
    scored, scores = labelled(data, first), predictions.scores(first)
    maps = predictions.maps[first.known] if predictions.maps is not None and first.head == card.heads[0] else None
    with stage("quality", "image quality") as progress:
        measures = pixel_scores(scored.images, progress)
    landmarks = None
    if detector is not None:
        with stage("faces", "detecting landmarks") as progress:
            geometry = find_faces(scored.images, detector, progress)
        measures |= geometry.scores(measures["flatness"])
        measures["turn"] = np.abs(measures["turn"])
        landmarks = geometry.landmarks
    predicted = scores.probabilities.argmax(1)
    with stage("numbers", "computing scores"):
        contents = manifest(dataset)
        facts = {
            "model": card.name,
            "heads": list(card.heads),
            "split": split,
            "images": len(data),
            "dataset_hash": contents["dataset_hash"],
            "manifest_differences": manifest_differences(contents, {"dataset_hash": card.dataset_hash, "steps": card.data_steps}),
            "truths": {truth.name: _numbers(truth, predictions, mirrored, masks, crowd) for truth in truths},
            "reliability": calibration.reliability_bins(scores.probabilities, scored.labels),
            "selective": calibration.summarise(scores.probabilities, scored.labels, card.uncertain_below),
            "agreement": human_agreement(crowd.counts, predictions.of(card.heads[0])) if crowd else None,
            "confused_pairs": mistakes.confused_pairs(scores.matrix),
            "quality": {
                name: mistakes.accuracy_by_bin(measures[name], predicted == scored.labels)
                for name in mistakes.MEASURES
                if name in measures
            },
            "where_it_looks": evidence_by_region(maps, predicted, landmarks) if maps is not None else None,
            "groups": by_group(tuple(np.array(named)[first.known]), scored.labels, predicted, len(EMOTIONS)) if named else None,
            "groups_note": NO_GROUPS_NOTE,
        }
    facts["robustness"] = None
    if corruptions:
        with stage("robustness", "robustness") as progress:
            facts["robustness"] = robustness(predictor, scored, first.head, landmarks, seed, progress=progress)
    facts["seconds"] = seconds
    return Evaluation(card, data, tuple(truths), predictions, masks, crowd, facts)


def _numbers(
    truth: Truth,
    predictions: HeadPredictions,
    mirrored: HeadPredictions,
    masks: dict[str, NDArray[np.bool_]],
    crowd: Votes | None,
) -> dict[str, Any]:
    """Return the results for one truth: over all its images, by view, and averaged with mirror images."""
    found = {
        "head": truth.head,
        **predictions.scores(truth).as_dict(),
        "views": {name: predictions.scores(part).as_dict() for name, part in truth.views(masks).items()},
        "mirrored": {"accuracy": mirrored.scores(truth).as_dict()["accuracy"]},
    }
    if truth.name == PEOPLE and crowd is not None:
        found["ferplus"] = ferplus_accuracy(crowd.counts, predictions.of(truth.head))
    return found


def check_heads(
    name: str,
    majority: NDArray[np.int64],
    labels: NDArray[np.int64],
    people: NDArray[np.float32],
    fer2013: NDArray[np.float32],
) -> None:
    """Check that the heads of a bundle are not swapped.

    Where the raters' majority differs from FER2013's label, the people head must agree with the raters at least as often
    as the label head does.

    Args:
        name: name of the bundle.
        majority: (N,) majority class of the raters, -1 without one.
        labels: (N,) FER2013's labels.
        people: (N, 7) predictions of the people head.
        fer2013: (N, 7) predictions of the label head.

    Raises:
        BundleError: the heads are swapped.
    """
    disagreeing = (majority >= 0) & (majority != labels)
    if disagreeing.sum() < _MIN_DISAGREEMENTS:
        return
    agreement = [(head.argmax(1)[disagreeing] == majority[disagreeing]).mean() for head in (people, fer2013)]
    if agreement[0] < agreement[1]:
        raise BundleError(
            f"the heads of {name} are swapped: on the {int(disagreeing.sum())} images where people and FER2013's label disagree, "
            f"the people head agrees with people on {agreement[0]:.0%} and the label head on {agreement[1]:.0%}. Export it again"
        )


_MIN_DISAGREEMENTS: Final = 30
"""Fewest images on which people and labels disagree for the check."""
