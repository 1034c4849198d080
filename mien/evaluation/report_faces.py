"""The report's sections that show faces: mistakes, picture quality, robustness, where the network looks."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien import page_parts as part
from mien.data.votes import OTHER_ANSWERS
from mien.emotions import EMOTIONS
from mien.evaluation import mistakes, report_charts
from mien.evaluation.contact_sheet import draw_contact_sheet
from mien.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from mien.evaluation.evaluate import Evaluation
from mien.evaluation.explanation import REGIONS, evidence, face_with_map, heat, verdict
from mien.preprocess import CANONICAL_LANDMARKS

MISTAKES_SHOWN: Final = 48
_EXAMPLES: Final = 8


def mistakes_section(evaluation: Evaluation, out: Path) -> part.LinkedSection:
    """Return the section on what it gets most wrong, and what it confuses."""
    data, p = evaluation.data, evaluation.scores.probabilities
    chosen = mistakes.worst_mistakes(data.labels, p, MISTAKES_SHOWN)
    captions = [_caption(evaluation, int(i)) for i in chosen]
    draw_contact_sheet(
        out / "mistakes.png",
        "The most confident mistakes: label, answer, what people voted",
        list(data.images[chosen]),
        captions,
        8,
    )
    pairs = []
    for pair in evaluation.facts["confused_pairs"]:
        first, second = (EMOTIONS.index(name) for name in pair["pair"])
        pairs.append(f"<h3>{' and '.join(pair['pair'])}: {pair['errors']} images, {pair['share']:.1%} of both classes</h3>")
        for truth, answer in ((first, second), (second, first)):
            shown = mistakes.examples_of(data.labels, p, truth, answer, _EXAMPLES)
            if len(shown):
                pairs.append(part.paragraph(f"labelled {EMOTIONS[truth]}, read as {EMOTIONS[answer]}"))
                pairs.append(part.faces(data.images[shown], [f"{p[i, answer]:.0%}" for i in shown]))
    votes_note = "; in brackets what people voted" if evaluation.votes else ""
    return part.linked_section(
        "mistakes",
        "Mistakes",
        part.paragraph(f"The most confident wrong answers: label, then answer{votes_note}. Many are the label's fault."),
        part.faces(data.images[chosen], [" ".join(lines) for lines in captions]),
        "<h3>The pairs most often taken for one another</h3>",
        *pairs,
    )


def _caption(evaluation: Evaluation, i: int) -> list[str]:
    """Return lines: the label, the answer with its confidence, and the two answers with most votes."""
    row = evaluation.scores.probabilities[i]
    lines = [f"{EMOTIONS[evaluation.data.labels[i]]}, read as", f"{EMOTIONS[int(row.argmax())]} {row.max():.0%}"]
    if evaluation.votes is not None and evaluation.votes.known[i]:
        counts = evaluation.votes.counts[i]
        top = [k for k in np.argsort(-counts, kind="stable")[:2] if counts[k] > 0]
        lines.append("(" + ", ".join(f"{(EMOTIONS + OTHER_ANSWERS)[k]} {counts[k]:g}" for k in top) + ")")
    return lines


def quality_section(evaluation: Evaluation, out: Path) -> part.LinkedSection | None:
    """Return the section on accuracy by picture quality; None where nothing can be said."""
    quality = evaluation.facts["quality"]
    if not report_charts.draw_quality(out / "quality.png", quality, evaluation.facts["accuracy"]):
        return None
    words = "; ".join(f"{name}: {mistakes.MEASURES[name]}" for name in quality)
    missing = "" if "turn" in quality else " Pose and face size need the face detector: run mien fetch once."
    return part.linked_section(
        "quality",
        "Pictures",
        part.paragraph(f"Accuracy by fifths of the images, from the lowest value to the highest; dashed: over all.{missing}"),
        part.picture(out / "quality.png", "accuracy by picture quality"),
        part.paragraph(words + "."),
    )


def robustness_section(evaluation: Evaluation, out: Path) -> part.LinkedSection | None:
    """Return the section on what is left when pictures get worse; None where the suite was not run."""
    found = evaluation.facts["robustness"]
    if not found:
        return None
    report_charts.draw_robustness(out / "robustness.png", found)
    data = evaluation.data
    shown = data.images[[len(data) // 2]]
    rows = []
    for name, corruption in CORRUPTIONS.items():
        spoilt = np.hstack([corrupt(shown, name, s, CANONICAL_LANDMARKS[None])[0] for s in SEVERITIES])
        rows.append(part.faces([np.hstack([shown[0], spoilt])], [f"{name.replace('_', ' ')}: {corruption.meaning}"]))
    table = part.table(
        ("corruption", *(f"severity {s}" for s in SEVERITIES), "mean"),
        [
            (name.replace("_", " "), *(f"{value:.0%}" for value in row["relative"]), f"{row['mean_relative']:.0%}")
            for name, row in found["corruptions"].items()
        ],
    )
    return part.linked_section(
        "robustness",
        "Robustness",
        part.paragraph(
            f"How much of its accuracy ({found['accuracy']:.1%} on {found['n']:,} images) is left when the picture gets worse; "
            f"over all {found['mean_relative']:.0%}. Seed {found['seed']}; mouth and eyes: {found['landmarks']}."
        ),
        part.picture(out / "robustness.png", "relative accuracy by severity"),
        table,
        "<h3>One face through the suite</h3>",
        *rows,
    )


def explanation_section(evaluation: Evaluation, out: Path) -> part.LinkedSection:
    """Return the section on what speaks for the answers, place by place."""
    if evaluation.maps is None:
        return part.linked_section(
            "looks", "Where it looks", part.paragraph("This bundle has no activation maps: it is an older one.")
        )
    found = evaluation.facts["where_it_looks"]
    data, p = evaluation.data, evaluation.scores.probabilities
    places = evidence(evaluation.maps, p.argmax(1))
    means: dict[str, NDArray[np.float32]] = {}
    examples = []
    for k, name in enumerate(EMOTIONS):
        here = p.argmax(1) == k
        if here.any():
            means[name] = np.mean([heat(place) for place in places[here]], axis=0, dtype=np.float32)
        shown = mistakes.examples_of(data.labels, p, k, k, _EXAMPLES)
        if len(shown):
            examples.append((name, [face_with_map(data.images[i], places[i]) for i in shown], [f"{p[i, k]:.0%}" for i in shown]))
    report_charts.draw_mean_maps(out / "mean_maps.png", means)
    sheet = [
        (picture, [name, text]) for name, pictures, texts in examples for picture, text in zip(pictures[:4], texts, strict=False)
    ]
    draw_contact_sheet(
        out / "activation_maps.png", "What speaks for the answer: the surest right answers of each class",
        [picture for picture, _ in sheet], [caption for _, caption in sheet], 4,
    )  # fmt: skip
    rows = [
        (name, *(f"{row['parts'][region]['focus']:.2f}" for region in (*REGIONS, "elsewhere")), f"{row['expressive_focus']:.2f}")
        for name, row in {"all": found["all"], **found["classes"]}.items()
    ]
    return part.linked_section(
        "looks",
        "Where it looks",
        part.paragraph(
            "The network averages over space before its last layer, so each answer is exactly the sum of what every place says. "
            "Bright places speak for the answer rather than for the mean of all classes. The maps have 6x6 places, each of which "
            "sees a good part of the face: they point, they do not outline."
        ),
        part.picture(out / "mean_maps.png", "mean evidence by class"),
        part.table(("answer", *REGIONS, "elsewhere", "brows, eyes, mouth, chin"), rows),
        part.paragraph(f"1.00 is what evenly spread evidence would give. {verdict(found)}"),
        *(piece for name, pictures, texts in examples for piece in (f"<h3>{name}</h3>", part.faces(pictures, texts))),
    )
