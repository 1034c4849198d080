"""The evaluation as text for the terminal."""

from __future__ import annotations

from typing import Any

from mien.evaluation.scores import macro_f1_note
from mien.evaluation.truths import HEADS_IN_WORDS, MEANINGS, heading_of
from mien.evaluation.views import VIEWS


def classification_report(numbers: dict[str, Any]) -> str:
    """Return a table of precision, recall, F1 and support by class, in the format of scikit-learn."""
    lines = [f"{'':>10} {'precision':>10} {'recall':>10} {'f1-score':>10} {'support':>10}"]
    for name, row in numbers["classes"].items():
        lines.append(f"{name:>10} {row['precision']:10.3f} {row['recall']:10.3f} {row['f1']:10.3f} {row['support']:10d}")
    low, high = numbers["accuracy_ci"]
    lines.append("")
    lines.append(f"{'accuracy':>10} {numbers['accuracy']:10.3f}   95% interval {low:.3f} to {high:.3f}, n = {numbers['n']}")
    low, high = numbers["macro_f1_ci"]
    interval = f"95% interval {low:.3f} to {high:.3f}, bootstrap; {macro_f1_note(numbers)}"
    lines.append(f"{'macro F1':>10} {numbers['macro_f1']:10.3f}   {interval}")
    lines.append(
        f"{'ECE':>10} {numbers['ece']:10.3f}   expected calibration error, 15 equal-mass bins; "
        f"{numbers['ece_floor']:.3f} expected by chance"
    )
    return "\n".join(lines)


def evaluation_text(facts: dict[str, Any]) -> str:
    """Return the evaluation as text; ``facts`` is the content of ``metrics.json``."""
    lines = [f"{facts['model']} on {facts['split']}"]
    if len(facts["heads"]) == 1:
        lines.append(f"This model has only the {HEADS_IN_WORDS[facts['heads'][0]]}")
    for name, numbers in facts["truths"].items():
        lines += [
            "",
            f"{heading_of(name)} ({HEADS_IN_WORDS[numbers['head']]})",
            f"  {MEANINGS[name]}",
            "",
            classification_report(numbers),
        ]
        for view, row in numbers["views"].items():
            low, high = row["accuracy_ci"]
            lines.append(_line(view, row["accuracy"], f"95% interval {low:.3f} to {high:.3f}, n = {row['n']}: {VIEWS[view]}"))
        lines.append(_line("mirrored", numbers["mirrored"]["accuracy"], "averaged over each face and its mirror image"))
        if "ferplus" in numbers:
            low, high = numbers["ferplus"]["accuracy_ci"]
            note = f"95% interval {low:.3f} to {high:.3f}, n = {numbers['ferplus']['n']}: protocol of Barsoum et al. 2016"
            lines.append(_line("FER+", numbers["ferplus"]["accuracy"], note))
    people, selective, suite = facts["agreement"], facts["selective"], facts["robustness"]
    lines.append("")
    if people:
        above = people["cross_entropy"] - people["entropy"]
        lines.append(_line("votes", above, "nats: cross-entropy to the votes, minus the entropy of the votes"))
        if people["one_rater"] is not None:
            lines.append(_line("one rater", people["one_rater"], "agreement of a single rater with the majority"))
    at = selective["at_card_thresholds"]
    if any(selective["card_thresholds"].values()):
        note = "no prediction reaches the threshold of its class"
        if at["coverage"]:
            note = f"share of certain predictions, by the thresholds of the classes; {at['error']:.1%} of them are wrong"
        lines.append(_line("certain", at["coverage"], note))
    if suite:
        kinds = len(suite["corruptions"])
        lines.append(_line("robust", suite["mean_relative"], f"relative accuracy, mean over {kinds} corruptions"))
    return "\n".join(lines)


def _line(name: str, value: float, note: str) -> str:
    return f"{name:>10} {value:10.3f}   {note}"
