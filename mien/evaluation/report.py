"""The report: every picture as a file, and ``report.html``, one page that holds them all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mien import page_parts as part
from mien.evaluation import calibration, report_charts, report_faces
from mien.evaluation.confusion_chart import draw_confusion
from mien.evaluation.evaluate import Evaluation
from mien.evaluation.predictions import write_predictions
from mien.evaluation.views import VIEWS
from mien.files import write_json, write_text
from mien.history import draw_curves


def write_report(evaluation: Evaluation, out: Path) -> None:
    """Write ``report.html``, ``metrics.json``, ``predictions.csv`` and the pictures to ``out``.

    Raises:
        DeviceError: matplotlib is missing, or the folder cannot be written.
    """
    write_json(out / "metrics.json", evaluation.facts)
    write_predictions(out / "predictions.csv", evaluation)
    sections = [
        section
        for section in (
            _views(evaluation, out),
            _classes(evaluation, out),
            _calibration(evaluation, out),
            _people(evaluation),
            report_faces.mistakes_section(evaluation, out),
            report_faces.quality_section(evaluation, out),
            report_faces.robustness_section(evaluation, out),
            report_faces.explanation_section(evaluation, out),
            _groups(evaluation),
            _training(evaluation, out),
        )
        if section is not None
    ]
    card, facts = evaluation.card, evaluation.facts
    warnings = "".join(
        part.paragraph(f"Note: the model was trained on other data than this: {line}") for line in facts["manifest_differences"]
    )
    intro = (
        f'<div class="soft">{card.name}: {card.parameters:,} parameters · {facts["n"]:,} images</div>'
        + part.highlights(_highlights(facts), "facts")
        + warnings
    )
    footer = (
        part.paragraph(part.KEEP_WITH_DATA)
        + part.paragraph(f"Reading a face is not reading a mind: expression, not feeling. Excluded: {card.excluded_use}")
        + part.paragraph(f"Data {facts['dataset_hash']} · numbers: metrics.json · every answer: predictions.csv")
    )
    html = part.page(f"{card.name} on {facts['split']}", f"How good is {card.name} on {facts['split']}?", intro, sections, footer)
    write_text(out / "report.html", html)


def _highlights(facts: dict[str, Any]) -> list[tuple[str, str]]:
    low, high = facts["accuracy_ci"]
    f1_low, f1_high = facts["macro_f1_ci"]
    rows = [
        (f"{facts['accuracy']:.1%}", f"right; 95 % interval {low:.1%} to {high:.1%}"),
        (f"{facts['macro_f1']:.3f}", f"macro-F1, all classes alike; {f1_low:.3f} to {f1_high:.3f}"),
        (f"{facts['ece']:.1%}", f"calibration error; chance alone makes {facts['ece_floor']:.1%}"),
    ]
    if facts["agreement"]:
        level = facts["agreement"]["level"]
        rows.append((f"{level:.0%}", "of the way from a constant answer to one human rater"))
    return rows


def _views(evaluation: Evaluation, out: Path) -> part.LinkedSection:
    facts = evaluation.facts
    rows = [("official", facts), *facts["views"].items()]
    points: list[tuple[str, float, tuple[float, float] | None]] = [
        (name, row["accuracy"], tuple(row["accuracy_ci"])) for name, row in rows
    ]
    points.append(("mirrored", facts["mirrored"]["accuracy"], None))
    report_charts.draw_views(out / "views.png", points)
    table = part.table(
        ("view", "images", "accuracy", "95 % interval", "macro-F1", "95 % interval", "ECE", "NLL", "Brier"),
        [
            (name, row["n"], f"{row['accuracy']:.1%}", _interval(row["accuracy_ci"], "{:.1%}"), f"{row['macro_f1']:.3f}",
             _interval(row["macro_f1_ci"], "{:.3f}"), f"{row['ece']:.1%}", f"{row['nll']:.3f}", f"{row['brier']:.3f}")
            for name, row in rows
        ],
    )  # fmt: skip
    words = "; ".join(f"{name}: {VIEWS[name]}" for name in facts["views"])
    gain = 100 * (facts["mirrored"]["accuracy"] - facts["accuracy"])
    return part.linked_section(
        "views",
        "Views",
        part.picture(out / "views.png", "accuracy by view"),
        table,
        part.paragraph(f"official: every image; {words}." if words else "official: every image."),
        part.paragraph(f"Averaging each answer with that to the mirror image changes accuracy by {gain:+.1f} points."),
    )


def _classes(evaluation: Evaluation, out: Path) -> part.LinkedSection:
    facts = evaluation.facts
    draw_confusion(out / "confusion_matrix.png", evaluation.scores.matrix, "Confusion matrix: share of the row, and images")
    report_charts.draw_classes(out / "classes.png", facts["classes"])
    rows = [
        (name, f"{row['precision']:.3f}", f"{row['recall']:.3f}", f"{row['f1']:.3f}", row["support"])
        for name, row in facts["classes"].items()
    ]
    return part.linked_section(
        "classes",
        "Classes",
        part.beside(
            part.picture(out / "confusion_matrix.png", "confusion matrix"),
            part.picture(out / "classes.png", "precision, recall and F1 by class")
            + part.table(("class", "precision", "recall", "F1", "images"), rows),
        ),
    )


def _calibration(evaluation: Evaluation, out: Path) -> part.LinkedSection:
    facts = evaluation.facts
    selective = facts["selective"]
    report_charts.draw_reliability(out / "reliability.png", facts["reliability"], facts["ece"], facts["ece_floor"])
    curve = calibration.risk_coverage(evaluation.scores.probabilities, evaluation.scores.labels)
    report_charts.draw_risk_coverage(out / "risk_coverage.png", curve, selective)
    at = selective["at_card_threshold"]
    live = (
        f"Live, answers below {selective['card_threshold']:.2f} are shown as uncertain (found on PublicTest): here that leaves "
        f"{at['coverage']:.0%} of the faces, of which {at['error']:.1%} are wrong."
        if selective["card_threshold"]
        else "The bundle's card names no confidence below which live should be uncertain: it is an older bundle."
    )
    rows = [(f"{float(share):.0%}", f"{error:.1%}") for share, error in selective["error_at_coverage"].items()]
    return part.linked_section(
        "confidence",
        "Confidence",
        part.beside(
            part.picture(out / "reliability.png", "reliability diagram")
            + part.paragraph(
                f"Does 80 % mean 80 %? Points are 15 bins of equal mass. Brier score {facts['brier']:.3f}, "
                f"negative log-likelihood {facts['nll']:.3f} nats."
            ),
            part.picture(out / "risk_coverage.png", "risk against coverage")
            + part.table(("surest share answered", "of them wrong"), rows),
        ),
        part.paragraph(live),
    )


def _people(evaluation: Evaluation) -> part.LinkedSection | None:
    found = evaluation.facts["agreement"]
    if not found:
        return None
    low, high = found["level_ci"]
    return part.linked_section(
        "people",
        "People",
        part.paragraph(
            f"Ten people voted on each image (FER+). Leave one of them out: the favourite of the others is a target for that "
            f"person and for the model alike, over {found['n']:,} images."
        ),
        part.bars(
            [
                ("always the commonest answer", found["constant_accuracy"], f"{found['constant_accuracy']:.1%}"),
                ("this model", found["model_accuracy"], f"{found['model_accuracy']:.1%}"),
                ("one human rater", found["rater_accuracy"], f"{found['rater_accuracy']:.1%}"),
            ]
        ),
        part.paragraph(
            f"On that scale the model stands at {found['level']:.0%} of the way from the constant answer to one rater "
            f"({low:.0%} to {high:.0%}). Against the labels of the data set, which the model learnt and the raters never saw, it "
            f"hits {found['model_label_accuracy']:.1%} and a rater {found['rater_label_accuracy']:.1%}."
        ),
        part.paragraph(
            f"Cross-entropy of its answers to the votes: {found['cross_entropy']:.3f} nats; the votes' own entropy, the least "
            f"that is possible, is {found['entropy']:.3f}."
        ),
    )


def _groups(evaluation: Evaluation) -> part.LinkedSection:
    found = evaluation.facts["groups"]
    if not found:
        return part.linked_section("groups", "Groups", part.paragraph(evaluation.facts["groups_note"]))
    rows = []
    for name, row in found.items():
        if "refused" in row:
            rows.append((name, row["n"], "refused", row["refused"], "", "", ""))
            continue
        gap = (f"{100 * row['gap']:+.1f}", _interval(row["gap_ci"], "{:+.3f}"), f"{row['p']:.3f}") if "p" in row else ("", "", "")
        rows.append((name, row["n"], f"{row['accuracy']:.1%}", _interval(row["accuracy_ci"], "{:.1%}"), *gap))
    return part.linked_section(
        "groups",
        "Groups",
        part.table(("group", "images", "accuracy", "95 % interval", "points against the others", "95 % interval", "p"), rows),
        part.paragraph(
            "p: two-sided, corrected after Holm for the number of groups. A gap that is not significant is not proof of none."
        ),
    )


def _training(evaluation: Evaluation, out: Path) -> part.LinkedSection | None:
    pieces = []
    for number, run in enumerate(evaluation.card.training):
        if not run.get("history"):
            continue
        target = out / f"curves_{number + 1}.png"
        draw_curves(target, run["history"], f"network {number + 1} of {len(evaluation.card.training)}: widths {run['widths']}")
        pieces.append(part.picture(target, "loss and accuracy by epoch"))
    if not pieces:
        return None
    return part.linked_section("training", "Training", part.paragraph(f"Made by: {evaluation.card.command}"), *pieces)


def _interval(ends: list[float], form: str) -> str:
    return f"{form.format(ends[0])} to {form.format(ends[1])}"
