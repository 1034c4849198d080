"""Is one model better than another? Both on the same images, judged in pairs."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import FaceDataset
from mien.emotions import EMOTIONS
from mien.evaluation.contact_sheet import draw_contact_sheet
from mien.evaluation.evaluate import Bars
from mien.evaluation.scores import Scores, score
from mien.evaluation.significance import bootstrap_difference, mcnemar_exact
from mien.evaluation.views import views
from mien.files import atomic_path, write_json
from mien.vision.predictor import Predictor

_SHOWN: Final = 24


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same images.

    Attributes:
        names: of both.
        data: the images.
        scores: of both.
        masks: (N,) bool by view.
    """

    names: tuple[str, str]
    data: FaceDataset
    scores: tuple[Scores, Scores]
    masks: dict[str, NDArray[np.bool_]]

    @property
    def facts(self) -> dict[str, Any]:
        """Every number as plain values: of all images, and by view under ``views``."""
        everything = np.ones(len(self.data), np.bool_)
        return {
            "models": list(self.names),
            **self._part(everything),
            "views": {view: self._part(mask) for view, mask in self.masks.items()},
        }

    @property
    def differing(self) -> NDArray[np.int64]:
        """Positions where exactly one of the two is right or their answers differ, the largest gap in belief first."""
        first, second = (s.probabilities for s in self.scores)
        differ = np.flatnonzero(first.argmax(1) != second.argmax(1))
        rows = differ, self.data.labels[differ]
        return np.asarray(differ[np.argsort(-np.abs(first[rows] - second[rows]), kind="stable")], np.int64)

    def _part(self, mask: NDArray[np.bool_]) -> dict[str, Any]:
        """Return the numbers over the images of ``mask``."""
        both = tuple(s.part(mask) for s in self.scores)
        right = tuple(np.asarray(s.probabilities.argmax(1) == s.labels) for s in both)
        only_first, only_second = int((right[0] & ~right[1]).sum()), int((~right[0] & right[1]).sum())
        numbers = [s.as_dict() for s in both]
        low, high = bootstrap_difference(right[0], right[1])
        return {
            "n": len(right[0]),
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
    bars: Bars,
    split_file: Path | None = None,
    votes: Path | None = None,
) -> Comparison:
    """Return how two bundles do on the same split.

    Args:
        bundles: both ONNX files.
        dataset: the whole data set.
        split: one of ``SPLITS``.
        bars: progress.
        split_file: the audit's decisions, for the strict view.
        votes: the FER+ votes, for the consensus view.

    Raises:
        UsageError: no such split, or it is empty.
        DataError: a file is broken or is for other data.
    """
    first, second = (Predictor(path) for path in bundles)
    judged = dataset.split(split)
    masks = views(dataset, split, split_file, votes)
    answers = []
    for predictor in (first, second):
        with bars(f"reading faces, {predictor.card.name}") as progress:
            answers.append(score(predictor, judged, progress))
    return Comparison((first.card.name, second.card.name), judged, (answers[0], answers[1]), masks)


def comparison_text(facts: dict[str, Any]) -> str:
    """Return the comparison for a terminal."""
    first, second = facts["models"]
    width = max(len(first), len(second), 10)
    lines = [f"{'':>10} {'n':>6} {first:>{width}} {second:>{width}} {'difference':>11} {'95 % interval':>17} {'McNemar p':>10}"]
    for name, row in (("official", facts), *facts["views"].items()):
        low, high = row["difference_ci"]
        lines.append(
            f"{name:>10} {row['n']:6d} {row['accuracy'][0]:{width}.3f} {row['accuracy'][1]:{width}.3f} "
            f"{100 * row['difference']:+11.2f} {f'{100 * low:+.2f} to {100 * high:+.2f}':>17} {row['mcnemar_p']:10.3g}"
        )
    lines.append("")
    lines.append(
        f"answers differ on {facts['answers_differ']} of {facts['n']} images; only {first} is right on "
        f"{facts['only_first_right']}, only {second} on {facts['only_second_right']}"
    )
    if facts["mcnemar_p"] < 0.05:
        better = first if facts["difference"] > 0 else second
        lines.append(f"{better} is better here, and chance alone would rarely show it (differences in points of accuracy).")
    else:
        lines.append("On these images the difference may be chance (differences in points of accuracy).")
    return "\n".join(lines)


def write_comparison(comparison: Comparison, facts: dict[str, Any], out: Path) -> None:
    """Write ``comparison.json``, ``differences.csv`` (every image on which the answers differ) and ``differences.png``."""
    data, (first, second) = comparison.data, comparison.scores
    write_json(out / "comparison.json", facts)
    differing = comparison.differing
    with atomic_path(out / "differences.csv") as temporary, temporary.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(("image", "label", "first", "first_confidence", "second", "second_confidence"))
        for i in differing:
            rows = (first.probabilities[i], second.probabilities[i])
            cells = [cell for row in rows for cell in (EMOTIONS[int(row.argmax())], f"{row.max():.6f}")]
            writer.writerow((data.names[i], EMOTIONS[data.labels[i]], *cells))
    shown = differing[:_SHOWN]
    captions = [
        [
            f"label {EMOTIONS[data.labels[i]]}",
            *(
                f"{name[:8]}: {EMOTIONS[int(s.probabilities[i].argmax())]} {s.probabilities[i].max():.0%}"
                for name, s in zip(comparison.names, comparison.scores, strict=True)
            ),
        ]
        for i in shown
    ]
    title = f"Where {comparison.names[0]} and {comparison.names[1]} differ most"
    draw_contact_sheet(out / "differences.png", title, list(data.images[shown]), captions, 8)
