"""Sections of the report that show faces: mistakes, image quality, robustness, activation maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.data.votes import OTHER_ANSWERS
from mien.emotions import EMOTIONS
from mien.evaluation import mistakes, report_charts
from mien.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from mien.evaluation.evaluate import Evaluation
from mien.evaluation.explanation import REGIONS, evidence, face_with_map, heatmap, interpretation
from mien.evaluation.report_charts import draw_contact_sheet
from mien.pages import pictures, read_chart
from mien.preprocess import CANONICAL_LANDMARKS
from mien.words import exact_percent

MISTAKES_SHOWN: Final = 48
_EXAMPLES: Final = 8


def mistakes_section(evaluation: Evaluation, out: Path) -> dict[str, Any]:
    """Return the template values of the section on mistakes."""
    data, p = evaluation.scored, evaluation.scores.probabilities
    chosen = mistakes.worst_mistakes(data.labels, p, MISTAKES_SHOWN)
    captions = [_caption(evaluation, int(i)) for i in chosen]
    draw_contact_sheet(
        out / "mistakes.png",
        "Most confident mistakes: label, prediction, votes",
        list(data.images[chosen]),
        captions,
        8,
    )
    pairs = []
    for pair in evaluation.facts["confused_pairs"]:
        first, second = (EMOTIONS.index(name) for name in pair["pair"])
        examples = []
        for label, predicted in ((first, second), (second, first)):
            shown = mistakes.examples_of(data.labels, p, label, predicted, _EXAMPLES)
            if len(shown):
                faces = pictures(data.images[shown], [exact_percent(p[i, predicted], 0) for i in shown])
                examples.append((f"{EMOTIONS[label]}, predicted as {EMOTIONS[predicted]}", faces))
        title = f"{' and '.join(pair['pair'])}: {pair['errors']} images, {exact_percent(pair['share'])} of both classes"
        pairs.append({"title": title, "examples": examples})
    return {
        "votes": bool(evaluation.votes),
        "worst": pictures(data.images[chosen], [" ".join(lines) for lines in captions]),
        "pairs": pairs,
    }


def _caption(evaluation: Evaluation, i: int) -> list[str]:
    """Return lines: label, prediction with confidence, and the two most frequent votes."""
    row = evaluation.scores.probabilities[i]
    lines = [
        f"{EMOTIONS[evaluation.scores.labels[i]]}, predicted",
        f"{EMOTIONS[int(row.argmax())]} {exact_percent(row.max(), 0)}",
    ]
    if evaluation.votes is not None:
        counts = evaluation.votes.counts[evaluation.truths[0].known][i]
        top = [k for k in np.argsort(-counts, kind="stable")[:2] if counts[k] > 0]
        if top:
            lines.append("(" + ", ".join(f"{(EMOTIONS + OTHER_ANSWERS)[k]} {counts[k]:g}" for k in top) + ")")
    return lines


def quality_section(evaluation: Evaluation, out: Path) -> dict[str, Any] | None:
    """Return the template values of the section on image quality; None if there is nothing to show."""
    quality = evaluation.facts["quality"]
    if not report_charts.draw_quality(out / "quality.png", quality, evaluation.numbers["accuracy"]):
        return None
    return {
        "chart": read_chart(out / "quality.png"),
        "words": "; ".join(f"{name}: {mistakes.MEASURES[name]}" for name in quality),
        "has_pose": "turn" in quality,
    }


def robustness_section(evaluation: Evaluation, out: Path) -> dict[str, Any] | None:
    """Return the template values of the section on robustness; None if the suite was not run."""
    found = evaluation.facts["robustness"]
    if not found:
        return None
    report_charts.draw_robustness(out / "robustness.png", found)
    data = evaluation.scored
    shown = data.images[[len(data) // 2]]
    strips = []
    for name, corruption in CORRUPTIONS.items():
        corrupted = np.hstack([corrupt(shown, name, s, CANONICAL_LANDMARKS[None])[0] for s in SEVERITIES])
        strips += pictures([np.hstack([shown[0], corrupted])], [f"{name.replace('_', ' ')}: {corruption.meaning}"])
    return {
        "text": f"Accuracy on corrupted images relative to {exact_percent(found['accuracy'])} on the {found['n']:,} originals; "
        f"mean {exact_percent(found['mean_relative'], 0)}. Seed {found['seed']}; landmarks: {found['landmarks']}.",
        "chart": read_chart(out / "robustness.png"),
        "head": ("corruption", *(f"severity {s}" for s in SEVERITIES), "mean"),
        "rows": [
            (
                name.replace("_", " "),
                *(exact_percent(value, 0) for value in row["relative"]),
                exact_percent(row["mean_relative"], 0),
            )
            for name, row in found["corruptions"].items()
        ],
        "strips": strips,
    }


def explanation_section(evaluation: Evaluation, out: Path) -> dict[str, Any] | None:
    """Return the template values of the section on activation maps; None without maps."""
    if evaluation.maps is None:
        return None
    found = evaluation.facts["where_it_looks"]
    data, p = evaluation.scored, evaluation.scores.probabilities
    evidence_maps = evidence(evaluation.maps, p.argmax(1))
    means: dict[str, NDArray[np.float32]] = {}
    examples = []
    for k, name in enumerate(EMOTIONS):
        here = p.argmax(1) == k
        if here.any():
            means[name] = np.mean([heatmap(each) for each in evidence_maps[here]], axis=0, dtype=np.float32)
        shown = mistakes.examples_of(data.labels, p, k, k, _EXAMPLES)
        if len(shown):
            examples.append(
                (
                    name,
                    [face_with_map(data.images[i], evidence_maps[i]) for i in shown],
                    [exact_percent(p[i, k], 0) for i in shown],
                )
            )
    report_charts.draw_mean_maps(out / "mean_maps.png", means)
    sheet = [
        (picture, [name, text]) for name, images, texts in examples for picture, text in zip(images[:4], texts, strict=False)
    ]
    draw_contact_sheet(
        out / "activation_maps.png", "Activation maps: the most confident correct predictions of each class",
        [picture for picture, _ in sheet], [caption for _, caption in sheet], 4,
    )  # fmt: skip
    rows = [
        (name, *(f"{row['parts'][region]['focus']:.2f}" for region in (*REGIONS, "elsewhere")), f"{row['expressive_focus']:.2f}")
        for name, row in {"all": found["all"], **found["classes"]}.items()
    ]
    return {
        "chart": read_chart(out / "mean_maps.png"),
        "head": ("prediction", *REGIONS, "elsewhere", "brows, eyes, mouth, chin"),
        "rows": rows,
        "interpretation": interpretation(found),
        "examples": [(name, pictures(images, texts)) for name, images, texts in examples],
    }
