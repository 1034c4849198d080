"""The evaluation as a whole: a bundle, a split, its numbers and their pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mien.data.dataset import SPLITS, FaceDataset
from mien.data.fer_folders import Progress
from mien.data.manifest import manifest, manifest_differences
from mien.data.split_file import read_split_file
from mien.evaluation.confusion_chart import draw_confusion
from mien.evaluation.scores import score
from mien.files import write_json
from mien.modelcard import ModelCard
from mien.vision.predictor import Predictor, bundle_path


def evaluate_bundle(
    bundle: str,
    dataset: FaceDataset,
    split: str,
    out: Path,
    progress: Progress | None = None,
    split_file: Path | None = None,
) -> tuple[ModelCard, dict[str, Any]]:
    """Score a bundle on one split; write ``metrics.json`` and ``confusion_matrix.png`` to ``out``.

    Args:
        bundle: a path, or the name of one in the package.
        dataset: the whole data set.
        split: one of ``SPLITS``.
        out: folder for both files.
        progress: called with (faces done, in all).
        split_file: the audit's decisions; the images of a test split that it marks ``clean``
            are scored apart as well, under ``clean``.

    Returns:
        the bundle's card, and every number of the evaluation; ``manifest_differences`` says
        in what this data set is not the one the bundle was trained on.
    """
    predictor = Predictor(bundle_path(bundle))
    card = predictor.card
    decisions = read_split_file(split_file, dataset) if split_file else None
    scores = score(predictor, dataset.split(split), progress)
    contents = manifest(dataset)
    numbers = {
        "model": card.name,
        "split": split,
        "dataset_hash": contents["dataset_hash"],
        "manifest_differences": manifest_differences(contents, {"dataset_hash": card.dataset_hash, "steps": card.data_steps}),
        **scores.as_dict(),
    }
    if decisions is not None and split != SPLITS[0]:
        clean = decisions.clean[dataset.splits == SPLITS.index(split)]
        numbers["clean"] = scores.part(clean).as_dict() if clean.any() else None
    write_json(out / "metrics.json", numbers)
    title = f"{predictor.card.name} on {split}: {100 * numbers['accuracy']:.1f} % of {numbers['n']}"
    draw_confusion(out / "confusion_matrix.png", scores.matrix, title)
    return card, numbers
