"""A bundle's card as a page in Markdown, after Mitchell et al. 2019 (arXiv:1810.03993)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mien.evaluation.calibration import ACCEPTED_ERROR
from mien.evaluation.views import VIEWS
from mien.modelcard import ModelCard

LIMITS: Final = (
    "It reads what a face shows, as strangers labelled it; that is not what a person feels.",
    "FER2013 is photographs from a web search, many of them posed. Cameras in a room, children, covered faces and faces "
    "seen from the side are rarer there than in use.",
    "FER2013 says nothing about age, sex or skin colour, so fairness across them has not been measured.",
    "Labels are noisy: people agree with them in 65 ± 5 % of cases (Goodfellow et al. 2013); part of every error is the label's.",
    "`disgust` has 1.5 % of the training images and is the least sure; `fear`, `sad` and `neutral` are the most often confused.",
)

_SETTINGS_SHOWN: Final = (
    "epochs",
    "best_epoch",
    "batch_size",
    "optimiser",
    "label_smoothing",
    "votes_share",
    "small_until",
    "ema_decay",
    "seed",
    "widths",
    "blocks",
)


def card_page(card: ModelCard, sha256: str = "", size: int = 0, evaluations: Mapping[str, Any] | None = None) -> str:
    """Return the page.

    Args:
        card: of the bundle.
        sha256: of its file; empty where unknown.
        size: of its file in bytes.
        evaluations: numbers of ``mien evaluate`` by split, made after the bundle; they are
            shown in place of the card's own.
    """
    results = {**card.metrics, **(evaluations or {})}
    parts = [f"# {card.name}", "", *_facts(card, sha256, size), ""]
    for split in ("PublicTest", "PrivateTest"):
        parts += [f"## {split}", "", *_results(split, results.get(split)), ""]
    parts += ["## Protocol", "", *_protocol(card), "", "## Export", "", _export(card), ""]
    parts += ["## Intended use", "", card.intended_use, "", "## Excluded use", "", card.excluded_use, ""]
    parts += ["## Limits", "", *(f"- {limit}" for limit in LIMITS)]
    return "\n".join(parts) + "\n"


def _facts(card: ModelCard, sha256: str, size: int) -> list[str]:
    rows = {
        "what": "facial expression of one 48x48 grey face crop: " + ", ".join(card.labels),
        "parameters": f"{card.parameters:,}",
        "multiply-adds a face": f"{card.multiply_adds:,}" if card.multiply_adds else "not recorded",
        "file": (f"{size / 1e6:.2f} MB, " if size else "") + f"weights and arithmetic in {card.precision}",
        "SHA-256": f"`{sha256}`" if sha256 else "not recorded",
        "trained by": f"`{card.command}`",
        "code": f"`{card.git_revision}`",
        "data": f"FER2013, Training; content hash `{card.dataset_hash}`",
        "calibration temperature": f"{card.temperature:.3f}, inside the graph",
        "uncertain": f"below a confidence of {card.uncertain_below:.2f}: above it at most {ACCEPTED_ERROR:.0%} err on PublicTest"
        if card.uncertain_below
        else "not recorded",
        "preprocessing": f"version {card.preprocess_version}",
        "licence": card.licence,
    }
    return ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]


def _results(split: str, numbers: Mapping[str, Any] | None) -> list[str]:
    if numbers is None:
        return [f"Not scored on {split}."]
    lines = ["| view | images | accuracy (95 % interval) | macro-F1 | ECE |", "|---|---|---|---|---|"]
    for name, part in {"official": numbers, **numbers.get("views", {})}.items():
        low, high = part["accuracy_ci"]
        lines.append(
            f"| {name} | {part['n']:,} | {part['accuracy']:.1%} ({low:.1%} to {high:.1%}) "
            f"| {part['macro_f1']:.3f} | {part['ece']:.1%} |"
        )
    lines += ["", *(f"*{name}*: {VIEWS[name]}.  " for name in numbers.get("views", {}))]
    if "mirrored" in numbers:
        lines.append(f"With the mean over each face and its mirror image: {numbers['mirrored']['accuracy']:.1%} (official).")
    lines += ["", "| class | precision | recall | F1 | images |", "|---|---|---|---|---|"]
    for name, row in numbers["classes"].items():
        lines.append(f"| {name} | {row['precision']:.3f} | {row['recall']:.3f} | {row['f1']:.3f} | {row['support']:,} |")
    return lines


def _protocol(card: ModelCard) -> list[str]:
    lines = [
        "Weights were learnt on Training alone. The epoch, the recipe and the temperature were chosen on PublicTest, so its "
        "numbers are a little kind. PrivateTest is scored once a bundle, and every scoring is in "
        "`docs/results/private_test_log.csv`.",
        "",
    ]
    if len(card.training) > 1:
        lines += [f"A committee of {len(card.training)} networks: their logits are averaged inside the graph.", ""]
    for run in card.training:
        lines.append("- Settings: " + ", ".join(f"{key} {run[key]}" for key in _SETTINGS_SHOWN if key in run) + ".")
        if run.get("votes"):
            lines.append(f"  FER+ votes made up {run['votes_share']:.0%} of the labels it learnt from.")
        else:
            lines.append("  No FER+ votes were used in training.")
        if run.get("teachers"):
            lines.append(f"  It also learnt from {len(run['teachers'])} teacher network(s), trained on the same data.")
        if run.get("start"):
            lines.append(
                f"  It began with the weights of an earlier run on the same data (`{run['start'][:12]}…`): "
                "it saw the data for longer than these epochs."
            )
        if run.get("split_file"):
            lines.append("  Training images were dropped or weighed down as the data audit says.")
    return lines


def _export(card: ModelCard) -> str:
    parity = card.export
    if not parity:
        return "Not recorded."
    return (
        f"On {parity['images']:,} images the bundle's probabilities differ from PyTorch's (32-bit) by at most "
        f"{parity['max_gap']:.1g}; the expression on top is the same for {parity['same_answer']:.2%}, and accuracy changes by "
        f"{100 * parity['accuracy_change']:+.2f} points."
    )
