"""Paired comparison of two models on the same images."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import FaceDataset
from mien.data.fer2013 import has_fer2013_labels
from mien.data.votes import read_votes
from mien.emotions import EMOTIONS
from mien.errors import UsageError
from mien.evaluation.evaluate import ProgressBar
from mien.evaluation.report_charts import draw_contact_sheet
from mien.evaluation.scores import HeadPredictions, Scores, predict_heads
from mien.evaluation.significance import bootstrap_difference, mcnemar_exact
from mien.evaluation.truths import HEADS_IN_WORDS, Truth, heading_of, truths_about
from mien.evaluation.views import views
from mien.files import atomic_path, write_json
from mien.vision.predictor import Predictor

_SHOWN: Final = 24


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same images.

    Attributes:
        names: names of the two models.
        data: the N images.
        truths: the ground truths each model is scored against; the same for both, most important first.
        predictions: predictions of both models.
        masks: (N,) bool by view.
    """

    names: tuple[str, str]
    data: FaceDataset
    truths: tuple[Sequence[Truth], Sequence[Truth]]
    predictions: tuple[HeadPredictions, HeadPredictions]
    masks: dict[str, NDArray[np.bool_]]

    @property
    def facts(self) -> dict[str, Any]:
        """All results as a JSON-compatible dict: by truth, over all its images, and by view under ``views``."""
        everything = np.ones(len(self.data), np.bool_)
        found = {}
        for pair in zip(*self.truths, strict=True):
            found[pair[0].name] = {
                "heads": [truth.head for truth in pair],
                **self._part(pair, everything),
                "views": {view: self._part(pair, mask) for view, mask in self.masks.items() if (mask & pair[0].known).any()},
            }
        return {"models": list(self.names), "truths": found}

    def numbers(self, which: int) -> dict[str, Any]:
        """Return the results of the first (0) or second (1) model by truth, in the format of ``mien evaluate``."""
        predictions = self.predictions[which]
        truths = {
            truth.name: {
                "head": truth.head,
                **predictions.scores(truth).as_dict(),
                "views": {name: predictions.scores(part).as_dict() for name, part in truth.views(self.masks).items()},
            }
            for truth in self.truths[which]
        }
        return {"model": self.names[which], "truths": truths}

    @property
    def scores(self) -> tuple[Scores, Scores]:
        """Scores of both models by the first truth, on all images; the label is -1 where it is unknown."""
        first, second = (
            Scores(truths[0].labels, predictions.of(truths[0].head))
            for truths, predictions in zip(self.truths, self.predictions, strict=True)
        )
        return first, second

    @property
    def differing(self) -> NDArray[np.int64]:
        """(D,) int64 indices of images on which the two predictions differ, among those with a known first truth.

        Sorted by the difference in probability of the true class, largest first.
        """
        labels = self.truths[0][0].labels
        first, second = (s.probabilities for s in self.scores)
        differ = np.flatnonzero((first.argmax(1) != second.argmax(1)) & (labels >= 0))
        rows = differ, labels[differ]
        return np.asarray(differ[np.argsort(-np.abs(first[rows] - second[rows]), kind="stable")], np.int64)

    def _part(self, pair: tuple[Truth, Truth], mask: NDArray[np.bool_]) -> dict[str, Any]:
        """Return the results over the images of ``mask`` with a known truth."""
        chosen = mask & pair[0].known
        both = [
            Scores(truth.labels, predictions.of(truth.head)).part(chosen)
            for truth, predictions in zip(pair, self.predictions, strict=True)
        ]
        correct = tuple(np.asarray(s.probabilities.argmax(1) == s.labels) for s in both)
        only_first, only_second = int((correct[0] & ~correct[1]).sum()), int((~correct[0] & correct[1]).sum())
        numbers = [s.as_dict() for s in both]
        low, high = bootstrap_difference(correct[0], correct[1])
        return {
            "n": len(correct[0]),
            "accuracy": [row["accuracy"] for row in numbers],
            "accuracy_ci": [row["accuracy_ci"] for row in numbers],
            "macro_f1": [row["macro_f1"] for row in numbers],
            "ece": [row["ece"] for row in numbers],
            "difference": numbers[0]["accuracy"] - numbers[1]["accuracy"],
            "difference_ci": [low, high],
            "only_first_right": only_first,
            "only_second_right": only_second,
            "answers_differ": int((both[0].probabilities.argmax(1) != both[1].probabilities.argmax(1)).sum()),
            "mcnemar_p": mcnemar_exact(only_first, only_second),
        }


def compare_bundles(
    bundles: Sequence[Path],
    dataset: FaceDataset,
    split: str,
    progress_bar: ProgressBar,
    split_file: Path | None = None,
    votes: Path | None = None,
    fer2013_labels: bool | None = None,
) -> Comparison:
    """Return the comparison of two bundles on one split, by each truth that applies to both.

    Args:
        bundles: the two ONNX files.
        dataset: the whole data set.
        split: one of ``SPLITS``.
        progress_bar: opens a progress bar for each stage.
        split_file: the audit's split file, for the strict view.
        votes: FER+ votes, for the agreement with people.
        fer2013_labels: whether the labels are FER2013's; None recognises FER2013 by its images.

    Raises:
        UsageError: unknown or empty split, or no truth that applies to both bundles.
        DataError: a file is invalid or belongs to other data.
    """
    predictors = [Predictor(path) for path in bundles]
    data = dataset.split(split)
    crowd = read_votes(votes, data) if votes else None
    of_fer2013 = has_fer2013_labels(dataset) if fer2013_labels is None else fer2013_labels
    each = [truths_about(data, crowd, predictor.card.heads, of_fer2013) for predictor in predictors]
    shared = {truth.name for truth in each[0]} & {truth.name for truth in each[1]}
    if not shared:
        raise UsageError("the two models predict different labels and cannot be compared without votes. Pass --votes")
    first, second = ([truth for truth in truths if truth.name in shared] for truths in each)
    predictions = []
    for predictor in predictors:
        with progress_bar(f"predicting, {predictor.card.name}") as progress:
            predictions.append(predict_heads(predictor, data, progress))
    names = predictors[0].card.name, predictors[1].card.name
    return Comparison(names, data, (first, second), (predictions[0], predictions[1]), views(dataset, split, split_file))


def comparison_text(facts: dict[str, Any]) -> str:
    """Return the comparison as text for the terminal."""
    first, second = facts["models"]
    width = max(len(first), len(second), 10)
    lines = []
    for truth, found in facts["truths"].items():
        heads = " and ".join(dict.fromkeys(HEADS_IN_WORDS[head] for head in found["heads"]))
        lines += [f"{heading_of(truth)} ({heads})", ""]
        lines.append(
            f"{'':>10} {'n':>6} {first:>{width}} {second:>{width}} {'difference':>11} {'95% interval':>17} {'McNemar p':>10}"
        )
        for name, row in (("all", found), *found["views"].items()):
            low, high = row["difference_ci"]
            interval, p = f"{100 * low:+.2f} to {100 * high:+.2f}", _p_value(row["mcnemar_p"])
            lines.append(
                f"{name:>10} {row['n']:6d} {row['accuracy'][0]:{width}.3f} {row['accuracy'][1]:{width}.3f} "
                f"{100 * row['difference']:+11.2f} {interval:>17} {p:>10}"
            )
        lines.append("")
        lines.append(
            f"predictions differ on {found['answers_differ']} of {found['n']} images; only {first} is correct on "
            f"{found['only_first_right']}, only {second} on {found['only_second_right']}"
        )
        if found["mcnemar_p"] < 0.05:
            better = first if found["difference"] > 0 else second
            lines.append(
                f"{better} is significantly better (McNemar, p < 0.05). Differences are in percentage points of accuracy."
            )
        else:
            lines.append("The difference is not significant (McNemar). Differences are in percentage points of accuracy.")
        lines.append("")
    return "\n".join(lines).rstrip()


def _p_value(p: float) -> str:
    """Return a p-value; below 1e-300 a float says nothing exact."""
    return f"{p:.3g}" if p >= 1e-300 else "< 1e-300"


def write_comparison(comparison: Comparison, facts: dict[str, Any], out: Path) -> None:
    """Write ``comparison.json``, ``differences.csv`` (every image on which the predictions differ) and ``differences.png``."""
    data, (first, second) = comparison.data, comparison.scores
    truth = comparison.truths[0][0]
    write_json(out / "comparison.json", facts)
    differing = comparison.differing
    with atomic_path(out / "differences.csv") as temporary, temporary.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(("image", truth.name, "first", "first_confidence", "second", "second_confidence"))
        for i in differing:
            rows = (first.probabilities[i], second.probabilities[i])
            cells = [cell for row in rows for cell in (EMOTIONS[int(row.argmax())], f"{row.max():.6f}")]
            writer.writerow((data.names[i], EMOTIONS[truth.labels[i]], *cells))
    shown = differing[:_SHOWN]
    captions = [
        [
            f"{truth.name}: {EMOTIONS[truth.labels[i]]}",
            *(
                f"{name[:8]}: {EMOTIONS[int(s.probabilities[i].argmax())]} {s.probabilities[i].max():.0%}"
                for name, s in zip(comparison.names, comparison.scores, strict=True)
            ),
        ]
        for i in shown
    ]
    title = f"Where {comparison.names[0]} and {comparison.names[1]} differ most"
    draw_contact_sheet(out / "differences.png", title, list(data.images[shown]), captions, 8)
