"""The evaluation as a whole: a bundle, a split, its numbers and their pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mien.data.dataset import FaceDataset
from mien.data.fer_folders import Progress
from mien.data.manifest import manifest, manifest_differences
from mien.evaluation.confusion_chart import draw_confusion
from mien.evaluation.scores import score, score_mirrored
from mien.evaluation.views import views
from mien.files import write_json
from mien.modelcard import ModelCard
from mien.vision.bundles import bundle_path
from mien.vision.predictor import Predictor


def evaluate_bundle(
    bundle: str,
    dataset: FaceDataset,
    split: str,
    out: Path,
    progress: Progress | None = None,
    split_file: Path | None = None,
    votes: Path | None = None,
) -> tuple[ModelCard, dict[str, Any]]:
    """Score a bundle on one split; write ``metrics.json`` and ``confusion_matrix.png`` to ``out``.

    Args:
        bundle: a path, or the name of one in the package.
        dataset: the whole data set.
        split: one of ``SPLITS``.
        out: folder for both files.
        progress: called with (faces done, in all).
        split_file: the audit's decisions, for the strict view.
        votes: the FER+ votes, for the consensus view.

    Returns:
        the bundle's card, and every number of the evaluation: of all images, by view under
        ``views``, and under ``mirrored`` the accuracy where each answer is the mean over a face
        and its mirror image. ``manifest_differences`` says in what this data set is not the one
        the bundle was trained on.
    """
    predictor = Predictor(bundle_path(bundle))
    card = predictor.card
    judged = dataset.split(split)
    masks = views(dataset, split, split_file, votes)
    scores = score(predictor, judged, progress)
    contents = manifest(dataset)
    numbers = {
        "model": card.name,
        "split": split,
        "dataset_hash": contents["dataset_hash"],
        "manifest_differences": manifest_differences(contents, {"dataset_hash": card.dataset_hash, "steps": card.data_steps}),
        **scores.as_dict(),
        "views": {name: scores.part(mask).as_dict() for name, mask in masks.items()},
        "mirrored": {"accuracy": score_mirrored(predictor, judged, scores, progress).as_dict()["accuracy"]},
    }
    write_json(out / "metrics.json", numbers)
    title = f"{card.name} on {split}: {100 * numbers['accuracy']:.1f} % of {numbers['n']}"
    draw_confusion(out / "confusion_matrix.png", scores.matrix, title)
    return card, numbers
