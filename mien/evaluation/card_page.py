"""A bundle's model card as Markdown, after Mitchell et al. 2019 (arXiv:1810.03993)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mien.evaluation.calibration import ACCEPTED_ERROR
from mien.evaluation.truths import HEADS_IN_WORDS, MEANINGS, OWN, heading_of
from mien.evaluation.views import VIEWS
from mien.modelcard import FER2013, PEOPLE, ModelCard, results_by_truth

HEAD_OUTPUTS: Final = {PEOPLE: "the expression that people see, shown by `mien live`", FER2013: "the label of FER2013"}
_OWN_LABEL: Final = "the label of the training data"
LIMITS: Final = (
    "It classifies the expression a face shows, as labelled by strangers; that is not what a person feels.",
    "FER2013 consists of photographs from web searches, many of them posed. Webcam images, children, occluded faces and "
    "profile views are rarer there than in practice.",
    "FER2013 says nothing about age, sex or skin colour, so fairness across them has not been measured.",
    "Labels are noisy: people agree with them in 65 ± 5% of cases (Goodfellow et al. 2013), so some errors are label errors.",
    "`disgust` has 1.5% of the training images and is the least reliable; `fear`, `sad` and `neutral` are confused most often.",
)
OWN_LIMITS: Final = (
    LIMITS[0],
    "It was trained on a user's own data. How this data was collected and labelled is not "
    "recorded here. Fairness across age, sex and skin colour has not been measured.",
)
"""Limits of a bundle that was not trained on FER2013."""

_SETTINGS_SHOWN: Final = (
    "epochs",
    "best_epoch",
    "batch_size",
    "optimiser",
    "label_smoothing",
    "people_share",
    "small_until",
    "ema_decay",
    "seed",
    "widths",
    "blocks",
)


def card_page(card: ModelCard, sha256: str = "", size: int = 0, evaluations: Mapping[str, Any] | None = None) -> str:
    """Return the page.

    Args:
        card: model card of the bundle.
        sha256: hash of the bundle file; empty if unknown.
        size: size of the bundle file in bytes; 0 if unknown.
        evaluations: results of ``mien evaluate`` by split; they replace those on the card.
    """
    results = {**card.metrics, **(evaluations or {})}
    parts = [f"# {card.name}", "", *_facts(card, sha256, size), ""]
    for split in ("PublicTest", "PrivateTest"):
        parts += [f"## {split}", "", *_results(split, results.get(split)), ""]
    parts += ["## Protocol", "", *_protocol(card), "", "## Export", "", _export(card), ""]
    parts += ["## Intended use", "", card.intended_use, "", "## Excluded use", "", card.excluded_use, ""]
    parts += ["## Limits", "", *(f"- {limit}" for limit in (OWN_LIMITS if _has_own_data(card) else LIMITS))]
    return "\n".join(parts) + "\n"


def _facts(card: ModelCard, sha256: str, size: int) -> list[str]:
    own = _has_own_data(card)
    rows = {
        "output": "facial expression of one 48x48 greyscale face crop: " + ", ".join(card.labels),
        "parameters": f"{card.parameters:,}",
        "multiply-adds per face": f"{card.multiply_adds:,}" if card.multiply_adds else "not recorded",
        "file": (f"{size / 1e6:.2f} MB, " if size else "") + f"weights and activations in {card.precision}",
        "SHA-256": f"`{sha256}`" if sha256 else "not recorded",
        "trained by": f"`{card.command}`",
        "code": f"`{card.git_revision}`" if card.git_revision else "not recorded",
        "data": f"{'user data' if own else 'FER2013'}, Training; content hash `{card.dataset_hash}`",
        "heads": "; ".join(
            f"{HEADS_IN_WORDS[head]}: {_OWN_LABEL if own and head == FER2013 else HEAD_OUTPUTS[head]}" for head in card.heads
        ),
        "calibration temperature": ", ".join(_temperatures(card)) + "; inside the graph",
        "logit adjustment": f"{card.logit_adjustment:g} of the votes' log prior, inside the graph"
        if PEOPLE in card.heads
        else "none",
        "uncertain": _uncertain(card),
        "preprocessing": f"version {card.preprocess_version}",
        "licence": card.licence,
    }
    return ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]


def _has_own_data(card: ModelCard) -> bool:
    """Return whether a bundle was trained on other data: its card then has the truth ``OWN``."""
    return any(OWN in results_by_truth(numbers) for numbers in card.metrics.values())


def _temperatures(card: ModelCard) -> list[str]:
    values = (card.temperature, card.fer2013_temperature)
    return [f"{value:.3f} ({HEADS_IN_WORDS[head]})" for head, value in zip(card.heads, values, strict=False)]


def _uncertain(card: ModelCard) -> str:
    if not any(card.uncertain_below.values()):
        return "not recorded"
    each = ", ".join(f"{name} {value:.2f}" for name, value in card.uncertain_below.items())
    return (
        f"below a confidence of: {each}; above it, at most {ACCEPTED_ERROR:.0%} of a class's predictions on PublicTest are wrong"
    )


def _results(split: str, numbers: Mapping[str, Any] | None) -> list[str]:
    if numbers is None:
        return [f"Not scored on {split}."]
    lines = []
    for truth, found in results_by_truth(numbers).items():
        head = HEADS_IN_WORDS[found.get("head", FER2013)]
        lines += [f"### {heading_of(truth)}, {split}", "", f"The {head}, compared with {MEANINGS[truth]}.", ""]
        lines += ["| view | images | accuracy (95% interval) | macro-F1 | ECE |", "|---|---|---|---|---|"]
        views = {name: part for name, part in found.get("views", {}).items() if name in VIEWS}
        for name, part in {"all": found, **views}.items():
            low, high = part["accuracy_ci"]
            lines.append(
                f"| {name} | {part['n']:,} | {part['accuracy']:.1%} ({low:.1%} to {high:.1%}) "
                f"| {part['macro_f1']:.3f} | {part['ece']:.1%} |"
            )
        lines += ["", *(f"*{name}*: {VIEWS[name]}.  " for name in views)]
        if "mirrored" in found:
            lines.append(f"Averaged over each face and its mirror image: {found['mirrored']['accuracy']:.1%}.  ")
        if "ferplus" in found:
            low, high = found["ferplus"]["accuracy_ci"]
            lines.append(
                f"By the protocol of FER+ (Barsoum et al. 2016): {found['ferplus']['accuracy']:.1%} "
                f"({low:.1%} to {high:.1%}, {found['ferplus']['n']:,} images)."
            )
        lines += ["", "| class | precision | recall | F1 | images |", "|---|---|---|---|---|"]
        for name, row in found["classes"].items():
            lines.append(f"| {name} | {row['precision']:.3f} | {row['recall']:.3f} | {row['f1']:.3f} | {row['support']:,} |")
        lines.append("")
    return lines


def _protocol(card: ModelCard) -> list[str]:
    lines = [
        "Weights were trained on Training alone. The epoch, the recipe, the temperatures and the thresholds were chosen on "
        "PublicTest, so its results are slightly optimistic. PrivateTest was scored last, and nothing was chosen by it; scorings "
        "of released bundles are in `docs/results/private_test_log.csv`.",
        "",
    ]
    if len(card.training) > 1:
        lines += [f"An ensemble of {len(card.training)} networks; their logits are averaged inside the graph.", ""]
    for run in card.training:
        lines.append("- Settings: " + ", ".join(f"{key} {run[key]}" for key in _SETTINGS_SHOWN if key in run) + ".")
        if run.get("votes") and "people_share" in run:
            lines.append(f"  The people head was trained on FER+ votes, with {run['people_share']:.0%} of the loss.")
        elif run.get("votes"):
            lines.append(f"  FER+ votes made up {run.get('votes_share', 0):.0%} of the training targets.")
        else:
            lines.append("  No FER+ votes were used in training.")
        if run.get("teachers"):
            lines.append(f"  Distilled from {len(run['teachers'])} teacher network(s), trained on the same data.")
        if run.get("start"):
            lines.append(
                f"  It started from the weights of an earlier run on the same data (`{run['start'][:12]}…`), "
                "whose epochs are not counted here."
            )
        if run.get("split_file"):
            lines.append("  Training images were dropped or down-weighted by the split file of the data audit.")
    return lines


def _export(card: ModelCard) -> str:
    parity = card.export
    if not parity:
        return "Not recorded."
    return (
        f"On {parity['images']:,} images the bundle's probabilities differ from PyTorch's (32-bit) by at most "
        f"{parity['max_gap']:.1g}; {parity['same_answer']:.2%} of the predicted classes are equal, and accuracy changes by "
        f"{100 * parity['accuracy_change']:+.2f} points."
    )
