"""The evaluation report: charts as files, and ``report.html`` with all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mien.evaluation import calibration, report_charts, report_faces
from mien.evaluation.evaluate import Evaluation
from mien.evaluation.predictions import write_predictions
from mien.evaluation.report_charts import draw_confusion
from mien.evaluation.scores import macro_f1_note
from mien.evaluation.truths import HEADS_IN_WORDS, MEANINGS, TRUTHS
from mien.evaluation.views import VIEWS
from mien.files import write_json, write_text
from mien.history import draw_curves
from mien.pages import Chart, read_chart, render
from mien.words import exact_percent


def write_report(evaluation: Evaluation, out: Path) -> None:
    """Write ``report.html``, ``metrics.json``, ``predictions.csv`` and the charts to ``out``.

    Raises:
        DeviceError: matplotlib is missing, or the folder cannot be written.
    """
    write_json(out / "metrics.json", evaluation.facts)
    write_predictions(out / "predictions.csv", evaluation)
    sections = {
        "views": ("Truths and views", _views(evaluation, out)),
        "classes": ("Classes", _classes(evaluation, out)),
        "confidence": ("Confidence", _confidence(evaluation, out)),
        "people": ("People", _people(evaluation)),
        "mistakes": ("Mistakes", report_faces.mistakes_section(evaluation, out)),
        "quality": ("Image quality", report_faces.quality_section(evaluation, out)),
        "robustness": ("Robustness", report_faces.robustness_section(evaluation, out)),
        "maps": ("Activation maps", report_faces.explanation_section(evaluation, out)),
        "groups": ("Groups", _groups(evaluation)),
        "training": ("Training", _training(evaluation, out)),
    }
    always = ("maps", "groups")
    page = render(
        "evaluation.html",
        card=evaluation.card,
        first_head=HEADS_IN_WORDS[evaluation.card.heads[0]],
        has_maps=evaluation.predictions.maps is not None,
        facts=evaluation.facts,
        highlights=_highlights(evaluation),
        truth_note=_truth_note(evaluation),
        sections=[(anchor, name) for anchor, (name, values) in sections.items() if values or anchor in always],
        **{anchor: values for anchor, (_, values) in sections.items()},
    )
    write_text(out / "report.html", page)


def _highlights(evaluation: Evaluation) -> list[tuple[str, str]]:
    rows = []
    for name, numbers in evaluation.facts["truths"].items():
        rows.append((exact_percent(numbers["accuracy"]), f"{TRUTHS[name]}; 95% interval {_percents(numbers['accuracy_ci'])}"))
    numbers = evaluation.numbers
    f1_low, f1_high = numbers["macro_f1_ci"]
    rows.append((f"{numbers['macro_f1']:.3f}", f"macro-F1 {macro_f1_note(numbers)}; 95% interval {f1_low:.3f} to {f1_high:.3f}"))
    rows.append((exact_percent(numbers["ece"]), f"calibration error; {exact_percent(numbers['ece_floor'])} expected by chance"))
    return rows


def _truth_note(evaluation: Evaluation) -> str:
    first = evaluation.truths[0]
    note = f"All sections after the table of views refer to {TRUTHS[first.name]}: {MEANINGS[first.name]}."
    if len(evaluation.card.heads) == 1:
        note += f" This bundle has one head, the {HEADS_IN_WORDS[first.head]}."
    return note


def _views(evaluation: Evaluation, out: Path) -> dict[str, Any]:
    truths = evaluation.facts["truths"]
    rows = [
        (f"{TRUTHS[name]}, {view}", HEADS_IN_WORDS[numbers["head"]], row)
        for name, numbers in truths.items()
        for view, row in {"all": numbers, **numbers["views"]}.items()
    ]
    points: list[tuple[str, float, tuple[float, float] | None]] = [
        (name, row["accuracy"], tuple(row["accuracy_ci"])) for name, _, row in rows
    ]
    report_charts.draw_views(out / "views.png", points)
    return {
        "chart": read_chart(out / "views.png"),
        "rows": [
            (name, head, row["n"], exact_percent(row["accuracy"]), _percents(row["accuracy_ci"]), f"{row['macro_f1']:.3f}",
             _interval(row["macro_f1_ci"], "{:.3f}"), exact_percent(row["ece"]), f"{row['nll']:.3f}", f"{row['brier']:.3f}")
            for name, head, row in rows
        ],
        "meanings": "; ".join(f"{TRUTHS[name]}: {MEANINGS[name]}" for name in truths),
        "words": "; ".join(f"{view}: {VIEWS[view]}" for view in evaluation.numbers["views"]),
        "gains": "; ".join(
            f"{TRUTHS[name]} {100 * (numbers['mirrored']['accuracy'] - numbers['accuracy']):+.1f} points"
            for name, numbers in truths.items()
        ),
    }  # fmt: skip


def _classes(evaluation: Evaluation, out: Path) -> dict[str, Any]:
    facts = evaluation.numbers
    draw_confusion(out / "confusion_matrix.png", evaluation.scores.matrix, "Confusion matrix: share of the row, and images")
    report_charts.draw_classes(out / "classes.png", facts["classes"])
    return {
        "confusion": read_chart(out / "confusion_matrix.png"),
        "chart": read_chart(out / "classes.png"),
        "rows": [
            (name, f"{row['precision']:.3f}", f"{row['recall']:.3f}", f"{row['f1']:.3f}", row["support"])
            for name, row in facts["classes"].items()
        ],
    }


def _confidence(evaluation: Evaluation, out: Path) -> dict[str, Any]:
    facts, numbers = evaluation.facts, evaluation.numbers
    selective = facts["selective"]
    report_charts.draw_reliability(out / "reliability.png", facts["reliability"], numbers["ece"], numbers["ece_floor"])
    curve = calibration.risk_coverage(evaluation.scores.probabilities, evaluation.scores.labels)
    report_charts.draw_risk_coverage(out / "risk_coverage.png", curve, selective)
    at, thresholds = selective["at_card_thresholds"], selective["card_thresholds"]
    live = None
    if any(thresholds.values()):
        live = {
            "coverage": exact_percent(at["coverage"], 0),
            "error": exact_percent(at["error"]) if at["coverage"] else "",
            "rows": [
                (
                    name,
                    f"{thresholds[name]:.2f}",
                    row["answers"],
                    exact_percent(row["coverage"], 0),
                    exact_percent(row["error"]) if row["coverage"] else "–",
                )
                for name, row in at["classes"].items()
            ],
        }
    return {
        "reliability": read_chart(out / "reliability.png"),
        "risk_coverage": read_chart(out / "risk_coverage.png"),
        "brier": numbers["brier"],
        "nll": numbers["nll"],
        "error_at_coverage": [
            (exact_percent(float(share), 0), exact_percent(error)) for share, error in selective["error_at_coverage"].items()
        ],
        "live": live,
    }


def _people(evaluation: Evaluation) -> dict[str, Any] | None:
    found = evaluation.facts["agreement"]
    if not found:
        return None
    low, high = found["level_ci"]
    return {
        "images": f"{found['n']:,}",
        "bars": [
            ("always the most common class", found["constant_accuracy"], exact_percent(found["constant_accuracy"])),
            ("this model", found["model_accuracy"], exact_percent(found["model_accuracy"])),
            ("one human rater", found["rater_accuracy"], exact_percent(found["rater_accuracy"])),
        ],
        "level": "On a scale where always answering the most common class is 0% and a single rater is 100%, the model "
        f"reaches {exact_percent(found['level'], 0)} (95% interval {100 * low:.0f} to {exact_percent(high, 0)}).",
        "majority": _majority_text(evaluation),
        "entropy": f"Cross-entropy of the predictions to the votes: {found['cross_entropy']:.3f} nats, "
        f"{found['cross_entropy'] - found['entropy']:.3f} above the entropy of the votes ({found['entropy']:.3f}).",
    }


def _majority_text(evaluation: Evaluation) -> str:
    """Return the accuracy of model and rater on images with a majority, and by the protocol of FER+, as text."""
    one, plus = evaluation.facts["agreement"]["one_rater"], evaluation.numbers.get("ferplus")
    if one is None or plus is None:
        return ""
    return (
        f"On images with a majority of raters, the model agrees with it on {exact_percent(evaluation.numbers['accuracy'])}; "
        f"a single rater agrees on {exact_percent(one)}. By the protocol of FER+ (Barsoum et al. 2016: eight "
        f"expressions, {plus['n']:,} images) accuracy is {exact_percent(plus['accuracy'])} ({_percents(plus['accuracy_ci'])})."
    )


def _groups(evaluation: Evaluation) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for name, row in (evaluation.facts["groups"] or {}).items():
        if "refused" in row:
            rows.append((name, row["n"], "refused", row["refused"], "", "", ""))
            continue
        gap = (f"{100 * row['gap']:+.1f}", _interval(row["gap_ci"], "{:+.3f}"), f"{row['p']:.3f}") if "p" in row else ("", "", "")
        rows.append((name, row["n"], exact_percent(row["accuracy"]), _percents(row["accuracy_ci"]), *gap))
    return rows


def _training(evaluation: Evaluation, out: Path) -> list[Chart]:
    charts = []
    for number, run in enumerate(evaluation.card.training):
        if not run.get("history"):
            continue
        target = out / f"curves_{number + 1}.png"
        draw_curves(target, run["history"], f"network {number + 1} of {len(evaluation.card.training)}: widths {run['widths']}")
        charts.append(read_chart(target))
    return charts


def _percents(ends: list[float]) -> str:
    return f"{100 * ends[0]:.1f} to {exact_percent(ends[1])}"


def _interval(ends: list[float], form: str) -> str:
    return f"{form.format(ends[0])} to {form.format(ends[1])}"
